//! The `aipo` binary and a program with aipo's commands, run as processes on a SQLite file.
//!
//! Help and errors are compared with the files in `tests/golden`; `AIPO_BLESS=1` writes them anew.

mod bench;
mod golden;
mod operations;
mod program;
mod support;
mod trouble;
