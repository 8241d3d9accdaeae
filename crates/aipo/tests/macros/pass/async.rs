//! An async function is a task, and still a function.

#![deny(warnings, missing_docs)]

use std::num::ParseIntError;

use aipo::{Call, Task};

/// Adds two numbers.
#[aipo::task(name = "app.tasks.add")]
pub async fn add(
    /// The number as text,
    /// in base ten.
    text: String,
    mut more: i64,
) -> Result<i64, ParseIntError> {
    more += text.parse::<i64>()?;
    Ok(more)
}

fn main() {
    assert_eq!(add::NAME, "app.tasks.add");
    assert_eq!(add::options(), aipo::TaskOptions::default());
    let _call: Call<i64> = add::s("1".to_owned(), 2);
    let task: add = add::task();
    assert!(task.base().is_none());
    drop(add("1".to_owned(), 2));
}
