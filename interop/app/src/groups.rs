//! Tasks that send, save and restore groups.

use std::time::Duration;

use aipo::{
    AppBuilder, Canvas, Context, Flow, GroupHandle, QueueName, Related, Signature, TaskResult,
    group,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(save_group::task())
        .task(restore_group::task())
        .task(delete_group::task())
        .task(collect::task())
}

/// Sends `task(1, 1)` and after it a group of `task(2, n)` for each number, which may be one of Python's. Saves the
/// group, and gives its id.
#[aipo::task(name = "interop.save_group")]
async fn save_group(
    cx: &Context,
    task: String,
    queue: String,
    numbers: Vec<i64>,
) -> TaskResult<String> {
    let call = |args: Vec<Value>| {
        let mut call = Signature::new(task.as_str()).args(args);
        call.options.queue = Some(QueueName::from(queue.as_str()));
        call
    };
    let members = numbers.iter().map(|number| call(vec![(*number).into()]));
    let first = call(vec![1.into(), 1.into()]);
    let sent = cx
        .send(Flow::from(Canvas::from(first)).then(group(members)))
        .await?;
    sent.save().await?;
    Ok(sent.id().to_owned())
}

/// What is known of a saved group; null when there is none.
#[aipo::task(name = "interop.restore_group")]
async fn restore_group(cx: &Context, id: String) -> TaskResult<Value> {
    let Some(group) = restored(cx, id).await? else {
        return Ok(Value::Null);
    };
    let values = group.join(PATIENCE).await?;
    let members = group.members().iter();
    Ok(json!({
        "id": group.id(),
        "members": members.map(|member| member.id().as_str()).collect::<Vec<_>>(),
        "parent": group.parent().as_ref().map(Related::id),
        "values": values,
        "ready": group.ready().await?,
        "successful": group.successful().await?,
        "completed": group.completed().await?,
    }))
}

/// Deletes a saved group, and says whether there was one.
#[aipo::task(name = "interop.delete_group")]
async fn delete_group(cx: &Context, id: String) -> TaskResult<bool> {
    let group = restored(cx, id).await?;
    if let Some(group) = &group {
        group.delete().await?;
    }
    Ok(group.is_some())
}

/// The values of a task and of all that it led to, and whether that is all.
#[aipo::task(name = "interop.collect")]
async fn collect(cx: &Context, id: String) -> TaskResult<(Vec<Value>, bool)> {
    let handle = cx.app().result::<Value>(id);
    let collected = handle.collect(PATIENCE).await?;
    let is_complete = handle.graph().await?.is_complete();
    let values = collected.into_iter().map(|(_, value)| value);
    Ok((values.collect(), is_complete))
}

async fn restored(cx: &Context, id: String) -> TaskResult<Option<GroupHandle<Value>>> {
    Ok(cx.app().group(id).await?)
}
