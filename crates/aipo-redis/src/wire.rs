//! A message as kombu's Redis transport writes it: one JSON object with the body in base64.
//!
//! ```json
//! {"headers": {…}, "properties": {…, "delivery_info": {…}, "delivery_tag": "…", "body_encoding": "base64"},
//!  "content-type": "application/json", "content-encoding": "utf-8", "body": "W1syLCAzXSwge30sIH…"}
//! ```
//! A message that does not fit in there whole (headers that are no JSON object, an id that no property
//! tells) carries the rest under the key `aipo`, which Python passes over.
//!
//! Read leniently, as Python does: only what is no such object at all can't be read, and then its
//! bytes are handed on as headers, for the worker to refuse and to keep.

use std::borrow::Cow;
use std::fmt;

use aipo_core::TaskId;
use aipo_core::message::{Envelope, Properties, WireTime};
use aipo_core::store::{MAX_PRIORITY, Publish};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use serde::de::{DeserializeOwned, Deserializer as _, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::object;
use crate::time::ceil_ms;

/// Properties that belong to a transport, not to the message.
const TRANSPORTS_OWN: [&str; 3] = ["body_encoding", "delivery_info", "delivery_tag"];

/// In front of a message that was started before, see `scripts/shared/deliveries.lua`.
const MARK: &[u8] = b"{\"aipo-deliveries\":";

/// A message that came off a list.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) envelope: Envelope,
    /// The task that it is for; empty when it does not say.
    pub(crate) id: TaskId,
    /// How often it was started before.
    pub(crate) deliveries: u32,
    /// Not to be run before, in milliseconds.
    pub(crate) due_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    properties: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "content-type")]
    content_type: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "content-encoding")]
    content_encoding: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(default)]
    aipo: Option<Rest>,
}

/// What kombu's object has no place for.
#[derive(Default, Serialize, Deserialize)]
struct Rest {
    /// The task, where `correlation_id` is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<TaskId>,
    /// When it is due in milliseconds, where the header `eta` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    /// Headers that are no JSON object, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    headers: Option<String>,
    /// All properties, where they are not as kombu's object tells them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    properties: Option<Properties>,
}

impl Rest {
    fn of(envelope: &Envelope, priority: u8) -> Self {
        let Envelope {
            headers,
            properties,
            ..
        } = envelope;
        let has_transports_own = || {
            TRANSPORTS_OWN
                .iter()
                .any(|name| properties.other.contains_key(*name))
        };
        Self {
            id: None,
            due: None,
            headers: (!is_object(headers)).then(|| STANDARD.encode(headers)),
            properties: (properties.priority != priority || has_transports_own())
                .then(|| properties.clone()),
        }
    }

    fn of_task(message: &Publish, priority: u8) -> Self {
        let Publish {
            envelope, id, due, ..
        } = message;
        let due_ms = due.map(ceil_ms);
        let correlation_id = envelope.properties.correlation_id.as_deref();
        Self {
            id: (correlation_id != Some(id.as_str())).then(|| id.clone()),
            due: due_ms.filter(|_| eta_ms(&envelope.headers) != due_ms),
            ..Self::of(envelope, priority)
        }
    }

    fn is_empty(&self) -> bool {
        self.id.is_none()
            && self.due.is_none()
            && self.headers.is_none()
            && self.properties.is_none()
    }
}

/// Writes a message. `priority` is at most 9.
pub(crate) fn encode(message: &Publish, priority: u8) -> Vec<u8> {
    let rest = Rest::of_task(message, priority);
    write(
        &message.envelope,
        &rest,
        priority,
        "",
        message.queue.as_str(),
    )
}

/// Writes a notice to an exchange.
pub(crate) fn encode_notice(envelope: &Envelope, exchange: &str, routing_key: &str) -> Vec<u8> {
    let priority = envelope.properties.priority.min(MAX_PRIORITY);
    let rest = Rest::of(envelope, priority);
    write(envelope, &rest, priority, exchange, routing_key)
}

fn write(
    envelope: &Envelope,
    rest: &Rest,
    priority: u8,
    exchange: &str,
    routing_key: &str,
) -> Vec<u8> {
    let Envelope {
        headers,
        properties,
        body,
    } = envelope;
    let mut out = Vec::with_capacity(512 + headers.len() + body.len().div_ceil(3) * 4);

    out.push(b'{');
    if !rest.is_empty() {
        out.extend_from_slice(b"\"aipo\":");
        json(&mut out, rest);
        out.push(b',');
    }
    out.extend_from_slice(b"\"headers\":");
    out.extend_from_slice(if rest.headers.is_none() {
        headers
    } else {
        b"{}"
    });
    out.extend_from_slice(b",\"properties\":{");
    for (name, value) in &properties.other {
        if !TRANSPORTS_OWN.contains(&name.as_str()) {
            json(&mut out, name);
            out.push(b':');
            json(&mut out, value);
            out.push(b',');
        }
    }
    let texts = [
        ("correlation_id", &properties.correlation_id),
        ("reply_to", &properties.reply_to),
        ("expiration", &properties.expiration),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            json(&mut out, name);
            out.push(b':');
            json(&mut out, text);
            out.push(b',');
        }
    }
    out.extend_from_slice(b"\"delivery_mode\":");
    json(&mut out, &properties.delivery_mode);
    out.extend_from_slice(b",\"delivery_info\":{\"exchange\":");
    json(&mut out, exchange);
    out.extend_from_slice(b",\"routing_key\":");
    json(&mut out, routing_key);
    out.extend_from_slice(b"},\"priority\":");
    json(&mut out, &priority);
    out.extend_from_slice(b",\"body_encoding\":\"base64\",\"delivery_tag\":\"");
    // Unique is all that it needs to be; the system's random numbers cost a call into the kernel each.
    let random = fastrand::u128(..).to_ne_bytes();
    let tag = uuid::Builder::from_random_bytes(random).into_uuid();
    let mut buffer = uuid::Uuid::encode_buffer();
    let tag = tag.hyphenated().encode_lower(&mut buffer);
    out.extend_from_slice(tag.as_bytes());
    out.extend_from_slice(b"\"},\"content-type\":");
    json(&mut out, &properties.content_type);
    out.extend_from_slice(b",\"content-encoding\":");
    json(&mut out, &properties.content_encoding);
    out.extend_from_slice(b",\"body\":\"");
    base64(&mut out, body);
    out.extend_from_slice(b"\"}");
    out
}

/// Reads a message, whatever it is.
pub(crate) fn decode(raw: &[u8]) -> Decoded {
    let (deliveries, bare) = count(raw);
    let bare: &[u8] = &bare;
    let read = object(bare).and_then(decode_wire);
    let (envelope, rest) = read.unwrap_or_else(|| {
        (
            Envelope {
                headers: bare.to_vec(),
                ..Envelope::default()
            },
            Rest::default(),
        )
    });
    let id = rest
        .id
        .or_else(|| {
            envelope
                .properties
                .correlation_id
                .as_deref()
                .map(TaskId::from)
        })
        .or_else(|| header_id(&envelope.headers))
        .unwrap_or_else(|| TaskId::from(""));
    let due_ms = rest.due.or_else(|| eta_ms(&envelope.headers));
    Decoded {
        envelope,
        id,
        deliveries,
        due_ms,
    }
}

/// Reads a notice; `None` when it is no message.
pub(crate) fn decode_notice(raw: &[u8]) -> Option<Envelope> {
    let (envelope, _) = object(raw).and_then(decode_wire)?;
    Some(envelope)
}

/// The count in front of a message, and the message without it.
fn count(raw: &[u8]) -> (u32, Cow<'_, [u8]>) {
    fn marked(raw: &[u8]) -> Option<(u32, &[u8])> {
        let rest = raw.strip_prefix(MARK)?.trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (count, rest) = rest.split_at(digits);
        let count = std::str::from_utf8(count).ok()?.parse().ok()?;
        Some((count, rest.strip_prefix(b",")?))
    }
    match marked(raw) {
        Some((count, rest)) => (count, Cow::Owned([b"{", rest].concat())),
        None => (0, Cow::Borrowed(raw)),
    }
}

/// `None` when a part is of a shape that says nothing.
fn decode_wire(wire: Wire<'_>) -> Option<(Envelope, Rest)> {
    let mut rest = wire.aipo.unwrap_or_default();
    let headers = match (&rest.headers, wire.headers) {
        (Some(headers), _) => STANDARD.decode(headers).ok()?,
        (None, Some(headers)) => headers.get().as_bytes().to_vec(),
        (None, None) => b"{}".to_vec(),
    };
    let (mut properties, body_encoding) = match wire.properties {
        Some(properties) => decode_properties(properties)?,
        None => (Properties::default(), None),
    };
    if let Some(content_type) = wire.content_type {
        properties.content_type = content_type.into_owned();
    }
    if let Some(content_encoding) = wire.content_encoding {
        properties.content_encoding = content_encoding.into_owned();
    }
    let properties = rest.properties.take().unwrap_or(properties);
    let body = match wire.body {
        Some(body) => decode_body(body, body_encoding.as_deref())?,
        None => Vec::new(),
    };
    Some((
        Envelope {
            headers,
            properties,
            body,
        },
        rest,
    ))
}

fn decode_body(body: &RawValue, encoding: Option<&str>) -> Option<Vec<u8>> {
    let Ok(text) = serde_json::from_str::<Cow<'_, str>>(body.get()) else {
        // A body that was not even made text; kombu takes the value itself.
        return Some(body.get().as_bytes().to_vec());
    };
    match encoding {
        Some("base64") => STANDARD.decode(text.as_bytes()).ok(),
        _ => Some(text.into_owned().into_bytes()),
    }
}

fn decode_properties(object: &RawValue) -> Option<(Properties, Option<String>)> {
    struct PropertiesVisitor;

    impl<'de> Visitor<'de> for PropertiesVisitor {
        type Value = (Properties, Option<String>);

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of properties")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut properties = Properties::default();
            let mut body_encoding = None;
            while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                match &*name {
                    "correlation_id" => properties.correlation_id = lenient(value),
                    "reply_to" => properties.reply_to = lenient(value),
                    "expiration" => properties.expiration = lenient(value),
                    "delivery_mode" => {
                        properties.delivery_mode =
                            lenient(value).unwrap_or(properties.delivery_mode);
                    }
                    // kombu takes what is no number for 0, and the nearest of 0 to 9 for the rest.
                    "priority" => {
                        let priority = lenient(value).unwrap_or(0_i64).clamp(0, 9);
                        properties.priority = u8::try_from(priority).expect("it was clamped");
                    }
                    "body_encoding" => body_encoding = lenient(value),
                    "delivery_info" | "delivery_tag" => {}
                    _ => {
                        let value = serde_json::from_str(value.get()).map_err(A::Error::custom)?;
                        properties.other.insert(name.into_owned(), value);
                    }
                }
            }
            Ok((properties, body_encoding))
        }
    }

    serde_json::Deserializer::from_str(object.get())
        .deserialize_map(PropertiesVisitor)
        .ok()
}

/// A value of the right type; `None` for null and for what is of another.
fn lenient<T: DeserializeOwned>(value: &RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// The header `eta` in milliseconds; `None` when there is none, or it is no time: then the worker
/// refuses the message at once.
fn eta_ms(headers: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Eta<'a> {
        #[serde(borrow, default)]
        eta: Option<Cow<'a, str>>,
    }

    // Nearly all messages have `"eta": null`, and reading all their headers would be for that.
    let at = memmem::find(headers, b"\"eta\"")? + b"\"eta\"".len();
    let rest = headers[at..].trim_ascii_start();
    let rest = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start();
    if rest.starts_with(b"null") && memmem::find(rest, b"\"eta\"").is_none() {
        return None;
    }
    let eta = object::<Eta<'_>>(headers)?.eta?;
    WireTime::parse(&eta).map(|eta| ceil_ms(eta.timestamp()))
}

fn header_id(headers: &[u8]) -> Option<TaskId> {
    #[derive(Deserialize)]
    struct Id {
        id: TaskId,
    }

    object::<Id>(headers).map(|headers| headers.id)
}

/// Whether these bytes can stand in a JSON object as they are, and come back the same.
fn is_object(headers: &[u8]) -> bool {
    headers.starts_with(b"{")
        && headers.ends_with(b"}")
        && serde_json::from_slice::<&RawValue>(headers).is_ok()
}

fn json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value)
        .expect("a vector takes all bytes, and text keys are all that these values have");
}

fn base64(out: &mut Vec<u8>, body: &[u8]) {
    let start = out.len();
    out.resize(start + body.len().div_ceil(3) * 4, 0);
    STANDARD
        .encode_slice(body, &mut out[start..])
        .expect("the space is that of padded base64");
}

#[cfg(test)]
mod tests;
