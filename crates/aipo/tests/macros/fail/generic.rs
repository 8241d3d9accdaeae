//! A task's arguments and its result have one type each.

#![allow(unused_variables, reason = "the errors are the point")]

use std::fmt::Display;

#[aipo::task]
async fn generic<T: Display>(x: T) {}

#[aipo::task]
async fn lifetime<'a>(cx: &'a aipo::Context) {}

#[aipo::task]
async fn argument(x: impl Display) {}

#[aipo::task]
async fn inside(x: Vec<impl Display>) {}

#[aipo::task]
async fn result() -> Result<impl Display, aipo::TaskError> {
    Ok(1)
}

fn main() {}
