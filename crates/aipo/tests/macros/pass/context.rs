//! The context is passed to a task that takes it, and is no argument.

#![deny(warnings, missing_docs)]

use aipo::{Context, TaskResult};

#[aipo::task]
async fn id(cx: &Context) -> String {
    cx.id().to_string()
}

#[aipo::task]
fn id_of_blocking(cx: &aipo::Context, prefix: String) -> TaskResult<String> {
    Ok(format!("{prefix}{}", cx.id()))
}

#[aipo::task]
async fn ignores(_: &Context, number: i32) -> i32 {
    number
}

fn main() {
    let _ = id::s();
    let _ = id_of_blocking::s("task ".to_owned());
    let _ = ignores::s(1);
}
