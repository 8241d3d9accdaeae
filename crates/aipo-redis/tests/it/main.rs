//! Tests of the store on a server of their own.

mod celery;
mod conformance;
mod connection;
mod due;
mod idle;
mod server;
mod support;
