//! Durations have a unit.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task(retry_delay = 60)]
async fn number() {}

#[aipo::task(retry_delay = "60")]
async fn no_unit() {}

#[aipo::task(retry_backoff = "1 second")]
async fn word() {}

#[aipo::task(time_limit = "1.5h")]
async fn fraction() {}

#[aipo::task(retry_backoff_max = "99999999999999999999s")]
async fn too_long() {}

#[aipo::task(expires = "0s")]
async fn nothing() {}

#[aipo::task(soft_time_limit = )]
async fn missing() {}

fn main() {}
