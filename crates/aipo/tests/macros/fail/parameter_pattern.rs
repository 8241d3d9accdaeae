//! Messages name arguments, so every parameter has a name.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task]
async fn pair((a, b): (u8, u8)) {}

#[aipo::task]
async fn unnamed(_: u8) {}

#[aipo::task]
async fn by_reference(ref x: u8) {}

fn main() {}
