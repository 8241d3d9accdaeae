//! What workers, tasks and senders tell.

use std::time::Duration;

use aipo::testing;
use aipo::{
    App, AppBuilder, Context, Event, EventStream, Revoke, Signature, TaskError, TaskResult, When,
    Worker,
};
use serde_json::{Value, json};

const NODE: &str = "w1@h";
const ENOUGH: Duration = Duration::from_secs(1_000_000);

#[aipo::task(name = "add")]
async fn add(x: i64, y: i64) -> TaskResult<i64> {
    Ok(x + y)
}

#[aipo::task(name = "answer", max_retries = 1, retry_delay = "1s")]
async fn answer(cx: &Context, how: String) -> TaskResult<()> {
    match how.as_str() {
        "fail" => Err(TaskError::fail("it's over")),
        "retry" if cx.retries() == 0 => Err(TaskError::retry().because(TaskError::fail("not yet"))),
        "requeue" if !cx.redelivered() => Err(TaskError::requeue()),
        "reject" => Err(TaskError::reject("not for me")),
        "tell" => {
            cx.send_event("task-halfway", json!({ "done": 1 })).await?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A worker that tells of its tasks, and who listens.
async fn telling(change: impl FnOnce(AppBuilder) -> AppBuilder) -> (App, Worker, EventStream) {
    let builder = App::builder("t").task(add::task()).task(answer::task());
    let app = testing::build(change(builder)).await.expect("an app");
    let events = app.events().await.expect("the store carries events");
    let worker = app.worker().name(NODE).task_events().start().await;
    (app, worker.expect("a worker"), events)
}

/// The next event that is no heartbeat.
async fn next(events: &mut EventStream) -> Event {
    loop {
        let event = events.next().await.expect("an event");
        if !event.kind.starts_with("worker-heartbeat") {
            return event;
        }
    }
}

/// The types of a task's events until this one, without those of others.
async fn until(events: &mut EventStream, id: &str, last: &str) -> Vec<Event> {
    let mut told = Vec::new();
    loop {
        let event = next(events).await;
        if event.uuid() == Some(id) {
            let is_last = event.kind == last;
            told.push(event);
            if is_last {
                return told;
            }
        }
    }
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| &*event.kind).collect()
}

fn call(task: &str, args: impl IntoIterator<Item = Value>, id: &str) -> Signature {
    let mut call = Signature::new(task).args(args);
    call.options.task_id = Some(id.into());
    call
}

#[tokio::test(start_paused = true)]
async fn a_worker_comes_beats_and_goes() {
    let (_app, worker, mut events) = telling(|app| app).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(events.next().await.expect("an event"));
    }
    assert_eq!(
        kinds(&told),
        ["worker-online", "worker-heartbeat", "worker-heartbeat"]
    );
    let beat = &told[2];
    assert_eq!(beat.timestamp - told[1].timestamp, 2.0);
    assert_eq!(beat.hostname, NODE);
    assert_eq!(beat.pid, Some(std::process::id()));
    assert!(beat.clock > told[1].clock);
    assert_eq!(beat.fields["freq"], 2.0);
    assert_eq!(beat.fields["active"], 0);
    assert_eq!(beat.fields["processed"], 0);
    assert_eq!(beat.fields["sw_ident"], "aipo");
    assert_eq!(beat.fields["loadavg"].as_array().map(Vec::len), Some(3));
    assert!(beat.fields.get("utcoffset").is_none());

    worker.stop().await.expect("stopped");
    let last = loop {
        let event = events.next().await.expect("an event");
        if event.kind != "worker-heartbeat" {
            break event;
        }
    };
    assert_eq!(last.kind, "worker-offline");
}

#[tokio::test(start_paused = true)]
async fn a_task_is_told_from_its_send_to_its_end() {
    let (app, _worker, mut events) =
        telling(|app| app.settings(|settings| settings.task_send_sent_event = true)).await;
    app.send(call("add", [2.into(), 3.into()], "a"))
        .await
        .expect("sent");
    let told = until(&mut events, "a", "task-succeeded").await;
    let (sent, rest): (Vec<Event>, Vec<Event>) = told
        .into_iter()
        .partition(|event| event.kind == "task-sent");
    assert_eq!(sent[0].fields["queue"], "celery");
    assert!(sent[0].hostname.starts_with("gen"), "{:?}", sent[0]);
    assert_eq!(
        kinds(&rest),
        ["task-received", "task-started", "task-succeeded"]
    );
    let [received, _, succeeded] = &rest[..] else {
        panic!("three events")
    };
    assert_eq!(received.fields["name"], "add");
    assert_eq!(received.fields["args"], "(2, 3)");
    assert_eq!(received.fields["kwargs"], "{}");
    assert_eq!(received.fields["root_id"], "a");
    assert_eq!(received.fields["retries"], 0);
    assert_eq!(succeeded.fields["result"], "5");
    assert!(succeeded.fields["runtime"].as_f64().is_some());
    assert!(succeeded.clock > received.clock);
}

/// A call that waits for its time.
fn parked(id: &str) -> Signature {
    let mut parked = call("add", [2.into(), 3.into()], id);
    parked.options.eta = Some(When::In(ENOUGH));
    parked
}

#[track_caller]
fn assert_revoked(event: &Event, teller: &str) {
    assert_eq!(event.kind, "task-revoked");
    assert!(event.hostname.starts_with(teller), "{event:?}");
    for (name, value) in [("terminated", json!(false)), ("expired", json!(false))] {
        assert_eq!(event.fields[name], value, "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_revokes_what_waits_tells_of_it() {
    let (app, _worker, mut events) =
        telling(|app| app.settings(|settings| settings.task_send_sent_event = true)).await;
    for id in ["by program", "by tree", "by worker"] {
        app.send(parked(id)).await.expect("sent");
    }

    app.revoke(&["by program".into()], Revoke::Waiting)
        .await
        .expect("revoked");
    let tree = app.result::<Value>("by tree");
    tree.revoke_tree(Revoke::Waiting).await.expect("revoked");
    // As Python's command.
    let arguments = json!({ "task_id": "by worker" });
    app.control().ask("revoke", arguments).await.expect("told");

    for (id, teller) in [
        ("by program", "gen"),
        ("by tree", "gen"),
        ("by worker", NODE),
    ] {
        let told = until(&mut events, id, "task-revoked").await;
        assert_revoked(told.last().expect("the last one"), teller);
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_tells_no_sends_tells_no_revokes() {
    let (app, worker, mut events) = telling(|app| app).await;
    app.send(parked("a")).await.expect("sent");
    app.revoke(&["a".into()], Revoke::Waiting)
        .await
        .expect("revoked");
    worker.stop().await.expect("stopped");
    loop {
        let event = next(&mut events).await;
        assert!(!event.is_task(), "{event:?}");
        if event.kind == "worker-offline" {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_end_has_its_event() {
    let (app, _worker, mut events) = telling(|app| app).await;
    let mut check = async |how: &str, expected: &[&str]| {
        app.send(call("answer", [how.into()], how))
            .await
            .expect("sent");
        let told = until(&mut events, how, expected.last().expect("a last event")).await;
        assert_eq!(kinds(&told), expected, "{how}");
        told.last().expect("a last event").clone()
    };
    let failed = check("fail", &["task-received", "task-started", "task-failed"]).await;
    assert_eq!(failed.fields["exception"], "RuntimeError(\"it's over\")");
    assert!(failed.fields.contains_key("traceback"));
    let retried = check("retry", &["task-received", "task-started", "task-retried"]).await;
    assert_eq!(retried.fields["exception"], "RuntimeError('not yet')");
    let rejected = check(
        "reject",
        &[
            "task-received",
            "task-started",
            "task-failed",
            "task-rejected",
        ],
    )
    .await;
    assert_eq!(rejected.fields["requeue"], false);
    let own = check("tell", &["task-halfway"]).await;
    assert_eq!(own.fields["done"], 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_run_is_told_without_a_start() {
    let (app, _worker, mut events) = telling(|app| app).await;
    app.revoke(&["r".into()], aipo::Revoke::Waiting)
        .await
        .expect("revoked");
    app.send(call("add", [1.into(), 1.into()], "r"))
        .await
        .expect("sent");
    let told = until(&mut events, "r", "task-revoked").await;
    assert_eq!(kinds(&told), ["task-revoked"]);
    let fields = &told[0].fields;
    assert_eq!(
        (&fields["terminated"], &fields["signum"], &fields["expired"]),
        (&json!(false), &json!(null), &json!(false))
    );
    let mut stale = call("add", [1.into(), 1.into()], "e");
    stale.options.expires = Some((testing::START - Duration::from_secs(1)).into());
    app.send(stale).await.expect("sent");
    let told = until(&mut events, "e", "task-revoked").await;
    assert_eq!(kinds(&told), ["task-revoked"]);
    assert_eq!(told[0].fields["expired"], true);
    app.send(call("nobody", [], "n")).await.expect("sent");
    let told = until(&mut events, "n", "task-failed").await;
    assert_eq!(kinds(&told), ["task-failed"]);
}

#[tokio::test(start_paused = true)]
async fn task_events_are_told_only_while_they_are_wanted() {
    let builder = App::builder("t").task(add::task());
    let app = testing::build(builder).await.expect("an app");
    let mut events = app.events().await.expect("the store carries events");
    let worker = app.worker().name(NODE).start().await.expect("a worker");
    let control = app.control().destination([NODE]);
    let run = async |id: &str| {
        let handle = app.send(call("add", [1.into(), 1.into()], id)).await;
        handle.expect("sent").get(ENOUGH).await.expect("a value");
    };
    run("before").await;
    let said = |text: &str| Ok(text.to_owned());
    let answers = control.enable_events().await.expect("answers");
    assert_eq!(answers[NODE], said("task events enabled"));
    let answers = control.enable_events().await.expect("answers");
    assert_eq!(answers[NODE], said("task events already enabled"));
    run("wanted").await;
    let answers = control.disable_events().await.expect("answers");
    assert_eq!(answers[NODE], said("task events disabled"));
    let answers = control.disable_events().await.expect("answers");
    assert_eq!(answers[NODE], said("task events already disabled"));
    run("after").await;
    worker.stop().await.expect("stopped");

    let mut about = Vec::new();
    loop {
        let event = events.next().await.expect("an event");
        if event.kind == "worker-offline" {
            break;
        }
        about.extend(event.uuid().map(str::to_owned));
    }
    assert_eq!(about, ["wanted"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_in_an_election_is_acknowledged() {
    let (app, _worker, mut events) = telling(|app| app).await;
    let elect = Event {
        kind: "worker-elect".to_owned(),
        hostname: "py@h".to_owned(),
        timestamp: 0.0,
        pid: Some(7),
        clock: 500,
        fields: serde_json::Map::from_iter([("id".to_owned(), json!("e1"))]),
    };
    let notice = aipo_core::control::events_notice("celeryev", &[elect]);
    app.store().bus.tell(vec![notice]).await.expect("told");
    let ack = loop {
        let event = next(&mut events).await;
        if event.kind == "worker-elect-ack" {
            break event;
        }
    };
    assert_eq!(
        (ack.hostname.as_str(), &ack.fields["id"]),
        (NODE, &json!("e1"))
    );
    assert!(ack.clock > 500);
}
