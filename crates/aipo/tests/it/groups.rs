//! Groups that are saved and restored, and what results tell of each other, on every store.

use std::collections::BTreeSet;
use std::time::Duration;

use aipo::{
    App, AppBuilder, Canvas, Compression, Context, GroupHandle, Related, Serializer, Task as _,
    TaskError, TaskId, TaskResult, TaskState, WaitError, group,
};
use serde_json::{Value, json};

use crate::stores::{Place, on_every_store};

on_every_store! {
    a_saved_group_is_the_same_again,
    a_group_of_one_or_none_is_a_group,
    a_group_is_saved_in_the_format_of_results,
    a_restored_group_is_followed_and_cancelled,
    a_chord_ends_as_if_its_group_was_not_saved,
    the_group_of_a_nested_chord_is_found,
    a_graph_has_all_that_a_task_led_to,
    a_failure_is_in_the_graph_and_ends_the_collecting,
}

const PATIENCE: Duration = Duration::from_secs(60);

#[aipo::task]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[aipo::task]
async fn total(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

#[aipo::task(ignore_result = true)]
async fn unstored(number: i64) -> i64 {
    number
}

#[aipo::task]
async fn fail(_number: i64) -> TaskResult<i64> {
    Err(TaskError::fail("as asked"))
}

#[aipo::task]
async fn same(what: Value) -> Value {
    what
}

/// Sends a task, a group with a task after it, and a group.
#[aipo::task]
async fn grow(cx: &Context) -> TaskResult<String> {
    cx.send(add::s(1, 1)).await?;
    let members = group([add::s(2, 2), add::s(3, 3)]);
    cx.send(members.then(total::p())).await?;
    cx.send(group([add::s(4, 4)])).await?;
    Ok("grown".to_owned())
}

#[aipo::task]
async fn spoil(cx: &Context) -> TaskResult<()> {
    cx.send(fail::s(1)).await?;
    Ok(())
}

fn tasks() -> AppBuilder {
    App::builder("test")
        .task(add::task())
        .task(total::task())
        .task(unstored::task())
        .task(fail::task())
        .task(same::task())
        .task(grow::task())
        .task(spoil::task())
}

fn ids(group: &GroupHandle<i64>) -> Vec<TaskId> {
    let members = group.members().iter();
    members.map(|member| member.id().clone()).collect()
}

async fn restored(app: &App, id: &str) -> Option<GroupHandle<i64>> {
    app.group(id).await.expect("read")
}

async fn again(app: &App, group: &GroupHandle<i64>) -> GroupHandle<i64> {
    group.save().await.expect("saved");
    restored(app, group.id()).await.expect("a group")
}

async fn a_saved_group_is_the_same_again(place: Place) {
    let app = place.build(tasks()).await;
    let worker = app.worker().start().await.expect("a worker");
    let flow = add::s(1, 1).then(group([add::p(1), add::p(2), add::p(3)]));
    let sent = app.send(flow).await.expect("sent");
    assert!(restored(&app, sent.id()).await.is_none(), "not saved yet");

    let group = again(&app, &sent).await;

    assert_eq!(group.id(), sent.id());
    assert_eq!(ids(&group), ids(&sent));
    assert_eq!(group.join(PATIENCE).await.expect("values"), [3, 4, 5]);
    let Some(Related::Task(first)) = group.parent() else {
        panic!("{:?} is no task", group.parent())
    };
    assert_eq!(first.get(PATIENCE).await.expect("a value"), json!(2));
    assert!(first.parent().is_none());

    group.delete().await.expect("deleted");
    assert!(restored(&app, sent.id()).await.is_none());
    assert_eq!(sent.join(PATIENCE).await.expect("values"), [3, 4, 5]);
    worker.stop().await.expect("stopped");
}

async fn a_group_of_one_or_none_is_a_group(place: Place) {
    let app = place.build(tasks()).await;
    let worker = app.worker().start().await.expect("a worker");
    let after_a_step = add::s(1, 1).then(group([add::p(1)]));
    let alone = group([add::s(1, 2)]);
    let none = group(Vec::<aipo::Flow<i64>>::new());
    let sent = [
        (app.send(after_a_step).await.expect("sent"), vec![3]),
        (app.send(alone).await.expect("sent"), vec![3]),
        (app.send(none).await.expect("sent"), vec![]),
    ];
    for (sent, expected) in sent {
        let group = again(&app, &sent).await;
        assert_eq!(group.id(), sent.id());
        assert_eq!(ids(&group), ids(&sent));
        assert_eq!(group.join(PATIENCE).await.expect("values"), expected);
        let parents = [&sent, &group].map(|group| group.parent().map(|one| one.id().to_owned()));
        assert_eq!(parents[0], parents[1]);
    }
    worker.stop().await.expect("stopped");
}

async fn a_group_is_saved_in_the_format_of_results(place: Place) {
    let builder = tasks().settings(|settings| {
        settings.result_serializer = Serializer::Msgpack;
        settings.result_compression = Some(Compression::Zlib);
    });
    let app = place.build(builder).await;
    let sent = app.send(group([add::s(1, 1)])).await.expect("sent");

    let group = again(&app, &sent).await;

    assert_eq!(ids(&group), ids(&sent));
    let chords = &app.store().chords;
    let stored = chords.saved_group(&sent.id().into()).await;
    let stored = stored.expect("read").expect("a group");
    assert!(stored.starts_with(b"\0celery-compressed\0"), "{stored:?}");
}

async fn a_restored_group_is_followed_and_cancelled(place: Place) {
    let app = place.build(tasks()).await;
    let in_an_hour = Duration::from_secs(3600);
    let sent = app
        .send(group([
            add::s(1, 1).into(),
            fail::s(1).into(),
            add::s(2, 2).countdown(in_an_hour).into(),
        ] as [aipo::Flow<i64>; 3]))
        .await
        .expect("sent");
    let group = again(&app, &sent).await;
    assert!(!group.ready().await.expect("states"));
    assert_eq!(group.completed().await.expect("states"), 0);
    let worker = app.worker().start().await.expect("a worker");

    let mut completions = group.completions(PATIENCE);
    let mut ended = BTreeSet::new();
    for _ in 0..2 {
        let (index, value) = completions.next().await.expect("a member");
        ended.insert((index, value.ok()));
    }
    assert_eq!(ended, BTreeSet::from([(0, Some(2)), (1, None)]));
    assert!(!group.ready().await.expect("states"));
    assert_eq!(group.completed().await.expect("states"), 1);

    group.revoke().await.expect("revoked");
    let (index, value) = completions.next().await.expect("a member");
    let error = value.expect_err("it was revoked");
    assert!(matches!(error, WaitError::Revoked { .. }), "{error}");
    assert_eq!(index, 2);
    assert!(completions.next().await.is_none());
    assert!(group.ready().await.expect("states"));
    assert!(group.failed().await.expect("states"));
    assert!(!group.successful().await.expect("states"));
    let states = group.states().await.expect("states");
    let expected = [TaskState::Success, TaskState::Failure, TaskState::Revoked];
    assert_eq!(states, expected.map(Some));

    group.forget().await.expect("forgotten");
    assert_eq!(group.states().await.expect("states"), [None, None, None]);
    worker.stop().await.expect("stopped");
}

/// The results that it is made of may not be stored one by one.
async fn a_chord_ends_as_if_its_group_was_not_saved(place: Place) {
    let app = place.build(tasks()).await;
    let flow = group([unstored::s(1), unstored::s(2)]).then(total::p());
    let sent = app.send(flow).await.expect("sent");
    let Some(Related::Group(header)) = sent.parent() else {
        panic!("{:?} is no group", sent.parent())
    };
    header.save().await.expect("saved");

    let worker = app.worker().start().await.expect("a worker");
    assert_eq!(sent.get(PATIENCE).await.expect("a value"), 3);

    let group = restored(&app, header.id()).await.expect("a group");
    assert_eq!(group.members().len(), 2);
    worker.stop().await.expect("stopped");
}

async fn the_group_of_a_nested_chord_is_found(place: Place) {
    let app = place.build(tasks()).await;
    let two = Canvas::group(vec![
        call(add::NAME, json!([1])),
        call(add::NAME, json!([2])),
    ]);
    let chain = Canvas::chain(vec![call(add::NAME, json!([1, 1])), two]);
    let header = vec![chain, call(add::NAME, json!([0, 0]))];
    let chord = Canvas::chord(header, call(same::NAME, json!([])));
    let sent = app.send(chord).await.expect("sent");
    let Some(Related::Group(header)) = sent.parent() else {
        panic!("{:?} is no group", sent.parent())
    };

    let group = restored(&app, header.id()).await.expect("a group");
    let worker = app.worker().start().await.expect("a worker");

    assert_eq!(group.join(PATIENCE).await.expect("values"), [3, 4, 0]);
    let nested = sent.get(PATIENCE).await.expect("a value");
    assert_eq!(nested, json!([[3, 4], 0]));
    let again = restored(&app, header.id()).await;
    assert_eq!(ids(&again.expect("it is left")), ids(&group));
    worker.stop().await.expect("stopped");
}

fn call(name: &str, args: Value) -> Canvas {
    let mut call = Canvas::task(name);
    call.args = args.as_array().expect("arguments").clone();
    call
}

async fn a_graph_has_all_that_a_task_led_to(place: Place) {
    let app = place.build(tasks()).await;
    let sent = app.send(grow::s().then(grow::s())).await.expect("sent");
    let Some(Related::Task(first)) = sent.parent() else {
        panic!("{:?} is no task", sent.parent())
    };
    let alone = first.graph().await.expect("read");
    assert_eq!(alone.nodes().len(), 1);
    assert!(!alone.is_complete());
    assert!(alone.edges().next().is_none());
    let worker = app.worker().start().await.expect("a worker");

    let collected = first.collect(PATIENCE).await.expect("values");

    let graph = first.graph().await.expect("read");
    assert!(graph.is_complete());
    let values: Vec<Value> = collected.iter().map(|(_, value)| value.clone()).collect();
    let expected = json!([
        "grown",
        2,
        [4, 6],
        [8],
        "grown",
        4,
        6,
        8,
        2,
        [4, 6],
        [8],
        4,
        6,
        8
    ]);
    assert_eq!(Value::from(values), expected);
    let collected = collected.iter().map(|(related, _)| related.id());
    let nodes = graph.nodes().iter().map(|node| node.result.id());
    assert!(collected.eq(nodes));
    let children = graph.nodes().iter().map(|node| &*node.children);
    let expected: [&[usize]; 14] = [
        &[1, 2, 3, 4],
        &[],
        &[5, 6],
        &[7],
        &[8, 9, 10],
        &[],
        &[],
        &[],
        &[],
        &[11, 12],
        &[13],
        &[],
        &[],
        &[],
    ];
    assert!(children.eq(expected), "{graph:?}");
    worker.stop().await.expect("stopped");
}

async fn a_failure_is_in_the_graph_and_ends_the_collecting(place: Place) {
    let app = place.build(tasks()).await;
    let worker = app.worker().start().await.expect("a worker");
    let sent = app.send(spoil::s()).await.expect("sent");

    let error = sent.collect(PATIENCE).await.expect_err("a child fails");

    let graph = sent.graph().await.expect("read");
    let (parent, child) = graph.edges().next().expect("an edge");
    assert_eq!(parent.id(), sent.id().as_str());
    assert!(matches!(&error, WaitError::Failed { id, .. } if id.as_str() == child.id()));
    let states = graph.nodes().iter().map(|node| node.state.clone());
    let expected = [TaskState::Success, TaskState::Failure];
    assert_eq!(states.collect::<Vec<_>>(), expected.map(Some));
    assert!(graph.is_complete());
    let (parent, child) = (parent.id(), child.id());
    let expected = format!(
        r#"digraph dependencies {{
    "{parent}" [label="{parent}\nSUCCESS", shape=oval];
    "{child}" [label="{child}\nFAILURE", shape=oval];
    "{parent}" -> "{child}";
}}
"#
    );
    assert_eq!(graph.to_dot(), expected);
    worker.stop().await.expect("stopped");
}
