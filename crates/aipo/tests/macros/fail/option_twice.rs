//! An option is given once.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task(queue = "fast", max_retries = 3, queue = "slow")]
async fn twice() {}

fn main() {}
