//! What a task can't return.

#![allow(unused_variables, reason = "the errors are the point")]

use std::fmt;

#[aipo::task]
async fn hidden() -> fmt::Result {
    Ok(())
}

#[aipo::task]
async fn borrowed() -> &'static str {
    ""
}

#[aipo::task]
async fn borrowed_inside() -> Result<Option<&'static str>, fmt::Error> {
    Ok(None)
}

#[aipo::task]
async fn no_error() -> Result<u8, String> {
    Ok(1)
}

fn main() {}
