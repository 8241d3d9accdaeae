//! What lies on the server is what Celery puts and looks for there.

use std::time::Duration;

use aipo_core::store::{Publish, ResultRecord, Settlement, Verdict};
use aipo_core::{ErrorKind, TaskState};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::server::fresh;
use crate::support::{consumer, counts, ids, message, publish, settle, take, wait, within};

fn urgent(id: &str, priority: u8) -> Publish {
    Publish {
        priority,
        ..message("celery", id)
    }
}

#[tokio::test]
async fn a_message_lies_where_a_python_worker_takes_it() {
    let database = fresh();
    let store = database.store().await;

    publish(&store, [message("celery", "1"), message("celery", "2")]).await;

    // kombu takes from the right.
    let raw: Vec<Vec<u8>> = database.ask(&["LRANGE", "celery", "0", "-1"]);
    let sent: Vec<Value> = raw
        .iter()
        .map(|raw| serde_json::from_slice(raw).expect("JSON"))
        .collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(
        sent[1]["headers"],
        json!({"task": "app.tasks.add", "id": "1", "eta": null})
    );
    assert_eq!(sent[1]["body"], "MQ==");
    assert_eq!(sent[1]["content-type"], "application/json");
    assert_eq!(sent[1]["content-encoding"], "utf-8");
    let mut properties = sent[1]["properties"].clone();
    assert!(properties["delivery_tag"].take().is_string());
    let expected = json!({
        "correlation_id": "1", "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": "celery"}, "delivery_tag": null,
    });
    assert_eq!(properties, expected);
    assert_ne!(
        sent[0]["properties"]["delivery_tag"],
        sent[1]["properties"]["delivery_tag"]
    );
}

#[tokio::test]
async fn a_queue_stands_in_celerys_tables_from_its_first_message_or_worker_on() {
    let database = fresh();
    let store = database.store().await;

    publish(&store, [message("sent", "1")]).await;
    let _consumer = consumer(&store, &["worked"]).await;

    for queue in ["sent", "worked"] {
        for table in ["_kombu.binding", "_kombu.binding_permanent"] {
            let members: Vec<String> = database.ask(&["SMEMBERS", &format!("{table}.{queue}")]);
            assert_eq!(
                members,
                [format!("{queue}\x06\x16\x06\x16{queue}")],
                "{table}"
            );
        }
    }
}

#[tokio::test]
async fn each_priority_goes_to_the_list_of_its_step() {
    let database = fresh();
    let store = database.store().await;

    publish(
        &store,
        (0..=9)
            .rev()
            .map(|n| urgent(&n.to_string(), n))
            .collect::<Vec<_>>(),
    )
    .await;

    let lengths = [
        "celery",
        "celery\x06\x163",
        "celery\x06\x166",
        "celery\x06\x169",
    ]
    .map(|list| database.ask::<u64>(&["LLEN", list]));
    assert_eq!(lengths, [3, 3, 3, 1]);
    let consumer = consumer(&store, &["celery"]).await;
    let taken = ids(&take(&*consumer).await);
    assert_eq!(
        taken,
        ["2", "1", "0", "5", "4", "3", "8", "7", "6", "9"],
        "within a step as sent"
    );
}

#[tokio::test]
async fn steps_separator_and_prefix_are_as_chosen() {
    let database = fresh();
    let url = format!(
        "{}?global_keyprefix=app:&priority_steps=0,5&sep=%7C",
        database.url()
    );
    let options = aipo_redis::RedisOptions::from_url(&url).expect("a valid URL");
    let store = aipo_redis::connect(options).await.expect("connect");

    publish(&store, [urgent("urgent", 4), urgent("not", 5)]).await;
    let record = ResultRecord {
        id: "a".into(),
        state: TaskState::Success,
        meta: b"{}".to_vec(),
        expires: None,
    };
    store.results.store(vec![record]).await.expect("store");

    let mut keys: Vec<String> = database.ask(&["KEYS", "*"]);
    keys.sort();
    let expected = [
        "app:_kombu.binding.celery",
        "app:_kombu.binding_permanent.celery",
        "app:aipo:queues",
        "app:aipo:state:app:celery-task-meta-a",
        "app:celery",
        "app:celery-task-meta-a",
        "app:celery|5",
    ];
    assert_eq!(keys, expected);
    let consumer = consumer(&store, &["celery"]).await;
    assert_eq!(ids(&take(&*consumer).await), ["urgent", "not"]);
}

/// A Python worker reads JSON and passes over the key; when it puts the message back it writes the key again,
/// with a space.
#[tokio::test]
async fn the_count_goes_with_the_message_through_anybodys_hands() {
    let database = fresh();
    let store = database.store().await;
    publish(&store, [message("celery", "a")]).await;
    let closing = consumer(&store, &["celery"]).await;
    let first = take(&*closing).await.remove(0);
    closing.close().await.expect("closed");

    let raw: Vec<u8> = database.ask(&["RPOP", "celery"]);
    let object: Value = serde_json::from_slice(&raw).expect("JSON");
    assert_eq!(object["aipo-deliveries"], 1);
    let rest = raw
        .strip_prefix(br#"{"aipo-deliveries":1,"#)
        .expect("the count is in front");
    let rewritten = [br#"{"aipo-deliveries": 1, "#, rest].concat();
    let _: u64 = database.ask_bytes(&[b"RPUSH", b"celery", &rewritten]);

    let consumer = consumer(&store, &["celery"]).await;
    let second = take(&*consumer).await.remove(0);
    assert_eq!((second.deliveries, second.envelope), (2, first.envelope));
}

#[tokio::test]
async fn what_python_sends_wakes_a_waiting_consumer() {
    let database = fresh();
    let store = database.store().await;
    let consumer = consumer(&store, &["celery", "other"]).await;
    let envelope = br#"{"body": "W10=", "headers": {"task": "t", "id": "a"},
        "properties": {"body_encoding": "base64", "delivery_tag": "x", "priority": 3}}"#;
    let (taken, ()) = tokio::join!(wait(&*consumer), async {
        let list = "other\x06\x163";
        let _: u64 = database.ask_bytes(&[b"LPUSH", list.as_bytes(), envelope]);
    });

    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].queue.as_str(), "other");
    assert_eq!(taken[0].envelope.body, b"[]");
}

/// So that the worker keeps it aside, with its bytes, for a person to look at.
#[tokio::test]
async fn what_is_no_message_is_delivered_all_the_same() {
    let database = fresh();
    let store = database.store().await;
    let consumer = consumer(&store, &["celery"]).await;
    for garbage in [&b"\xff\x00 garbage"[..], b"{}", b"{ }", b""] {
        let _: u64 = database.ask_bytes(&[b"LPUSH", b"celery", garbage]);

        let taken = take(&*consumer).await.remove(0);
        assert_eq!(
            taken.envelope.headers,
            if garbage.starts_with(b"{") {
                b"{}"
            } else {
                garbage
            }
        );
        settle(&*consumer, &taken, Verdict::Release).await;
        let again = take(&*consumer).await.remove(0);
        assert_eq!(again.envelope, taken.envelope);
        settle(
            &*consumer,
            &again,
            Verdict::DeadLetter {
                reason: "no message".to_owned(),
            },
        )
        .await;
    }

    let letters = store
        .broker
        .dead_letters(None, 10)
        .await
        .expect("dead letters");
    assert_eq!(letters.len(), 4);
    assert_eq!(letters[3].envelope.headers, b"\xff\x00 garbage");
}

#[tokio::test]
async fn a_result_is_kept_and_told_as_celery_does() {
    let database = fresh();
    let store = database.store().await;
    publish(&store, [message("celery", "a")]).await;
    let consumer = consumer(&store, &["celery"]).await;
    let taken = take(&*consumer).await.remove(0);
    let client = redis::Client::open(database.url()).expect("a valid URL");
    let mut connection = client.get_connection().expect("connect");
    let mut channel = connection.as_pubsub();
    channel.subscribe("celery-task-meta-a").expect("subscribe");

    let meta = r#"{"status":"SUCCESS","result":4,"task_id":"a"}"#;
    let record = ResultRecord {
        id: "a".into(),
        state: TaskState::Success,
        meta: meta.as_bytes().to_vec(),
        expires: Some(Duration::from_secs(100)),
    };
    let settlement = Settlement {
        tag: taken.tag,
        verdict: Verdict::Ack,
        result: Some(record),
        publish: Vec::new(),
        step: Default::default(),
    };
    consumer.settle(vec![settlement]).await.expect("settle");

    let told: String = channel
        .get_message()
        .expect("a message")
        .get_payload()
        .expect("text");
    assert_eq!(told, meta);
    assert_eq!(database.ask::<String>(&["GET", "celery-task-meta-a"]), meta);
    let ttl: i64 = database.ask(&["TTL", "celery-task-meta-a"]);
    assert!((1..=100).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn a_success_that_python_stored_is_not_replaced() {
    let database = fresh();
    let store = database.store().await;
    let record = |id: &str| ResultRecord {
        id: id.into(),
        state: TaskState::Failure,
        meta: br#"{"status":"FAILURE"}"#.to_vec(),
        expires: None,
    };
    for (id, meta, is_kept) in [
        ("aipo's", r#"{"status":"SUCCESS","result":4}"#, true),
        ("python's", r#"{"status": "SUCCESS", "result": 4}"#, true),
        ("sorted", r#"{"result": 4, "status": "SUCCESS"}"#, true),
        (
            "other",
            r#"{"status": "STARTED", "result": {"status": "SUCCESS"}}"#,
            false,
        ),
    ] {
        let _: String = database.ask(&["SET", &format!("celery-task-meta-{id}"), meta]);
        store.results.store(vec![record(id)]).await.expect("store");

        let stored = store
            .results
            .get(&[id.into()])
            .await
            .expect("get")
            .remove(0);
        let expected = if is_kept {
            meta.as_bytes()
        } else {
            br#"{"status":"FAILURE"}"#
        };
        assert_eq!(stored.as_deref(), Some(expected), "{id}");
    }
}

/// Celery's `result_serializer` and `result_compression`, from the golden files.
fn golden_result(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/golden/results");
    let text = std::fs::read(format!("{folder}/{name}.json")).expect("a golden file");
    let golden: Value = serde_json::from_slice(&text).expect("JSON");
    let stored = golden["stored"].as_str().expect("base64");
    base64::engine::general_purpose::STANDARD
        .decode(stored)
        .expect("base64")
}

#[tokio::test]
async fn a_success_in_another_serialisation_is_not_replaced_either() {
    let database = fresh();
    let store = database.store().await;
    for (name, is_kept) in [
        ("format_msgpack", true),
        ("format_msgpack_failure", false),
        ("format_yaml", true),
        ("format_yaml_failure", false),
    ] {
        let meta = golden_result(name);
        let _: String = database.ask_bytes(&[b"SET", b"celery-task-meta-a", &meta]);
        // As if somebody else had stored another state before.
        let _: String = database.ask(&["SET", "aipo:state:celery-task-meta-a", "STARTED"]);
        let failure = br#"{"status":"FAILURE"}"#.to_vec();
        let record = ResultRecord {
            id: "a".into(),
            state: TaskState::Failure,
            meta: failure.clone(),
            expires: None,
        };
        store.results.store(vec![record]).await.expect("store");

        let stored = store.results.get(&["a".into()]).await.expect("get");
        let expected = if is_kept { meta } else { failure };
        assert_eq!(stored, [Some(expected)], "{name}");
    }
}

/// What aipo stored compressed, the server can't read: its state is noted beside it.
#[tokio::test]
async fn a_success_stored_compressed_is_not_replaced() {
    let database = fresh();
    let store = database.store().await;
    let record = |state, meta| ResultRecord {
        id: "a".into(),
        state,
        meta,
        expires: None,
    };
    let success = golden_result("format_zlib");
    let batch = vec![
        record(TaskState::Started, golden_result("format_xz")),
        record(TaskState::Success, success.clone()),
        record(TaskState::Failure, br#"{"status":"FAILURE"}"#.to_vec()),
    ];
    store.results.store(batch).await.expect("store");

    let stored = store.results.get(&["a".into()]).await.expect("get");
    assert_eq!(stored, [Some(success)]);
}

#[tokio::test]
async fn a_result_that_python_stores_in_another_format_ends_the_wait() {
    let database = fresh();
    let store = database.store().await;
    for name in [
        "format_msgpack",
        "format_yaml_failure",
        "format_msgpack_zlib",
        "format_zstd",
    ] {
        let meta = golden_result(name);
        let id = name.into();
        let (found, ()) = tokio::join!(
            within(store.results.wait(&id, crate::support::GUARD)),
            async {
                let key = format!("celery-task-meta-{name}");
                let _: String = database.ask_bytes(&[b"SET", key.as_bytes(), &meta]);
            }
        );
        assert_eq!(found.expect("wait"), Some(meta.clone()), "{name}");
    }
}

#[tokio::test]
async fn a_result_that_python_stores_ends_the_wait() {
    let database = fresh();
    let store = database.store().await;
    let meta = r#"{"status": "FAILURE", "result": null}"#;

    let id = "a".into();
    let (found, ()) = tokio::join!(
        within(store.results.wait(&id, crate::support::GUARD)),
        async {
            let started = r#"{"status": "STARTED"}"#;
            let _: String = database.ask(&["SETEX", "celery-task-meta-a", "100", started]);
            let _: String = database.ask(&["SETEX", "celery-task-meta-a", "100", meta]);
        }
    );

    assert_eq!(found.expect("wait").as_deref(), Some(meta.as_bytes()));
}

/// What Python workers hold is theirs.
#[tokio::test]
async fn what_python_workers_hold_is_left_alone() {
    let database = fresh();
    let store = database.store().await;
    let entry = r#"[{"body": "W10="}, "", "celery"]"#;
    let _: u64 = database.ask(&["HSET", "unacked", "tag", entry]);
    let _: u64 = database.ask(&["ZADD", "unacked_index", "1", "tag"]);

    let consumer = consumer(&store, &["celery"]).await;
    assert_eq!(take(&*consumer).await, []);
    store.broker.recover().await.expect("recover");
    store.broker.purge(&"celery".into()).await.expect("purge");

    assert_eq!(database.ask::<String>(&["HGET", "unacked", "tag"]), entry);
    assert_eq!(database.ask::<u64>(&["ZCARD", "unacked_index"]), 1);
}

/// All of a call is refused when one of its queues can't be: nothing is published half.
#[tokio::test]
async fn a_key_that_holds_something_else_is_told() {
    let database = fresh();
    let store = database.store().await;
    publish(&store, [message("a", "0"), message("b", "0")]).await;
    store.broker.purge(&"b".into()).await.expect("purge");
    let _: String = database.ask(&["SET", "b", "not a list"]);

    let messages = vec![message("a", "1"), message("b", "2")];
    let refused = store
        .broker
        .publish(messages)
        .await
        .expect_err("b is no list");

    assert_eq!(refused.kind(), ErrorKind::Storage);
    assert!(!refused.is_temporary());
    assert_eq!(database.ask::<u64>(&["LLEN", "a"]), 1);
    assert_eq!(counts_of_a(&store).await, 1);
}

async fn counts_of_a(store: &aipo_core::Store) -> u64 {
    let consumer = consumer(store, &["a"]).await;
    let taken = take(&*consumer).await.len() as u64;
    consumer.close().await.expect("close");
    taken
}

#[tokio::test]
async fn queues_tell_what_python_put_there() {
    let database = fresh();
    let store = database.store().await;
    let _consumer = consumer(&store, &["celery"]).await;
    for list in ["celery", "celery\x06\x169"] {
        let _: u64 = database.ask(&["LPUSH", list, "{}"]);
    }

    assert_eq!(counts(&store, "celery").await, [2, 0, 0, 0]);
}
