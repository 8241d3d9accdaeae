//! The tasks that every app has, which Celery's workflows are made with.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use aipo_core::canvas::{Canvas, RESUME, reference};
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
        const TASK: Parameter = parameter("task", true);
        const IT: Parameter = parameter("it", true);
        const N: Parameter = parameter("n", true);
        const INDEX: Parameter = parameter("index", false);
        const KEPT: Parameter = parameter("kept", false);
        let map: Run = |cx, body| for_each(cx, body, false);
        let starmap: Run = |cx, body| for_each(cx, body, true);
        [
            ("celery.accumulate", builtin(rest_and(&[INDEX]), accumulate)),
            ("celery.map", builtin(positional(&[TASK, IT]), map)),
            ("celery.starmap", builtin(positional(&[TASK, IT]), starmap)),
            ("celery.chunks", builtin(positional(&[TASK, IT, N]), chunks)),
            (RESUME, builtin(rest_and(&[KEPT]), resume)),
        ]
    });
    let found = TASKS.iter().find(|(builtin, _)| *builtin == name);
    found.map(|(_, task)| task)
}

type Run = for<'a> fn(&'a Context, &Body<'_>) -> Result<Running<'a>, Failure>;

struct Builtin {
    options: TaskOptions,
    parameters: Parameters,
    run: Run,
}

fn builtin(parameters: Parameters, run: Run) -> Arc<dyn AnyTask> {
    Arc::new(Builtin {
        options: TaskOptions::default(),
        parameters,
        run,
    })
}

impl AnyTask for Builtin {
    fn options(&self) -> &TaskOptions {
        &self.options
    }

    fn base(&self) -> Option<&Arc<dyn Base>> {
        None
    }

    fn parameters(&self) -> Parameters {
        self.parameters
    }

    fn run<'a>(&'a self, cx: &'a Context, body: &Body<'_>) -> Result<Running<'a>, Failure> {
        (self.run)(cx, body)
    }
}

/// `*args` and a parameter that may be given by name.
const fn rest_and(named: &'static [Parameter]) -> Parameters {
    Parameters {
        rest: true,
        named,
        ..Parameters::NONE
    }
}

const fn positional(positional: &'static [Parameter]) -> Parameters {
    Parameters {
        positional,
        ..Parameters::NONE
    }
}

const fn parameter(name: &'static str, required: bool) -> Parameter {
    Parameter { name, required }
}

/// `celery.accumulate(*args, index=None)`: its arguments, or one of them. What a group gives its results as when it
/// replaces a task.
fn accumulate<'a>(_cx: &'a Context, body: &Body<'_>) -> Result<Running<'a>, Failure> {
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

/// `celery.map(task, it)` and, where an item is a list of arguments (`star`), `celery.starmap(task, it)`: runs a task here
/// for each item, one after the other.
fn for_each<'a>(cx: &'a Context, body: &Body<'_>, star: bool) -> Result<Running<'a>, Failure> {
    let task: Value = required(body, "task")?;
    let task = Canvas::from_value(&task).map_err(|error| type_error(error.0))?;
    let items: Vec<Box<RawValue>> = required(body, "it")?;
    let code = cx.app().registry().get(task.name()).cloned();
    let code =
        code.ok_or_else(|| Failure::new("celery.exceptions", "NotRegistered", task.name()))?;
    let calls = items.iter().map(|item| call(&task, item, star));
    let calls: Vec<String> = calls.collect::<Result<_, Failure>>()?;
    Ok(Box::pin(async move { all(&code, cx, &calls).await }))
}

/// The body of one call.
fn call(task: &Canvas, item: &RawValue, star: bool) -> Result<String, Failure> {
    let wrong = |error: serde_json::Error| type_error(error.to_string());
    let own = task.args.iter().map(to_raw_value);
    let own: Vec<Box<RawValue>> = own.collect::<Result<_, _>>().map_err(wrong)?;
    let mut args: Vec<Box<RawValue>> = match (task.immutable, star) {
        (true, _) => Vec::new(),
        (false, true) => serde_json::from_str(item.get()).map_err(wrong)?,
        (false, false) => vec![item.to_owned()],
    };
    args.extend(own);
    serde_json::to_string(&(args, &task.kwargs)).map_err(wrong)
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
fn chunks<'a>(cx: &'a Context, body: &Body<'_>) -> Result<Running<'a>, Failure> {
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

/// `aipo.resume(*args, kept=None)`: puts steps that are kept in its own place and gives them its arguments. It is sent by
/// Python workers only: those of aipo know what it stands for.
fn resume<'a>(cx: &'a Context, body: &Body<'_>) -> Result<Running<'a>, Failure> {
    let wrong = |error: serde_json::Error| type_error(error.to_string());
    let gone = || Failure::new("builtins", "LookupError", "what follows is kept no more");
    let kept = named(body, "kept").ok_or_else(gone)?;
    let kept: String = serde_json::from_str(kept.get()).map_err(wrong)?;
    let args = body.values().0;
    let mut steps = reference(&kept, Some(cx.id().as_str())).to_value();
    Ok(Box::pin(async move {
        cx.app().recall(&mut steps, &mut Vec::new()).await?;
        let mut steps =
            Canvas::from_value(&steps).map_err(|error| TaskError::failure(type_error(error.0)))?;
        if steps.name() == RESUME {
            return Err(TaskError::failure(gone()));
        }
        if !steps.immutable {
            steps.args.splice(0..0, args);
        }
        Err(TaskError::replace(steps))
    }))
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
