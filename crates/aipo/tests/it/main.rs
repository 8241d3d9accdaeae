//! The integration tests of this crate, in one binary.

mod conformance;
mod control;
mod events;
mod flow;
mod groups;
mod macros;
mod memory;
mod messages;
mod retry;
mod revoke;
mod shapes;
mod stores;
mod worker;
mod workflow_law;
mod workflow_size;
mod workflows;
