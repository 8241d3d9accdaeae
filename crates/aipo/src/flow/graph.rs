//! What a task led to: what it sent, what followed it, and what these led to in turn. Results tell it, so it is the
//! same whoever sent or ran the tasks; [`Workflow`](super::Workflow) is what a sender had in mind.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use aipo_core::{Result, TaskId, TaskState};
use serde_json::Value;
use tokio::time::Instant;

use super::{GroupHandle, Related};
use crate::result::{Handle, WaitError};

/// A task and all that it led to so far. Celery's `graph`.
#[derive(Debug, Clone)]
pub struct ResultGraph {
    /// What is nearer to the first comes first.
    nodes: Vec<GraphNode>,
}

/// A result in a [`ResultGraph`].
#[derive(Debug, Clone)]
pub struct GraphNode {
    /// The task, or the group.
    pub result: Related,
    /// What is stored of the task; `None` when nothing is, and for a group.
    pub state: Option<TaskState>,
    /// Where in [`nodes`](ResultGraph::nodes) stands what it led to, or the members of a group.
    pub children: Vec<usize>,
}

impl ResultGraph {
    /// The results: first the task that was asked, then what it led to, then what that led to.
    pub fn nodes(&self) -> &[GraphNode] {
        &self.nodes
    }

    /// Each result with each that it led to. Celery's `iterdeps`, without the first.
    pub fn edges(&self) -> impl Iterator<Item = (&Related, &Related)> {
        self.nodes.iter().flat_map(|node| {
            let children = node.children.iter();
            children.map(|child| (&node.result, &self.nodes[*child].result))
        })
    }

    /// Whether all tasks have ended, so that nothing is missing. Where Celery raises `IncompleteStream`, this is false.
    pub fn is_complete(&self) -> bool {
        self.nodes.iter().all(|node| match node.result {
            Related::Task(_) => node.state.as_ref().is_some_and(TaskState::is_ready),
            Related::Group(_) => true,
        })
    }

    /// As Graphviz reads it. Celery's `graph.to_dot`.
    pub fn to_dot(&self) -> String {
        let mut dot = "digraph dependencies {\n".to_owned();
        for node in &self.nodes {
            let id = node.result.id();
            let (shape, state) = match (&node.result, &node.state) {
                (Related::Task(_), Some(state)) => ("oval", state.as_str()),
                (Related::Task(_), None) => ("oval", TaskState::Pending.as_str()),
                (Related::Group(_), _) => ("box", "group"),
            };
            let label = format!("{id}\n{state}");
            writeln!(dot, "    {id:?} [label={label:?}, shape={shape}];")
                .expect("a String takes any text");
        }
        for (parent, child) in self.edges() {
            writeln!(dot, "    {:?} -> {:?};", parent.id(), child.id())
                .expect("a String takes any text");
        }
        dot.push_str("}\n");
        dot
    }
}

impl GraphNode {
    fn task_id(&self) -> Option<TaskId> {
        match &self.result {
            Related::Task(handle) => Some(handle.id().clone()),
            Related::Group(_) => None,
        }
    }
}

impl<T> Handle<T> {
    /// It and all that it led to so far, also what others sent and ran. Celery's `graph`, or `build_graph` with
    /// `intermediate`. What came before it is not in it: ask the first of a workflow. As in Celery, of a chord that was
    /// sent on the way there is its header and not what came after it.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn graph(&self) -> Result<ResultGraph> {
        let mut nodes = Vec::new();
        let mut places = HashMap::new();
        let mut place = |nodes: &mut Vec<GraphNode>, result: Related| {
            *places.entry(result.id().to_owned()).or_insert_with(|| {
                nodes.push(GraphNode {
                    result,
                    state: None,
                    children: Vec::new(),
                });
                nodes.len() - 1
            })
        };
        place(&mut nodes, Related::Task(self.untyped()));
        let mut looked_at = 0;
        while looked_at < nodes.len() {
            let level = looked_at..nodes.len();
            looked_at = level.end;
            let ids = nodes[level.clone()].iter().filter_map(GraphNode::task_id);
            let mut metas = self.metas(&ids.collect::<Vec<_>>()).await?.into_iter();
            for at in level {
                let children = match &nodes[at].result {
                    Related::Group(group) => members(group),
                    Related::Task(_) => match metas.next().flatten() {
                        None => continue,
                        Some(meta) => {
                            let children = self.children_in(&meta);
                            nodes[at].state = Some(meta.status);
                            children
                        }
                    },
                };
                let children = children.into_iter();
                nodes[at].children = children.map(|child| place(&mut nodes, child)).collect();
            }
        }
        Ok(ResultGraph { nodes })
    }

    /// Waits for it and for all that it led to, at most so long for all together, and gives each with its value: first
    /// its own, then what it led to, then what that led to. The value of a group is the list of its members', who come
    /// as well. Celery's `collect`.
    ///
    /// # Errors
    /// That of the first, in this order, that has no value. A task whose result is not stored is waited for in vain.
    ///
    /// # Cancel safety
    /// The future may be dropped; the tasks are not affected.
    pub async fn collect(&self, timeout: Duration) -> Result<Vec<(Related, Value)>, WaitError> {
        let started = Instant::now();
        let mut values = Vec::new();
        let mut seen = HashSet::from([self.id().to_string()]);
        let mut next = VecDeque::from([Related::Task(self.untyped())]);
        while let Some(related) = next.pop_front() {
            let left = timeout.saturating_sub(started.elapsed());
            let (value, children) = match &related {
                Related::Task(handle) => {
                    let meta = handle.success(left).await?;
                    (handle.value(&meta)?, self.children_in(&meta))
                }
                Related::Group(group) => (group.join(left).await?.into(), members(group)),
            };
            next.extend(
                children
                    .into_iter()
                    .filter(|child| seen.insert(child.id().to_owned())),
            );
            values.push((related, value));
        }
        Ok(values)
    }
}

fn members(group: &GroupHandle<Value>) -> Vec<Related> {
    group.members().iter().cloned().map(Related::Task).collect()
}
