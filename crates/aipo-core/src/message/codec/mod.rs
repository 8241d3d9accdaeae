//! How bodies and results are serialised and compressed, by kombu's names.
//!
//! Inside, a body is always JSON text; other serialisations become that when a message comes in, and are
//! made of it when one goes out. What JSON has no type for (bytes, times) takes kombu's own form
//! on the way, see [`python`](super::python).
//!
//! Pickle is not here and will not come: reading it runs code that the sender chose.

mod compression;
pub(super) mod json;
mod msgpack;
mod yaml;

use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

pub use compression::Compression;

/// How deep values may nest in a body that is not JSON. Deeper than any typed argument can be decoded.
const MAX_DEPTH: usize = 512;

/// A serialisation that is read and written. Celery's `serializer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Serializer {
    /// `application/json`, the default.
    #[default]
    Json,
    /// `application/x-msgpack`: compact, and has bytes. No integers beyond 64 bits.
    Msgpack,
    /// `application/x-yaml`: has dates and times. Slow.
    Yaml,
}

impl Serializer {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Json, Self::Msgpack, Self::Yaml];

    /// kombu's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Msgpack => "msgpack",
            Self::Yaml => "yaml",
        }
    }

    /// The content type on the wire.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Msgpack => "application/x-msgpack",
            Self::Yaml => "application/x-yaml",
        }
    }

    /// The content encoding on the wire.
    pub fn content_encoding(self) -> &'static str {
        match self {
            Self::Json | Self::Yaml => "utf-8",
            Self::Msgpack => "binary",
        }
    }

    /// The serialisation of that content type.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|serializer| serializer.content_type() == content_type)
    }

    /// Whether it has a place for a value.
    ///
    /// # Errors
    /// What it has no place for: msgpack for integers beyond 64 bits.
    pub fn check(self, value: &RawValue) -> Result<(), String> {
        match self {
            Self::Json => Ok(()),
            Self::Msgpack | Self::Yaml => self.of_json(value.get().into()).map(drop),
        }
    }

    /// Bytes of this serialisation as JSON text. JSON is not looked at.
    ///
    /// # Errors
    /// What is wrong with the bytes, or what JSON has no place for; also when aliases in YAML come
    /// to more than `max_size` bytes.
    pub(super) fn to_json(self, bytes: Vec<u8>, max_size: usize) -> Result<Vec<u8>, String> {
        match self {
            Self::Json => Ok(bytes),
            Self::Msgpack => msgpack::to_json(&bytes),
            Self::Yaml => yaml::to_json(&bytes, max_size),
        }
    }

    /// JSON text in this serialisation.
    ///
    /// # Errors
    /// What the serialisation has no place for.
    pub(super) fn of_json(self, json: Vec<u8>) -> Result<Vec<u8>, String> {
        match self {
            Self::Json => Ok(json),
            Self::Msgpack => msgpack::of_json(&json),
            Self::Yaml => yaml::of_json(&json),
        }
    }
}

impl fmt::Display for Serializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads a name or a content type.
impl FromStr for Serializer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|serializer| text == serializer.name() || text == serializer.content_type());
        match found {
            Some(serializer) => Ok(serializer),
            None if ["pickle", PICKLE].contains(&text) => Err(
                "pickle runs code when it is read, so it is neither accepted nor written; there are \
                 json, msgpack and yaml"
                    .to_owned(),
            ),
            None => Err(format!(
                "there is no serializer {text:?}; there are json, msgpack and yaml"
            )),
        }
    }
}

const PICKLE: &str = "application/x-python-serialize";

/// How something is written: serialised, then perhaps compressed. The default is JSON as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Format {
    /// How it is serialised.
    pub serializer: Serializer,
    /// How it is compressed, if it is.
    pub compression: Option<Compression>,
}

/// The serialisations that are accepted. Celery's `accept_content`; the default is all that there are here,
/// since none of them can run code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept(Vec<Serializer>);

impl Accept {
    /// Whether messages of this serialisation are read.
    pub fn allows(&self, serializer: Serializer) -> bool {
        self.0.contains(&serializer)
    }
}

impl Default for Accept {
    fn default() -> Self {
        Self(Serializer::ALL.to_vec())
    }
}

impl FromIterator<Serializer> for Accept {
    fn from_iter<I: IntoIterator<Item = Serializer>>(accepted: I) -> Self {
        Self(accepted.into_iter().collect())
    }
}

/// `json,msgpack`
impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|serializer| serializer.name()).collect();
        f.write_str(&names.join(","))
    }
}

/// What kombu says of content that it does not accept.
pub(super) fn untrusted(content_type: &str) -> String {
    let name = match Serializer::of_content_type(content_type) {
        Some(serializer) => Some(serializer.name()),
        None => (content_type == PICKLE).then_some("pickle"),
    };
    let of_type = match name {
        Some(name) => format!("{name} ({content_type})"),
        None => content_type.to_owned(),
    };
    format!("Refusing to deserialize untrusted content of type {of_type}")
}
