//! An option that does not exist.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task(max_retrys = 3)]
async fn misspelt() {}

#[aipo::task(queue = "q", default_retry_delay = "60s")]
async fn as_in_celery() {}

#[aipo::task(bind = true)]
async fn bound() {}

#[aipo::task(colour = "green")]
async fn unrelated() {}

#[aipo::task("app.tasks.add")]
async fn no_option() {}

fn main() {}
