//! Names and ids as types, so that a queue name can't be passed for a task id.
//!
//! All of them are cheap to clone (shared text) and appear on the wire as plain strings.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "arc_str")] Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<&$name> for $name {
            fn from(other: &$name) -> Self {
                other.clone()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

text_id! {
    /// Identifies one task from its first send to its result, over all its retries.
    ///
    /// Shape: any text; [`TaskId::new`] makes a UUID. Wire: header `id`, property `correlation_id`.
    TaskId
}

text_id! {
    /// Names a queue. Default `celery` (setting `task_default_queue`).
    QueueName
}

text_id! {
    /// Identifies a group of tasks. Wire: header `group`.
    GroupId
}

impl TaskId {
    /// A new unique id: a UUID version 7, whose order is the order of creation.
    ///
    /// Celery makes version 4; any text is valid. Ordered ids keep a store's index of tasks
    /// appending at one end instead of touching a random page for every task.
    #[expect(
        clippy::new_without_default,
        reason = "every call gives another id, which is not what `default` suggests"
    )]
    pub fn new() -> Self {
        let mut text = uuid::Uuid::encode_buffer();
        Self(Arc::from(
            &*uuid::Uuid::now_v7().hyphenated().encode_lower(&mut text),
        ))
    }
}

impl GroupId {
    /// A new unique id, see [`TaskId::new`].
    #[expect(
        clippy::new_without_default,
        reason = "every call gives another id, which is not what `default` suggests"
    )]
    pub fn new() -> Self {
        Self(TaskId::new().0)
    }
}

mod arc_str {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        // Borrowed where the input allows it, so that no `String` is made on the way.
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Ok(Arc::from(&*text))
    }
}
