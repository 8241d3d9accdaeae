//! Ids for everything that will run, before anything does: so that results can be awaited, and what is sent
//! later carries the ids that were told now. Celery's `freeze`.

use serde_json::Value;

use super::signature::{Canvas, Kind};
use super::steps::{is_nothing, steps};
use super::tree::ResultNode;

/// What is said of a signature while it is frozen; what it has already stays.
#[derive(Default, Clone, Copy)]
pub(super) struct Frozen<'a> {
    /// The id of what is awaited.
    pub(super) id: Option<&'a str>,
    pub(super) group_id: Option<&'a str>,
    pub(super) group_index: Option<usize>,
    pub(super) chord: Option<&'a Value>,
    pub(super) root_id: Option<&'a str>,
}

/// Gives ids; the same signature frozen again keeps them.
pub(super) fn freeze(
    canvas: &mut Canvas,
    with: Frozen<'_>,
    new_id: &mut dyn FnMut() -> String,
) -> ResultNode {
    match &mut canvas.kind {
        Kind::Task { .. } => {
            let id = match canvas.text("task_id") {
                Some(id) => id.to_owned(),
                None => with.id.map_or_else(&mut *new_id, str::to_owned),
            };
            canvas.set("task_id", id.as_str());
            apply(canvas, with);
            ResultNode::task(id)
        }
        Kind::Chain(_) => freeze_chain(canvas, with, new_id),
        Kind::Group(_) => freeze_group(canvas, with, new_id),
        Kind::Chord { header, body } => {
            let before = freeze(
                header,
                Frozen {
                    root_id: with.root_id,
                    ..Frozen::default()
                },
                new_id,
            );
            let own = canvas.options.get("task_id").and_then(Value::as_str);
            let with = Frozen {
                id: with.id.or(own),
                ..with
            };
            let mut result = freeze(body, with, new_id);
            result.after(before);
            result
        }
    }
}

fn freeze_chain(
    chain: &mut Canvas,
    with: Frozen<'_>,
    new_id: &mut dyn FnMut() -> String,
) -> ResultNode {
    let Kind::Chain(tasks) = &mut chain.kind else {
        unreachable!("the caller looked")
    };
    let own = chain.options.get("task_id").and_then(Value::as_str);
    let mut steps = steps(std::mem::take(tasks));
    let last = steps.len().saturating_sub(1);
    let mut result: Option<ResultNode> = None;
    for (index, step) in steps.iter_mut().enumerate() {
        let with = match index == last {
            // Whoever waits for the chain waits for its last step.
            true => Frozen {
                id: with.id.or(own),
                ..with
            },
            false => Frozen {
                root_id: with.root_id,
                ..Frozen::default()
            },
        };
        let mut of_step = freeze(step, with, new_id);
        if let Some(before) = result.take() {
            of_step.after(before);
        }
        result = Some(of_step);
    }
    *tasks = steps;
    result.unwrap_or_else(|| ResultNode::task(with.id.map_or_else(new_id, str::to_owned)))
}

fn freeze_group(
    group: &mut Canvas,
    with: Frozen<'_>,
    new_id: &mut dyn FnMut() -> String,
) -> ResultNode {
    let id = match group.text("task_id") {
        Some(id) => id.to_owned(),
        None => new_id(),
    };
    group.set("task_id", id.as_str());
    apply(group, with);
    let Kind::Group(tasks) = &mut group.kind else {
        unreachable!("the caller looked")
    };
    let mut members = Vec::with_capacity(tasks.len());
    flatten(std::mem::take(tasks), &mut members);
    let results = members.iter_mut().enumerate().map(|(index, member)| {
        let with = Frozen {
            id: None,
            group_index: Some(index),
            ..with
        };
        freeze(member, with, new_id)
    });
    let results = results.collect();
    *tasks = members;
    ResultNode::group(id, results)
}

/// The members of a group, those of groups in it among them.
pub(super) fn flatten(tasks: Vec<Canvas>, members: &mut Vec<Canvas>) {
    for task in tasks {
        match task.kind {
            Kind::Group(inner) => flatten(inner, members),
            _ if is_nothing(&task) => {}
            _ => members.push(task),
        }
    }
}

fn apply(canvas: &mut Canvas, with: Frozen<'_>) {
    if let Some(group) = with.group_id
        && !canvas.options.contains_key("group_id")
    {
        canvas.set("group_id", group);
    }
    if let Some(index) = with.group_index {
        canvas.set("group_index", index);
    }
    if let Some(chord) = with.chord {
        canvas.set("chord", chord.clone());
    }
    if let Some(root) = with.root_id {
        canvas.set("root_id", root);
    }
}
