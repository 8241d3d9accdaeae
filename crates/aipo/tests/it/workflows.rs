//! Workflows, on every store.

use std::time::Duration;

use aipo::{App, Canvas, Context, ResultNode, TaskError, TaskResult, TaskState};
use aipo_core::store::{ConsumerOptions, Fetch, Publish, Settlement, Step, Verdict};
use serde_json::{Value, json};

use crate::stores::{Place, on_every_store};

on_every_store! {
    workflows_give_their_results,
    a_failure_reaches_everything_that_waits,
    a_part_that_cannot_be_read_fails_its_chord,
}

#[aipo::task(name = "add")]
async fn add(x: i64, y: i64) -> TaskResult<i64> {
    Ok(x + y)
}

#[aipo::task(name = "tsum")]
async fn tsum(nums: Vec<i64>) -> TaskResult<i64> {
    Ok(nums.iter().sum())
}

#[aipo::task(name = "identity")]
async fn identity(x: Value) -> TaskResult<Value> {
    Ok(x)
}

#[aipo::task(name = "fail")]
async fn fail(cx: &Context) -> TaskResult<()> {
    Err(TaskError::fail(format!("{} failed", cx.id())))
}

#[aipo::task(name = "replaced")]
async fn replaced(x: i64) -> TaskResult<i64> {
    Err(TaskError::replace(Canvas::chain(vec![
        call("add", json!([x, 1])),
        call("add", json!([10])),
    ])))
}

fn call(name: &str, args: Value) -> Canvas {
    let mut call = Canvas::task(name);
    call.args = args.as_array().expect("arguments").clone();
    call
}

async fn app(place: &Place) -> App {
    let app = App::builder("test")
        .task(add::task())
        .task(tsum::task())
        .task(identity::task())
        .task(fail::task())
        .task(replaced::task());
    place.build(app).await
}

async fn outcome(app: &App, node: &ResultNode) -> Result<Value, String> {
    let handle = app.result::<Value>(node.id.as_str());
    handle
        .get(Duration::from_secs(60))
        .await
        .map_err(|error| error.to_string())
}

/// Sends it, and gives what came of it.
async fn run(app: &App, canvas: Canvas) -> Result<Value, String> {
    let node = app
        .send_canvas(canvas)
        .await
        .expect("sent")
        .expect("a result");
    match &node.members {
        None => outcome(app, &node).await,
        Some(members) => {
            let mut values = Vec::new();
            for member in members {
                values.push(outcome(app, member).await?);
            }
            Ok(values.into())
        }
    }
}

async fn workflows_give_their_results(place: Place) {
    let app = app(&place).await;
    let worker = app.worker().start().await.expect("a worker");
    let one_and_two = || vec![call("add", json!([1, 1])), call("add", json!([2, 2]))];
    for (canvas, expected) in [
        (
            Canvas::chain(vec![call("add", json!([1, 2])), call("add", json!([3]))]),
            json!(6),
        ),
        (Canvas::group(one_and_two()), json!([2, 4])),
        (
            Canvas::chord(one_and_two(), call("tsum", json!([]))),
            json!(6),
        ),
        (
            Canvas::chain(vec![
                call("add", json!([1, 2])),
                Canvas::group(vec![call("add", json!([1])), call("add", json!([2]))]),
                call("tsum", json!([])),
                call("add", json!([100])),
            ]),
            json!(109),
        ),
        (
            Canvas::chain(vec![
                Canvas::group(one_and_two()),
                Canvas::group(vec![call("tsum", json!([])), call("tsum", json!([]))]),
                call("tsum", json!([])),
            ]),
            json!(12),
        ),
        (Canvas::chord(vec![], call("tsum", json!([]))), json!(0)),
        (
            Canvas::chord(
                vec![
                    Canvas::chain(vec![
                        call("add", json!([1, 1])),
                        Canvas::group(vec![call("add", json!([1])), call("add", json!([2]))]),
                    ]),
                    call("add", json!([0, 0])),
                ],
                call("identity", json!([])),
            ),
            json!([[3, 4], 0]),
        ),
        (
            Canvas::chord(
                vec![
                    Canvas::chord(one_and_two(), call("tsum", json!([]))),
                    call("replaced", json!([4])),
                ],
                Canvas::chain(vec![call("tsum", json!([])), call("add", json!([1000]))]),
            ),
            json!(1021),
        ),
        (
            Canvas::chain(vec![
                call("replaced", json!([1])),
                call("add", json!([100])),
            ]),
            json!(112),
        ),
    ] {
        let told = canvas.to_value();
        assert_eq!(run(&app, canvas).await, Ok(expected), "{told}");
    }
    worker.stop().await.expect("stopped");
}

async fn a_failure_reaches_everything_that_waits(place: Place) {
    let app = app(&place).await;
    let worker = app.worker().start().await.expect("a worker");
    for canvas in [
        Canvas::chain(vec![
            call("fail", json!([])),
            call("identity", json!([])),
            call("identity", json!([])),
        ]),
        Canvas::chord(
            vec![call("fail", json!([])), call("add", json!([1, 1]))],
            call("tsum", json!([])),
        ),
        Canvas::chord(
            vec![
                Canvas::chord(vec![call("fail", json!([]))], call("tsum", json!([]))),
                call("add", json!([1, 1])),
            ],
            Canvas::chain(vec![call("tsum", json!([])), call("identity", json!([]))]),
        ),
        Canvas::chain(vec![
            Canvas::group(vec![call("unknown", json!([])), call("add", json!([1, 1]))]),
            call("tsum", json!([])),
            Canvas::group(vec![
                call("identity", json!([])),
                call("identity", json!([])),
            ]),
        ]),
    ] {
        let told = canvas.to_value();
        let node = app
            .send_canvas(canvas)
            .await
            .expect("sent")
            .expect("a result");
        let awaited = node.members.clone().unwrap_or_else(|| vec![node]);
        for node in awaited {
            let error = outcome(&app, &node).await.expect_err("it failed");
            assert!(error.contains("failed"), "{error} of {told}");
            let handle = app.result::<Value>(node.id.as_str());
            assert_eq!(
                handle.state().await.expect("a state"),
                Some(TaskState::Failure)
            );
        }
    }
    worker.stop().await.expect("stopped");
}

/// Its body says what it is part of; the others know what to do.
async fn a_part_that_cannot_be_read_fails_its_chord(place: Place) {
    let app = app(&place).await;
    let one_and_two = vec![call("add", json!([1, 1])), call("add", json!([2, 2]))];
    let chord = Canvas::chord(one_and_two, call("tsum", json!([])));
    let body = app
        .send_canvas(chord)
        .await
        .expect("sent")
        .expect("a result");
    let broker = &app.store().broker;
    let options = ConsumerOptions {
        name: "breaker".to_owned(),
        queues: vec!["celery".into()],
        lease: Duration::from_secs(60),
    };
    let consumer = broker.consume(options).await.expect("a consumer");
    let one = Fetch {
        max: 1,
        started: 0,
        wait: Duration::from_secs(60),
    };
    let mut taken = consumer.fetch(one).await.expect("fetched");
    let mut delivery = taken.pop().expect("one");
    delivery.envelope.body.truncate(4);
    let headers: Value = serde_json::from_slice(&delivery.envelope.headers).expect("headers");
    let broken = Publish {
        id: headers["id"].as_str().expect("an id").into(),
        priority: 0,
        queue: delivery.queue.clone(),
        due: None,
        envelope: delivery.envelope,
    };
    broker.publish(vec![broken]).await.expect("sent");
    let ack = Settlement {
        tag: delivery.tag,
        verdict: Verdict::Ack,
        result: None,
        publish: Vec::new(),
        step: Step::default(),
    };
    consumer.settle(vec![ack]).await.expect("settled");
    consumer.close().await.expect("closed");

    let worker = app.worker().start().await.expect("a worker");
    let error = outcome(&app, &body).await.expect_err("it failed");
    assert!(error.contains("DecodeError"), "{error}");
    worker.stop().await.expect("stopped");
}
