//! Signatures of the tasks here, as Python's `task.s(…)` and `task.si(…)` make them, and how tasks of Python
//! are called as errbacks.

use std::sync::Arc;

use aipo::{Base, Canvas, Context, Task, TaskOptions, TaskResult};
use serde_json::Value;

/// A signature with these arguments.
pub(crate) fn s(task: &str, args: impl IntoIterator<Item = Value>) -> Canvas {
    Canvas {
        args: args.into_iter().collect(),
        ..Canvas::task(format!("t.integration.tasks.{task}"))
    }
}

/// An immutable one.
pub(crate) fn si(task: &str, args: impl IntoIterator<Item = Value>) -> Canvas {
    Canvas {
        immutable: true,
        ..s(task, args)
    }
}

/// With a named argument.
pub(crate) fn with(mut canvas: Canvas, name: &str, value: impl Into<Value>) -> Canvas {
    canvas.kwargs.insert(name.to_owned(), value.into());
    canvas
}

/// A task that Python does not bind. As an errback it is called with request, exception and traceback while more
/// than one of its parameters is open.
pub(crate) struct Unbound<T>(pub(crate) T);

impl<T: Task> Task for Unbound<T> {
    const NAME: &'static str = T::NAME;
    type Args = T::Args;
    type Output = T::Output;

    fn options() -> TaskOptions {
        TaskOptions {
            errback_takes_request: true,
            ..T::options()
        }
    }

    fn base(&self) -> Option<Arc<dyn Base>> {
        self.0.base()
    }

    async fn run(&self, cx: &Context, args: Self::Args) -> TaskResult<Self::Output> {
        self.0.run(cx, args).await
    }
}
