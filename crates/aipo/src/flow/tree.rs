//! A workflow as a whole: what it is made of, for those who look at it or cancel it.
//!
//! Nobody holds a workflow while it runs, so its sender leaves the tree of its results in the state store, under
//! its root and under the id that is awaited. What became of each task is in the results.

use std::collections::BTreeMap;

use aipo_core::canvas::{Plan, ResultNode, kept};
use aipo_core::message::TaskMeta;
use aipo_core::store::{Fact, Location};
use aipo_core::{Error, ErrorKind, Result, TaskId, TaskState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::told::told_steps;
use crate::{App, Revoke};

/// A workflow that was sent by aipo, and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workflow {
    /// What all of its messages have in common: the id of its first task or group.
    pub root: TaskId,
    /// Its steps in their order.
    pub steps: Vec<WorkflowStep>,
}

/// A step of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowStep {
    /// A task.
    Task(WorkflowTask),
    /// Workflows side by side.
    Group {
        /// Its id.
        id: String,
        /// The steps of each member.
        members: Vec<Vec<WorkflowStep>>,
    },
}

/// A task of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkflowTask {
    /// Its id.
    pub id: TaskId,
    /// The name of the task, if its sender or its result tells it.
    pub name: Option<String>,
    /// Where it stands; `None` when it has not been sent, or nothing is known of it any more.
    pub state: Option<TaskState>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it ended.
    #[serde(serialize_with = "as_text")]
    pub ended: Option<Timestamp>,
    /// How long after what came before it, in seconds; of the first step, after the send.
    pub seconds: Option<f64>,
}

/// What a sender leaves.
#[derive(Serialize, Deserialize)]
struct Kept {
    root: TaskId,
    /// When it was sent, RFC 3339.
    sent: String,
    steps: Vec<KeptStep>,
}

/// A step as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum KeptStep {
    /// A task's id, and its name if the sender knew it.
    Task(String, Option<String>),
    /// A group's id, and the steps of each member.
    Group(String, Vec<Vec<KeptStep>>),
}

fn as_text<S: serde::Serializer>(moment: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    moment.map(|moment| moment.to_string()).serialize(to)
}

fn key(id: &str) -> String {
    format!("workflow/{id}")
}

impl App {
    /// A workflow by the id of its first task or group or by that of its result; `None` when nothing is known of it. Kept as
    /// long as results. Of one that was sent by Python, what follows the task with this id, as far as it has been sent.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn workflow(&self, id: impl Into<TaskId>) -> Result<Option<Workflow>> {
        let id = id.into();
        let (root, sent, steps) = match self.kept(&id).await? {
            Some(kept) => (kept.root, kept.sent.parse().ok(), kept.steps),
            None => match told_steps(self, &id).await? {
                Some(steps) => (id, None, steps),
                None => return Ok(None),
            },
        };
        let mut ids = Vec::new();
        task_ids(&steps, &mut ids);
        let stored = self.store().results.get(&ids).await?;
        let located = match self.store().broker.locate(&ids).await {
            Ok(located) => located,
            // More waits than this store searches.
            Err(error) if error.kind() == ErrorKind::TooLarge => vec![None; ids.len()],
            Err(error) => return Err(error),
        };
        let limit = self.settings().result_read_limit();
        let mut known = BTreeMap::new();
        for ((id, meta), location) in ids.iter().zip(stored).zip(located) {
            let meta = meta
                .map(|bytes| TaskMeta::decode(&bytes, limit))
                .transpose()?;
            known.insert(id.as_str(), (meta, location));
        }
        let (steps, _) = View(&known).steps(&steps, sent);
        Ok(Some(Workflow { root, steps }))
    }

    /// The tree of a workflow as its sender leaves it, unless it is one task.
    pub(crate) fn workflow_facts(
        &self,
        root: &TaskId,
        node: &ResultNode,
        mut names: BTreeMap<String, String>,
    ) -> Vec<Fact> {
        if node.parent.is_none() && !node.is_group() {
            return Vec::new();
        }
        let kept = Kept {
            root: root.clone(),
            sent: self.clock().now().to_string(),
            steps: kept_steps(node, &mut names),
        };
        let fact = |id: &str, value: Vec<u8>| Fact {
            key: key(id),
            value,
            ttl: self.settings().result_expires.non_zero(),
        };
        let kept = serde_json::to_vec(&kept).expect("texts and times, which JSON can hold");
        let mut facts = vec![fact(root.as_str(), kept)];
        if node.id != root.as_str() {
            let pointer = serde_json::to_vec(root).expect("a text, which JSON can hold");
            facts.push(fact(&node.id, pointer));
        }
        facts
    }

    async fn kept(&self, id: &TaskId) -> Result<Option<Kept>> {
        let mut id = id.clone();
        // Once for the id that is awaited, which names the root, and once for the root.
        for _ in 0..2 {
            let stored = self.store().state.get(&[key(id.as_str())]).await?;
            let Some(bytes) = stored.into_iter().flatten().next() else {
                return Ok(None);
            };
            if let Ok(root) = serde_json::from_slice::<TaskId>(&bytes) {
                id = root;
                continue;
            }
            let unreadable = || Error::new(ErrorKind::Codec, "a kept workflow can't be read");
            let kept = serde_json::from_slice(&bytes);
            return kept.map_err(|source| unreadable().caused_by(source));
        }
        Ok(None)
    }

    /// Cancels all of a workflow that has not ended, see [`Handle::revoke_tree`](crate::Handle::revoke_tree).
    pub(crate) async fn revoke_workflow(
        &self,
        id: &TaskId,
        root: Option<&TaskId>,
        what: Revoke,
    ) -> Result<()> {
        let kept = match root {
            Some(root) => self.kept(root).await?,
            None => self.kept(id).await?,
        };
        let root = match (&kept, root) {
            (_, Some(root)) => root.clone(),
            (Some(kept), None) => kept.root.clone(),
            (None, None) => id.clone(),
        };
        let mut ids = Vec::new();
        match &kept {
            Some(kept) => task_ids(&kept.steps, &mut ids),
            None => ids.push(id.clone()),
        }
        self.remember_revoked_root(root, what).await?;
        let mut ended = Vec::new();
        let answer = self.end_waiting(&ids, &mut ended).await;
        self.tell_ended(&ended).await;
        answer?;
        let still_held = match self.store().broker.locate(&ids).await {
            Ok(still_held) => still_held,
            // More waits than this store searches; what is meant is dropped when its turn comes.
            Err(error) if error.kind() == ErrorKind::TooLarge => return Ok(()),
            Err(error) => return Err(error),
        };
        let stored = self.store().results.get(&ids).await?;
        // What nobody holds and has not ended never will: it was not sent yet.
        let limit = self.settings().result_read_limit();
        let mut ending = Vec::new();
        for ((id, held), meta) in ids.into_iter().zip(still_held).zip(stored) {
            let meta = meta
                .map(|bytes| TaskMeta::decode(&bytes, limit))
                .transpose()?;
            if held.is_none() && !meta.is_some_and(|meta| meta.status.is_ready()) {
                ending.push(id);
            }
        }
        self.store_revoked(&ending).await
    }
}

/// A tree of results as its steps. The names are taken out of `names`.
fn kept_steps(last: &ResultNode, names: &mut BTreeMap<String, String>) -> Vec<KeptStep> {
    let nodes = std::iter::successors(Some(last), |node| node.parent.as_deref());
    let step = |node: &ResultNode| match &node.members {
        None => KeptStep::Task(node.id.clone(), names.remove(&node.id)),
        Some(members) => {
            let members = members.iter().map(|member| kept_steps(member, names));
            KeptStep::Group(node.id.clone(), members.collect())
        }
    };
    let mut steps: Vec<KeptStep> = nodes.map(step).collect();
    steps.reverse();
    steps
}

/// Adds the ids of all tasks.
fn task_ids(steps: &[KeptStep], ids: &mut Vec<TaskId>) {
    for step in steps {
        match step {
            KeptStep::Task(id, _) => ids.push(id.as_str().into()),
            KeptStep::Group(_, members) => {
                members.iter().for_each(|member| task_ids(member, ids));
            }
        }
    }
}

/// The names of the tasks that a plan sends, now or later, by their ids.
pub(crate) fn names(plan: &Plan) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for call in &plan.calls {
        if let Some(id) = &call.options.task_id {
            names.insert(id.to_string(), call.task.clone());
        }
        let place = &call.options.place;
        for signature in place.chain.iter().flatten().chain(&place.chord) {
            named(signature, &mut names);
        }
    }
    plan.keeps
        .iter()
        .for_each(|kept| named(&kept.steps, &mut names));
    names
}

fn named(signature: &Value, names: &mut BTreeMap<String, String>) {
    let options = &signature["options"];
    // A reference stands for something else, which is found where that is kept.
    let name = match kept(signature) {
        None => signature["task"].as_str(),
        Some(_) => None,
    };
    if let (Some(name), Some(id)) = (name, options["task_id"].as_str())
        // The body that each member of a chord carries is looked at once.
        && names.insert(id.to_owned(), name.to_owned()).is_some()
    {
        return;
    }
    if !signature["subtask_type"].is_null() {
        let kwargs = &signature["kwargs"];
        let members = [&kwargs["tasks"], &kwargs["header"]]
            .into_iter()
            .filter_map(Value::as_array);
        members.flatten().for_each(|member| named(member, names));
        for one in [&kwargs["header"], &kwargs["body"]] {
            if one.is_object() {
                named(one, names);
            }
        }
    }
    let rest = options["chain"].as_array();
    rest.into_iter()
        .flatten()
        .for_each(|step| named(step, names));
    if options["chord"].is_object() {
        named(&options["chord"], names);
    }
}

/// What is known of the tasks of a workflow.
struct View<'a>(&'a BTreeMap<&'a str, (Option<TaskMeta>, Option<Location>)>);

impl View<'_> {
    /// The steps, the first of which began at `since`, and when the last one ended.
    fn steps(
        &self,
        steps: &[KeptStep],
        mut since: Option<Timestamp>,
    ) -> (Vec<WorkflowStep>, Option<Timestamp>) {
        let mut seen = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                KeptStep::Task(id, name) => {
                    let task = self.task(id, name.clone(), since);
                    since = task.ended;
                    seen.push(WorkflowStep::Task(task));
                }
                KeptStep::Group(id, members) => {
                    let members = members.iter().map(|member| self.steps(member, since));
                    let (members, ends): (Vec<_>, Vec<_>) = members.unzip();
                    let ends: Option<Vec<Timestamp>> = ends.into_iter().collect();
                    since = ends.and_then(|ends| ends.into_iter().max());
                    let id = id.clone();
                    seen.push(WorkflowStep::Group { id, members });
                }
            }
        }
        (seen, since)
    }

    fn task(&self, id: &str, name: Option<String>, since: Option<Timestamp>) -> WorkflowTask {
        let (meta, location) = match self.0.get(id) {
            Some((meta, location)) => (meta.as_ref(), location.as_ref()),
            None => (None, None),
        };
        let waits = location.map(|location| match location {
            Location::Ready { .. } | Location::Parked { .. } => TaskState::Pending,
            Location::InFlight { .. } => TaskState::Received,
            Location::Dead { .. } => TaskState::Failure,
        });
        let failed = |meta: &&TaskMeta| meta.status.is_ready() && meta.status != TaskState::Success;
        let exception = meta.filter(failed).and_then(TaskMeta::exception);
        let ended: Option<Timestamp> = meta
            .and_then(|meta| meta.date_done.as_deref())
            .and_then(|done| done.parse().ok());
        let seconds = ended
            .zip(since)
            .map(|(ended, since)| ended.duration_since(since).as_secs_f64().max(0.0));
        WorkflowTask {
            id: id.into(),
            name: name.or_else(|| told_name(meta?)),
            state: meta.map(|meta| meta.status.clone()).or(waits),
            error: exception.map(|exception| exception.to_string()),
            ended,
            seconds,
        }
    }
}

/// The name in a result, see the setting `result_extended`.
fn told_name(meta: &TaskMeta) -> Option<String> {
    meta.extended.get("name")?.as_str().map(str::to_owned)
}
