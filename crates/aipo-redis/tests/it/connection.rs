//! A server that goes away, comes back, stands still or says no.

use std::time::Duration;

use aipo_core::store::{Consumer, Fetch, ResultRecord, Verdict};
use aipo_core::{ErrorKind, Store, TaskState};
use aipo_redis::{Address, RedisOptions};

use crate::server::{Server, fresh};
use crate::support::{GUARD, consumer, counts, ids, message, publish, settle, take, wait, within};

/// Keeps everything on disk at once, so that a killed server has it all when it is back.
const DURABLE: [&str; 6] = [
    "--save",
    "",
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
];

/// A time for calls that is over soon.
const SHORT: Duration = Duration::from_millis(300);

async fn hasty(server: &Server) -> Store {
    let mut options = server.database(0).options();
    options.timeout = SHORT;
    aipo_redis::connect(options).await.expect("connect")
}

/// Fetches as a worker does: what fails for a while is tried again.
async fn work(consumer: &dyn Consumer) -> Vec<String> {
    let fetch = Fetch {
        max: 10,
        started: 10,
        wait: GUARD,
    };
    loop {
        match consumer.fetch(fetch).await {
            Ok(taken) => return ids(&taken),
            Err(error) => assert!(error.is_temporary(), "{error:?}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_waiting_consumer_outlives_a_restart() {
    let mut server = Server::start_with(&DURABLE);
    let store = server.database(0).store().await;
    let consumer = consumer(&store, &["celery"]).await;
    let waiting = tokio::spawn(async move { work(&*consumer).await });
    // It has looked once when it is registered and its look is answered.
    while server.info("clients", "tracking_clients") == "0" {
        tokio::task::yield_now().await;
    }

    server.kill();
    server.restart();
    publish(&server.database(0).store().await, [message("celery", "a")]).await;

    assert_eq!(within(waiting).await.expect("no task panics"), ["a"]);
}

#[tokio::test]
async fn what_was_held_can_be_settled_after_a_restart() {
    let mut server = Server::start_with(&DURABLE);
    let store = server.database(0).store().await;
    publish(&store, [message("celery", "a"), message("celery", "b")]).await;
    let consumer = consumer(&store, &["celery"]).await;
    let held = take(&*consumer).await;

    server.kill();
    server.restart();

    // The old connection may be noticed only by a call that fails.
    while let Err(error) = consumer.renew().await {
        assert!(error.is_temporary(), "{error:?}");
    }
    // Scripts are gone with the old server, and are sent again.
    settle(&*consumer, &held[0], Verdict::Ack).await;
    settle(&*consumer, &held[1], Verdict::Release).await;
    assert_eq!(ids(&take(&*consumer).await), ["b"]);
    assert_eq!(counts(&store, "celery").await, [0, 0, 1, 0]);
}

#[tokio::test]
async fn a_wait_for_a_result_outlives_a_restart() {
    let mut server = Server::start_with(&DURABLE);
    let store = server.database(0).store().await;
    let waiting = tokio::spawn({
        let results = store.results.clone();
        async move { results.wait(&"a".into(), GUARD).await }
    });
    while server.info("clients", "tracking_clients") == "0" {
        tokio::task::yield_now().await;
    }

    server.kill();
    server.restart();
    let record = ResultRecord {
        id: "a".into(),
        state: TaskState::Success,
        meta: br#"{"status":"SUCCESS"}"#.to_vec(),
        expires: None,
    };
    server
        .database(0)
        .store()
        .await
        .results
        .store(vec![record])
        .await
        .expect("store");

    let found = within(waiting)
        .await
        .expect("no task panics")
        .expect("wait");
    assert_eq!(found.as_deref(), Some(&br#"{"status":"SUCCESS"}"#[..]));
}

/// A server that lost its data has lost the consumers too, and a worker is told to register again.
#[tokio::test]
async fn a_server_that_lost_everything_ends_leases_and_takes_new_work() {
    let mut server = Server::start();
    let store = server.database(0).store().await;
    publish(&store, [message("celery", "a")]).await;
    let lost = consumer(&store, &["celery"]).await;

    server.kill();
    server.restart();

    let fetch = Fetch {
        max: 1,
        started: 1,
        wait: Duration::ZERO,
    };
    let refused = lost
        .fetch(fetch)
        .await
        .expect_err("the server knows no consumer");
    assert_eq!(refused.kind(), ErrorKind::LeaseLost);
    publish(&store, [message("celery", "b")]).await;
    let anew = consumer(&store, &["celery"]).await;
    assert_eq!(ids(&take(&*anew).await), ["b"]);
    // The queue is known again, though this process had made it known before.
    assert_eq!(counts(&store, "celery").await, [0, 0, 1, 0]);
}

#[tokio::test]
async fn a_send_to_a_dead_server_fails_in_its_time() {
    let mut server = Server::start();
    let store = hasty(&server).await;
    server.kill();

    for _ in 0..2 {
        let refused = store.broker.publish(vec![message("celery", "a")]).await;
        let refused = refused.expect_err("nobody is there");
        assert_eq!(
            (refused.kind(), refused.is_temporary()),
            (ErrorKind::Unavailable, true)
        );
    }
    server.restart();
    publish(&store, [message("celery", "b")]).await;
}

#[tokio::test]
async fn nobody_to_connect_to_is_told() {
    let mut server = Server::start();
    let mut options = server.database(0).options();
    options.timeout = SHORT;
    server.kill();

    let refused = aipo_redis::connect(options)
        .await
        .expect_err("nobody is there");

    assert_eq!(refused.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_send_to_a_server_that_stands_still_fails_in_its_time() {
    let server = Server::start();
    let store = hasty(&server).await;
    publish(&store, [message("celery", "a")]).await;
    let process = server.process_id();

    server.signal(&process, "STOP");
    let refused = store.broker.publish(vec![message("celery", "b")]).await;
    server.signal(&process, "CONT");

    let refused = refused.expect_err("it stands still");
    assert_eq!(
        (refused.kind(), refused.is_temporary()),
        (ErrorKind::Timeout, true)
    );
    assert!(take(&*consumer(&store, &["celery"]).await).await.len() <= 2);
}

/// The server runs the fetch when it goes on, after its caller has given up: what it takes then must not
/// stay with a consumer that knows nothing of it, for as long as its lease is renewed.
#[tokio::test]
async fn a_fetch_that_was_given_up_takes_nothing_with_it() {
    let server = Server::start();
    let store = hasty(&server).await;
    let process = server.process_id();
    let consumer = consumer(&store, &["celery"]).await;
    take(&*consumer).await;
    publish(&store, ["1", "2", "3"].map(|id| message("celery", id))).await;

    server.signal(&process, "STOP");
    let fetch = Fetch {
        max: 2,
        started: 2,
        wait: Duration::ZERO,
    };
    let refused = consumer.fetch(fetch).await.expect_err("it stands still");
    assert!(refused.is_temporary(), "{refused:?}");
    server.signal(&process, "CONT");

    let other = crate::support::consumer(&store, &["celery"]).await;
    let mut taken = Vec::new();
    while taken.len() < 3 {
        taken.extend(wait(&*other).await);
    }
    let mut all = ids(&taken);
    all.sort();
    assert_eq!(all, ["1", "2", "3"]);
    assert!(
        taken.iter().all(|taken| taken.deliveries == 1),
        "nothing was counted: {taken:?}"
    );
}

#[tokio::test]
async fn a_waiting_consumer_outlives_a_server_that_stands_still() {
    let server = Server::start();
    let store = hasty(&server).await;
    let process = server.process_id();
    let consumer = consumer(&store, &["celery"]).await;
    let waiting = tokio::spawn(async move { work(&*consumer).await });
    while server.info("clients", "tracking_clients") == "0" {
        tokio::task::yield_now().await;
    }

    server.signal(&process, "STOP");
    let refused = store
        .broker
        .publish(vec![message("celery", "during")])
        .await;
    assert!(refused.is_err(), "it stands still");
    server.signal(&process, "CONT");
    publish(&store, [message("celery", "after")]).await;

    let taken = within(waiting).await.expect("no task panics");
    assert!(!taken.is_empty());
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let server = Server::start();
    let database = server.database(0);
    let store = database.store().await;
    let consumer = consumer(&store, &["celery"]).await;
    for id in ["1", "2"] {
        publish(&store, [message("celery", id)]).await;
        let _: String = database.ask(&["SCRIPT", "FLUSH"]);
        assert_eq!(ids(&take(&*consumer).await), [id]);
    }
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let server = Server::start_with(&["--save", "", "--requirepass", "secret"]);
    let mut options = RedisOptions::new(server.address());
    for wrong in [None, Some("wrong")] {
        options.password = wrong.map(str::to_owned);
        let refused = aipo_redis::connect(options.clone())
            .await
            .expect_err("it is not the password");
        assert_eq!(refused.kind(), ErrorKind::Config, "{refused:?}");
        assert!(!format!("{refused:?}").contains("wrong\""));
    }
    options.password = Some("secret".to_owned());
    let store = aipo_redis::connect(options).await.expect("connect");
    publish(&store, [message("celery", "a")]).await;
    assert!(!format!("{store:?}").contains("secret"));
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told() {
    let mut options = fresh().options();
    options.db = 1_000_000;

    let refused = aipo_redis::connect(options)
        .await
        .expect_err("there are not so many");

    assert_eq!(refused.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_socket_of_this_machine_will_do() {
    let folder = tempfile::tempdir().expect("a folder for the socket");
    let path = folder.path().join("redis.sock");
    let _server =
        Server::start_with(&["--save", "", "--unixsocket", path.to_str().expect("UTF-8")]);

    let store = aipo_redis::connect(RedisOptions::new(Address::Unix { path }))
        .await
        .expect("connect");
    publish(&store, [message("celery", "a")]).await;
    let consumer = consumer(&store, &["celery"]).await;

    assert_eq!(ids(&wait(&*consumer).await), ["a"]);
    assert!(store.url.starts_with("redis+socket:///"), "{}", store.url);
}
