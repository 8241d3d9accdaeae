//! What can't go into a message.

#![allow(unused_variables, reason = "the errors are the point")]

struct Opaque;

#[aipo::task]
async fn argument(x: Opaque) {}

#[aipo::task]
async fn result() -> Opaque {
    Opaque
}

fn main() {}
