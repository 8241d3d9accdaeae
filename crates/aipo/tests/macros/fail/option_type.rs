//! Options that name a type of the wrong kind.

#![allow(unused_variables, reason = "the errors are the point")]

struct Plain;

#[aipo::task(base = Plain)]
async fn no_base() {}

#[aipo::task(autoretry_for(Plain))]
async fn no_error() {}

fn main() {}
