//! Every setting there is: name, type, default, meaning. The reference table in the docs is made
//! from this file.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::layers::{Given, Readable as _};
use crate::id::QueueName;
use crate::message::{Accept, Compression, Format, Serializer};
use crate::task::RateLimit;
use crate::url::redact;

/// A setting as the reference table shows it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in a file; in the environment `AIPO_` and the name in capitals.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// How the default is told where it depends on the machine.
    default: Option<&'static str>,
}

impl Setting {
    /// Its default: the text that would set it, or how it follows from the machine.
    pub fn default(&self) -> String {
        match self.default {
            Some(rule) => rule.to_owned(),
            None => Settings::default()
                .get(self.name)
                .expect("every setting in the table exists"),
        }
    }
}

/// Every setting as text, passwords in addresses left out.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut settings = f.debug_struct("Settings");
        for Setting { name, .. } in SETTINGS {
            settings.field(name, &redact(&self.get(name).unwrap_or_default()));
        }
        settings.finish()
    }
}

macro_rules! told {
    () => {
        None
    };
    ($rule:literal) => {
        Some($rule)
    };
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr $(, told as $rule:literal)?;)+) => {
        /// All settings of an app.
        #[derive(Clone, PartialEq)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// Every setting, in the order of the reference table.
        pub const SETTINGS: &[Setting] = &[
            $(Setting {
                name: stringify!($name),
                doc: concat!($($doc,)+),
                default: told!($($rule)?),
            },)+
        ];

        impl Settings {
            /// The value of a setting, as the text that would set it; `None` when there is no
            /// setting of that name. URLs come with their credentials.
            pub fn get(&self, name: &str) -> Option<String> {
                match name {
                    $(stringify!($name) => Some(self.$name.text()),)+
                    _ => None,
                }
            }

            /// Sets one setting from what a layer gives.
            pub(super) fn set(&mut self, name: &str, given: Given) -> Result<(), String> {
                match name {
                    $(stringify!($name) => self.$name = given.read()?,)+
                    other => return Err(format!("there is no setting {other:?}")),
                }
                Ok(())
            }
        }
    };
}

settings! {
    /// Where messages wait: `sqlite://path`, `redis://host`, `memory://`. Celery: `broker_url`.
    broker_url: String = "sqlite://aipo.db".to_owned();
    /// Where results are kept; the broker when empty. Celery: `result_backend`.
    result_backend: String = String::new();
    /// How long results are kept; `0` keeps them for ever. Celery: `result_expires`.
    result_expires: Seconds = Seconds(Duration::from_secs(24 * 60 * 60));
    /// Whether results also carry name, arguments, worker, retries and queue. Celery: `result_extended`.
    result_extended: bool = false;
    /// How results are serialised: `json`, `msgpack` or `yaml`. Celery: `result_serializer`.
    result_serializer: Serializer = Serializer::Json;
    /// How results are compressed: `zlib`, `bzip2`, `xz` or `zstd`; not at all when empty. Celery: `result_compression`.
    result_compression: Option<Compression> = None;
    /// The serialisations of messages that are read, by name or content type. Pickle can't be among them. Celery: `accept_content`, there `json`.
    accept_content: Accept = Accept::default();
    /// How messages are serialised: `json`, `msgpack` or `yaml`. Celery: `task_serializer`.
    task_serializer: Serializer = Serializer::Json;
    /// How messages are compressed: `zlib`, `bzip2`, `xz` or `zstd`; not at all when empty. Celery: `task_compression`.
    task_compression: Option<Compression> = None;
    /// The queue of tasks that nothing else sends elsewhere. Celery: `task_default_queue`.
    task_default_queue: QueueName = QueueName::from("celery");
    /// Queues by task name; `*` stands for any text. The longest pattern that matches wins. Celery: `task_routes`.
    task_routes: BTreeMap<String, QueueName> = BTreeMap::new();
    /// The priority of tasks that have none, from 0, the most urgent, to 9. Celery: `task_default_priority`.
    task_default_priority: u8 = 0;
    /// Whether messages are acknowledged after the task ran, so that a crash runs it again; otherwise before. Celery: `task_acks_late`, there false.
    task_acks_late: bool = true;
    /// Whether results are not stored. Celery: `task_ignore_result`.
    task_ignore_result: bool = false;
    /// Whether failures are stored although the result is ignored. Celery: `task_store_errors_even_if_ignored`.
    task_store_errors_even_if_ignored: bool = false;
    /// Whether `STARTED` is stored when a task starts. Celery: `task_track_started`.
    task_track_started: bool = false;
    /// The hard limit of a task's run time: it is ended. Celery: `task_time_limit`.
    task_time_limit: Option<Duration> = None;
    /// The soft limit of a task's run time: it is told and may clean up, or is ended if it does not listen. Celery: `task_soft_time_limit`.
    task_soft_time_limit: Option<Duration> = None;
    /// How often a task that has no rate limit of its own may start in one worker: `10/s`, `100/m`, `5/h`. Celery: `task_default_rate_limit`.
    task_default_rate_limit: Option<RateLimit> = None;
    /// Whether senders tell the event `task-sent`, and `task-revoked` of what they end while it waits. Celery: `task_send_sent_event`.
    task_send_sent_event: bool = false;
    /// How often a message may be started when its worker is lost each time; then it becomes a dead letter. From the third start on those count at which nothing else ran in that worker.
    task_max_deliveries: u32 = 3;
    /// The largest message that may be sent, in bytes of headers and body; also the largest that a compressed one may come to.
    task_max_message_size: usize = 64 * 1024 * 1024;
    /// How many bytes the messages of a step of a workflow may take for what comes later; more than that is kept once in the store, and messages refer to it. Only behind tasks that the app knows itself, since Python workers do not know such references.
    workflow_inline_max_size: usize = 16 * 1024;
    /// The largest result that is stored, in bytes; a larger one ends as a failure.
    result_max_size: usize = 64 * 1024 * 1024;
    /// How many tasks run at the same time in one worker. Celery: `worker_concurrency`, there the number of cores.
    worker_concurrency: usize = default_concurrency(), told as "16 for each core";
    /// How many messages a worker holds for each slot; 1 means that it takes only what can start at once. Celery: `worker_prefetch_multiplier`, there 4.
    worker_prefetch_multiplier: usize = 1;
    /// Whether workers take no notice of rate limits. Celery: `worker_disable_rate_limits`.
    worker_disable_rate_limits: bool = false;
    /// Whether workers tell what happens to their tasks from the start (`-E`), and not only once they are asked to. Celery: `worker_send_task_events`.
    worker_send_task_events: bool = false;
    /// Whether workers answer commands (`inspect`, `control`). Celery: `worker_enable_remote_control`.
    worker_enable_remote_control: bool = true;
    /// The first part of the names under which commands and replies travel. Celery: `control_exchange`.
    control_exchange: String = "celery".to_owned();
    /// The name under which events travel. Celery: `event_exchange`.
    event_exchange: String = "celeryev".to_owned();
    /// How long a worker's hold on its messages lasts without renewal: a worker that died is noticed within twice this time.
    worker_lease: Seconds = Seconds(Duration::from_secs(10));
    /// How long a worker that was asked to stop waits for its running tasks before it hands them back; `0` waits for ever. Celery: `worker_soft_shutdown_timeout`.
    worker_soft_shutdown_timeout: Seconds = Seconds(Duration::ZERO);
}

impl Settings {
    /// How messages are written, where the call does not say.
    pub fn task_format(&self) -> Format {
        Format {
            serializer: self.task_serializer,
            compression: self.task_compression,
        }
    }

    /// How results are written.
    pub fn result_format(&self) -> Format {
        Format {
            serializer: self.result_serializer,
            compression: self.result_compression,
        }
    }

    /// How large a result may come to that was stored compressed, in bytes: twice `result_max_size`, for what
    /// stands around the value and how it is escaped.
    pub fn result_read_limit(&self) -> usize {
        self.result_max_size.saturating_mul(2)
    }
}

/// A duration that is always there, where zero has a meaning of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl Seconds {
    /// The duration, unless it is zero.
    pub fn non_zero(self) -> Option<Duration> {
        Some(self.0).filter(|duration| !duration.is_zero())
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        crate::duration::deserialize(from).map(Self)
    }
}

/// Tasks mostly wait for something else, so there are more slots than cores; few enough that a
/// crash leaves little to run again.
fn default_concurrency() -> usize {
    16 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
