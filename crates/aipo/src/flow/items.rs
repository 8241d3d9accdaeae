//! One task for many items.

use aipo_core::Signature;
use aipo_core::canvas::Canvas;
use serde::Serialize;
use serde_json::Value;

use super::{Flow, Group, Takes};
use crate::task::{Call, Unwritable};

/// One message that runs a task for each item, one after the other; its value is the list of theirs. Celery's `map`.
pub fn map<T, A: Serialize>(
    task: Call<T, Takes<A>>,
    items: impl IntoIterator<Item = A>,
) -> Flow<Vec<T>> {
    Flow::new(task.into_canvas().and_then(|task| {
        let items = items.into_iter().map(serde_json::to_value);
        let items: serde_json::Result<Vec<Value>> = items.collect();
        let items = items.map_err(|why| Unwritable::new(task.name(), why))?;
        Ok(for_each("celery.map", task, items))
    }))
}

/// One message that runs these calls of one task, one after the other; its value is the list of theirs. The options
/// are those of the first call. Celery's `starmap`.
pub fn starmap<T>(calls: impl IntoIterator<Item = Call<T>>) -> Flow<Vec<T>> {
    let parts = parts(calls.into_iter().collect(), usize::MAX);
    Flow::new(parts.map(|mut parts| match parts.pop() {
        Some(part) => part,
        // Nothing to call: a list of nothing.
        None => Canvas::chord(Vec::new(), super::accumulate()),
    }))
}

/// The calls of one task in messages of at most `size` calls each, side by side; the value of each is the list of
/// theirs. Celery's `chunks`.
///
/// # Panics
/// When `size` is zero.
pub fn chunks<T>(calls: impl IntoIterator<Item = Call<T>>, size: usize) -> Group<Vec<T>> {
    assert!(size > 0, "a chunk has at least one call");
    Group::new(parts(calls.into_iter().collect(), size).map(Canvas::group))
}

/// One `celery.starmap` for so many calls each.
fn parts<T>(calls: Vec<Call<T>>, size: usize) -> Result<Vec<Canvas>, Unwritable> {
    let Some(first) = calls.first().cloned() else {
        return Ok(Vec::new());
    };
    let mut task = first.into_canvas()?;
    task.args.clear();
    let items = calls.into_iter().map(|call| item(call.signature?, &task));
    let items: Vec<Value> = items.collect::<Result<_, Unwritable>>()?;
    let of_part = |part: &[Value]| for_each("celery.starmap", task.clone(), part.to_vec());
    Ok(items.chunks(size).map(of_part).collect())
}

/// The arguments of one call, when nothing else sets it apart.
fn item(call: Signature, task: &Canvas) -> Result<Value, Unwritable> {
    if call.task != task.name() || call.kwargs != task.kwargs {
        let text =
            "calls that differ in more than their arguments by position can't share a message";
        let why = <serde_json::Error as serde::ser::Error>::custom(text);
        return Err(Unwritable::new(&call.task, why));
    }
    Ok(call.args.into())
}

/// A task that runs another one for each item; it goes where that one would go.
fn for_each(name: &str, mut task: Canvas, items: Vec<Value>) -> Canvas {
    let mut whole = Canvas::task(name);
    whole.options = std::mem::take(&mut task.options);
    whole.kwargs.insert("task".to_owned(), task.to_value());
    whole.kwargs.insert("it".to_owned(), items.into());
    whole.immutable = true;
    whole
}
