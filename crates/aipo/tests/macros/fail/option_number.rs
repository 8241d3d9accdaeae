//! Numbers have bounds.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task(priority = 10)]
async fn too_urgent() {}

#[aipo::task(priority = "high")]
async fn word() {}

#[aipo::task(max_retries = -1)]
async fn negative() {}

#[aipo::task(max_retries = None)]
async fn python() {}

#[aipo::task(max_deliveries = 0)]
async fn never() {}

#[aipo::task(rate_limit = "often")]
async fn often() {}

#[aipo::task(rate_limit = "10/d")]
async fn daily() {}

fn main() {}
