//! Whatever a function returns, the call is typed by the value.

#![deny(warnings, missing_docs)]

use std::num::ParseIntError;

use aipo::{Call, TaskError, TaskResult};

type Result<T> = std::result::Result<T, ParseIntError>;

#[aipo::task]
async fn nothing() {}

#[aipo::task]
fn nothing_but_late() {}

#[aipo::task]
async fn unit() -> () {}

#[aipo::task]
async fn value() -> Vec<Option<i32>> {
    vec![None]
}

#[aipo::task]
async fn alias(text: String) -> Result<i32> {
    text.parse()
}

#[aipo::task]
async fn path(text: String) -> core::result::Result<(), ParseIntError> {
    text.parse::<i32>().map(drop)
}

#[aipo::task]
async fn answer() -> TaskResult<i32> {
    Err(TaskError::ignore())
}

#[aipo::task]
async fn written_out() -> std::result::Result<i32, TaskError> {
    Err(TaskError::retry())
}

fn main() {
    let _: Call<()> = nothing::s();
    let _: Call<()> = nothing_but_late::s();
    let _: Call<()> = unit::s();
    let _: Call<Vec<Option<i32>>> = value::s();
    let _: Call<i32> = alias::s("1".to_owned());
    let _: Call<()> = path::s("1".to_owned());
    let _: Call<i32> = answer::s();
    let _: Call<i32> = written_out::s();
}
