//! Large workflows, on every store: what is kept of them grows with the number of their tasks, and not faster.

use std::time::Duration;

use aipo::{App, Canvas, Context, ErrorKind, TaskError, TaskResult, TaskState};
use aipo_core::store::{ConsumerOptions, Fetch};
use serde_json::Value;

use crate::stores::{Place, on_every_store};

on_every_store! {
    layers_of_groups_take_little_and_give_their_result,
    a_large_workflow_that_fails_ends_everywhere,
    a_long_chain_takes_little_and_gives_its_result,
    tasks_that_live_elsewhere_are_carried_along,
    a_reference_that_was_sent_is_what_it_stands_for,
    what_follows_a_dead_letter_stays,
    what_nests_deep_in_messages_is_read,
    what_nests_too_deep_is_refused,
}

/// How much a node may take beside its arguments, in bytes.
const PER_NODE: usize = 1024;

#[aipo::task(name = "layered")]
async fn layered(#[arg(rest)] args: Vec<Value>) -> TaskResult<u64> {
    // What came before: one number, those of a group, or nothing.
    let numbers = args.iter().flat_map(|arg| match arg {
        Value::Array(members) => members.clone(),
        one => vec![one.clone()],
    });
    let largest = numbers.filter_map(|number| number.as_u64()).max();
    Ok(largest.unwrap_or_default() + 1)
}

#[aipo::task(name = "breaks")]
async fn breaks(cx: &Context, #[arg(rest)] _args: Vec<Value>) -> TaskResult<u64> {
    Err(TaskError::fail(format!("{} broke", cx.id())))
}

async fn app(place: &Place) -> App {
    let app = App::builder("test")
        .task(layered::task())
        .task(breaks::task());
    place.build(app).await
}

fn layers(depth: usize, width: usize, task: &str) -> Vec<Canvas> {
    let layer = || Canvas::group((0..width).map(|_| Canvas::task(task)).collect());
    (0..depth).map(|_| layer()).collect()
}

/// What its store keeps of the workflows that were sent: messages, steps and trees, in bytes.
async fn size(app: &App) -> usize {
    let store = app.store();
    let facts = store.state.scan("").await.expect("facts");
    let facts: usize = facts.iter().map(|(_, value)| value.len()).sum();
    let options = ConsumerOptions {
        name: "scales".to_owned(),
        queues: vec!["celery".into()],
        lease: Duration::from_secs(60),
    };
    let consumer = store.broker.consume(options).await.expect("a consumer");
    let all = Fetch {
        max: 100_000,
        started: 0,
        wait: Duration::ZERO,
    };
    let messages = consumer.fetch(all).await.expect("messages");
    let messages: usize = messages
        .iter()
        .map(|delivery| delivery.envelope.size())
        .sum();
    consumer.close().await.expect("handed back");
    facts + messages
}

/// Sends it, checks what is kept, and gives the id of what is awaited.
async fn send(app: &App, canvas: Canvas, nodes: usize) -> String {
    let node = app.send_canvas(canvas).await.expect("sent");
    let kept = size(app).await;
    assert!(
        kept < nodes * PER_NODE,
        "{kept} bytes for {nodes} tasks, {} for each",
        kept / nodes
    );
    node.expect("a result").id
}

async fn steps_left(app: &App) -> usize {
    app.store().state.scan("step/").await.expect("facts").len()
}

async fn layers_of_groups_take_little_and_give_their_result(place: Place) {
    let app = app(&place).await;
    let (depth, width) = (100, 100);
    let mut steps = layers(depth, width, "layered");
    steps.push(Canvas::task("layered"));

    let last = send(&app, Canvas::chain(steps), depth * width + 1).await;
    assert!(steps_left(&app).await > depth / 2);

    let worker = app.worker().start().await.expect("a worker");
    let value = app.result::<u64>(last).get(Duration::from_secs(120)).await;
    assert_eq!(value.expect("a value"), depth as u64 + 1);
    worker.stop().await.expect("stopped");
    assert_eq!(steps_left(&app).await, 0);
}

async fn a_large_workflow_that_fails_ends_everywhere(place: Place) {
    let app = app(&place).await;
    let mut steps = layers(3, 50, "layered");
    steps.push(Canvas::task("breaks"));
    steps.extend(layers(20, 50, "layered"));
    let mut of_chain = Canvas::chain(steps.clone());
    of_chain.link_error(&Canvas::task("layered").to_value());
    let last = send(&app, of_chain, 23 * 50 + 1).await;
    assert!(steps_left(&app).await > 0);

    // The last step is a group: all of its members fail.
    let tree = app.workflow(last).await.expect("looked up");
    let worker = app.worker().start().await.expect("a worker");
    let aipo::WorkflowStep::Group { members, .. } =
        tree.expect("kept").steps.pop().expect("a last step")
    else {
        panic!("a group is last")
    };
    for member in members {
        let [aipo::WorkflowStep::Task(task)] = &member[..] else {
            panic!("a task")
        };
        let handle = app.result::<Value>(task.id.clone());
        let error = handle.get(Duration::from_secs(60)).await;
        let error = error.expect_err("it failed").to_string();
        assert!(error.contains("broke"), "{error}");
        let state = handle.state().await.expect("a state");
        assert_eq!(state, Some(TaskState::Failure));
    }
    worker.stop().await.expect("stopped");
    assert_eq!(steps_left(&app).await, 0);
}

async fn a_long_chain_takes_little_and_gives_its_result(place: Place) {
    let app = app(&place).await;
    let length = 500;
    let steps = (0..length).map(|_| Canvas::task("layered")).collect();

    let last = send(&app, Canvas::chain(steps), length).await;

    let worker = app.worker().start().await.expect("a worker");
    let value = app.result::<u64>(last).get(Duration::from_secs(60)).await;
    assert_eq!(value.expect("a value"), length as u64);
    worker.stop().await.expect("stopped");
    assert_eq!(steps_left(&app).await, 0);
}

/// A Python worker knows no references, so it is given none.
async fn tasks_that_live_elsewhere_are_carried_along(place: Place) {
    let app = app(&place).await;
    let mut steps = layers(1, 50, "elsewhere");
    steps.extend(layers(3, 50, "layered"));

    app.send_canvas(Canvas::chain(steps)).await.expect("sent");

    let kept = app.store().state.scan("step/").await.expect("facts");
    // What follows the tasks that live here.
    assert!(!kept.is_empty());
    let options = ConsumerOptions {
        name: "elsewhere".to_owned(),
        queues: vec!["celery".into()],
        lease: Duration::from_secs(60),
    };
    let consumer = app.store().broker.consume(options).await.expect("consumer");
    let all = Fetch {
        max: 100,
        started: 0,
        wait: Duration::ZERO,
    };
    for delivery in consumer.fetch(all).await.expect("messages") {
        let (_, _, embed): (Value, Value, Value) =
            serde_json::from_slice(&delivery.envelope.body).expect("a body");
        assert_eq!(embed["chord"]["task"], "celery.chord");
    }
}

/// Everything in messages, as Python sends it.
async fn what_nests_deep_in_messages_is_read(place: Place) {
    let app = App::builder("test").task(layered::task());
    let app = place
        .build(app.settings(|settings| settings.workflow_inline_max_size = usize::MAX))
        .await;
    let mut steps = layers(70, 2, "layered");
    steps.push(Canvas::task("layered"));
    let node = app.send_canvas(Canvas::chain(steps)).await.expect("sent");
    assert_eq!(steps_left(&app).await, 0);

    let worker = app.worker().start().await.expect("a worker");
    let handle = app.result::<u64>(node.expect("a result").id);
    let value = handle.get(Duration::from_secs(60)).await;
    assert_eq!(value.expect("a value"), 71);
    worker.stop().await.expect("stopped");
}

async fn what_nests_too_deep_is_refused(place: Place) {
    let app = app(&place).await;
    let refused = async |canvas: Canvas| {
        let error = app.send_canvas(canvas).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };

    let many = Canvas::chain(layers(1_001, 2, "layered"));
    let error = refused(many).await;
    assert!(error.contains("1000 layers"), "{error}");

    let mut inside = Canvas::task("layered");
    for _ in 0..200 {
        let beside = Canvas::chain(vec![Canvas::task("layered"), inside]);
        inside = Canvas::group(vec![beside, Canvas::task("layered")]);
    }
    let error = refused(inside).await;
    assert!(error.contains("400 levels"), "{error}");

    assert_eq!(size(&app).await, 0);
}

/// A Python worker that comes to a reference sends it as a task.
async fn a_reference_that_was_sent_is_what_it_stands_for(place: Place) {
    let app = app(&place).await;
    let steps = Canvas::chain(vec![Canvas::task("layered"), Canvas::task("layered")]);
    let kept = serde_json::to_vec(&steps.to_value()).expect("a signature");
    let state = &app.store().state;
    state.put("step/one", kept, None).await.expect("kept");
    let reference = |key: &str| {
        let mut reference = Canvas::task("aipo.resume");
        reference.kwargs.insert("kept".to_owned(), key.into());
        reference.args.push(40.into());
        reference
    };
    let worker = app.worker().start().await.expect("a worker");

    let node = app.send_canvas(reference("step/one")).await.expect("sent");
    let handle = app.result::<u64>(node.expect("a result").id);
    let value = handle.get(Duration::from_secs(60)).await;
    assert_eq!(value.expect("a value"), 42);

    let node = app.send_canvas(reference("step/gone")).await.expect("sent");
    let handle = app.result::<u64>(node.expect("a result").id);
    let error = handle.get(Duration::from_secs(60)).await;
    let error = error.expect_err("it failed").to_string();
    assert!(error.contains("kept no more"), "{error}");
    worker.stop().await.expect("stopped");
}

/// Then what is kept lies with the broker, and nothing is one step any more.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn results_may_be_in_another_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    let app = App::builder("test")
        .task(layered::task())
        .settings(|settings| {
            settings.broker_url = url("broker.db");
            settings.result_backend = url("results.db");
        });
    let app = app.build().await.expect("an app");
    let mut steps = layers(5, 50, "layered");
    steps.extend((0..100).map(|_| Canvas::task("layered")));
    let node = app.send_canvas(Canvas::chain(steps)).await.expect("sent");
    let id = node.expect("a result").id;
    assert!(steps_left(&app).await > 0);
    assert!(app.workflow(id.as_str()).await.expect("read").is_some());

    let worker = app.worker().start().await.expect("a worker");
    let value = app.result::<u64>(id).get(Duration::from_secs(60)).await;
    assert_eq!(value.expect("a value"), 105);
    worker.stop().await.expect("stopped");
    assert_eq!(steps_left(&app).await, 0);
}

#[aipo::task(name = "rejects_once", max_retries = 0)]
async fn rejects_once(_number: u64) -> TaskResult<u64> {
    Err(TaskError::reject("not now"))
}

/// A dead letter that is sent once more still knows what follows it.
async fn what_follows_a_dead_letter_stays(place: Place) {
    let app = App::builder("test")
        .task(layered::task())
        .task(rejects_once::task());
    let app = place.build(app).await;
    let mut steps = vec![Canvas::task("layered"), Canvas::task("rejects_once")];
    steps.extend((0..200).map(|_| Canvas::task("layered")));
    let node = app.send_canvas(Canvas::chain(steps)).await.expect("sent");
    let kept = steps_left(&app).await;
    let worker = app.worker().start().await.expect("a worker");

    let handle = app.result::<u64>(node.expect("a result").id);
    let end = handle.get(Duration::from_secs(60)).await;

    assert!(end.is_err());
    worker.stop().await.expect("stopped");
    assert!(kept > 0);
    assert_eq!(steps_left(&app).await, kept);
}
