//! The tasks that every app has, which Celery's workflows are made with.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use aipo_core::canvas::{Canvas, RESUME};
use aipo_core::message::{Body, Kwargs};
use aipo_core::task::{Failure, Parameter, Parameters, TaskError, TaskOptions, TaskResult};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::registry::{AnyTask, Running};
use crate::task::{Base, Context};

/// The built-in task of this name.
pub(super) fn get(name: &str) -> Option<&'static Arc<dyn AnyTask>> {
    static TASKS: LazyLock<[(&str, Arc<dyn AnyTask>); 5]> = LazyLock::new(|| {
        let for_each = |star| ForEach {
            options: TaskOptions::default(),
            star,
        };
        [
            (
                "celery.accumulate",
                Arc::new(Accumulate(TaskOptions::default())),
            ),
            ("celery.map", Arc::new(for_each(false))),
            ("celery.starmap", Arc::new(for_each(true))),
            ("celery.chunks", Arc::new(Chunks(TaskOptions::default()))),
            (RESUME, Arc::new(Resume(TaskOptions::default()))),
        ]
    });
    let found = TASKS.iter().find(|(builtin, _)| *builtin == name);
    found.map(|(_, task)| task)
}

/// `celery.accumulate(*args, index=None)`: its arguments, or one of them. What a group gives its results as when it
/// replaces a task.
struct Accumulate(TaskOptions);

impl AnyTask for Accumulate {
    fn parameters(&self) -> Parameters {
        Parameters {
            rest: true,
            named: &[Parameter {
                name: "index",
                required: false,
            }],
            ..Parameters::NONE
        }
    }

    fn options(&self) -> &TaskOptions {
        &self.0
    }

    fn base(&self) -> Option<&Arc<dyn Base>> {
        None
    }

    fn run<'a>(&'a self, _cx: &'a Context, body: &Body<'_>) -> Result<Running<'a>, Failure> {
        let args = &body.0;
        let index = match named(body, "index") {
            None => None,
            Some(index) => serde_json::from_str::<Option<usize>>(index.get())
                .map_err(|error| type_error(format!("celery.accumulate() index: {error}")))?,
        };
        let value = match index {
            None => to_raw_value(args).map_err(|error| type_error(error.to_string()))?,
            Some(index) => match args.get(index) {
                Some(value) => (*value).to_owned(),
                None => {
                    let text = "tuple index out of range";
                    return Err(Failure::new("builtins", "IndexError", text));
                }
            },
        };
        Ok(Box::pin(async move { Ok(value) }))
    }
}

/// `celery.map(task, it)` and `celery.starmap(task, it)`: runs a task here for each item, one after the other.
struct ForEach {
    options: TaskOptions,
    /// Whether an item is a list of arguments.
    star: bool,
}

const TASK: Parameter = Parameter {
    name: "task",
    required: true,
};
const IT: Parameter = Parameter {
    name: "it",
    required: true,
};

impl AnyTask for ForEach {
    fn parameters(&self) -> Parameters {
        Parameters {
            positional: &[TASK, IT],
            ..Parameters::NONE
        }
    }

    fn options(&self) -> &TaskOptions {
        &self.options
    }

    fn base(&self) -> Option<&Arc<dyn Base>> {
        None
    }

    fn run<'a>(&'a self, cx: &'a Context, body: &Body<'_>) -> Result<Running<'a>, Failure> {
        let task: Value = required(body, "task")?;
        let task = Canvas::from_value(&task).map_err(|error| type_error(error.0))?;
        let items: Vec<Box<RawValue>> = required(body, "it")?;
        let code = cx.app().registry().get(task.name()).cloned();
        let code =
            code.ok_or_else(|| Failure::new("celery.exceptions", "NotRegistered", task.name()))?;
        let calls = items.iter().map(|item| self.call(&task, item));
        let calls: Vec<String> = calls.collect::<Result<_, Failure>>()?;
        Ok(Box::pin(async move { all(&code, cx, &calls).await }))
    }
}

impl ForEach {
    /// The body of one call.
    fn call(&self, task: &Canvas, item: &RawValue) -> Result<String, Failure> {
        let wrong = |error: serde_json::Error| type_error(error.to_string());
        let own = task.args.iter().map(to_raw_value);
        let own: Vec<Box<RawValue>> = own.collect::<Result<_, _>>().map_err(wrong)?;
        let mut args: Vec<Box<RawValue>> = match (task.immutable, self.star) {
            (true, _) => Vec::new(),
            (false, true) => serde_json::from_str(item.get()).map_err(wrong)?,
            (false, false) => vec![item.to_owned()],
        };
        args.extend(own);
        serde_json::to_string(&(args, &task.kwargs)).map_err(wrong)
    }
}

async fn all(code: &Arc<dyn AnyTask>, cx: &Context, calls: &[String]) -> TaskResult<Box<RawValue>> {
    let mut values = Vec::with_capacity(calls.len());
    for call in calls {
        let running = {
            let (args, kwargs): (Vec<&RawValue>, Kwargs<'_>) = serde_json::from_str(call)?;
            code.run(cx, &Body(args, kwargs, None))
                .map_err(TaskError::failure)?
        };
        values.push(running.await?);
    }
    Ok(to_raw_value(&values)?)
}

/// `celery.chunks(task, it, n)`: sends `celery.starmap` for each `n` items, side by side, and gives the results that
/// they will have.
struct Chunks(TaskOptions);

impl AnyTask for Chunks {
    fn parameters(&self) -> Parameters {
        const N: Parameter = Parameter {
            name: "n",
            required: true,
        };
        Parameters {
            positional: &[TASK, IT, N],
            ..Parameters::NONE
        }
    }

    fn options(&self) -> &TaskOptions {
        &self.0
    }

    fn base(&self) -> Option<&Arc<dyn Base>> {
        None
    }

    fn run<'a>(&'a self, cx: &'a Context, body: &Body<'_>) -> Result<Running<'a>, Failure> {
        let task: Value = required(body, "task")?;
        let items: Vec<Value> = required(body, "it")?;
        let size: NonZeroUsize = required(body, "n")?;
        let of_part = |part: &[Value]| {
            let mut starmap = Canvas::task("celery.starmap");
            starmap.immutable = true;
            starmap.kwargs.insert("task".to_owned(), task.clone());
            starmap.kwargs.insert("it".to_owned(), part.into());
            starmap
        };
        let parts = Canvas::group(items.chunks(size.get()).map(of_part).collect());
        Ok(Box::pin(async move {
            let results = cx.send_canvas(parts).await?;
            Ok(to_raw_value(&results.map(|group| group.to_value()))?)
        }))
    }
}

/// `aipo.resume(*args, kept=None)`: puts steps that are kept in its own place and gives them its arguments. It is sent by
/// Python workers only: those of aipo know what it stands for.
struct Resume(TaskOptions);

impl AnyTask for Resume {
    fn parameters(&self) -> Parameters {
        Parameters {
            rest: true,
            named: &[Parameter {
                name: "kept",
                required: false,
            }],
            ..Parameters::NONE
        }
    }

    fn options(&self) -> &TaskOptions {
        &self.0
    }

    fn base(&self) -> Option<&Arc<dyn Base>> {
        None
    }

    fn run<'a>(&'a self, cx: &'a Context, body: &Body<'_>) -> Result<Running<'a>, Failure> {
        let wrong = |error: serde_json::Error| type_error(error.to_string());
        let gone = || Failure::new("builtins", "LookupError", "what follows is kept no more");
        let kept = named(body, "kept").ok_or_else(gone)?;
        let kept: Value = serde_json::from_str(kept.get()).map_err(wrong)?;
        let args = body.values().0;
        let mut steps = Canvas::task(RESUME);
        steps.kwargs.insert("kept".to_owned(), kept);
        let id = Value::from(cx.id().as_str());
        steps.options.insert("task_id".to_owned(), id);
        let mut steps = steps.to_value();
        Ok(Box::pin(async move {
            cx.app().recall(&mut steps, &mut Vec::new()).await?;
            let mut steps = Canvas::from_value(&steps)
                .map_err(|error| TaskError::failure(type_error(error.0)))?;
            if steps.name() == RESUME {
                return Err(TaskError::failure(gone()));
            }
            if !steps.immutable {
                steps.args.splice(0..0, args);
            }
            Err(TaskError::replace(steps))
        }))
    }
}

/// An argument that is read as a `T`.
fn required<T: DeserializeOwned>(body: &Body<'_>, name: &str) -> Result<T, Failure> {
    let raw = named(body, name)
        .ok_or_else(|| type_error(format!("missing a required argument: '{name}'")))?;
    serde_json::from_str(raw.get()).map_err(|error| type_error(format!("{name}: {error}")))
}

fn named<'a>(body: &Body<'a>, name: &str) -> Option<&'a RawValue> {
    let found = body.1.0.iter().find(|(given, _)| given == name);
    found.map(|(_, value)| *value)
}

fn type_error(text: String) -> Failure {
    Failure::new("builtins", "TypeError", text)
}
