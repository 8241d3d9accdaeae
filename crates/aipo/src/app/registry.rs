//! The tasks of an app by name, their types erased.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aipo_core::message::Body;
use aipo_core::task::{
    ArgsReader, Failure, Parameters, TaskArgs, TaskError, TaskOptions, TaskResult,
};
use aipo_core::{Error, ErrorKind, Result};
use serde_json::value::RawValue;

use super::builtin;
use crate::task::{Base, Context, Task};

/// The value of a task on its way.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = TaskResult<Box<RawValue>>> + Send + 'a>>;

/// A task without its types.
pub(crate) trait AnyTask: Send + Sync {
    fn options(&self) -> &TaskOptions;
    fn base(&self) -> Option<&Arc<dyn Base>>;
    fn parameters(&self) -> Parameters;
    /// Decodes the arguments and starts the task.
    fn run<'a>(&'a self, cx: &'a Context, body: &Body<'_>) -> Result<Running<'a>, Failure>;
}

struct Typed<T> {
    task: T,
    options: TaskOptions,
    base: Option<Arc<dyn Base>>,
}

impl<T: Task> AnyTask for Typed<T> {
    fn options(&self) -> &TaskOptions {
        &self.options
    }

    fn base(&self) -> Option<&Arc<dyn Base>> {
        self.base.as_ref()
    }

    fn parameters(&self) -> Parameters {
        T::Args::PARAMETERS
    }

    fn run<'a>(&'a self, cx: &'a Context, body: &Body<'_>) -> Result<Running<'a>, Failure> {
        let args = T::Args::decode(ArgsReader::new(T::NAME, self.parameters(), body)?)?;
        Ok(Box::pin(async move {
            let value = self.task.run(cx, args).await?;
            serde_json::value::to_raw_value(&value).map_err(|error| {
                let text = format!("the result can't be written as JSON: {error}");
                TaskError::failure(Failure::new("kombu.exceptions", "EncodeError", text))
            })
        }))
    }
}

/// The tasks of an app.
#[derive(Default)]
pub(crate) struct Registry(HashMap<&'static str, Arc<dyn AnyTask>>);

impl Registry {
    /// Adds a task.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when there is one of that name.
    pub(crate) fn add<T: Task>(&mut self, task: T) -> Result<()> {
        let typed = Arc::new(Typed {
            options: T::options(),
            base: task.base(),
            task,
        });
        match self.0.insert(T::NAME, typed) {
            None => Ok(()),
            Some(_) => {
                let message = format!("two tasks are named {:?}", T::NAME);
                Err(Error::new(ErrorKind::Config, message))
            }
        }
    }

    /// The task of this name, the built-in ones included.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn AnyTask>> {
        self.0.get(name).or_else(|| builtin::get(name))
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.0.keys().copied().collect();
        names.sort_unstable();
        names
    }
}
