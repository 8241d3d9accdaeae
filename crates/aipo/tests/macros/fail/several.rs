//! One build tells everything that is wrong with a task.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task(max_retrys = 3)]
async fn wrong<T>(text: &str, (a, b): (u8, u8)) -> &str {
    text
}

fn main() {}
