//! Contracts and pure parts of aipo. No driver, no I/O.
//!
//! Most programs use the crate `aipo`, which re-exports what they need. This crate is for those who
//! write a store: implement the traits in [`store`] and run the suite in `aipo-conformance`.

pub mod canvas;
pub mod clock;
pub mod config;
pub mod control;
pub mod duration;
pub mod error;
pub mod id;
pub mod message;
pub mod millis;
pub mod signature;
pub mod state;
pub mod store;
pub mod task;
pub mod url;

pub use clock::Clock;
pub use config::Settings;
pub use error::{BoxError, Error, ErrorKind, Result};
pub use id::{GroupId, QueueName, TaskId};
pub use signature::{CallOptions, Place, Signature, When};
pub use state::TaskState;
pub use store::Store;
