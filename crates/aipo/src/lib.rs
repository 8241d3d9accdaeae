//! Background tasks in Rust that speak Celery.
//!
//! | to | use |
//! |---|---|
//! | define a task | [`#[task]`](macro@task) on a function, [`Task`] for a type |
//! | put an app together | [`App::builder`] |
//! | send | [`App::send`], [`App::send_all`], with the options of a [`Call`] |
//! | put tasks together | [`Flow`], [`group`] |
//! | know what became of it | [`Handle`], [`GroupHandle`], [`App::workflow`] |
//! | run tasks | [`App::worker`] |
//! | ask workers and tell them what to do, hear what happens | [`App::control`], [`App::events`] |
//! | share behaviour, watch | [`Base`], [`Signals`] |
//! | exchange Python's own types | [`python`] |
//! | test | [`testing`] |
//!
//! The guides in `docs/` teach in order; `ARCHITECTURE.md` is the map of the code.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod app;
#[cfg(feature = "cli")]
pub mod cli;
mod control;
mod flow;
mod host;
pub mod memory;
mod result;
mod revoke;
mod routing;
mod signals;
mod store;
mod task;
pub mod testing;
mod worker;

pub use aipo_core::canvas::{Canvas, ResultNode};
pub use aipo_core::clock::Clock;
pub use aipo_core::config::{SETTINGS, Seconds, Setting, Settings, SettingsBuilder};
pub use aipo_core::control::{Event, ScheduledTask, TaskInfo};
pub use aipo_core::error::{Error, ErrorKind, Result};
pub use aipo_core::message::python;
pub use aipo_core::message::{
    Accept, Compression, ExceptionInfo, Headers, Properties, Serializer, TaskMeta,
};
pub use aipo_core::signature::{CallOptions, Place};
pub use aipo_core::task::{
    ArgsReader, BadArguments, ErrorFilter, ErrorType, Failure, Parameter, Parameters, RateLimit,
    Retries, TaskArgs, TaskError, TaskOptions, TaskResult,
};
pub use aipo_core::{GroupId, QueueName, Signature, Store, TaskId, TaskState, When};
pub use aipo_macros::{TaskArgs, task};

pub use app::{App, AppBuilder};
pub use control::{Answers, Control, EventStream, Said};
pub use flow::{
    Accepts, Completions, Flow, GraphNode, Group, GroupHandle, Nothing, Related, ResultGraph,
    Sendable, Single, Step, Takes, Untyped, Workflow, WorkflowStep, WorkflowTask, chunks, group,
    map, starmap,
};
pub use result::{Handle, WaitError};
pub use revoke::Revoke;
pub use signals::{Signal, Signals};
pub use store::connect;
pub use task::{Base, Call, Context, Task};
pub use worker::{Worker, WorkerBuilder};

/// The examples of the guides, which are compiled and run as tests.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/tasks.md")]
    struct Tasks;
    #[doc = include_str!("../../../docs/workflows.md")]
    struct Workflows;
    #[doc = include_str!("../../../docs/workers.md")]
    struct Workers;
    #[doc = include_str!("../../../docs/messages.md")]
    struct Messages;
    #[doc = include_str!("../../../docs/control.md")]
    struct Control;
}
