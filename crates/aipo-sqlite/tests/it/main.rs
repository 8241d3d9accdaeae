//! Tests of the store through its contracts.

mod conformance;
mod fetch;
mod files;
mod processes;
mod sound;
