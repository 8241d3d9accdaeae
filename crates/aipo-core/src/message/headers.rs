//! The headers of Celery's message protocol 2.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::time::WireTime;
use crate::id::{GroupId, TaskId};

/// What a message says about its task, apart from the arguments.
///
/// Written as Celery 5.3 and later write them: all nineteen headers, in Celery's order, then the custom ones.
/// Read leniently: only `task` and `id` must be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Headers {
    /// The language of the sender. Readers ignore it.
    pub lang: String,
    /// The name of the task, which selects the code.
    pub task: String,
    /// The id of the task.
    pub id: TaskId,
    /// A name to show instead of `task`.
    pub shadow: Option<String>,
    /// Not to be run before.
    pub eta: Option<WireTime>,
    /// Not to be run after.
    pub expires: Option<WireTime>,
    /// The group the task is a member of.
    pub group: Option<GroupId>,
    /// The position in that group, from 0.
    pub group_index: Option<i64>,
    /// How often it has been retried: 0 the first time.
    pub retries: u32,
    /// The time limits of this call.
    pub timelimit: TimeLimit,
    /// The first task of the workflow; its own id when there is none.
    pub root_id: Option<TaskId>,
    /// The task that sent this one.
    pub parent_id: Option<TaskId>,
    /// The positional arguments as Python would print them; for display only.
    pub argsrepr: Option<String>,
    /// The named arguments as Python would print them; for display only.
    pub kwargsrepr: Option<String>,
    /// Who sent it: `gen{pid}@{host}`.
    pub origin: Option<String>,
    /// Whether the result is not to be stored; `None` leaves it to the task.
    pub ignore_result: Option<bool>,
    /// How often the task replaced itself.
    pub replaced_task_nesting: u32,
    /// The names of the stamps.
    pub stamped_headers: Option<Vec<String>>,
    /// The stamps: text, or lists of it.
    pub stamps: Map<String, Value>,
    /// Headers of the application's own.
    pub custom: Map<String, Value>,
}

/// The names of the nineteen headers, which an application can't use for its own.
pub const HEADER_NAMES: [&str; 19] = [
    "lang",
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "ignore_result",
    "replaced_task_nesting",
    "stamped_headers",
    "stamps",
];

/// `[hard, soft]` in seconds, each of them may be null.
///
/// The numbers are kept as they came, so that `10` is not passed on as `10.0`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TimeLimit(pub Option<Number>, pub Option<Number>);

impl TimeLimit {
    /// Limits from durations.
    pub fn new(hard: Option<Duration>, soft: Option<Duration>) -> Self {
        Self(hard.map(seconds), soft.map(seconds))
    }

    /// When the task is ended.
    pub fn hard(&self) -> Option<Duration> {
        self.0.as_ref().and_then(duration)
    }

    /// When the task is told that its time is over.
    pub fn soft(&self) -> Option<Duration> {
        self.1.as_ref().and_then(duration)
    }
}

fn seconds(limit: Duration) -> Number {
    if limit.subsec_nanos() == 0 {
        return limit.as_secs().into();
    }
    Number::from_f64(limit.as_secs_f64()).expect("a duration is a finite number")
}

fn duration(seconds: &Number) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.as_f64()?)
        .ok()
        .filter(|limit| !limit.is_zero())
}

impl Headers {
    /// The headers of a first send: no retries, its own root.
    pub fn new(task: impl Into<String>, id: TaskId) -> Self {
        Self {
            lang: "rs".to_owned(),
            root_id: Some(id.clone()),
            ..Self::empty(task.into(), id)
        }
    }

    fn empty(task: String, id: TaskId) -> Self {
        Self {
            lang: String::new(),
            task,
            id,
            shadow: None,
            eta: None,
            expires: None,
            group: None,
            group_index: None,
            retries: 0,
            timelimit: TimeLimit::default(),
            root_id: None,
            parent_id: None,
            argsrepr: None,
            kwargsrepr: None,
            origin: None,
            ignore_result: None,
            replaced_task_nesting: 0,
            stamped_headers: None,
            stamps: Map::new(),
            custom: Map::new(),
        }
    }

    /// The name to show: `shadow` where there is one.
    pub fn display_name(&self) -> &str {
        self.shadow.as_deref().unwrap_or(&self.task)
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(HEADER_NAMES.len() + self.custom.len()))?;
        map.serialize_entry("lang", &self.lang)?;
        map.serialize_entry("task", &self.task)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("shadow", &self.shadow)?;
        map.serialize_entry("eta", &self.eta)?;
        map.serialize_entry("expires", &self.expires)?;
        map.serialize_entry("group", &self.group)?;
        map.serialize_entry("group_index", &self.group_index)?;
        map.serialize_entry("retries", &self.retries)?;
        map.serialize_entry("timelimit", &self.timelimit)?;
        map.serialize_entry("root_id", &self.root_id)?;
        map.serialize_entry("parent_id", &self.parent_id)?;
        map.serialize_entry("argsrepr", &self.argsrepr)?;
        map.serialize_entry("kwargsrepr", &self.kwargsrepr)?;
        map.serialize_entry("origin", &self.origin)?;
        map.serialize_entry("ignore_result", &self.ignore_result)?;
        map.serialize_entry("replaced_task_nesting", &self.replaced_task_nesting)?;
        map.serialize_entry("stamped_headers", &self.stamped_headers)?;
        map.serialize_entry("stamps", &self.stamps)?;
        for (name, value) in &self.custom {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

// By hand, since serde's `flatten` would put every header through an intermediate tree, for every
// message.
impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct HeadersVisitor;

        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of message headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Headers::empty(String::new(), TaskId::from(""));
                let (mut has_task, mut has_id) = (false, false);
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    match &*name {
                        "lang" => headers.lang = map.next_value()?,
                        "task" => {
                            headers.task = map.next_value()?;
                            has_task = true;
                        }
                        "id" => {
                            headers.id = map.next_value()?;
                            has_id = true;
                        }
                        "shadow" => headers.shadow = map.next_value()?,
                        "eta" => headers.eta = map.next_value()?,
                        "expires" => headers.expires = map.next_value()?,
                        "group" => headers.group = map.next_value()?,
                        "group_index" => headers.group_index = map.next_value()?,
                        "retries" => headers.retries = or_default(map.next_value()?),
                        "timelimit" => headers.timelimit = or_default(map.next_value()?),
                        "root_id" => headers.root_id = map.next_value()?,
                        "parent_id" => headers.parent_id = map.next_value()?,
                        "argsrepr" => headers.argsrepr = map.next_value()?,
                        "kwargsrepr" => headers.kwargsrepr = map.next_value()?,
                        "origin" => headers.origin = map.next_value()?,
                        "ignore_result" => headers.ignore_result = map.next_value()?,
                        "replaced_task_nesting" => {
                            headers.replaced_task_nesting = or_default(map.next_value()?);
                        }
                        "stamped_headers" => headers.stamped_headers = map.next_value()?,
                        "stamps" => headers.stamps = or_default(map.next_value()?),
                        _ => {
                            headers.custom.insert(name.into_owned(), map.next_value()?);
                        }
                    }
                }
                match (has_task, has_id) {
                    (true, true) => Ok(headers),
                    (false, _) => Err(A::Error::missing_field("task")),
                    (true, false) => Err(A::Error::missing_field("id")),
                }
            }
        }

        from.deserialize_map(HeadersVisitor)
    }
}

fn or_default<T: Default>(value: Option<T>) -> T {
    value.unwrap_or_default()
}
