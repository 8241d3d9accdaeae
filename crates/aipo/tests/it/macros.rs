//! `#[task]` and `#[derive(TaskArgs)]`: what compiles, what is refused and how, and what runs.

use std::num::ParseIntError;
use std::thread::{self, ThreadId};
use std::time::Duration;

use aipo::{App, Call, Context, Task, WaitError, testing};
use serde::de::DeserializeOwned;

#[test]
fn a_good_task_compiles_without_a_warning() {
    trybuild::TestCases::new().pass("tests/macros/pass/*.rs");
}

/// With the feature `cli`, as `cargo xtask test` has it: rustc shortens a path in a message only where
/// no other item of the crate has the same name.
#[cfg(feature = "cli")]
#[test]
fn a_bad_task_is_refused_at_the_word_that_is_wrong() {
    trybuild::TestCases::new().compile_fail("tests/macros/fail/*.rs");
}

/// Sends a call to a worker that knows the task.
async fn result<T: DeserializeOwned>(task: impl Task, call: Call<T>) -> Result<T, WaitError> {
    let app = testing::build(App::builder("test").task(task))
        .await
        .expect("a good app");
    let worker = app.worker().start().await.expect("a worker");
    let result = app
        .send(call)
        .await
        .expect("a good call")
        .get(Duration::from_secs(60))
        .await;
    worker.stop().await.expect("a stop in time");
    result
}

#[tokio::test(start_paused = true)]
async fn an_async_function_runs_on_the_runtime_with_its_context() {
    #[aipo::task]
    async fn here(cx: &Context, given: String) -> (String, String, String) {
        (cx.id().to_string(), given, id(thread::current().id()))
    }

    let call = here::s("given".to_owned()).task_id("the-id");
    let (task, given, thread) = result(here::task(), call).await.expect("a value");
    assert_eq!((task.as_str(), given.as_str()), ("the-id", "given"));
    assert_eq!(thread, id(thread::current().id()));
}

#[tokio::test(start_paused = true)]
async fn a_plain_function_runs_on_a_thread_of_its_own_with_its_context() {
    #[aipo::task]
    fn elsewhere(cx: &Context, given: String) -> (String, String, String) {
        (cx.id().to_string(), given, id(thread::current().id()))
    }

    let call = elsewhere::s("given".to_owned()).task_id("the-id");
    let (task, given, thread) = result(elsewhere::task(), call).await.expect("a value");
    assert_eq!((task.as_str(), given.as_str()), ("the-id", "given"));
    assert_ne!(thread, id(thread::current().id()));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_returns_nothing_succeeds_with_null() {
    #[aipo::task]
    async fn nothing() {}

    let call = nothing::s().returning::<serde_json::Value>();
    let value = result(nothing::task(), call).await.expect("a value");
    assert_eq!(value, serde_json::Value::Null);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_function_is_told_with_its_type() {
    #[aipo::task]
    async fn parse(text: String) -> Result<i32, ParseIntError> {
        text.parse()
    }

    match result(parse::task(), parse::s("one".to_owned())).await {
        Err(WaitError::Failed { exception, .. }) => {
            assert_eq!(
                exception.to_string(),
                "ParseIntError: invalid digit found in string"
            );
        }
        other => panic!("{other:?} is no failure"),
    }
}

fn id(thread: ThreadId) -> String {
    format!("{thread:?}")
}
