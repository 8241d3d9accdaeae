//! Real Celery hears aipo, and aipo hears it.
//!
//! With `AIPO_PYTHON` naming an interpreter that has Celery (`interop/requirements.txt`); without, these tests
//! say so and pass.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::bus::{everybody, hear, letter, listen, mailbox, notice, tell, topic};
use crate::server::{Database, Server};
use crate::support::within;

/// Runs a part of `python.py`; `None` when there is no Python to run.
fn celery(part: &str, database: Database) -> Option<Child> {
    let Some(python) = std::env::var_os("AIPO_PYTHON") else {
        eprintln!("skipped: AIPO_PYTHON names no interpreter that has Celery");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python.py");
    let process = Command::new(python)
        .args([script, part, &database.url()])
        .stdout(Stdio::piped())
        .spawn();
    Some(process.expect("the interpreter can be run"))
}

/// What it printed when it has ended.
async fn answer(process: Child) -> Value {
    let output = tokio::task::spawn_blocking(|| process.wait_with_output());
    let output = output.await.expect("no panic").expect("it ends");
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn body(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

async fn until_subscribed(database: Database, patterns: u64) {
    let wait = async {
        while database.ask::<u64>(&["PUBSUB", "NUMPAT"]) < patterns {
            tokio::task::yield_now().await;
        }
    };
    within(wait).await;
}

#[tokio::test]
async fn celery_inspect_is_heard_and_answered() {
    let server = Server::start();
    let store = server.database(0).store().await;
    let mut listener = listen(&store, [topic("celery.pidbox", "")]).await;
    let Some(inspect) = celery("inspect", server.database(0)) else {
        return;
    };

    let asked = hear(&mut listener).await;
    let request = body(&asked.envelope.body);
    assert_eq!(request["method"], "ping");
    assert!(body(&asked.envelope.headers)["clock"].is_u64());
    let to = &request["reply_to"];
    assert_eq!(to["exchange"], "reply.celery.pidbox");
    let key = to["routing_key"].as_str().expect("text");
    let headers = json!({"ticket": request["ticket"], "clock": 2}).to_string();
    let reply = json!({"w@h": {"ok": "pong"}});
    tell(&store, [notice(letter(key), &headers, &reply)]).await;

    assert_eq!(answer(inspect).await, reply);
}

#[tokio::test]
async fn a_node_of_celery_answers_to_a_mailbox() {
    let server = Server::start();
    let database = server.database(0);
    let store = database.store().await;
    let Some(node) = celery("node", database) else {
        return;
    };
    until_subscribed(database, 1).await;

    let mut replies = listen(&store, [mailbox("me")]).await;
    let request = json!({
        "method": "ping", "arguments": {}, "destination": ["py@h"], "ticket": "t",
        "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": "me"},
    });
    tell(
        &store,
        [notice(
            everybody("celery.pidbox", ""),
            r#"{"clock": 1}"#,
            &request,
        )],
    )
    .await;

    let reply = hear(&mut replies).await;
    assert_eq!(reply.to, letter("me"));
    assert_eq!(body(&reply.envelope.body), json!({"py@h": {"ok": "pong"}}));
    assert_eq!(body(&reply.envelope.headers)["ticket"], "t");
    assert_eq!(answer(node).await, json!(1));
}

#[tokio::test]
async fn an_event_receiver_of_celery_hears_events() {
    let server = Server::start();
    let database = server.database(0);
    let store = database.store().await;
    let Some(receiver) = celery("receive", database) else {
        return;
    };
    until_subscribed(database, 1).await;

    let event = |kind: &str| json!({"type": kind, "hostname": "w@h", "uuid": "a", "clock": 1, "timestamp": 1.5});
    let headers = r#"{"hostname": "w@h"}"#;
    let told = [
        ("worker.heartbeat", event("worker-heartbeat")),
        (
            "task.multi",
            json!([event("task-received"), event("task-started")]),
        ),
    ];
    let told = told.map(|(key, body)| notice(everybody("celeryev", key), headers, &body));
    tell(&store, told).await;

    let heard = ["worker-heartbeat", "task-received", "task-started"];
    assert_eq!(answer(receiver).await, json!(heard));
}

#[tokio::test]
async fn events_of_celery_are_heard() {
    let server = Server::start();
    let store = server.database(0).store().await;
    let mut listener = listen(&store, [topic("celeryev", "#")]).await;
    let Some(dispatcher) = celery("dispatch", server.database(0)) else {
        return;
    };

    let heard = hear(&mut listener).await;
    assert_eq!(heard.to, everybody("celeryev", "worker.heartbeat"));
    assert_eq!(body(&heard.envelope.body)["type"], "worker-heartbeat");
    let heard = hear(&mut listener).await;
    assert_eq!(heard.to, everybody("celeryev", "task.multi"));
    assert_eq!(body(&heard.envelope.body)[1]["type"], "task-started");
    assert_eq!(answer(dispatcher).await, json!(2));
}
