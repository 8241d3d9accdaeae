//! The exceptions of the tests, as Python knows them.

use aipo::{Failure, TaskError};
use serde_json::{Value, json};

use crate::python::repr;

/// The module of the tests' own tasks and exceptions.
const TASKS: &str = "t.integration.tasks";

/// An exception of Python's own.
pub(crate) fn builtin(name: &str, text: impl Into<String>) -> TaskError {
    TaskError::failure(Failure::new("builtins", name, text.into()))
}

/// A `TypeError`.
pub(crate) fn type_error(text: impl Into<String>) -> TaskError {
    builtin("TypeError", text)
}

/// The exception that the tests expect.
pub(crate) fn expected(args: Vec<Value>) -> TaskError {
    TaskError::failure(Failure::with_args(TASKS, "ExpectedException", args))
}

/// An exception that Python can't pickle, so that Celery wraps it up. It keeps the first of its arguments
/// only.
pub(crate) fn unpickleable(foo: Value) -> TaskError {
    let name = "UnpickleableException";
    let text = format!("{name}({})", repr(&foo));
    TaskError::failure(Failure::with_args(
        "celery.utils.serialization",
        "UnpickleableExceptionWrapper",
        vec![json!(TASKS), json!(name), json!([foo]), json!(text)],
    ))
}

/// What pydantic answers to data that is no model.
pub(crate) fn validation() -> TaskError {
    TaskError::failure(Failure::with_args(
        "pydantic_core._pydantic_core",
        "ValidationError",
        Vec::new(),
    ))
}

/// What redis-py answers to a value that it can't write.
pub(crate) fn data_error(type_name: &str) -> TaskError {
    let text = format!(
        "Invalid input of type: '{type_name}'. Convert to a bytes, string, int or float first."
    );
    TaskError::failure(Failure::new("redis.exceptions", "DataError", text))
}

/// What redis-py answers when Redis does.
pub(crate) fn response_error(error: &::redis::RedisError) -> TaskError {
    let failure = Failure::new("redis.exceptions", "ResponseError", error.to_string());
    TaskError::failure(failure)
}
