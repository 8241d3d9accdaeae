//! Messages and results in every form that Celery writes, through a worker and back.

use std::time::Duration;

use aipo::python::{Bytes, Date, DateTime, Decimal, Uuid};
use aipo::{
    App, AppBuilder, Compression, ErrorKind, Handle, Serializer, Signature, TaskError, TaskResult,
    TaskState, WaitError, testing,
};
use aipo_core::message::{Envelope, Properties};
use aipo_core::store::{ConsumerOptions, Fetch, Publish};
use serde_json::{Value, json};

const ENOUGH: Duration = Duration::from_secs(1_000_000);

async fn working(builder: AppBuilder) -> App {
    let app = testing::build(builder).await.expect("a good app");
    app.worker().start().await.expect("a worker");
    app
}

#[aipo::task(name = "echo", retry_delay = "60s")]
async fn echo(cx: &aipo::Context, value: Value, #[arg(default)] retry: bool) -> TaskResult<Value> {
    if retry && cx.retries() == 0 {
        return Err(TaskError::retry());
    }
    Ok(value)
}

async fn failure<T: serde::de::DeserializeOwned + std::fmt::Debug>(handle: &Handle<T>) -> String {
    match handle.get(ENOUGH).await {
        Err(WaitError::Failed { exception, .. }) => exception.to_string(),
        other => panic!("{other:?} is no failure"),
    }
}

/// Puts a message of somebody else's into the queue.
async fn put(app: &App, id: &str, content_type: &str, headers: Value, body: &str) {
    let envelope = Envelope {
        headers: headers.to_string().into_bytes(),
        properties: Properties {
            content_type: content_type.to_owned(),
            correlation_id: Some(id.to_owned()),
            ..Properties::default()
        },
        body: body.as_bytes().to_vec(),
    };
    let publish = Publish {
        queue: "celery".into(),
        id: id.into(),
        priority: 0,
        due: None,
        envelope,
    };
    let broker = &app.store().broker;
    broker.publish(vec![publish]).await.expect("published");
}

/// Puts a call of protocol 2 in JSON into the queue and gives its handle.
async fn call<T>(app: &App, task: &str, args: &str) -> Handle<T> {
    let id = aipo::TaskId::new();
    let headers = json!({"task": task, "id": id});
    let body = format!("[{args}, {{}}, null]");
    put(app, id.as_str(), "application/json", headers, &body).await;
    app.result(id)
}

#[tokio::test(start_paused = true)]
async fn every_serialisation_and_compression_brings_values_there_and_back() {
    let value = json!({"olá": [1, -2.5, null, true, "x".repeat(500)], "more": {"a": []}});
    for serializer in Serializer::ALL {
        let compressions = Compression::ALL.into_iter().map(Some).chain([None]);
        for compression in compressions {
            let builder = App::builder("t").task(echo::task()).settings(|settings| {
                settings.task_serializer = serializer;
                settings.task_compression = compression;
                settings.result_serializer = serializer;
                settings.result_compression = compression;
            });
            let app = working(builder).await;
            let handle = app.send(echo::s(value.clone(), true)).await.expect("sent");
            let came = handle.get(ENOUGH).await.expect("a value");
            assert_eq!(came, value, "{serializer} {compression:?}");
            let stored = app.store().results.get(&[handle.id().clone()]).await;
            let stored = stored.expect("results").remove(0).expect("one is stored");
            let is_plain = serde_json::from_slice::<Value>(&stored).is_ok();
            assert_eq!(
                is_plain,
                serializer != Serializer::Msgpack && compression.is_none()
            );
        }
    }
}

/// The one message that waits in the queue.
async fn taken(app: &App) -> aipo_core::store::Delivery {
    let options = ConsumerOptions {
        name: "test".to_owned(),
        queues: vec!["celery".into()],
        lease: Duration::from_secs(10),
    };
    let consumer = app
        .store()
        .broker
        .consume(options)
        .await
        .expect("a consumer");
    let fetch = Fetch {
        max: 1,
        wait: Duration::ZERO,
        started: 0,
    };
    consumer.fetch(fetch).await.expect("a message").remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_call_says_how_it_is_written() {
    let app = testing::build(App::builder("t")).await.expect("an app");
    let call = echo::s(json!(1), false)
        .serializer(Serializer::Msgpack)
        .compression(Compression::Zlib);
    app.send(call).await.expect("sent");
    let taken = taken(&app).await;
    let headers: Value = serde_json::from_slice(&taken.envelope.headers).expect("JSON");
    assert_eq!(headers["compression"], "application/x-gzip");
    assert_eq!(
        taken.envelope.properties.content_type,
        "application/x-msgpack"
    );
    assert_eq!(taken.envelope.properties.content_encoding, "binary");
    assert_eq!(taken.envelope.body[0], 0x78, "zlib");
}

#[tokio::test(start_paused = true)]
async fn the_header_compression_is_not_for_applications() {
    let app = testing::build(App::builder("t")).await.expect("an app");
    let call = echo::s(json!(1), false).header("compression", "mine");
    let error = app.send(call).await.expect_err("the header is taken");
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[aipo::task(name = "typed")]
async fn typed(
    day: String,
    price: f64,
    big: u128,
    raw: Bytes,
    #[arg(default)] rest: Option<Vec<Option<f64>>>,
) -> TaskResult<(String, f64, String, usize, usize)> {
    let nulls = rest.iter().flatten().filter(|number| number.is_none());
    Ok((day, price, big.to_string(), raw.0.len(), nulls.count()))
}

#[tokio::test(start_paused = true)]
async fn plain_types_take_what_python_sends() {
    let app = working(App::builder("t").task(typed::task())).await;
    let args = r#"[{"__type__": "date", "__value__": "2026-01-02"}, {"__type__": "decimal", "__value__": "1.50"},
        18446744073709551616, {"__type__": "base64", "__value__": "//4="}, [NaN, 1, -Infinity]]"#;
    let handle = call::<Value>(&app, "typed", args).await;
    assert_eq!(
        handle.get(ENOUGH).await.expect("a value"),
        json!(["2026-01-02", 1.5, "18446744073709551616", 2, 2])
    );
    let handle = call::<Value>(&app, "typed", r#"["", NaN, 1, ""]"#).await;
    assert_eq!(
        failure(&handle).await,
        "TypeError: typed() argument 'price': invalid type: null, expected f64 at line 1 column 4"
    );
}

#[tokio::test(start_paused = true)]
async fn values_and_results_keep_pythons_types() {
    let app = working(App::builder("t").task(echo::task())).await;
    let at: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
    let value = json!([
        DateTime(at),
        Bytes(vec![255]),
        Decimal("1.50".into()),
        Uuid(Default::default())
    ]);
    let handle = app.send(echo::s(value.clone(), false)).await.expect("sent");
    assert_eq!(handle.get(ENOUGH).await.expect("a value"), value);

    type Typed = (DateTime, Bytes, f64, String);
    let typed: Typed = app
        .result(handle.id().clone())
        .get(ENOUGH)
        .await
        .expect("typed");
    assert_eq!(typed.0, DateTime(at));
    assert_eq!((typed.1.0, typed.2), (vec![255], 1.5));
    assert_eq!(typed.3, "00000000-0000-0000-0000-000000000000");
    let day = json!({"day": Date(jiff::civil::date(2026, 1, 2))});
    let handle = app.send(echo::s(day, false)).await.expect("sent");
    let plain: std::collections::BTreeMap<String, String> = app
        .result(handle.id().clone())
        .get(ENOUGH)
        .await
        .expect("text");
    assert_eq!(plain["day"], "2026-01-02");
}

#[tokio::test(start_paused = true)]
async fn protocol_1_runs_when_it_is_due() {
    let app = working(App::builder("t").task(echo::task())).await;
    let due = app.clock().after(Duration::from_secs(3600));
    let body = json!({
        "task": "echo", "id": "old", "args": [5], "kwargs": {}, "retries": 0, "utc": true,
        "eta": due.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string(), "taskset": "g", "group": null,
    });
    put(
        &app,
        "old",
        "application/json",
        json!({}),
        &body.to_string(),
    )
    .await;
    let handle = app.result::<i64>("old");
    let early = handle
        .wait(Duration::from_secs(3000))
        .await
        .expect("the store");
    assert!(early.is_none(), "{early:?}");
    assert_eq!(
        handle.state().await.expect("the store"),
        Some(TaskState::Pending)
    );
    assert_eq!(handle.get(ENOUGH).await.expect("a value"), 5);
    assert!(app.clock().now() >= due);
    let meta = handle.meta().await.expect("the store").expect("a result");
    assert_eq!(meta.group_id, Some("g".into()));
    assert_eq!(
        app.store()
            .broker
            .dead_letters(None, 10)
            .await
            .expect("none")
            .len(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_refused_fails_under_its_name_and_is_kept() {
    let builder = App::builder("t").task(echo::task());
    let app = working(builder.settings(|settings| settings.result_extended = true)).await;
    let headers = json!({"task": "echo", "id": "p", "group": "g", "parent_id": "q"});
    put(
        &app,
        "p",
        "application/x-python-serialize",
        headers.clone(),
        "\u{80}\u{4}.",
    )
    .await;
    let handle = app.result::<i64>("p");
    assert_eq!(
        failure(&handle).await,
        "ContentDisallowed: Refusing to deserialize untrusted content of type pickle \
         (application/x-python-serialize)"
    );
    let meta = handle.meta().await.expect("the store").expect("a result");
    let exception = meta.exception().expect("a failure has one");
    assert_eq!(exception.exc_module.as_deref(), Some("kombu.exceptions"));
    assert_eq!(meta.extended["name"], "echo");
    assert_eq!(
        (meta.group_id, meta.parent_id),
        (Some("g".into()), Some("q".into()))
    );
    let dead = app
        .store()
        .broker
        .dead_letters(None, 10)
        .await
        .expect("one");
    assert_eq!(dead[0].envelope.headers, headers.to_string().into_bytes());
    assert_eq!(dead[0].envelope.body, "\u{80}\u{4}.".as_bytes());
}

#[tokio::test(start_paused = true)]
async fn msgpack_refuses_what_it_has_no_place_for() {
    #[aipo::task(name = "huge")]
    async fn huge() -> u128 {
        u128::MAX
    }
    let builder = App::builder("t").task(huge::task());
    let app =
        working(builder.settings(|settings| settings.result_serializer = Serializer::Msgpack))
            .await;
    let handle = app.send(Signature::new("huge")).await.expect("sent");
    assert_eq!(
        failure(&handle).await,
        format!("EncodeError: msgpack: {} has more than 64 bits", u128::MAX)
    );
}
