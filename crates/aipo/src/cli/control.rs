//! `control`: tells workers what to do, now.

use clap::Subcommand;
use serde_json::{Value, json};

use super::remote::Request;

#[derive(Debug, Subcommand)]
#[command(rename_all = "snake_case")]
pub enum Method {
    /// Take from one more queue
    AddConsumer {
        /// Its name
        queue: String,
    },
    /// Take from a queue no more
    CancelConsumer {
        /// Its name
        queue: String,
    },
    /// Run more tasks at the same time
    PoolGrow {
        /// How many more
        #[arg(value_name = "N", default_value_t = 1)]
        n: u64,
    },
    /// Run fewer tasks at the same time
    PoolShrink {
        /// How many fewer
        #[arg(value_name = "N", default_value_t = 1)]
        n: u64,
    },
    /// Let the pool follow the load (Python workers)
    Autoscale {
        /// The most processes
        max: u64,
        /// The fewest
        #[arg(default_value_t = 0)]
        min: u64,
    },
    /// Restart the pool (Python workers)
    PoolRestart,
    /// Limit how often a task may start in each worker
    RateLimit {
        /// The task
        task: String,
        /// 10/s, 100/m, 5/h; 0 is no limit
        rate: String,
    },
    /// Limit how long a task may run
    TimeLimit {
        /// The task
        task: String,
        /// When it is told, in seconds; 0 leaves it as it is
        soft: f64,
        /// When it is ended, in seconds
        hard: Option<f64>,
    },
    /// Cancel tasks that have not started
    Revoke {
        /// The ids of the tasks
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Cancel tasks, also those that run
    Terminate {
        /// The signal for Python workers, such as SIGTERM
        signal: String,
        /// The ids of the tasks
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Cancel tasks by what they are stamped with
    RevokeByStampedHeaders {
        /// name=value
        #[arg(value_name = "STAMP", required = true)]
        stamps: Vec<String>,
    },
    /// Tell what happens to tasks
    EnableEvents,
    /// Tell it no more
    DisableEvents,
    /// Tell once that they are there
    Heartbeat,
    /// Stop, once what runs has finished
    Shutdown,
}

impl Request for Method {
    fn request(&self) -> (&'static str, Value) {
        match self {
            Self::AddConsumer { queue } => ("add_consumer", json!({ "queue": queue })),
            Self::CancelConsumer { queue } => ("cancel_consumer", json!({ "queue": queue })),
            Self::PoolGrow { n } => ("pool_grow", json!({ "n": n })),
            Self::PoolShrink { n } => ("pool_shrink", json!({ "n": n })),
            Self::Autoscale { max, min } => ("autoscale", json!({ "max": max, "min": min })),
            Self::PoolRestart => ("pool_restart", json!({ "reload": false })),
            Self::RateLimit { task, rate } => (
                "rate_limit",
                json!({ "task_name": task, "rate_limit": rate }),
            ),
            Self::TimeLimit { task, soft, hard } => {
                let soft = Some(*soft).filter(|soft| *soft > 0.0);
                let limits = json!({ "task_name": task, "soft": soft, "hard": hard });
                ("time_limit", limits)
            }
            Self::Revoke { ids } => ("revoke", json!({ "task_id": ids })),
            Self::Terminate { signal, ids } => {
                let end = json!({ "task_id": ids, "terminate": true, "signal": signal });
                ("revoke", end)
            }
            Self::RevokeByStampedHeaders { stamps } => {
                ("revoke_by_stamped_headers", json!({ "headers": stamps }))
            }
            Self::EnableEvents => ("enable_events", Value::Null),
            Self::DisableEvents => ("disable_events", Value::Null),
            Self::Heartbeat => ("heartbeat", Value::Null),
            Self::Shutdown => ("shutdown", Value::Null),
        }
    }

    fn is_answered(&self) -> bool {
        !matches!(self, Self::Shutdown)
    }
}
