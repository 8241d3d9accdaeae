//! A workflow whose sender left no tree, such as Python: its steps as far as results tell of them.
//!
//! A task's result names what was sent in its name, so this sees what has been sent until now, and not what comes later.

use std::collections::HashMap;

use aipo_core::canvas::ResultNode;
use aipo_core::message::TaskMeta;
use aipo_core::{Result, TaskId};

use super::tree::KeptStep;
use crate::App;

/// What was sent in the name of tasks, by their ids.
type Told = HashMap<String, Vec<ResultNode>>;

/// The steps from this task on; `None` when there is no result of it.
pub(super) async fn told_steps(app: &App, first: &TaskId) -> Result<Option<Vec<KeptStep>>> {
    let limit = app.settings().result_read_limit();
    let mut told = Told::new();
    let mut next = vec![first.clone()];
    while !next.is_empty() {
        let metas = app.store().results.get(&next).await?;
        let mut found = Vec::new();
        for (id, meta) in next.drain(..).zip(metas) {
            let meta = meta.map(|bytes| TaskMeta::decode(&bytes, limit));
            let children = match meta.transpose()? {
                Some(meta) => meta.children.unwrap_or_default(),
                None if id == *first => return Ok(None),
                None => Vec::new(),
            };
            let children: Vec<_> = children.iter().filter_map(ResultNode::from_value).collect();
            children.iter().for_each(|node| tasks(node, &mut found));
            told.insert(id.to_string(), children);
        }
        found.sort();
        found.dedup();
        found.retain(|id| !told.contains_key(id));
        next.extend(found.iter().map(|id| TaskId::from(id.as_str())));
    }
    let mut steps = Vec::new();
    from(first.as_str(), &mut told, &mut steps);
    Ok(Some(steps))
}

/// Adds the ids of all tasks of a tree.
fn tasks(node: &ResultNode, ids: &mut Vec<String>) {
    for node in std::iter::successors(Some(node), |node| node.parent.as_deref()) {
        match &node.members {
            None => ids.push(node.id.clone()),
            Some(members) => members.iter().for_each(|member| tasks(member, ids)),
        }
    }
}

/// Adds a task and what it led to; nothing when it stands elsewhere already.
fn from(id: &str, told: &mut Told, steps: &mut Vec<KeptStep>) {
    let Some(children) = told.remove(id) else {
        return;
    };
    steps.push(KeptStep::Task(id.to_owned(), None));
    if let [child] = &children[..] {
        return of_node(child, told, steps);
    }
    let of_child = |child: &ResultNode| {
        let mut steps = Vec::new();
        of_node(child, told, &mut steps);
        steps
    };
    let mut members: Vec<Vec<KeptStep>> = children.iter().map(of_child).collect();
    members.retain(|member| !member.is_empty());
    if !members.is_empty() {
        steps.push(KeptStep::Group(id.to_owned(), members));
    }
}

/// Adds a node, after what came before it.
fn of_node(node: &ResultNode, told: &mut Told, steps: &mut Vec<KeptStep>) {
    if let Some(before) = &node.parent {
        of_node(before, told, steps);
    }
    match &node.members {
        None => from(&node.id, told, steps),
        Some(members) => {
            let of_member = |member| {
                let mut steps = Vec::new();
                of_node(member, told, &mut steps);
                steps
            };
            let members = members.iter().map(of_member).collect();
            steps.push(KeptStep::Group(node.id.clone(), members));
        }
    }
}
