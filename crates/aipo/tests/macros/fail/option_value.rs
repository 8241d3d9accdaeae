//! Values of the wrong kind.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task(name = "")]
async fn empty() {}

#[aipo::task(queue = 3)]
async fn number() {}

#[aipo::task(acks_late = "yes")]
async fn word() {}

#[aipo::task(autoretry_for = std::io::Error)]
async fn assigned() {}

#[aipo::task(autoretry_for)]
async fn bare() {}

#[aipo::task(dont_autoretry_for())]
async fn none() {}

#[aipo::task(queue = "a" priority = 1)]
async fn no_comma() {}

fn main() {}
