//! Messages: Celery's protocol on the wire, and what it means here. No I/O.
//!
//! | file | what |
//! |---|---|
//! | `envelope` | bytes and properties, as a store keeps them |
//! | `protocol_v2` | envelope to message and back |
//! | `protocol_1` | what older senders write |
//! | `codec` | serialisations and compressions |
//! | `python` | Python's types in JSON |
//! | `headers`, `body`, `time`, `python_repr` | the parts of a message |
//! | `meta` | the stored result, of a task and of a group |

mod body;
mod codec;
mod envelope;
mod headers;
mod meta;
mod protocol_1;
mod protocol_v2;
pub mod python;
mod python_repr;
mod time;

pub use body::{Body, Embed, Kwargs, encode_body};
pub use codec::{Accept, Compression, Format, Serializer};
pub use envelope::{Envelope, Properties};
pub use headers::{HEADER_NAMES, Headers, TimeLimit};
pub use meta::{ExceptionInfo, GroupMeta, TaskMeta};
pub use protocol_v2::{Refused, TaskMessage, Undecodable, decode};
pub use python::from_json;
pub use python_repr::{repr_exception, repr_kwargs, repr_text, repr_tuple, repr_value};
pub use time::{WireTime, format_utc};
