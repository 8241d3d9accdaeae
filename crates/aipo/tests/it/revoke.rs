//! Revoking tasks that wait, on every store: with each ends what would have come after it.

use std::time::Duration;

use aipo::{App, Canvas, Context, ResultNode, Revoke, TaskId, TaskResult, TaskState, WaitError};
use aipo_core::message::Envelope;
use aipo_core::store::{ConsumerOptions, Location, Publish};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::stores::{Place, on_every_store};

on_every_store! {
    a_task_nobody_knows_ends_with_its_chain,
    a_task_nobody_knows_that_comes_later_ends_with_its_chain,
    a_chain_within_a_chord_ends_it,
    a_part_that_waits_ends_its_chord,
    a_part_that_is_parked_ends_its_chord,
    all_parts_of_a_chord_end_it_once,
    a_member_ends_and_the_others_go_on,
    a_command_from_elsewhere_ends_the_chain,
    what_cannot_be_understood_stays,
    the_chords_of_a_revoked_workflow_stay_revoked,
    ten_thousand_end_in_one_call,
}

const PATIENCE: Duration = Duration::from_secs(60);
const AN_HOUR: f64 = 3_600.0;

/// What the errback was told.
type Told = UnboundedSender<Value>;

#[aipo::task(name = "add")]
async fn add(x: i64, y: i64) -> TaskResult<i64> {
    Ok(x + y)
}

#[aipo::task(name = "tsum")]
async fn tsum(nums: Vec<i64>) -> TaskResult<i64> {
    Ok(nums.iter().sum())
}

#[aipo::task(name = "errback")]
async fn errback(cx: &Context, id: Value) -> TaskResult<()> {
    cx.data::<Told>()?.send(id)?;
    Ok(())
}

fn call(name: &str, args: Value) -> Canvas {
    let mut call = Canvas::task(name);
    call.args = args.as_array().expect("arguments").clone();
    call
}

fn parked(mut call: Canvas) -> Canvas {
    call.options.insert("countdown".to_owned(), AN_HOUR.into());
    call
}

/// An app with the tasks of these workflows, and what their errbacks are told.
async fn app(place: &Place) -> (App, UnboundedReceiver<Value>) {
    let (told, errors) = mpsc::unbounded_channel();
    let app = App::builder("test")
        .data::<Told>(told)
        .task(add::task())
        .task(tsum::task())
        .task(errback::task());
    (place.build(app).await, errors)
}

async fn send(app: &App, canvas: Canvas) -> ResultNode {
    let sent = app.send_canvas(canvas).await.expect("sent");
    sent.expect("it runs something")
}

async fn revoke(app: &App, nodes: &[&ResultNode]) {
    let ids: Vec<TaskId> = nodes.iter().map(|node| node.id.as_str().into()).collect();
    app.revoke(&ids, Revoke::Waiting).await.expect("revoked");
}

async fn outcome(app: &App, node: &ResultNode) -> Result<Value, WaitError> {
    app.result::<Value>(node.id.as_str()).get(PATIENCE).await
}

async fn assert_revoked(app: &App, node: &ResultNode) {
    match outcome(app, node).await {
        Err(WaitError::Revoked { reason, .. }) => assert_eq!(reason, "revoked"),
        other => panic!("{other:?}"),
    }
}

/// Asserts that nothing is left in any queue.
async fn assert_nothing_waits(app: &App) {
    for queue in app.store().broker.queues().await.expect("queues") {
        let left = [queue.ready, queue.parked, queue.in_flight, queue.dead];
        assert_eq!(left, [0; 4], "{queue:?}");
    }
}

/// The members of the group that comes before.
fn members(node: &ResultNode) -> &[ResultNode] {
    let group = node.parent.as_deref().expect("a group comes before it");
    group.members.as_deref().expect("it has members")
}

async fn a_task_nobody_knows_ends_with_its_chain(place: Place) {
    let app = place.build(App::builder("test")).await;
    let nameless = || call("not.of.this.program", json!([]));
    let chord = Canvas::chord(vec![nameless(), nameless()], nameless());
    for (rest, later) in [(nameless(), nameless()), (chord, parked(nameless()))] {
        let last = send(&app, Canvas::chain(vec![nameless(), rest, later])).await;
        let mut first = &last;
        while let Some(parent) = &first.parent {
            first = parent;
        }

        revoke(&app, &[first]).await;

        assert_revoked(&app, first).await;
        assert_revoked(&app, &last).await;
        assert_nothing_waits(&app).await;
    }
}

async fn a_task_nobody_knows_that_comes_later_ends_with_its_chain(place: Place) {
    let app = place.build(App::builder("test")).await;
    let id = TaskId::from("later");
    let ids = std::slice::from_ref(&id);
    app.revoke(ids, Revoke::Waiting).await.expect("revoked");
    let worker = app.worker().start().await.expect("a worker");
    let mut first = call("not.of.this.program", json!([]));
    first
        .options
        .insert("task_id".to_owned(), id.as_str().into());
    let rest = call("not.of.this.program", json!([]));

    let last = send(&app, Canvas::chain(vec![first, rest])).await;

    assert_revoked(&app, &last).await;
    assert_revoked(&app, last.parent.as_deref().expect("two tasks")).await;
    worker.stop().await.expect("stopped");
    assert_nothing_waits(&app).await;
}

/// Sends a chord with an errback.
async fn chord(app: &App, header: Vec<Canvas>) -> ResultNode {
    let mut chord = Canvas::chord(header, call("tsum", json!([])));
    chord.link_error(&call("errback", json!([])).to_value());
    send(app, chord).await
}

/// Asserts that a chord fails since a part was revoked, and that its errback is called once.
async fn assert_fails_once(app: &App, body: &ResultNode, mut errors: UnboundedReceiver<Value>) {
    let worker = app.worker().start().await.expect("a worker");
    match outcome(app, body).await {
        Err(WaitError::Failed { exception, .. }) => {
            assert_eq!(exception.exc_type, "ChordError");
            let text = exception.to_string();
            assert!(text.contains("TaskRevokedError"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    errors.recv().await.expect("the errback is called");
    worker.stop().await.expect("stopped");
    assert_nothing_waits(app).await;
    assert_eq!(errors.try_recv().ok(), None, "it is called once");
}

async fn a_part_that_waits_ends_its_chord(place: Place) {
    let (app, errors) = app(&place).await;
    let part = || call("add", json!([1, 1]));
    let body = chord(&app, vec![part(), part(), part()]).await;

    revoke(&app, &[&members(&body)[1]]).await;

    assert_revoked(&app, &members(&body)[1]).await;
    assert_fails_once(&app, &body, errors).await;
    assert_eq!(outcome(&app, &members(&body)[0]).await.expect("2"), 2);
}

async fn a_part_that_is_parked_ends_its_chord(place: Place) {
    let (app, errors) = app(&place).await;
    let part = || call("add", json!([1, 1]));
    let body = chord(&app, vec![part(), parked(part())]).await;

    revoke(&app, &[&members(&body)[1]]).await;

    assert_fails_once(&app, &body, errors).await;
}

async fn all_parts_of_a_chord_end_it_once(place: Place) {
    let (app, errors) = app(&place).await;
    let part = || call("add", json!([1, 1]));
    let body = chord(&app, vec![part(), parked(part()), part()]).await;

    revoke(&app, &members(&body).iter().collect::<Vec<_>>()).await;

    assert_nothing_waits(&app).await;
    assert_fails_once(&app, &body, errors).await;
}

async fn a_chain_within_a_chord_ends_it(place: Place) {
    let (app, errors) = app(&place).await;
    let part = || call("add", json!([1, 1]));
    let chain = Canvas::chain(vec![
        part(),
        call("add", json!([1])),
        call("add", json!([1])),
    ]);
    let body = chord(&app, vec![part(), chain]).await;
    let last = &members(&body)[1];
    let mut first = last;
    while let Some(parent) = &first.parent {
        first = parent;
    }

    revoke(&app, &[first]).await;

    assert_revoked(&app, last).await;
    assert_fails_once(&app, &body, errors).await;
}

/// Returns when a worker has finished the chords that were complete before, and those around them.
async fn chords_are_finished(app: &App) {
    for _ in 0..3 {
        let part = || call("add", json!([1, 1]));
        let body = chord(app, vec![part(), part()]).await;
        assert_eq!(outcome(app, &body).await.expect("4"), 4);
    }
}

async fn the_chords_of_a_revoked_workflow_stay_revoked(place: Place) {
    let (app, mut errors) = app(&place).await;
    let part = || call("add", json!([1, 1]));
    let parts = || vec![part(), parked(part()), part()];
    let tsum = || call("tsum", json!([]));
    let within = Canvas::chord(vec![Canvas::chord(parts(), tsum()), part()], tsum());
    let with_body = |body| Canvas::chord(parts(), body);
    let shapes = [
        Canvas::chain(vec![with_body(tsum()), call("add", json!([1])), part()]),
        within,
        with_body(Canvas::group(vec![tsum(), tsum()])),
        with_body(Canvas::chord(vec![tsum(), tsum()], tsum())),
        Canvas::chain(vec![part(), Canvas::group(parts()), tsum()]),
    ];
    let mut awaited = Vec::new();
    for mut shape in shapes {
        shape.link_error(&call("errback", json!([])).to_value());
        let last = send(&app, shape).await;
        let workflow = app.result::<Value>(&*last.id);
        let revoked = workflow.revoke_tree(Revoke::Waiting).await;
        revoked.expect("revoked");
        let mut nodes = vec![last];
        while let Some(node) = nodes.pop() {
            nodes.extend(node.members.iter().flatten().cloned());
            nodes.extend(node.parent.as_deref().cloned());
            if !node.is_group() {
                awaited.push(node);
            }
        }
    }

    let worker = app.worker().start().await.expect("a worker");
    chords_are_finished(&app).await;
    worker.stop().await.expect("stopped");

    for node in &awaited {
        assert_revoked(&app, node).await;
    }
    assert_eq!(errors.try_recv().ok(), None, "no errback is called");
    assert_nothing_waits(&app).await;
}

async fn a_member_ends_and_the_others_go_on(place: Place) {
    let (app, _errors) = app(&place).await;
    let member = |n: i64| call("add", json!([n, n]));
    let group = send(&app, Canvas::group(vec![member(1), member(2), member(3)])).await;
    let members = group.members.expect("a group");

    revoke(&app, &[&members[1]]).await;

    assert_revoked(&app, &members[1]).await;
    let worker = app.worker().start().await.expect("a worker");
    assert_eq!(outcome(&app, &members[0]).await.expect("2"), 2);
    assert_eq!(outcome(&app, &members[2]).await.expect("6"), 6);
    worker.stop().await.expect("stopped");
    assert_nothing_waits(&app).await;
}

/// As Python sends it: nothing is in the store yet.
async fn a_command_from_elsewhere_ends_the_chain(place: Place) {
    let (app, _errors) = app(&place).await;
    let first = parked(call("add", json!([1, 1])));
    let last = send(&app, Canvas::chain(vec![first, call("add", json!([1]))])).await;
    let first = last.parent.as_deref().expect("two tasks");
    let worker = app.worker().name("w@h").start().await.expect("a worker");

    let answers = app
        .control()
        .ask("revoke", json!({ "task_id": first.id }))
        .await
        .expect("the store carries it");

    assert!(answers["w@h"]["ok"].is_string(), "{answers:?}");
    assert_revoked(&app, first).await;
    assert_revoked(&app, &last).await;
    worker.stop().await.expect("stopped");
    assert_nothing_waits(&app).await;
}

/// A worker puts it aside later, with its reason and its bytes.
async fn what_cannot_be_understood_stays(place: Place) {
    let (app, _errors) = app(&place).await;
    let sent = send(&app, call("add", json!([1, 1]))).await;
    let broken = Envelope {
        headers: br#"{"id": "broken", "task": "add", "lang": "py"}"#.to_vec(),
        body: b"no body".to_vec(),
        ..Envelope::default()
    };
    let broken = Publish {
        queue: app.settings().task_default_queue.clone(),
        id: "broken".into(),
        priority: 0,
        due: None,
        envelope: broken,
    };
    let broker = &app.store().broker;
    broker.publish(vec![broken]).await.expect("published");
    let ids = [TaskId::from("broken"), sent.id.as_str().into()];

    app.revoke(&ids, Revoke::Waiting).await.expect("revoked");

    assert_revoked(&app, &sent).await;
    let found = broker.locate(&ids).await.expect("answered");
    assert!(
        matches!(found[..], [Some(Location::Ready { .. }), None]),
        "{found:?}"
    );
    let state = app.result::<Value>("broken").state().await;
    assert_eq!(state.expect("answered"), Some(TaskState::Pending));
}

#[tokio::test(start_paused = true)]
async fn what_a_revoker_that_died_had_claimed_is_ended_by_a_worker() {
    let (app, _errors) = app(&Place::memory()).await;
    let first = parked(call("add", json!([1, 1])));
    let last = send(&app, Canvas::chain(vec![first, call("add", json!([1]))])).await;
    let first = last.parent.as_deref().expect("two tasks");
    let ids = [TaskId::from(&*first.id)];
    let dying = ConsumerOptions {
        name: "dying".to_owned(),
        queues: Vec::new(),
        lease: Duration::from_secs(10),
    };
    let dying = app.store().broker.consume(dying).await.expect("registered");
    assert_eq!(dying.claim(&ids).await.expect("claimed").len(), 1);
    drop(dying);

    app.revoke(&ids, Revoke::Waiting).await.expect("revoked");
    let before = app.result::<Value>(&*first.id).state().await;
    assert_ne!(before.expect("answered"), Some(TaskState::Revoked));

    let worker = app.worker().start().await.expect("a worker");
    let patience = Duration::from_secs(2 * 3_600);
    let ended = app.result::<Value>(&*last.id).get(patience).await;
    assert!(matches!(ended, Err(WaitError::Revoked { .. })), "{ended:?}");
    worker.stop().await.expect("stopped");
    assert_nothing_waits(&app).await;
}

/// So many that they are ended step by step; one of them is not meant.
async fn ten_thousand_end_in_one_call(place: Place) {
    let (app, _errors) = app(&place).await;
    let count = 10_000;
    let mut ids: Vec<TaskId> = Vec::with_capacity(count);
    for _ in 0..count / 1_000 {
        let calls = (0..1_000).map(|n| call("add", json!([n, n]))).collect();
        let group = send(&app, Canvas::group(calls)).await;
        let members = group.members.expect("a group");
        ids.extend(members.iter().map(|member| TaskId::from(&*member.id)));
    }
    let spared = ids.swap_remove(count / 2);

    app.revoke(&ids, Revoke::Waiting).await.expect("revoked");

    let stored = app.store().results.get(&ids).await.expect("results");
    assert!(stored.iter().all(Option::is_some));
    let queues = app.store().broker.queues().await.expect("queues");
    let left: Vec<_> = queues
        .iter()
        .map(|queue| (queue.ready, queue.in_flight))
        .collect();
    assert_eq!(left, [(1, 0)]);
    let worker = app.worker().start().await.expect("a worker");
    let spared = app.result::<Value>(spared.as_str()).get(PATIENCE).await;
    spared.expect("it was not revoked");
    worker.stop().await.expect("stopped");
}
