//! The bus is kombu's, key by key and channel by channel.

use aipo_core::Store;
use aipo_core::message::{Envelope, Properties};
use aipo_core::store::{Address, Listener, Notice, Topic};
use serde_json::{Value, json};

use crate::server::{Database, Server, fresh};
use crate::support::within;

/// As `app.control.inspect().ping()` of Celery 5.7 published it, with a shorter ticket.
const PING: &str = concat!(
    r#"{"body": "eyJtZXRob2QiOiAicGluZyIsICJhcmd1bWVudHMiOiB7fSwgInRpY2tldCI6ICJmNmQzIn0=", "#,
    r#""content-encoding": "utf-8", "content-type": "application/json", "#,
    r#""headers": {"clock": 1, "expires": 1795206498.2953944}, "properties": {"delivery_mode": 2, "#,
    r#""delivery_info": {"exchange": "celery.pidbox", "routing_key": ""}, "priority": 0, "#,
    r#""body_encoding": "base64", "delivery_tag": "e8c1a08d-7c94-4736-8384-eb1d207494f2"}}"#
);

pub(crate) fn everybody(exchange: &str, routing_key: &str) -> Address {
    Address::Everybody {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
    }
}

pub(crate) fn topic(exchange: &str, pattern: &str) -> Topic {
    Topic::Everybody {
        exchange: exchange.to_owned(),
        pattern: pattern.to_owned(),
    }
}

pub(crate) fn mailbox(routing_key: &str) -> Topic {
    Topic::Mailbox {
        exchange: "reply.celery.pidbox".to_owned(),
        routing_key: routing_key.to_owned(),
    }
}

pub(crate) fn letter(routing_key: &str) -> Address {
    Address::Mailbox {
        exchange: "reply.celery.pidbox".to_owned(),
        routing_key: routing_key.to_owned(),
    }
}

/// A notice as a worker tells one: not to be kept.
pub(crate) fn notice(to: Address, headers: &str, body: &Value) -> Notice {
    let envelope = Envelope {
        headers: headers.as_bytes().to_vec(),
        properties: Properties {
            delivery_mode: 1,
            ..Properties::default()
        },
        body: body.to_string().into_bytes(),
    };
    Notice { to, envelope }
}

pub(crate) async fn listen(
    store: &Store,
    topics: impl IntoIterator<Item = Topic>,
) -> Box<dyn Listener> {
    let topics = topics.into_iter().collect();
    within(store.bus.listen(topics)).await.expect("listen")
}

pub(crate) async fn hear(listener: &mut Box<dyn Listener>) -> Notice {
    within(listener.next()).await.expect("next")
}

pub(crate) async fn tell(store: &Store, notices: impl Into<Vec<Notice>>) {
    within(store.bus.tell(notices.into())).await.expect("tell");
}

fn body(notice: &Notice) -> Value {
    serde_json::from_slice(&notice.envelope.body).expect("JSON")
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    within(wait).await;
}

fn publish(database: Database, channel: &str, message: &str) -> u64 {
    database.ask(&["PUBLISH", channel, message])
}

#[tokio::test]
async fn a_notice_is_published_where_python_subscribes() {
    let database = fresh();
    let store = database.store().await;
    let client = redis::Client::open(database.url()).expect("a valid URL");
    let mut connection = client.get_connection().expect("connect");
    let mut channels = connection.as_pubsub();
    let exchange = store.url.replace(|char| !char::is_ascii_digit(&char), "") + "ev";
    channels
        .psubscribe(format!("*{exchange}*"))
        .expect("subscribe");
    let db = database.url();
    let (_, db) = db.rsplit_once('/').expect("the database");

    let event = json!([{"type": "task-started", "uuid": "a"}]);
    let told = ["task.multi", ""]
        .map(|key| notice(everybody(&exchange, key), r#"{"hostname": "w@h"}"#, &event));
    tell(&store, told).await;

    let message = channels.get_message().expect("a message");
    assert_eq!(
        message.get_channel_name(),
        format!("/{db}.{exchange}/task.multi")
    );
    let mut sent: Value = serde_json::from_slice(message.get_payload_bytes()).expect("JSON");
    assert!(sent["properties"]["delivery_tag"].take().is_string());
    let expected = json!({
        "headers": {"hostname": "w@h"},
        "properties": {
            "delivery_mode": 1, "priority": 0, "body_encoding": "base64", "delivery_tag": null,
            "delivery_info": {"exchange": exchange, "routing_key": "task.multi"},
        },
        "content-type": "application/json", "content-encoding": "utf-8",
        "body": "W3sidHlwZSI6InRhc2stc3RhcnRlZCIsInV1aWQiOiJhIn1d",
    });
    assert_eq!(sent, expected);
    let message = channels.get_message().expect("a message");
    assert_eq!(message.get_channel_name(), format!("/{db}.{exchange}"));
}

#[tokio::test]
async fn what_python_publishes_is_heard_byte_for_byte() {
    let server = Server::start();
    let database = server.database(3);
    let store = database.store().await;
    let mut listener = listen(&store, [topic("celery.pidbox", "")]).await;

    assert_eq!(publish(database, "/3.celery.pidbox", PING), 1);

    let heard = hear(&mut listener).await;
    assert_eq!(heard.to, everybody("celery.pidbox", ""));
    let headers = br#"{"clock": 1, "expires": 1795206498.2953944}"#;
    assert_eq!(heard.envelope.headers, headers);
    assert_eq!(
        heard.envelope.body,
        br#"{"method": "ping", "arguments": {}, "ticket": "f6d3"}"#
    );
    assert_eq!(heard.envelope.properties, Properties::default());
}

#[tokio::test]
async fn what_is_no_message_is_passed_over() {
    let server = Server::start();
    let database = server.database(0);
    let store = database.store().await;
    let mut listener = listen(&store, [topic("celeryev", "worker.#"), mailbox("me")]).await;

    for garbage in [
        "garbage",
        "",
        "[]",
        "3",
        r#"{"body": "%", "properties": {"body_encoding": "base64"}}"#,
    ] {
        assert_eq!(publish(database, "/0.celeryev/worker.online", garbage), 1);
        let _: u64 = database.ask(&["LPUSH", "me.reply.celery.pidbox", garbage]);
    }
    let plain = r#"{"body": "{\"a\": \"é\"}", "properties": {"body_encoding": "utf-8"}}"#;
    publish(database, "/0.celeryev/worker.online", plain);

    let heard = hear(&mut listener).await;
    assert_eq!(heard.to, everybody("celeryev", "worker.online"));
    assert_eq!(body(&heard), json!({"a": "é"}));
}

#[tokio::test]
async fn a_reply_goes_to_the_queue_that_the_binding_names() {
    let database = fresh();
    let store = database.store().await;
    // As kombu registers a mailbox for replies.
    let table = "_kombu.binding.reply.celery.pidbox";
    for key in ["57a4", "57"] {
        let member = format!("{key}\x06\x16\x06\x16{key}.reply.celery.pidbox");
        let _: u64 = database.ask(&["SADD", table, &member]);
    }

    let reply = json!({"w@h": {"ok": "pong"}});
    let told = notice(letter("57"), r#"{"ticket": "t", "clock": 2}"#, &reply);
    tell(
        &store,
        [told.clone(), notice(letter("5"), "{}", &reply), told],
    )
    .await;

    let raw: Vec<Vec<u8>> = database.ask(&["LRANGE", "57.reply.celery.pidbox", "0", "-1"]);
    assert_eq!(raw.len(), 2);
    let sent: Value = serde_json::from_slice(&raw[0]).expect("JSON");
    assert_eq!(sent["headers"], json!({"ticket": "t", "clock": 2}));
    assert_eq!(
        sent["properties"]["delivery_info"],
        json!({"exchange": "reply.celery.pidbox", "routing_key": "57"})
    );
    // Whoever asked may be gone by now.
    let ttl: i64 = database.ask(&["TTL", "57.reply.celery.pidbox"]);
    assert!((1..=300).contains(&ttl), "{ttl}");
    let mut keys: Vec<String> = database.ask(&["KEYS", "*"]);
    keys.sort();
    assert_eq!(keys, ["57.reply.celery.pidbox", table]);
}

#[tokio::test]
async fn a_mailbox_stands_in_kombus_tables_while_it_is_open() {
    let database = fresh();
    let store = database.store().await;
    let listener = listen(&store, [mailbox("me")]).await;

    let table = "_kombu.binding.reply.celery.pidbox";
    let members: Vec<String> = database.ask(&["SMEMBERS", table]);
    assert_eq!(members, ["me\x06\x16\x06\x16me.reply.celery.pidbox"]);
    let deadlines: Vec<String> = database.ask(&["ZRANGE", "_kombu.binding_deadlines", "0", "-1"]);
    assert_eq!(deadlines, ["reply.celery.pidbox"]);

    drop(listener);
    until(|| database.ask::<Vec<String>>(&["KEYS", "*"]).is_empty()).await;
}

#[tokio::test]
async fn the_bindings_of_others_stay_when_a_mailbox_closes() {
    let database = fresh();
    let store = database.store().await;
    let table = "_kombu.binding.reply.celery.pidbox";
    let other = "57\x06\x16\x06\x1657.reply.celery.pidbox";
    let _: u64 = database.ask(&["SADD", table, other]);
    let _: u64 = database.ask(&[
        "ZADD",
        "_kombu.binding_deadlines",
        "9e12",
        "reply.celery.pidbox",
    ]);

    drop(listen(&store, [mailbox("me")]).await);

    until(|| database.ask::<Vec<String>>(&["SMEMBERS", table]) == [other]).await;
    let deadline: f64 =
        database.ask(&["ZSCORE", "_kombu.binding_deadlines", "reply.celery.pidbox"]);
    assert_eq!(deadline, 9e12);
}

#[tokio::test]
async fn the_mailbox_of_an_owner_that_died_is_swept() {
    let database = fresh();
    let store = database.store().await;
    let mut alive = listen(&store, [mailbox("alive")]).await;
    // What a process that was killed leaves, when its time is over.
    let table = "_kombu.binding.reply.celery.pidbox";
    let _: u64 = database.ask(&[
        "SADD",
        table,
        "dead\x06\x16\x06\x16dead.reply.celery.pidbox",
    ]);
    let _: u64 = database.ask(&[
        "ZADD",
        "aipo:mailboxes",
        "1",
        "reply.celery.pidbox\x06\x16dead",
    ]);
    let _: u64 = database.ask(&["LPUSH", "dead.reply.celery.pidbox", "{}"]);

    assert_eq!(store.state.sweep().await.expect("sweep"), 1);

    let members: Vec<String> = database.ask(&["SMEMBERS", table]);
    assert_eq!(members, ["alive\x06\x16\x06\x16alive.reply.celery.pidbox"]);
    assert_eq!(
        database.ask::<u64>(&["EXISTS", "dead.reply.celery.pidbox"]),
        0
    );
    tell(&store, [notice(letter("alive"), "{}", &json!(1))]).await;
    assert_eq!(body(&hear(&mut alive).await), json!(1));
}

#[tokio::test]
async fn names_with_the_signs_of_patterns_mean_themselves() {
    let store = fresh().store().await;
    let mut listener = listen(&store, [topic(r"e*?[a]\", "k*#")]).await;

    let told = [
        (r"exx[a]\", "k*1"),
        (r"e*?a\", "k*2"),
        (r"e*?[a]\", "kk3"),
        (r"e*?[a]\", "k*4"),
    ];
    for (exchange, key) in told {
        tell(
            &store,
            [notice(everybody(exchange, key), "{}", &json!(key))],
        )
        .await;
    }

    assert_eq!(body(&hear(&mut listener).await), json!("k*4"));
}

#[tokio::test]
async fn databases_do_not_hear_each_other() {
    let server = Server::start();
    let [first, second] = [
        server.database(0).store().await,
        server.database(1).store().await,
    ];
    let mut listener = listen(&first, [topic("celeryev", "#")]).await;

    tell(
        &second,
        [notice(everybody("celeryev", "a"), "{}", &json!("second"))],
    )
    .await;
    tell(
        &first,
        [notice(everybody("celeryev", "a"), "{}", &json!("first"))],
    )
    .await;

    assert_eq!(body(&hear(&mut listener).await), json!("first"));
}

#[tokio::test]
async fn one_connection_serves_all_listeners_and_goes_with_the_last() {
    let server = Server::start();
    let store = server.database(0).store().await;
    let patterns = || server.database(0).ask::<u64>(&["PUBSUB", "NUMPAT"]);
    let listening = || {
        let clients: String = server.database(0).ask(&["CLIENT", "LIST"]);
        let is_listening = |client: &&str| !client.contains(" psub=0 ");
        clients.lines().filter(is_listening).count()
    };
    assert_eq!(listening(), 0);

    let first = listen(&store, [topic("celery.pidbox", "")]).await;
    let second = listen(
        &store,
        [topic("celery.pidbox", ""), topic("celeryev", "worker.#")],
    )
    .await;
    assert_eq!((listening(), patterns()), (1, 2));

    drop(second);
    until(|| patterns() == 1).await;
    drop(first);
    until(|| listening() == 0).await;

    let mut again = listen(&store, [topic("celery.pidbox", "")]).await;
    tell(
        &store,
        [notice(everybody("celery.pidbox", ""), "{}", &json!(1))],
    )
    .await;
    assert_eq!(body(&hear(&mut again).await), json!(1));
}

#[tokio::test]
async fn a_listener_outlives_a_restart() {
    let mut server = Server::start();
    let store = server.database(0).store().await;
    let mut listener = listen(
        &store,
        [
            topic("celeryev", "worker.#"),
            topic("celery.pidbox", ""),
            mailbox("me"),
        ],
    )
    .await;

    server.kill();
    server.restart();

    // It comes back by itself: patterns, and the mailbox, of which the server knows nothing any more.
    let database = server.database(0);
    until(|| {
        database.ask::<u64>(&["PUBSUB", "NUMPAT"]) == 2
            && database.ask::<u64>(&["EXISTS", "_kombu.binding.reply.celery.pidbox"]) == 1
    })
    .await;
    let other = database.store().await;
    let mut missing = vec![
        everybody("celeryev", "worker.online"),
        everybody("celery.pidbox", ""),
        letter("me"),
    ];
    tell(
        &other,
        missing
            .iter()
            .map(|to| notice(to.clone(), "{}", &json!(1)))
            .collect::<Vec<_>>(),
    )
    .await;
    while !missing.is_empty() {
        let heard = hear(&mut listener).await;
        missing.retain(|to| *to != heard.to);
    }
}

#[tokio::test]
async fn a_server_that_can_not_be_reached_is_told() {
    let mut server = Server::start();
    let mut options = server.database(0).options();
    options.timeout = std::time::Duration::from_millis(300);
    let store = aipo_redis::connect(options).await.expect("connect");
    server.kill();

    for topic in [topic("celeryev", "#"), mailbox("me")] {
        let refused = store.bus.listen(vec![topic]).await;
        let refused = refused.err().expect("nobody is there");
        assert!(refused.is_temporary(), "{refused:?}");
    }
}
