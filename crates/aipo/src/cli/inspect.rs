//! `inspect`: what the workers tell of themselves, now.

use clap::Subcommand;
use serde_json::{Value, json};

use super::remote::Request;

#[derive(Debug, Subcommand)]
#[command(rename_all = "snake_case")]
pub enum Method {
    /// Who is there
    Ping,
    /// The tasks that run
    Active,
    /// The tasks that wait in a worker for a free slot
    Reserved,
    /// The tasks that wait for their time
    Scheduled,
    /// The tasks that are revoked
    Revoked,
    /// The tasks that they know
    Registered {
        /// Options to show, such as max_retries; rate_limit otherwise
        #[arg(value_name = "OPTION")]
        options: Vec<String>,
    },
    /// Process, pool, counts, memory and more
    Stats,
    /// The queues they take from
    ActiveQueues,
    /// Where these tasks are
    QueryTask {
        /// The ids of the tasks
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// The settings that are not at their default, without secrets
    Conf {
        /// All settings
        #[arg(long)]
        with_defaults: bool,
    },
    /// Version, platform and settings, for a bug report
    Report,
    /// The logical clock
    Clock,
    /// The memory of a Python worker
    Memsample,
    /// The memory of a Python worker, sample by sample
    Memdump,
    /// The objects of a Python worker
    Objgraph,
}

impl Request for Method {
    fn request(&self) -> (&'static str, Value) {
        match self {
            Self::Ping => ("ping", Value::Null),
            Self::Active => ("active", Value::Null),
            Self::Reserved => ("reserved", Value::Null),
            Self::Scheduled => ("scheduled", Value::Null),
            Self::Revoked => ("revoked", Value::Null),
            Self::Registered { options } => ("registered", json!({ "taskinfoitems": options })),
            Self::Stats => ("stats", Value::Null),
            Self::ActiveQueues => ("active_queues", Value::Null),
            Self::QueryTask { ids } => ("query_task", json!({ "ids": ids })),
            Self::Conf { with_defaults } => ("conf", json!({ "with_defaults": with_defaults })),
            Self::Report => ("report", Value::Null),
            Self::Clock => ("clock", Value::Null),
            Self::Memsample => ("memsample", Value::Null),
            Self::Memdump => ("memdump", Value::Null),
            Self::Objgraph => ("objgraph", Value::Null),
        }
    }
}
