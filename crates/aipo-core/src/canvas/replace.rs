//! A task that puts a workflow in its own place, and one that adds to the chord it is part of.

use serde_json::{Map, Value};

use super::CanvasError;
use super::depth::check_layers;
use super::follow::Follows;
use super::freeze::Frozen;
use super::planner::Planner;
use super::signature::{Canvas, Kind};
use super::steps::{is_nothing, unchain};
use super::tree::ResultNode;
use crate::id::GroupId;
use crate::message::Headers;

/// Plans what a task is replaced with: what waits for the task waits for that, what follows the task follows that.
///
/// # Errors
/// Celery's `ImproperlyConfigured`: an empty chain, or something that is part of a chord already.
pub fn replace(
    planner: &mut Planner<'_>,
    mut canvas: Canvas,
    headers: &Headers,
    follows: &Follows,
) -> Result<Option<ResultNode>, CanvasError> {
    if canvas.options.contains_key("chord") {
        let text = "A signature replacing a task must not be part of a chord";
        return Err(CanvasError(text.to_owned()));
    }
    if matches!(canvas.kind, Kind::Chain(_)) && is_nothing(&canvas) {
        return Err(CanvasError("Cannot replace with an empty chain".to_owned()));
    }
    check_layers(&canvas)?;
    let nesting = headers.replaced_task_nesting + 1;
    canvas = end_in_one_task(canvas);
    for callback in &follows.callbacks {
        canvas.link(callback);
    }
    for errback in &follows.errbacks {
        canvas.link_error(errback);
    }
    if matches!(canvas.kind, Kind::Chain(_)) {
        let options = std::mem::take(&mut canvas.options);
        let linked = Canvas {
            options: options.clone(),
            ..canvas
        };
        let mut tasks = unchain(linked);
        for task in &mut tasks {
            task.set("replaced_task_nesting", nesting);
        }
        canvas = Canvas::chain(tasks);
        canvas.options = options;
        canvas.options.remove("link");
        canvas.options.remove("link_error");
    }
    let with = Frozen {
        id: Some(headers.id.as_str()),
        ..Frozen::default()
    };
    planner.freeze(&mut canvas, with);
    let mut options = membership(headers, follows);
    options.insert("replaced_task_nesting".to_owned(), nesting.into());
    let rest = &follows.chain;
    let rest = rest.iter().map(|step| {
        let mut step = Canvas::from_value(step)?;
        step.set("replaced_task_nesting", nesting);
        Ok(step.to_value())
    });
    let rest = rest.collect::<Result<Vec<Value>, CanvasError>>()?;
    if !rest.is_empty() || !matches!(canvas.kind, Kind::Chain(_)) {
        options.insert("chain".to_owned(), rest.into());
    }
    planner.apply(canvas, &[], options)
}

/// Something that ends in a group gives its results as one, in a task after it.
fn end_in_one_task(canvas: Canvas) -> Canvas {
    match canvas.kind {
        Kind::Group(_) => {
            let mut accumulate = Canvas::task("celery.accumulate");
            accumulate.kwargs.insert("index".to_owned(), 0.into());
            Canvas::chord_of(canvas, accumulate)
        }
        Kind::Chord { header, body } => Canvas {
            kind: Kind::Chord {
                header,
                body: Box::new(end_in_one_task(*body)),
            },
            ..canvas
        },
        Kind::Chain(mut tasks) => {
            if let Some(last) = tasks.pop() {
                tasks.push(end_in_one_task(last));
            }
            Canvas {
                kind: Kind::Chain(tasks),
                ..canvas
            }
        }
        Kind::Task { .. } => canvas,
    }
}

/// Plans one more part of the chord that a task is part of.
///
/// # Errors
/// When the task is part of none.
pub fn add_to_chord(
    planner: &mut Planner<'_>,
    canvas: Canvas,
    headers: &Headers,
    follows: &Follows,
) -> Result<Option<ResultNode>, CanvasError> {
    let Some((group, _)) = headers.group.as_ref().zip(follows.chord.as_ref()) else {
        let text = "Current task is not member of any chord";
        return Err(CanvasError(text.to_owned()));
    };
    check_layers(&canvas)?;
    planner.plan().grows.push(GroupId::from(group.as_str()));
    planner.apply(canvas, &[], membership(headers, follows))
}

/// What makes a call part of what a task is part of.
fn membership(headers: &Headers, follows: &Follows) -> Map<String, Value> {
    let mut options = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(name.to_owned(), value);
        }
    };
    put("chord", follows.chord.clone());
    put(
        "group_id",
        headers.group.as_ref().map(|id| id.as_str().into()),
    );
    put("group_index", headers.group_index.map(Into::into));
    put(
        "root_id",
        headers.root_id.as_ref().map(|id| id.as_str().into()),
    );
    options
}
