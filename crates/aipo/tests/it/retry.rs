//! What a task says of its retry, and what is stored meanwhile.

use std::time::Duration;

use aipo::testing::{self, Sent};
use aipo::{App, AppBuilder, Context, Signature, TaskError, TaskResult, TaskState, WaitError};
use serde_json::{Map, Value, json};

use crate::stores::{Place, on_every_store};

on_every_store! {
    a_task_knows_that_its_message_was_given_back,
    a_chain_goes_on_after_a_step_that_was_given_back,
}

/// Long enough for anything under a virtual clock.
const ENOUGH: Duration = Duration::from_secs(1_000_000);

async fn working(builder: AppBuilder) -> App {
    let app = testing::build(builder).await.expect("a good app");
    app.worker().start().await.expect("a worker");
    app
}

/// Its first run asks for another as `how` says; the second tells what it was given.
#[aipo::task(name = "again", max_retries = 1, expires = "1h", acks_late = false)]
async fn again(
    cx: &Context,
    how: String,
    #[arg(default)] size: u32,
    #[arg(named_rest)] others: Map<String, Value>,
) -> TaskResult<Value> {
    if cx.retries() > 0 {
        let headers = cx.headers();
        return Ok(json!({
            "how": how, "size": size, "others": others, "priority": cx.properties().priority,
            "queue": cx.queue(), "expires": headers.expires.is_some(), "eta": headers.eta.is_some(),
            "custom": headers.custom, "limits": headers.timelimit, "parent": headers.parent_id,
            "ignore": headers.ignore_result, "redelivered": cx.redelivered(),
        }));
    }
    let retry = TaskError::retry();
    Err(match how.as_str() {
        "at once" => retry.after(Duration::ZERO),
        "args" => retry.args(["second".into(), 9.into()]),
        "kwarg" => retry.kwarg("size", 7),
        "elsewhere" => retry
            .queue("other")
            .priority(4)
            .header("x-more", 1)
            .time_limit(Duration::from_secs(30)),
        "for ever" => retry.never_expires(),
        "reserved" => retry.header("task", "other"),
        _ => retry,
    })
}

#[tokio::test(start_paused = true)]
async fn a_retry_says_what_is_different() {
    let builder = App::builder("t").task(again::task());
    let app = testing::build(builder).await.expect("a good app");
    let worker = app.worker().queues(["celery", "other"]);
    worker.start().await.expect("a worker");

    let told = async |call: Signature| -> Value {
        let handle = app.send(call).await.expect("sent");
        let mut told = handle.get(ENOUGH).await.expect("a value");
        assert_eq!(told["parent"], handle.id().as_str());
        told.as_object_mut().expect("a map").remove("parent");
        told
    };
    let as_it_was = json!({
        "how": "plain", "size": 1, "others": {"a": 1}, "priority": 0, "queue": "celery",
        "expires": true, "eta": true, "custom": {}, "limits": [null, null], "ignore": false,
        "redelivered": false,
    });
    #[track_caller]
    fn check(told: Value, as_it_was: &Value, changes: Value) {
        let mut expected = as_it_was.clone();
        for (name, value) in changes.as_object().expect("a map") {
            expected[name] = value.clone();
        }
        assert_eq!(told, expected);
    }
    let call = |how: &str| Signature::new("again").args([how.into(), 1.into()]);
    let with = |how: &str| call(how).kwarg("a", 1);
    check(told(with("plain")).await, &as_it_was, json!({}));
    check(
        told(with("at once")).await,
        &as_it_was,
        json!({"how": "at once", "eta": false}),
    );
    let by_name = Signature::new("again").kwarg("how", "args").kwarg("a", 1);
    check(
        told(by_name).await,
        &as_it_was,
        json!({"how": "second", "size": 9}),
    );
    check(
        told(with("kwarg")).await,
        &as_it_was,
        json!({"how": "kwarg", "size": 7, "others": {}}),
    );
    check(
        told(with("elsewhere")).await,
        &as_it_was,
        json!({
            "how": "elsewhere", "queue": "other", "priority": 4, "custom": {"x-more": 1},
            "limits": [30, null],
        }),
    );
    check(
        told(with("for ever")).await,
        &as_it_was,
        json!({"how": "for ever", "expires": false}),
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_can_t_take_the_headers_of_celery() {
    let app = working(App::builder("t").task(again::task())).await;
    let handle = app.send(Signature::new("again").args(["reserved".into()]));
    match handle.await.expect("sent").get(ENOUGH).await {
        Err(WaitError::Failed { exception, .. }) => assert_eq!(
            exception.to_string(),
            "ValueError: header \"task\" of the retry is one of Celery's own"
        ),
        other => panic!("{other:?} is no failure"),
    }
}

#[aipo::task(name = "never", retry_delay = "60s", max_retries = 1)]
async fn never(cause: bool) -> TaskResult<()> {
    let retry = TaskError::retry();
    Err(if cause {
        retry.because(TaskError::fail("no"))
    } else {
        retry
    })
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_its_retry_tells_its_cause_and_itself_as_child() {
    let settings = |settings: &mut aipo::Settings| settings.result_extended = true;
    let app = working(App::builder("t").task(never::task()).settings(settings)).await;
    let sent = Sent::by(&app);
    for (cause, exception) in [(false, Value::Null), (true, json!("RuntimeError"))] {
        let handle = app.send(never::s(cause)).await.expect("sent");
        tokio::time::sleep(Duration::from_secs(30)).await;
        let meta = handle.meta().await.expect("answered").expect("stored");
        assert_eq!(meta.status, TaskState::Retry);
        let value: Value = serde_json::from_str(meta.result.get()).expect("JSON");
        assert_eq!(value["exc_type"], exception);
        assert!(meta.traceback.is_some());
        assert_eq!(
            meta.children,
            Some(vec![json!([[handle.id(), null], null])])
        );
        assert_eq!(meta.extended["args"], json!([cause]));
        assert_eq!(meta.extended["kwargs"], json!({}));

        let expected = match cause {
            true => "RuntimeError: no".to_owned(),
            false => format!(
                "MaxRetriesExceededError: Can't retry never[{}] args:(False,) kwargs:{{}}",
                handle.id()
            ),
        };
        match handle.get(ENOUGH).await {
            Err(WaitError::Failed { exception, .. }) => {
                assert_eq!(exception.to_string(), expected);
            }
            other => panic!("{other:?} is no failure"),
        }
    }
    assert_eq!(sent.names(), ["never", "never"], "a retry is no send");
}

#[aipo::task(name = "quiet", ignore_result)]
async fn quiet(cx: &Context) -> TaskResult<u32> {
    match cx.retries() {
        0 => Err(TaskError::retry().after(Duration::ZERO)),
        retries => Ok(retries),
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_said_of_the_result_outlives_the_retry() {
    let app = working(App::builder("t").task(quiet::task())).await;
    let wanted = app.send(quiet::s().ignore_result(false));
    let wanted = wanted.await.expect("sent");
    assert_eq!(wanted.get(ENOUGH).await.expect("a value"), 1);
    let ignored = app.send(quiet::s()).await.expect("sent");
    let answer = ignored.wait(Duration::from_secs(60)).await;
    assert!(answer.expect("answered").is_none());
}

#[aipo::task(name = "back")]
async fn back(cx: &Context) -> TaskResult<u32> {
    if !cx.redelivered() {
        return Err(TaskError::requeue());
    }
    Ok(cx.deliveries())
}

#[aipo::task(name = "one_more")]
async fn one_more(n: u32) -> TaskResult<u32> {
    Ok(n + 1)
}

async fn a_chain_goes_on_after_a_step_that_was_given_back(place: Place) {
    let app = App::builder("t").task(back::task()).task(one_more::task());
    let app = place.build(app).await;
    let worker = app.worker().start().await.expect("a worker");
    let last = app.send(back::s().then(one_more::p())).await.expect("sent");
    let value = last.get(Duration::from_secs(60)).await;
    assert_eq!(value.expect("a value"), 2);
    worker.stop().await.expect("stopped");
}

async fn a_task_knows_that_its_message_was_given_back(place: Place) {
    let app = place.build(App::builder("t").task(back::task())).await;
    let worker = app.worker().start().await.expect("a worker");
    let handle = app.send(back::s()).await.expect("sent");
    // Nobody was lost over it.
    let deliveries = handle.get(Duration::from_secs(60)).await;
    assert_eq!(deliveries.expect("a value"), 1);
    worker.stop().await.expect("stopped");
    let eager = testing::context::<back>(&app, "id");
    assert!(eager.is_eager() && !eager.redelivered());
}
