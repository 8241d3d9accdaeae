//! What a worker with nothing to do costs the server.

use std::time::Duration;

use aipo_core::store::Fetch;

use crate::bus::{listen, mailbox, topic};
use crate::server::Server;
use crate::support::{consumer, take};

/// It waits in one fetch, listens, renews and recovers as workers do (three times and twice in a lease period of 10 s);
/// the waiting and the listening are a probe each every two seconds.
#[tokio::test]
async fn an_idle_worker_costs_a_few_commands_a_second() {
    const SECONDS: u64 = 6;
    let server = Server::start();
    let store = server.database(0).store().await;
    let worker = consumer(&store, &["celery", "other"]).await;
    take(&*worker).await;
    let topics = [
        topic("celery.pidbox", ""),
        topic("celeryev", "worker.#"),
        mailbox("me"),
    ];
    let _listener = listen(&store, topics).await;
    let commands = || -> u64 {
        let count = server.info("stats", "total_commands_processed");
        count.parse().expect("a number")
    };
    let before = commands();

    let fetch = Fetch {
        max: 10,
        started: 10,
        wait: Duration::from_secs(SECONDS),
    };
    let heartbeat = async {
        for _ in 0..2 {
            worker.renew().await.expect("renew");
            store.broker.recover().await.expect("recover");
        }
    };
    let (taken, ()) = tokio::join!(worker.fetch(fetch), heartbeat);

    assert_eq!(taken.expect("fetch"), []);
    let cost = commands() - before;
    // Commands inside of scripts count as well; with the look itself and its connection.
    assert!(cost <= SECONDS * 10, "{cost} commands in {SECONDS} s");
}

/// However many wait for results: the server tells them, nobody asks again and again.
#[tokio::test]
async fn waiting_for_results_costs_one_look_each() {
    const WAITS: u64 = 200;
    let server = Server::start();
    let store = server.database(0).store().await;
    let before: u64 = calls(&server, "mget");

    let waits = (0..WAITS).map(|number| {
        let results = store.results.clone();
        tokio::spawn(async move {
            let id = number.to_string().into();
            results
                .wait(&id, Duration::from_secs(3))
                .await
                .expect("wait")
        })
    });
    for wait in waits.collect::<Vec<_>>() {
        assert_eq!(wait.await.expect("no task panics"), None);
    }

    assert_eq!(calls(&server, "mget") - before, WAITS);
}

fn calls(server: &Server, command: &str) -> u64 {
    let info: String = server.database(0).ask(&["INFO", "commandstats"]);
    let prefix = format!("cmdstat_{command}:calls=");
    info.lines()
        .find_map(|line| line.strip_prefix(&prefix)?.split(',').next()?.parse().ok())
        .unwrap_or(0)
}
