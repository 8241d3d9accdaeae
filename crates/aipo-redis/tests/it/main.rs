//! Tests of the store on a server of their own.

mod bus;
mod celery;
mod chords;
mod conformance;
mod connection;
mod due;
mod idle;
mod python;
mod search;
mod server;
mod support;
