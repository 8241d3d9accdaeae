//! A program with tasks, and the binary that looks into its store.

use serde_json::{Value, json};

use crate::support::{Listening, OpenShop, PATIENCE, Place};

#[test]
fn a_worker_runs_what_is_called() {
    let place = Place::new();
    let worker = place.worker(&["-n", "one@%n", "-c", "2"]);
    for line in [
        "  app         shop\n",
        "  broker      sqlite://",
        "  concurrency 2\n",
        "  queues      celery\n              money\n",
        "  tasks       shop.tasks.price\n              shop.tasks.refund\n",
    ] {
        assert!(
            worker.told.contains(line),
            "{line:?} is not in\n{}",
            worker.told
        );
    }

    let args = [
        "call",
        "shop.tasks.price",
        "-a",
        "[100]",
        "--wait",
        PATIENCE,
    ];
    let said = place.aipo(args).ok();
    assert!(
        said.starts_with("state  SUCCESS\nvalue  119\ndone   "),
        "{said}"
    );
    let args = [
        "call",
        "shop.tasks.price",
        "-k",
        "{\"net\": 200}",
        "--wait",
        PATIENCE,
        "--json",
    ];
    let said = place.aipo(args).json();
    assert_eq!(
        (&said["status"], &said["result"]),
        (&json!("SUCCESS"), &json!(238))
    );
    assert_eq!(
        place.shop(["price", "50"]).ok(),
        "59\n",
        "its own command works beside"
    );
    worker.stop();
}

#[test]
fn a_failed_task_tells_why() {
    let place = Place::new();
    let worker = place.worker(&["-Q", "money,celery"]);
    let args = [
        "call",
        "shop.tasks.refund",
        "-a",
        "[\"A7\"]",
        "--queue",
        "money",
        "--task-id",
        "r1",
        "--wait",
        PATIENCE,
    ];
    let said = place.aipo(args).ended(3);
    assert!(
        said.stdout
            .starts_with("state  FAILURE\nerror  RuntimeError: order A7 was never paid\n"),
        "{said:?}"
    );
    let again = place.aipo(["result", "r1", "--traceback"]).ended(3);
    assert!(again.stdout.contains("\ntrace  "), "{again:?}");
    let json = place.aipo(["result", "r1", "--json"]).ended(3).stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["result"]["exc_type"], "RuntimeError");
    worker.stop();
}

#[test]
fn a_programs_tasks_are_listed_with_their_options() {
    let place = Place::new();
    assert_eq!(
        place.shop(["tasks"]).ok(),
        "TASK               QUEUE  PRIORITY  RETRIES  LIMITS   OTHER\n\
         shop.tasks.price   -      -         none     -        -\n\
         shop.tasks.refund  money  -         none     hard 1m  -\n\
         shop.tasks.watch   -      -         none     -        -\n"
    );
    let tasks = place.shop(["tasks", "--json"]).json();
    assert_eq!(tasks[1]["name"], "shop.tasks.refund");
    assert_eq!(tasks[1]["time_limit_secs"], 60.0);
    assert_eq!(
        place.aipo(["tasks", "--json"]).json(),
        json!([]),
        "no worker told of any"
    );
}

#[test]
fn an_unknown_task_becomes_a_dead_letter_that_can_be_looked_at() {
    let place = Place::new();
    let worker = place.worker(&[]);
    let call = |id| {
        let args = [
            "call",
            "shop.tasks.prise",
            "-a",
            "[7]",
            "--task-id",
            id,
            "--wait",
            PATIENCE,
        ];
        let said = place.shop(args).ended(3);
        assert!(
            said.stderr.contains("note: this program has no task"),
            "{said:?}"
        );
    };
    for id in ["d1", "d2", "d3"] {
        call(id);
    }
    worker.stop();

    let dead = place.aipo(["queues", "dead", "--json"]).json();
    let ids: Vec<String> = dead
        .as_array()
        .expect("a list")
        .iter()
        .map(|letter| letter["id"].to_string())
        .collect();
    let tasks: Vec<&Value> = dead
        .as_array()
        .into_iter()
        .flatten()
        .map(|dead| &dead["task_id"])
        .collect();
    assert_eq!(tasks, ["d3", "d2", "d1"], "the newest comes first");
    let table = place.aipo(["queues", "dead", "--limit", "1"]).ended(0);
    assert!(
        table
            .stdout
            .contains("task \"shop.tasks.prise\" is not registered"),
        "{table:?}"
    );
    assert!(table.stderr.contains("there may be more"), "{table:?}");

    let shown = place.aipo(["queues", "dead", "--show", &ids[0]]).ok();
    assert!(shown.contains("task id     d3\n"), "{shown}");
    assert!(shown.contains("\n[[7],{},{"), "{shown}");
    let shown = place
        .aipo(["queues", "dead", "--json", "--show", &ids[0]])
        .json();
    let headers: Value =
        serde_json::from_str(shown["headers"].as_str().expect("text")).expect("JSON");
    assert_eq!(headers["id"], "d3");

    let redriven = place.aipo(["queues", "redrive", &ids[2]]).ok();
    assert_eq!(redriven, "1 dead letter put back\n");
    let partly = place
        .aipo(["queues", "discard", &ids[1], "999999"])
        .ended(3);
    assert_eq!(partly.stdout, "1 dead letter deleted\n");
    assert_eq!(
        place
            .aipo(["queues", "redrive", "--all", "-Q", "money"])
            .ok(),
        "0 dead letters put back\n"
    );
    assert_eq!(
        place.aipo(["queues", "discard", "--all"]).ok(),
        "1 dead letter deleted\n"
    );
    let queues = place.aipo(["queues", "--json"]).json();
    assert_eq!(
        (&queues[0]["ready"], &queues[0]["dead"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn workers_tell_what_they_do_and_running_tasks_can_be_ended() {
    let place = Place::new();
    let worker = place.worker(&["-n", "one@%n", "-Q", "celery,money", "-c", "3"]);
    let shop = OpenShop::new();
    let args = format!("[\"{}\"]", shop.address());
    place
        .aipo(["call", "shop.tasks.watch", "-a", &args, "--task-id", "w1"])
        .ok();
    let watcher = shop.watched();

    let inspect = |method| place.aipo(["inspect", "--json", method]).json();
    assert_eq!(inspect("ping"), json!({ "one@shop": { "ok": "pong" } }));
    let queues = inspect("active_queues");
    assert_eq!(queues["one@shop"][1]["name"], "money");
    assert_eq!(inspect("registered")["one@shop"][0], "shop.tasks.price");
    assert_eq!(inspect("stats")["one@shop"]["pool"]["max-concurrency"], 3);
    assert_eq!(
        place.aipo(["inspect", "ping", "-d", "one@shop"]).ok(),
        "->  one@shop: OK\n    pong\n\n1 node online.\n"
    );
    place.aipo(["inspect", "ping", "-d", "other"]).ended(69);
    assert_eq!(
        place.aipo(["tasks"]).ok(),
        "TASK               WORKERS\n\
         shop.tasks.price   one@shop\n\
         shop.tasks.refund  one@shop\n\
         shop.tasks.watch   one@shop\n"
    );
    let held = place.aipo(["result", "w1"]).ok();
    assert_eq!(
        held,
        "state  RECEIVED\nplace  held by worker one@shop, from queue celery\n"
    );
    assert_eq!(inspect("active")["one@shop"][0]["id"], "w1");
    assert_eq!(
        place.aipo(["status", "-d", "one@shop"]).ok(),
        "one@shop: OK\n\n1 node online.\n"
    );

    place.aipo(["revoke", "--terminate", "w1"]).ok();
    let ended = place.aipo(["result", "w1", "--wait", PATIENCE]).ended(3);
    assert!(
        ended
            .stdout
            .starts_with("state  REVOKED\nerror  TaskRevokedError: terminated\n"),
        "{ended:?}"
    );
    drop(watcher);
    worker.stop();
    place.aipo(["inspect", "ping"]).ended(69);
}

#[test]
fn workers_do_what_they_are_told() {
    let place = Place::new();
    let worker = place.worker(&["-n", "one@shop", "-Q", "celery", "-c", "1"]);
    let control = |args: &[&str]| {
        let args = ["control", "-d", "one@shop"].iter().chain(args);
        place.aipo(args)
    };
    assert_eq!(
        control(&["pool_grow", "2"]).ok(),
        "->  one@shop: OK\n    pool will grow\n\n1 node online.\n"
    );
    control(&["rate_limit", "shop.tasks.price", "100/s"]).ok();
    let unknown = control(&["rate_limit", "shop.tasks.prise", "100/s"]).ended(1);
    assert!(
        unknown
            .stdout
            .starts_with("->  one@shop: ERROR\n    unknown task\n"),
        "{unknown:?}"
    );
    control(&["add_consumer", "money"]).ok();
    let stats = place
        .aipo(["inspect", "-d", "one@shop", "stats", "-j"])
        .json();
    assert_eq!(stats["one@shop"]["pool"]["max-concurrency"], 3);
    assert_eq!(place.shop(["price", "100"]).ok(), "119\n");

    assert_eq!(control(&["shutdown"]).ok(), "");
    assert_eq!(worker.ended(), Some(0));
    control(&["enable_events"]).ended(69);
}

#[test]
fn what_happens_is_told_line_by_line() {
    let place = Place::new();
    let worker = place.worker(&["-n", "one@shop", "-E"]);
    let mut listening = place.program(env!("CARGO_BIN_EXE_aipo").into());
    listening.args(["events", "--json"]);
    let mut listening = Listening::start(listening);
    // The first heartbeat says that it listens.
    while listening.next()["type"] != "worker-heartbeat" {}
    let id = place.aipo(["call", "shop.tasks.price", "-a", "[100]"]).ok();
    let mut told = Vec::new();
    while told.last() != Some(&json!("task-succeeded")) {
        let event = listening.next();
        if event["uuid"] == id.trim() {
            assert_eq!(event["hostname"], "one@shop");
            told.push(event["type"].clone());
        }
    }
    assert_eq!(told, ["task-received", "task-started", "task-succeeded"]);
    worker.stop();
}

#[test]
fn the_log_can_be_json() {
    let place = Place::new();
    let worker = place.worker(&["--log-format", "json", "-n", "one"]);
    let line = worker
        .told
        .lines()
        .last()
        .expect("it said that it is ready");
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["fields"]["message"], "worker ready");
    assert_eq!(line["fields"]["worker"], "one");
    assert_eq!(place.shop(["price", "100"]).ok(), "119\n");
    worker.stop();
}

#[test]
fn the_flag_decides_what_is_logged_then_the_environment() {
    let place = Place::new();
    let log = |flags: &[&str], environment: &str| {
        let mut aipo = place.program(env!("CARGO_BIN_EXE_aipo").into());
        aipo.args(["bench", "drain", "-n", "1", "--store", "memory://"]);
        let output = aipo.args(flags).env("RUST_LOG", environment).output();
        let stderr = output.expect("it starts").stderr;
        String::from_utf8(stderr).expect("the log is text")
    };
    assert_eq!(log(&[], ""), "", "a command that is no worker says nothing");
    assert!(log(&[], "info").contains("worker ready"));
    assert_eq!(log(&["-l", "ERROR"], "info"), "");
    assert!(log(&["-l", "info"], "error").contains("worker ready"));
}
