//! Finishes chords whose parts are all done: their bodies are sent with all results, or fail.
//!
//! A settlement that had a part in it wakes this role, and it looks from time to time for chords whose worker died
//! between the last part and this.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::canvas::{
    JoinError, Lineage, PlannedPart, ResultNode, follow_chord, parse, revoke_chord,
};
use aipo_core::message::{ExceptionInfo, TaskMeta};
use aipo_core::store::{Complete, Done};
use aipo_core::task::Failure;
use aipo_core::{Result, TaskId, TaskState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Shared;
use super::follow::{Then, takes_request};
use crate::App;
use crate::app::{Work, into_publish, read_group_meta};

/// Chords taken at once; their results are all in memory.
const BATCH: usize = 8;

/// Finishes chords until dropped.
pub(crate) async fn chords(shared: Arc<Shared>) {
    let lease = shared.app.settings().worker_lease.0;
    loop {
        match finish_complete(&shared, lease).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "finishing chords failed; trying again"),
        }
        tokio::select! {
            () = shared.parts.notified() => {}
            () = tokio::time::sleep(lease / 2) => {}
        }
    }
}

/// Takes complete chords and finishes them; whether there may be more by now.
async fn finish_complete(shared: &Shared, claim: Duration) -> Result<bool> {
    let app = &shared.app;
    let complete = app.store().chords.take_complete(BATCH, claim).await?;
    let mut may_be_more = complete.len() == BATCH;
    for chord in complete {
        let group = chord.group.clone();
        let Work { mut step, publish } = join(shared, chord).await?;
        // A chord that fails is itself a part of the one around it.
        may_be_more |= !step.parts.is_empty();
        let publish = into_publish(publish);
        let store = app.store();
        if store.settles_results {
            store.chords.finish(&group, step, publish).await?;
        } else {
            // Sent before it is finished: after a crash in between it is sent again, rather than never. And what it
            // refers to is there before it is sent.
            let kept = step.take_keeps();
            if !kept.is_empty() {
                store.chords.advance(kept, Vec::new()).await?;
            }
            store.broker.publish(publish).await?;
            store.chords.finish(&group, step, Vec::new()).await?;
        }
    }
    Ok(may_be_more)
}

/// What follows from a complete chord.
async fn join(shared: &Shared, chord: Complete) -> Result<Work> {
    let app = &shared.app;
    let then = serde_json::from_slice::<Then>(&chord.then).map_err(|error| error.to_string());
    let read = then.and_then(|then| match parse(then.body.get()) {
        Ok(body) => Ok((then, body)),
        Err(error) => Err(error.to_string()),
    });
    let (then, mut body) = match read {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(group = %chord.group, %error, "the body of a chord can't be read");
            return Ok(Work::default());
        }
    };
    let lineage = Lineage {
        root_id: then.root_id,
        parent_id: then.parent_id,
    };
    let results = match &chord.structure {
        Some(structure) => nested(app, structure, &chord.parts).await?,
        None => in_order(&chord.parts),
    };
    // One that can run is sent, and dropped by the gate.
    let is_revoked = results.is_err() && is_revoked(shared, lineage.root_id.as_ref()).await?;
    let attempt = |body: &Value, results| {
        let takes_request = |errback: &_| takes_request(app, errback);
        let ((), plan) = app.plan(lineage.clone(), |planner| match is_revoked {
            true => revoke_chord(planner, body),
            false => follow_chord(planner, body, results, &takes_request),
        })?;
        app.work(plan)
    };
    let mut used = Vec::new();
    match results {
        Ok(_) => app.recall(&mut body, &mut used).await?,
        Err(_) => app.recall_all(&mut body, &mut used).await?,
    }
    let mut work = match attempt(&body, results) {
        Ok(work) => work,
        Err(error) => {
            tracing::error!(group = %chord.group, %error, "the body of a chord can't be sent");
            let cause = Failure::new("kombu.exceptions", "EncodeError", error.to_string());
            app.recall_all(&mut body, &mut used).await?;
            let failed = attempt(&body, Err(JoinError::callback(cause)));
            failed.unwrap_or_else(|error| {
                tracing::error!(group = %chord.group, %error, "nor can it fail");
                Work::default()
            })
        }
    };
    work.step.drops = used;
    Ok(work)
}

/// Whether the whole workflow was revoked.
async fn is_revoked(shared: &Shared, root: Option<&TaskId>) -> Result<bool> {
    let Some(root) = root else {
        return Ok(false);
    };
    shared.revoked.update(&shared.app, None).await?;
    let now = shared.app.clock().now();
    Ok(shared.revoked.has_root(root, now))
}

/// The results of all parts, or why there are none.
type Joined = Result<Vec<Value>, Box<JoinError>>;

fn in_order(parts: &[Done]) -> Joined {
    parts
        .iter()
        .map(|part| value(&part.id, &part.state, &part.value))
        .collect()
}

/// A part's value, or why there is none.
fn value(id: &TaskId, state: &TaskState, text: &str) -> Result<Value, Box<JoinError>> {
    if *state != TaskState::Success {
        let failed = serde_json::from_str::<FailedPart>(text);
        let FailedPart { exception, told } = failed.unwrap_or_else(|_| FailedPart {
            exception: Failure::new("builtins", "Exception", text).exception,
            told: Vec::new(),
        });
        let cause = Failure {
            exception,
            traceback: None,
        };
        return Err(JoinError::dependency(id, cause, told));
    }
    serde_json::from_str(text).map_err(|error| {
        let text = format!("result of {id}: {error}");
        JoinError::join(Failure::new("kombu.exceptions", "DecodeError", text))
    })
}

/// The value of a part that failed: Celery's exception and, beside it, which errbacks were called for it.
#[derive(Serialize, Deserialize)]
struct FailedPart {
    #[serde(flatten)]
    exception: ExceptionInfo,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    told: Vec<Value>,
}

/// As the store keeps it.
pub(crate) fn failed_part(part: &PlannedPart) -> String {
    let failed = FailedPart {
        exception: part.failure.exception.clone(),
        told: part.told.clone(),
    };
    serde_json::to_string(&failed).expect("texts and values, which JSON can hold")
}

/// The results of a group whose members are groups themselves, nested in the same way.
async fn nested(app: &App, structure: &[u8], parts: &[Done]) -> Result<Joined> {
    let root = match read_group_meta(structure, app.settings().result_read_limit()) {
        Ok(root) => root,
        Err(error) => {
            let text = format!("the group's structure can't be read: {error}");
            let cause = Failure::new("builtins", "ValueError", text);
            return Ok(Err(JoinError::join(cause)));
        }
    };
    // Somebody saved a group of tasks, see `GroupHandle::save`.
    if root
        .members
        .iter()
        .flatten()
        .all(|member| !member.is_group())
    {
        return Ok(in_order(parts));
    }
    let mut leaves = Vec::new();
    root.leaves(&mut leaves);
    let ids: Vec<TaskId> = leaves.iter().map(|leaf| leaf.id.as_str().into()).collect();
    let stored = app.store().results.get(&ids).await?;
    let mut values = Vec::with_capacity(ids.len());
    for (id, meta) in ids.iter().zip(stored) {
        match leaf(id, meta, app.settings().result_read_limit()) {
            Ok(value) => values.push(value),
            Err(error) => return Ok(Err(error)),
        }
    }
    let mut values = values.into_iter();
    Ok(Ok(match shape(&root, &mut values) {
        Value::Array(results) => results,
        one => vec![one],
    }))
}

fn leaf(id: &TaskId, meta: Option<Vec<u8>>, limit: usize) -> Result<Value, Box<JoinError>> {
    let missing = || Failure::new("builtins", "KeyError", format!("no result of {id}"));
    let meta = meta.ok_or_else(|| JoinError::join(missing()))?;
    let meta = TaskMeta::decode(&meta, limit).map_err(|_| JoinError::join(missing()))?;
    match value(id, &meta.status, meta.result.get()) {
        // Celery's words when the results of a nested group are joined.
        Err(error) => Err(JoinError::join(error.cause)),
        value => value,
    }
}

fn shape(node: &ResultNode, values: &mut impl Iterator<Item = Value>) -> Value {
    match &node.members {
        Some(members) => members.iter().map(|member| shape(member, values)).collect(),
        None => values.next().unwrap_or_default(),
    }
}
