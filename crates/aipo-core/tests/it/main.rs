//! Tests of the crate from outside.

mod codecs;
mod golden;
mod pages;
mod states;
