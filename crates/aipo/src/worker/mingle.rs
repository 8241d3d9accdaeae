//! Mingle: a worker that starts greets the others. They tell what they know to be revoked and how late it is.
//!
//! It works meanwhile: what Python workers know of revokes is a help, what aipo revokes is in the store.

use aipo_core::{ErrorKind, Result, TaskId};
use serde_json::{Value, json};

use super::Shared;
use crate::control::Replies;

/// A greeting that was sent.
pub(crate) struct Greeting(Replies);

/// Greets; `None` when the worker was told not to.
pub(crate) async fn greet(shared: &Shared) -> Result<Option<Greeting>> {
    if !shared.mingle {
        return Ok(None);
    }
    shared.revoked.update(&shared.app, None).await?;
    let arguments = json!({ "from_node": &*shared.name, "revoked": shared.revoked.ids() });
    match shared.app.control().open("hello", arguments).await {
        Ok(replies) => Ok(Some(Greeting(replies))),
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes over what the others know, as long as they answer.
pub(crate) async fn listen_to_answers(shared: &Shared, Greeting(mut replies): Greeting) {
    let mut others = 0;
    loop {
        let reply = match replies.next().await {
            Ok(Some(reply)) => reply,
            Ok(None) => break,
            Err(error) => return tracing::warn!(%error, "mingling failed"),
        };
        if reply.node == *shared.name {
            tracing::warn!(worker = %shared.name, "another worker has this name; both obey commands to it");
            continue;
        }
        others += 1;
        if let Some(clock) = reply.value.get("clock").and_then(Value::as_u64) {
            shared.app.lamport().adjust(clock);
        }
        let ids = revoked_ids(reply.value.get("revoked").unwrap_or(&Value::Null));
        if let Err(error) = learn(shared, ids).await {
            tracing::warn!(%error, "taking over what is revoked failed");
        }
    }
    if others > 0 {
        tracing::info!(others, "mingled with other workers");
    }
}

/// The ids of a list, or of a map as Celery before 5.7 has it.
pub(crate) fn revoked_ids(revoked: &Value) -> Vec<TaskId> {
    match revoked {
        Value::Array(ids) => ids
            .iter()
            .filter_map(Value::as_str)
            .map(TaskId::from)
            .collect(),
        Value::Object(ids) => ids.keys().map(|id| TaskId::from(id.as_str())).collect(),
        _ => Vec::new(),
    }
}

/// Remembers tasks that are revoked elsewhere, those that are new.
pub(crate) async fn learn(shared: &Shared, ids: Vec<TaskId>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    shared.revoked.update(&shared.app, None).await?;
    let known = shared.revoked.ids();
    let known: std::collections::HashSet<_> = known.iter().collect();
    let new: Vec<TaskId> = ids.into_iter().filter(|id| !known.contains(id)).collect();
    shared.app.remember_revoked_tasks(new).await
}
