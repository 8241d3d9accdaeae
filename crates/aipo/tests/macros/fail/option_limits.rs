//! The soft limit comes first.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task(soft_time_limit = "30m", time_limit = "25m")]
async fn after() {}

#[aipo::task(time_limit = "60s", soft_time_limit = "1m")]
async fn together() {}

fn main() {}
