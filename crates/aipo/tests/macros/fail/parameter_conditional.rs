//! Senders and workers agree on the arguments.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task]
async fn sometimes(x: u8, #[cfg(unix)] y: u8) {}

fn main() {}
