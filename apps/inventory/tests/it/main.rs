//! Tests of the program as its users meet it: over HTTP, and as real processes.

mod api;
mod cli;
mod crash;
mod python;
mod redis;
mod shop;
mod tasks;
