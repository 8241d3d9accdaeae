//! The body of a message: `[args, kwargs, embed]`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::codec::json::without_nan;

/// A body read from a message, its arguments still text: each is decoded straight into the type
/// that the task wants.
#[derive(Debug, Deserialize)]
pub struct Body<'a>(
    #[serde(borrow)] pub Vec<&'a RawValue>,
    #[serde(borrow)] pub Kwargs<'a>,
    #[serde(default)] pub Option<Embed>,
);

/// Named arguments in the order in which they came.
#[derive(Debug, Default)]
pub struct Kwargs<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

/// What a body carries beside the arguments: what happens next. Signatures are kept as the text that they
/// came as, so that numbers in them are passed on with all their digits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Embed {
    /// Signatures to run with the result.
    pub callbacks: Option<Vec<Box<RawValue>>>,
    /// Signatures to run when it fails.
    pub errbacks: Option<Vec<Box<RawValue>>>,
    /// The rest of the chain, in reverse: the next one is the last.
    pub chain: Option<Vec<Box<RawValue>>>,
    /// The body of the chord that the task is a header member of.
    pub chord: Option<Box<RawValue>>,
    /// What else was there.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl<'a> Body<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// When the bytes are not a JSON array of arguments, named arguments and (optionally) the embed
    /// map. How deep an argument may nest is checked when it is decoded: 128 levels.
    pub fn parse(bytes: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// Writes it again, the arguments as they came.
    pub fn encode(&self) -> Vec<u8> {
        let Self(args, kwargs, embed) = self;
        let nothing = Embed::default();
        serde_json::to_vec(&(args, kwargs, embed.as_ref().unwrap_or(&nothing)))
            .expect("all of it was read as JSON")
    }

    /// The arguments as values, to be shown or stored with the result; null for one that nests deeper
    /// than 128 levels.
    pub fn values(&self) -> (Vec<Value>, Map<String, Value>) {
        let value = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
        let args = self.0.iter().map(|raw| value(raw)).collect();
        let named = self.1.0.iter();
        let kwargs = named.map(|(name, raw)| (name.clone().into_owned(), value(raw)));
        (args, kwargs.collect())
    }

    /// Reads a body as Python may have written it: where there is a bare `NaN`, `Infinity` or `-Infinity`,
    /// which JSON has not, it reads `null`. `rewritten` keeps the text in that case.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_python(bytes: &'a [u8], rewritten: &'a mut Vec<u8>) -> serde_json::Result<Self> {
        Self::parse(bytes).or_else(|error| {
            *rewritten = without_nan(bytes).ok_or(error)?;
            Self::parse(rewritten)
        })
    }
}

/// Writes a body.
///
/// # Errors
/// When an argument can't be JSON; a `Value` always can.
pub fn encode_body(
    args: &[Value],
    kwargs: &Map<String, Value>,
    embed: &Embed,
) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&(args, kwargs, embed))
}

impl<'de: 'a, 'a> Deserialize<'de> for Kwargs<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct KwargsVisitor;

        impl<'de> Visitor<'de> for KwargsVisitor {
            type Value = Kwargs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of named arguments")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kwargs<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key()? {
                    entries.push((name, map.next_value()?));
                }
                Ok(Kwargs(entries))
            }
        }

        from.deserialize_map(KwargsVisitor)
    }
}

impl Serialize for Kwargs<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
