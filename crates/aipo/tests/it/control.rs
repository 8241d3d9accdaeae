//! What workers answer to commands, and what they do then.

use std::sync::Arc;
use std::time::Duration;

use aipo::testing;
use aipo::{
    App, AppBuilder, Context, Control, QueueName, Signature, TaskResult, TaskState, Worker,
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

/// Long enough for anything under a virtual clock.
const ENOUGH: Duration = Duration::from_secs(1_000_000);
/// The worker that is asked.
const NODE: &str = "w1@h";

/// Lets tasks begin and end when the test says so.
#[derive(Clone)]
struct Gate {
    started: mpsc::UnboundedSender<i64>,
    open: Arc<Semaphore>,
}

#[aipo::task(name = "gated", rate_limit = "100/s", max_retries = 2)]
async fn gated(cx: &Context, n: i64) -> TaskResult<i64> {
    let gate = cx.data::<Gate>()?;
    gate.started.send(n)?;
    gate.open.acquire().await?.forget();
    Ok(n)
}

#[aipo::task(name = "early", acks_late = false)]
async fn early(cx: &Context, n: i64) -> TaskResult<i64> {
    gated(cx, n).await
}

#[aipo::task(name = "echo")]
async fn echo(n: i64) -> TaskResult<i64> {
    Ok(n)
}

/// A running worker with its app.
struct Place {
    app: App,
    worker: Worker,
    gate: Gate,
    starts: mpsc::UnboundedReceiver<i64>,
}

impl Place {
    async fn with(slots: usize, change: impl FnOnce(AppBuilder) -> AppBuilder) -> Self {
        let (started, starts) = mpsc::unbounded_channel();
        let gate = Gate {
            started,
            open: Arc::new(Semaphore::new(0)),
        };
        let builder = App::builder("t")
            .data(gate.clone())
            .task(gated::task())
            .task(early::task())
            .task(echo::task());
        let app = testing::build(change(builder)).await.expect("an app");
        let worker = app.worker().name(NODE).concurrency(slots).start();
        Self {
            worker: worker.await.expect("a worker"),
            app,
            gate,
            starts,
        }
    }

    async fn new() -> Self {
        Self::with(2, |app| app).await
    }

    fn control(&self) -> Control {
        self.app.control().destination([NODE])
    }

    /// What the worker answers.
    async fn ask(&self, method: &str, arguments: Value) -> Value {
        let mut answers = self
            .control()
            .ask(method, arguments)
            .await
            .expect("the store carries it");
        answers.remove(NODE).expect("the worker answers")
    }

    async fn send(&self, call: Signature) -> aipo::Handle<Value> {
        self.app.send(call).await.expect("sent")
    }

    async fn started(&mut self) -> i64 {
        self.starts.recv().await.expect("a task starts")
    }
}

fn call(task: &str, n: i64, id: &str) -> Signature {
    let mut call = Signature::new(task).args([n.into()]);
    call.options.task_id = Some(id.into());
    call
}

#[tokio::test(start_paused = true)]
async fn everybody_answers_to_a_ping_or_those_who_are_asked() {
    let place = Place::new().await;
    let other = place.app.worker().name("w2@h").start().await;
    let other = other.expect("a worker");
    let control = place.app.control();
    assert_eq!(control.ping().await.expect("answers"), ["w1@h", "w2@h"]);
    let some = control.clone().pattern("*2@h");
    assert_eq!(some.ping().await.expect("answers"), ["w2@h"]);
    let nobody = control.clone().destination(["w3@h"]);
    assert_eq!(nobody.ping().await.expect("answers").len(), 0);
    assert_eq!(
        place.ask("ping", json!(null)).await,
        json!({ "ok": "pong" })
    );

    other.stop().await.expect("stopped");
    assert_eq!(control.ping().await.expect("answers"), ["w1@h"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_remote_control_is_silent() {
    let place = Place::with(1, |app| {
        app.settings(|settings| settings.worker_enable_remote_control = false)
    })
    .await;
    assert_eq!(place.app.control().ping().await.expect("answers").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_command_disturbs_nothing() {
    use aipo_core::message::Envelope;
    use aipo_core::store::{Address, Notice};

    let place = Place::new().await;
    for body in [
        "",
        "[]",
        "{}",
        r#"{"method": "ping", "pattern": "(", "matcher": "pcre"}"#,
    ] {
        let notice = Notice {
            to: Address::Everybody {
                exchange: "celery.pidbox".to_owned(),
                routing_key: String::new(),
            },
            envelope: Envelope {
                body: body.as_bytes().to_vec(),
                ..Envelope::default()
            },
        };
        let bus = &place.app.store().bus;
        bus.tell(vec![notice]).await.expect("told");
    }
    assert_eq!(
        place.ask("nosuchcmd", json!({})).await,
        json!({ "error": "KeyError('nosuchcmd')" })
    );
    assert_eq!(
        place.ask("enable_events", json!({ "x": 1 })).await,
        json!({ "error": "TypeError(\"enable_events() got an unexpected keyword argument 'x'\")" })
    );
    assert_eq!(
        place.ask("add_consumer", json!({})).await,
        json!({ "error": "TypeError('add_consumer(): missing field `queue`')" })
    );
    assert_eq!(
        place.ask("ping", json!({ "x": 1 })).await,
        json!({ "ok": "pong" })
    );
}

#[tokio::test(start_paused = true)]
async fn running_tasks_are_told_while_all_slots_are_busy() {
    let mut place = Place::with(2, |app| app).await;
    place.send(call("gated", 1, "a")).await;
    place.send(call("early", 2, "b")).await;
    place.started().await;
    place.started().await;
    let active = place.control().active().await.expect("answers");
    let mut active = active[NODE].clone();
    active.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
    assert_eq!(active.len(), 2);
    let told = serde_json::to_value(&active[0]).expect("JSON");
    assert_eq!(
        told,
        json!({
            "id": "a", "name": "gated", "type": "gated", "args": [1], "kwargs": {}, "hostname": NODE,
            "time_start": active[0].time_start, "acknowledged": false, "worker_pid": std::process::id(),
            "delivery_info": { "exchange": "", "routing_key": "celery", "priority": 0, "redelivered": false },
        })
    );
    assert!(active[0].time_start >= Some(1_767_225_600.0));
    assert!(active[1].acknowledged);
    let safe = place.ask("active", json!({ "safe": true })).await;
    assert_eq!(safe[0]["kwargs"], "{}");

    let query = place.ask("query_task", json!({ "ids": ["a", "x"] })).await;
    assert_eq!(query["a"][0], "active");
    assert_eq!(query["a"][1]["id"], "a");
    assert!(query.get("x").is_none());

    place.gate.open.add_permits(2);
    let stats = place.ask("stats", json!({})).await;
    assert_eq!(stats["total"], json!({ "gated": 1, "early": 1 }));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_and_what_waits_for_its_time_is_told() {
    let mut place = Place::with(1, |app| {
        app.settings(|settings| settings.worker_prefetch_multiplier = 3)
    })
    .await;
    place.worker.stop().await.expect("stopped");
    for (n, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let call = call("gated", n as i64, id);
        place.app.send(call).await.expect("sent");
    }
    let mut later = call("echo", 5, "later");
    later.options.eta = Some(
        "2030-01-31T09:00:00.123456Z"
            .parse::<jiff::Timestamp>()
            .expect("a time")
            .into(),
    );
    place.app.send(later).await.expect("sent");
    let worker = place.app.worker().name(NODE).concurrency(1).start().await;
    place.worker = worker.expect("a worker");
    assert_eq!(place.started().await, 0);

    let reserved = place.control().reserved().await.expect("answers");
    let ids: Vec<&str> = reserved[NODE].iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["b", "c"]);
    assert_eq!(reserved[NODE][0].time_start, None);

    let scheduled = place.control().scheduled().await.expect("answers");
    assert_eq!(scheduled[NODE].len(), 1);
    let later = &scheduled[NODE][0];
    assert_eq!(later.eta, "2030-01-31T09:00:00.123456+00:00");
    assert_eq!(
        (later.priority, later.request.args.clone()),
        (6, json!([5]))
    );

    let ids = ["a", "b", "later", "x"].map(aipo::TaskId::from);
    let found = place.control().query_task(&ids).await.expect("answers");
    let states: Vec<(&str, &str)> = found[NODE]
        .iter()
        .map(|(id, (state, _))| (id.as_str(), state.as_str()))
        .collect();
    assert_eq!(
        states,
        [("a", "active"), ("b", "reserved"), ("later", "scheduled")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_tells_about_itself() {
    let place = Place::with(3, |app| {
        app.settings(|settings| settings.task_acks_late = false)
    })
    .await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    let stats = place.ask("stats", json!({})).await;
    assert_eq!(stats["uptime"], 90);
    assert_eq!(stats["pid"], std::process::id());
    assert_eq!(stats["pool"]["max-concurrency"], 3);
    assert_eq!(stats["pool"]["processes"], json!([std::process::id()]));
    assert_eq!(stats["prefetch_count"], 3);
    assert_eq!(stats["total"], json!({}));
    assert!(
        stats["clock"]
            .as_str()
            .is_some_and(|clock| clock.parse::<u64>().is_ok())
    );
    assert!(stats["broker"]["transport"].is_string());

    let clock = place.ask("clock", json!({})).await;
    assert!(clock["clock"].as_u64() > Some(0));

    let registered = place.ask("registered", json!({})).await;
    assert_eq!(
        registered,
        json!(["early", "echo", "gated [rate_limit=100/s]"])
    );
    let items = json!({ "taskinfoitems": ["max_retries", "acks_late", "nothing"] });
    assert_eq!(
        place.ask("registered", items).await[2],
        "gated [max_retries=2 acks_late=False]"
    );

    let queues = place.ask("active_queues", json!({})).await;
    assert_eq!(queues[0]["name"], "celery");
    assert_eq!(queues[0]["exchange"]["type"], "direct");
    assert_eq!(queues[0]["routing_key"], "celery");

    let report = place.ask("report", json!({})).await;
    let report = report["ok"].as_str().expect("text");
    assert!(report.contains("software -> celery:"), "{report}");

    let conf = place.ask("conf", json!({})).await;
    assert_eq!(conf["task_acks_late"], false);
    assert_eq!(conf["enable_utc"], true);
    assert!(conf.get("worker_concurrency").is_none(), "{conf}");
    let conf = place.ask("conf", json!({ "with_defaults": true })).await;
    assert_eq!(conf["task_default_queue"], "celery");

    for method in ["memsample", "memdump", "objgraph"] {
        let answer = place.ask(method, json!({})).await;
        assert!(answer["error"].is_string(), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoke_is_stored_at_once_and_known_to_all() {
    let mut place = Place::with(1, |app| app).await;
    place.send(call("gated", 1, "running")).await;
    place.started().await;
    let waiting = place.send(call("echo", 2, "waiting")).await;
    assert_eq!(
        place
            .ask("revoke", json!({ "task_id": ["waiting", "it's new"] }))
            .await,
        json!({ "ok": "tasks {\"it's new\", 'waiting'} flagged as revoked" })
    );
    let state = |id: &str| {
        let handle = place.app.result::<Value>(id);
        async move { handle.state().await.expect("answered") }
    };
    assert_eq!(state("waiting").await, Some(TaskState::Revoked));
    assert_eq!(state("it's new").await, Some(TaskState::Revoked));

    // One that runs is left alone, unless it is to be terminated.
    place.ask("revoke", json!({ "task_id": "running" })).await;
    assert_ne!(state("running").await, Some(TaskState::Revoked));
    assert_eq!(
        place
            .ask("revoke", json!({ "task_id": "nobody", "terminate": 1 }))
            .await,
        json!({ "ok": "terminate: tasks unknown" })
    );
    let end = json!({ "task_id": "running", "terminate": true, "signal": "KILL" });
    assert_eq!(
        place.ask("revoke", end).await,
        json!({ "ok": "terminate: running" })
    );
    let ended = place.app.result::<Value>("running").get(ENOUGH).await;
    assert!(format!("{ended:?}").contains("terminated"), "{ended:?}");
    drop(waiting);

    let revoked = place.control().revoked().await.expect("answers");
    let ids: Vec<&str> = revoked[NODE].iter().map(aipo::TaskId::as_str).collect();
    assert_eq!(ids, ["it's new", "waiting", "nobody", "running"]);
}

#[tokio::test(start_paused = true)]
async fn a_revoke_by_a_program_reaches_workers_at_once() {
    let mut place = Place::with(1, |app| app).await;
    let handle = place.send(call("gated", 1, "running")).await;
    place.started().await;
    let begin = tokio::time::Instant::now();
    let revoke = place
        .app
        .revoke(&["running".into()], aipo::Revoke::Running)
        .await;
    revoke.expect("revoked");
    assert!(handle.get(ENOUGH).await.is_err());
    assert!(
        begin.elapsed() < Duration::from_millis(100),
        "no heartbeat was needed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_there_is_not_revoked() {
    let place = Place::new().await;
    let done = place.send(call("echo", 1, "done")).await;
    done.get(ENOUGH).await.expect("a value");
    place.ask("revoke", json!({ "task_id": "done" })).await;
    let state = done.state().await.expect("answered");
    assert_eq!(state, Some(TaskState::Success));
}

#[tokio::test(start_paused = true)]
async fn stamps_are_revoked_in_celerys_words() {
    let place = Place::new().await;
    for (headers, terminate, expected) in [
        (
            json!({ "stamp1": ["v1", "v2"] }),
            false,
            "headers {'stamp1': ['v1', 'v2']} flagged as revoked, but not terminated",
        ),
        (
            json!(["stamp1=v1"]),
            false,
            "headers {'stamp1': 'v1'} flagged as revoked, but not terminated",
        ),
        (
            json!({ "k": "v" }),
            true,
            "headers {'k': 'v'} were not terminated",
        ),
    ] {
        let arguments = json!({ "headers": headers, "terminate": terminate });
        assert_eq!(
            place.ask("revoke_by_stamped_headers", arguments).await,
            json!({ "ok": expected })
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_worker_knows_to_be_revoked_is_learned() {
    let place = Place::new().await;
    for revoked in [json!(["r1"]), json!({ "r2": 1795185067.0 })] {
        let hello = json!({ "from_node": "py@h", "revoked": revoked });
        let answer = place.ask("hello", hello).await;
        assert!(answer["clock"].as_u64() > Some(0), "{answer}");
        assert_eq!(answer["revoked"][0], "r1");
    }
    let own = json!({ "from_node": NODE, "revoked": [] });
    assert_eq!(place.ask("hello", own).await, Value::Null);
    let revoked = place.control().revoked().await.expect("answers");
    assert_eq!(revoked[NODE], ["r1".into(), "r2".into()]);
    let handle = place.send(call("echo", 1, "r2")).await;
    assert!(handle.get(ENOUGH).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn queues_come_and_go() {
    let place = Place::new().await;
    let to = |queue: &str| {
        let mut call = call("echo", 7, &format!("to-{queue}"));
        call.options.queue = Some(QueueName::from(queue));
        call
    };
    let extra = place.send(to("extra")).await;
    let added = place
        .control()
        .add_consumer("extra")
        .await
        .expect("answers");
    assert_eq!(added[NODE], Ok("add consumer extra".to_owned()));
    extra.get(ENOUGH).await.expect("a value");
    let queues = place.ask("active_queues", json!({})).await;
    assert_eq!(queues[1]["name"], "extra");

    for queue in ["extra", "celery"] {
        let left = place
            .control()
            .cancel_consumer(queue)
            .await
            .expect("answers");
        assert_eq!(left[NODE], Ok(format!("no longer consuming from {queue}")));
    }
    let handle = place.send(to("celery")).await;
    let waited = handle.get(Duration::from_secs(3600)).await;
    assert!(waited.is_err(), "nobody takes from the queue");
    place
        .control()
        .add_consumer("celery")
        .await
        .expect("answers");
    handle.get(ENOUGH).await.expect("a value");
}

#[tokio::test(start_paused = true)]
async fn the_pool_grows_and_shrinks() {
    let mut place = Place::with(1, |app| app).await;
    let (one, two) = (call("gated", 1, "one"), call("gated", 2, "two"));
    let one = place.send(one).await;
    assert_eq!(place.started().await, 1);
    let two = place.send(two).await;
    let grown = place.control().pool_grow(1).await.expect("answers");
    assert_eq!(grown[NODE], Ok("pool will grow".to_owned()));
    assert_eq!(place.started().await, 2);
    assert_eq!(
        place.ask("stats", json!({})).await["pool"]["max-concurrency"],
        2
    );

    let shrunk = place.control().pool_shrink(5).await.expect("answers");
    assert_eq!(shrunk[NODE], Ok("pool will shrink".to_owned()));
    assert_eq!(
        place.ask("stats", json!({})).await["pool"]["max-concurrency"],
        1
    );
    place.gate.open.add_permits(2);
    one.get(ENOUGH).await.expect("a value");
    two.get(ENOUGH).await.expect("a value");

    // One at a time again.
    place.send(call("gated", 3, "three")).await;
    place.send(call("gated", 4, "four")).await;
    place.started().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(place.starts.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_can_not_do_it_says() {
    let place = Place::new().await;
    assert_eq!(
        place.ask("autoscale", json!({ "max": 5, "min": 2 })).await,
        json!({ "error": "ValueError('Autoscale not enabled')" })
    );
    assert_eq!(
        place.ask("pool_restart", json!({ "reload": false })).await,
        json!({ "error": "ValueError('Pool restarts not enabled')" })
    );
    assert_eq!(place.ask("heartbeat", json!({})).await, Value::Null);
    assert_eq!(
        place
            .ask(
                "election",
                json!({ "id": "e", "topic": "task", "action": {} })
            )
            .await,
        Value::Null
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_spreads_the_starts_and_holds_no_slot() {
    let place = Place::with(1, |app| app).await;
    let set = |limit: &'static str| {
        let control = place.control();
        async move { control.rate_limit("echo", limit).await.expect("answers")[NODE].clone() }
    };
    assert_eq!(
        set("6/m").await,
        Ok("new rate limit set successfully".to_owned())
    );
    let begin = tokio::time::Instant::now();
    let handles = (0..7).map(|n| Signature::new("echo").args([n.into()]).into());
    let handles = place.app.send_all::<Value>(handles).await.expect("sent");
    // The worker's only slot is free for others meanwhile.
    let other = place.send(call("early", 1, "other")).await;
    place.gate.open.add_permits(1);
    other.get(ENOUGH).await.expect("a value");
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    for handle in handles {
        handle.get(ENOUGH).await.expect("a value");
    }
    let took = begin.elapsed().as_secs();
    assert!(
        (60..63).contains(&took),
        "7 tasks at one in 10 s took {took} s"
    );

    assert_eq!(
        set("0").await,
        Ok("rate limit disabled successfully".to_owned())
    );
    let said = set("often").await.expect_err("no rate");
    assert_eq!(
        said,
        "Invalid rate limit string: ValueError(\"could not convert string to float: 'often'\")"
    );
    let unknown = place.control().rate_limit("nobody", "1/s").await;
    assert_eq!(
        unknown.expect("answers")[NODE],
        Err("unknown task".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn the_default_rate_limit_is_for_tasks_that_have_none() {
    let slow = |app: AppBuilder| {
        app.settings(|settings| settings.task_default_rate_limit = "1/m".parse().ok())
    };
    let place = Place::with(1, slow).await;
    let begin = tokio::time::Instant::now();
    for id in ["a", "b", "c"] {
        place.send(call("echo", 1, id)).await;
    }
    for id in ["a", "b", "c"] {
        let handle = place.app.result::<Value>(id);
        handle.get(ENOUGH).await.expect("a value");
    }
    let took = begin.elapsed().as_secs();
    assert!((120..123).contains(&took), "{took}");

    let place = Place::with(1, |app| {
        slow(app).settings(|settings| settings.worker_disable_rate_limits = true)
    })
    .await;
    let begin = tokio::time::Instant::now();
    for id in ["a", "b"] {
        let handle = place.send(call("echo", 1, id)).await;
        handle.get(ENOUGH).await.expect("a value");
    }
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_operators_time_limit_holds() {
    let place = Place::new().await;
    let hard = Some(Duration::from_secs(5));
    let set = place.control().time_limit("gated", None, hard).await;
    let set = set.expect("answers")[NODE].clone();
    assert_eq!(set, Ok("time limits set successfully".to_owned()));
    let mut patient = call("gated", 1, "a");
    patient.options.time_limit = Some(Duration::from_secs(500));
    let handle = place.send(patient).await;
    let ended = handle.get(Duration::from_secs(6)).await;
    assert!(
        format!("{ended:?}").contains("TimeLimitExceeded"),
        "{ended:?}"
    );
    let unknown = place.control().time_limit("nobody", None, hard).await;
    assert_eq!(
        unknown.expect("answers")[NODE],
        Err("unknown task".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_stops_when_it_is_told_to_and_running_tasks_finish() {
    let mut place = Place::new().await;
    let handle = place.send(call("gated", 1, "a")).await;
    place.started().await;
    place.control().shutdown().await.expect("told");
    place.gate.open.add_permits(1);
    place.worker.join().await.expect("it ends well");
    assert_eq!(handle.get(ENOUGH).await.expect("a value"), 1);
}
