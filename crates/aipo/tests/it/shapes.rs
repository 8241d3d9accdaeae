//! Workflows of every shape and size, and chords whose headers end in every way, on every store.

use std::time::Duration;

use aipo::{App, AppBuilder, Canvas, Context, ResultNode, Revoke, TaskError, TaskResult};
use aipo_core::store::{ConsumerOptions, Fetch};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::stores::{Place, on_every_store};

on_every_store! {
    a_chain_of_five_hundred,
    a_group_of_ten_thousand,
    a_chord_of_ten_thousand,
    small_shapes,
    however_a_header_ends_the_chord_ends_once,
}

/// Ends only a test that would hang.
const ENOUGH: Duration = Duration::from_secs(120);
const MANY: i64 = 10_000;

#[aipo::task(name = "add")]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[aipo::task(name = "total")]
async fn total(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

#[aipo::task(name = "identity")]
async fn identity(x: Value) -> Value {
    x
}

fn call(name: &str, args: Value) -> Canvas {
    let mut call = Canvas::task(name);
    call.args = args.as_array().expect("arguments").clone();
    call
}

fn app() -> AppBuilder {
    App::builder("shapes")
        .task(add::task())
        .task(total::task())
        .task(identity::task())
}

async fn send(app: &App, canvas: Canvas) -> ResultNode {
    let sent = app.send_canvas(canvas).await.expect("sent");
    sent.expect("a result")
}

async fn value(app: &App, node: &ResultNode) -> Value {
    match &node.members {
        None => app
            .result(node.id.as_str())
            .get(ENOUGH)
            .await
            .expect("a value"),
        Some(members) => {
            let mut values = Vec::with_capacity(members.len());
            for member in members {
                values.push(Box::pin(value(app, member)).await);
            }
            values.into()
        }
    }
}

async fn a_chain_of_five_hundred(place: Place) {
    let app = place.build(app()).await;
    let worker = app.worker().start().await.expect("a worker");
    let mut steps = vec![call("add", json!([0, 1]))];
    steps.resize(500, call("add", json!([1])));
    let node = send(&app, Canvas::chain(steps)).await;
    assert_eq!(value(&app, &node).await, 500);
    worker.stop().await.expect("stopped");
}

fn many() -> Vec<Canvas> {
    (0..MANY).map(|x| call("add", json!([x, 1]))).collect()
}

async fn a_group_of_ten_thousand(place: Place) {
    let app = place.build(app()).await;
    let worker = app.worker().start().await.expect("a worker");
    let node = send(&app, Canvas::group(many())).await;
    let expected: Vec<i64> = (1..=MANY).collect();
    assert_eq!(value(&app, &node).await, json!(expected));
    worker.stop().await.expect("stopped");
}

async fn a_chord_of_ten_thousand(place: Place) {
    let app = place.build(app()).await;
    let worker = app.worker().start().await.expect("a worker");
    let chord = Canvas::chord(many(), call("total", json!([])));
    let node = send(&app, chord).await;
    assert_eq!(value(&app, &node).await, MANY * (MANY + 1) / 2);
    worker.stop().await.expect("stopped");
}

async fn small_shapes(place: Place) {
    let app = place.build(app()).await;
    let worker = app.worker().start().await.expect("a worker");
    let one = || {
        let mut one = call("add", json!([0, 1]));
        one.immutable = true;
        one
    };
    let same = || call("identity", json!([]));
    let chord = |header, body| Canvas::chord(header, body);
    let chain = |steps| Canvas::chain(steps);
    let group = |members| Canvas::group(members);
    // A chord in a chord in a chord: each adds one to what is in its header.
    let mut nested = one();
    for _ in 0..3 {
        let body = chain(vec![call("total", json!([])), call("add", json!([1]))]);
        nested = chord(vec![nested, one()], body);
    }
    for (canvas, expected) in [
        (chain(vec![one()]), json!(1)),
        (chain(vec![chain(vec![chain(vec![one()])])]), json!(1)),
        (group(vec![one()]), json!([1])),
        (
            group(vec![group(vec![one(), one()]), one()]),
            json!([1, 1, 1]),
        ),
        (group(vec![group(vec![]), one()]), json!([1])),
        (chord(vec![one()], same()), json!([1])),
        (
            chord(vec![chain(vec![one()])], chain(vec![same()])),
            json!([1]),
        ),
        (chord(vec![], same()), json!([])),
        (chord(vec![group(vec![])], same()), json!([])),
        (chord(vec![chord(vec![], same())], same()), json!([[]])),
        (
            chord(vec![one()], group(vec![same(), same()])),
            json!([[1], [1]]),
        ),
        (chain(vec![one(), group(vec![]), same()]), json!(1)),
        (chain(vec![group(vec![one()]), same()]), json!(1)),
        (chain(vec![one(), chord(vec![], same()), same()]), json!([])),
        (chain(vec![one(), chord(vec![same()], same())]), json!([1])),
        (
            chain(vec![
                group(vec![one(), one()]),
                group(vec![same(), same()]),
                group(vec![same()]),
                same(),
            ]),
            json!([[1, 1], [1, 1]]),
        ),
        (
            chain(vec![nested.clone(), call("add", json!([100]))]),
            json!(107),
        ),
        (
            chain(vec![
                one(),
                chord(vec![same(), chain(vec![same(), nested])], same()),
                same(),
            ]),
            json!([1, 7]),
        ),
    ] {
        let told = canvas.to_value();
        let node = send(&app, canvas).await;
        assert_eq!(value(&app, &node).await, expected, "{told}");
    }
    worker.stop().await.expect("stopped");
}

/// Tells what ran.
type Ran = mpsc::UnboundedSender<String>;

#[aipo::task(name = "note")]
async fn note(
    cx: &Context,
    #[arg(rest)] _args: Vec<Value>,
    #[arg(named)] what: String,
) -> TaskResult<()> {
    cx.data::<Ran>()?.send(what)?;
    Ok(())
}

fn noted(what: &str) -> Canvas {
    let mut note = Canvas::task("note");
    note.kwargs.insert("what".to_owned(), what.into());
    note
}

#[aipo::task(name = "ending", max_deliveries = 1, time_limit = "1s")]
async fn ending(cx: &Context, how: String) -> TaskResult<String> {
    match &*how {
        "fails" => Err(TaskError::fail("as told")),
        "panics" => panic!("as told"),
        "rejects" => Err(TaskError::reject("as told")),
        "is ignored" => Err(TaskError::ignore()),
        "runs out of retries" => Err(TaskError::retry().max_retries(0)),
        "runs too long" => std::future::pending().await,
        "is revoked while it runs" => {
            let own = [cx.id().clone()];
            cx.app().revoke(&own, Revoke::Running).await?;
            std::future::pending().await
        }
        "gives too much" => Ok("x".repeat(10_000)),
        "is replaced by what fails" => Err(TaskError::replace(call("ending", json!(["fails"])))),
        other => panic!("{other} does not run"),
    }
}

/// A chord with a member that ends like this, and with a body and its errback that tell when they run.
fn chord(how: &str) -> Canvas {
    let mut member = call("ending", json!([how]));
    match how {
        "is unknown" => member = call("unknown", json!([])),
        "has arguments that do not fit" => member = call("add", json!(["one"])),
        BEFORE | WAITING => {
            member.options.insert("task_id".to_owned(), how.into());
        }
        "expires" => {
            let long_ago = "2020-02-02T02:02:02+00:00";
            member.options.insert("expires".to_owned(), long_ago.into());
        }
        _ => {}
    }
    let mut body = noted(&format!("body: {how}"));
    body.link_error(&noted(how).to_value());
    Canvas::chord(vec![call("add", json!([1, 1])), member], body)
}

const BEFORE: &str = "is revoked before it is sent";
const WAITING: &str = "is revoked while it waits";
const LOST: &str = "is lost with its worker";
const WAYS: [&str; 15] = [
    LOST,
    "fails",
    "panics",
    "rejects",
    "is ignored",
    "runs out of retries",
    "runs too long",
    BEFORE,
    WAITING,
    "is revoked while it runs",
    "expires",
    "gives too much",
    "is replaced by what fails",
    "is unknown",
    "has arguments that do not fit",
];

async fn however_a_header_ends_the_chord_ends_once(place: Place) {
    let (ran, mut runs): (Ran, _) = mpsc::unbounded_channel();
    let app = app().task(note::task()).task(ending::task()).data(ran);
    // Less than one of the results, so that the body would be too large.
    let app = app.settings(|settings| settings.task_max_message_size = 5_000);
    let app = place.build(app).await;
    let revoke = async |id: &str| {
        let revoked = app.revoke(&[id.into()], Revoke::Waiting).await;
        revoked.expect("revoked");
    };
    revoke(BEFORE).await;
    let mut bodies = vec![send(&app, chord(LOST)).await];
    start_and_die(&app).await;
    for how in &WAYS[1..] {
        bodies.push(send(&app, chord(how)).await);
    }
    revoke(WAITING).await;
    let worker = app.worker().start().await.expect("a worker");
    let mut told: Vec<String> = Vec::new();
    for _ in WAYS {
        told.extend(runs.recv().await);
    }
    for (body, how) in bodies.iter().zip(WAYS) {
        let handle = app.result::<Value>(body.id.as_str());
        let error = handle.get(ENOUGH).await.expect_err(how).to_string();
        assert!(error.contains("ChordError"), "{how}: {error}");
    }
    told.sort();
    let mut expected = WAYS.map(str::to_owned);
    expected.sort();
    assert_eq!(told, expected);
    // Nothing runs any more that could tell of a second time.
    while busy(&app).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.stop().await.expect("stopped");
    assert_eq!(runs.try_recv().ok(), None);
}

async fn busy(app: &App) -> bool {
    let queues = app.store().broker.queues().await.expect("queues");
    queues
        .iter()
        .any(|queue| queue.ready + queue.parked + queue.in_flight > 0)
}

/// Starts what waits and ends without a word, as a worker that is killed.
async fn start_and_die(app: &App) {
    let lease = Duration::from_millis(100);
    let broker = &app.store().broker;
    let options = ConsumerOptions {
        name: "doomed".into(),
        queues: vec!["celery".into()],
        lease,
    };
    let consumer = broker.consume(options).await.expect("a consumer");
    let fetch = Fetch {
        max: 2,
        started: 2,
        wait: ENOUGH,
    };
    assert_eq!(consumer.fetch(fetch).await.expect("fetched").len(), 2);
    drop(consumer);
    while broker.recover().await.expect("recovered") == 0 {
        tokio::time::sleep(lease / 2).await;
    }
}
