//! What is stored of a task's outcome, and of a group: Celery's result metas.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::codec::json::without_nan;
use super::codec::{Compression, Format, Serializer};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GroupId, TaskId};
use crate::state::TaskState;

/// In front of a compressed meta; then the name of the compression and a zero byte.
const COMPRESSED: &[u8] = b"\0celery-compressed\0";

/// The stored outcome of a task, as Celery's backends write it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskMeta {
    /// The state.
    pub status: TaskState,
    /// The value returned (`SUCCESS`), an [`ExceptionInfo`] (`FAILURE`, `RETRY`, `REVOKED`), or
    /// what the state wants to tell.
    pub result: Box<RawValue>,
    /// The failure told at length, for people.
    pub traceback: Option<String>,
    /// The tasks that it sent, as Celery's result tuples.
    #[serde(default)]
    pub children: Option<Vec<Value>>,
    /// When it ended; null unless the state is ready.
    #[serde(default)]
    pub date_done: Option<String>,
    /// Whose it is.
    pub task_id: TaskId,
    /// The group the task is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// The task that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<TaskId>,
    /// What `result_extended` adds (name, args, kwargs, worker, retries, queue), and stamps.
    #[serde(flatten)]
    pub extended: Map<String, Value>,
}

/// What is stored of a group, as Celery's `GroupResult.save` writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupMeta {
    /// The group and its members, Celery's result tuple.
    pub result: Value,
}

/// An exception as a result carries it, from which Python rebuilds one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExceptionInfo {
    /// The class's name.
    pub exc_type: String,
    /// The arguments it was made with; usually one text.
    pub exc_message: Value,
    /// The class's module.
    #[serde(default)]
    pub exc_module: Option<String>,
}

impl TaskMeta {
    /// Reads a stored meta, in whatever serialisation and compression Celery or aipo wrote it: its first
    /// byte tells which. `max_size` bounds what a compressed one comes to, in bytes.
    ///
    /// A bare `NaN`, `Infinity` or `-Infinity`, which Python writes and JSON has not, is read as `null`.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when the bytes are no meta.
    pub fn decode(bytes: &[u8], max_size: usize) -> Result<Self> {
        read(bytes, max_size)
    }

    /// The state that a stored meta tells, read like the whole; `None` when the bytes are no meta.
    pub fn state_of(bytes: &[u8], max_size: usize) -> Option<TaskState> {
        #[derive(Deserialize)]
        struct Status {
            status: TaskState,
        }
        let status: Status = read(bytes, max_size).ok()?;
        Some(status.status)
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a meta has text keys only, which JSON can hold")
    }

    /// The bytes to store, serialised and compressed as asked.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when the serialisation has no place for the value: msgpack for integers beyond 64
    /// bits.
    pub fn encode_as(&self, format: Format) -> Result<Vec<u8>> {
        written(self.encode(), format)
            .map_err(|what| Error::new(ErrorKind::Codec, what).with("task id", &self.task_id))
    }

    /// The exception, where the state has one.
    pub fn exception(&self) -> Option<ExceptionInfo> {
        serde_json::from_str(self.result.get()).ok()
    }
}

impl GroupMeta {
    /// Reads what is stored of a group, as [`TaskMeta::decode`] reads a result.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when the bytes are no meta.
    pub fn decode(bytes: &[u8], max_size: usize) -> Result<Self> {
        read(bytes, max_size)
    }

    /// The bytes to store, serialised and compressed as results are.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when the serialisation has no place for a value; ids are texts, which all of them have.
    pub fn encode_as(&self, format: Format) -> Result<Vec<u8>> {
        let json =
            serde_json::to_vec(self).expect("values have text keys only, which JSON can hold");
        written(json, format).map_err(|what| Error::new(ErrorKind::Codec, what))
    }
}

/// JSON as it is stored.
fn written(json: Vec<u8>, format: Format) -> Result<Vec<u8>, String> {
    let bytes = format.serializer.of_json(json)?;
    Ok(match format.compression {
        None => bytes,
        Some(compression) => {
            let name = compression.content_type().as_bytes();
            [COMPRESSED, name, b"\0", &compression.compress(&bytes)].concat()
        }
    })
}

/// Reads a stored map.
fn read<T: DeserializeOwned>(bytes: &[u8], max_size: usize) -> Result<T> {
    let error = |what: &str| Error::new(ErrorKind::Codec, format!("stored result {what}"));
    let bytes = decompressed(bytes, max_size).map_err(|what| error(&what))?;
    let no_meta = |source| error("is no result meta").caused_by(source);
    let of_other = |serializer: Serializer, bytes: Cow<'_, [u8]>| {
        let json = serializer
            .to_json(bytes.into_owned(), max_size)
            .map_err(|what| error(&what))?;
        serde_json::from_slice(&json).map_err(no_meta)
    };
    match bytes.trim_ascii_start().first() {
        // A map in JSON, or in YAML that looks like it.
        Some(b'{') => {
            let source = match serde_json::from_slice(&bytes) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if let Some(json) = without_nan(&bytes) {
                return serde_json::from_slice(&json).map_err(no_meta);
            }
            of_other(Serializer::Yaml, bytes).map_err(|_: Error| no_meta(source))
        }
        Some(0x80..) => of_other(Serializer::Msgpack, bytes),
        _ => of_other(Serializer::Yaml, bytes),
    }
}

/// A meta as it was before it was compressed, if it is.
fn decompressed(bytes: &[u8], max_size: usize) -> Result<Cow<'_, [u8]>, String> {
    let Some(rest) = bytes.strip_prefix(COMPRESSED) else {
        return Ok(bytes.into());
    };
    let end = rest.iter().position(|byte| *byte == 0);
    let (name, compressed) = rest.split_at(end.ok_or("is cut off")?);
    String::from_utf8_lossy(name)
        .parse::<Compression>()?
        .decompress(&compressed[1..], max_size)
        .map(Cow::Owned)
}

impl ExceptionInfo {
    /// The arguments as one text.
    pub fn message(&self) -> String {
        match &self.exc_message {
            Value::Array(parts) => {
                let parts: Vec<String> = parts.iter().map(plain).collect();
                parts.join(", ")
            }
            other => plain(other),
        }
    }
}

impl std::fmt::Display for ExceptionInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.exc_type)?;
        let text = self.message();
        if text.is_empty() {
            Ok(())
        } else {
            write!(f, ": {text}")
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
