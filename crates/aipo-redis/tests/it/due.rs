//! Messages that are not due, as Celery sends them: they wait in their list until somebody takes them too
//! early. Parking on send is in the suite.

use std::time::Duration;

use aipo_core::Clock;
use aipo_core::message::WireTime;
use aipo_core::store::{Location, Publish, Settlement, Verdict};

use crate::server::fresh;
use crate::support::{AN_HOUR, consumer, counts, ids, message, publish, take, wait};

/// A message with an `eta`, as `App::send` makes it.
fn later(id: &str, delay: Duration) -> Publish {
    let due = Clock::system().after(delay);
    let eta = serde_json::to_string(&WireTime::from(due)).expect("a time");
    let mut message = message("celery", id);
    message.envelope.headers =
        format!(r#"{{"task":"app.tasks.add","id":"{id}","eta":{eta}}}"#).into_bytes();
    Publish {
        due: Some(due),
        ..message
    }
}

#[tokio::test]
async fn a_python_worker_finds_it_in_its_list() {
    let database = fresh();
    let store = database.store().await;

    publish(&store, [later("a", AN_HOUR)]).await;

    assert_eq!(database.ask::<u64>(&["LLEN", "celery"]), 1);
}

#[tokio::test]
async fn it_is_fetched_by_nobody_and_parked_by_who_tries() {
    let store = fresh().store().await;
    publish(
        &store,
        [
            later("1", AN_HOUR),
            message("celery", "2"),
            later("3", AN_HOUR),
        ],
    )
    .await;
    let worker = consumer(&store, &["celery"]).await;

    assert_eq!(ids(&take(&*worker).await), ["2"]);
    assert_eq!(take(&*worker).await, []);

    assert_eq!(counts(&store, "celery").await, [0, 2, 1, 0]);
    let located = store
        .broker
        .locate(&["3".into()])
        .await
        .expect("locate")
        .remove(0);
    assert!(
        matches!(located, Some(Location::Parked { .. })),
        "{located:?}"
    );
    // In nobody's hands: a crash has nothing to bring back.
    worker.close().await.expect("close");
    assert_eq!(counts(&store, "celery").await, [1, 2, 0, 0]);
}

#[tokio::test]
async fn it_ends_the_wait_when_it_is_due() {
    let store = fresh().store().await;
    let sent = later("a", Duration::from_millis(300));
    publish(&store, [sent.clone()]).await;
    let consumer = consumer(&store, &["celery"]).await;

    let taken = wait(&*consumer).await;

    assert!(
        Clock::system().now() >= sent.due.expect("it has one"),
        "not before its time"
    );
    assert_eq!(
        (&*ids(&taken), taken[0].deliveries),
        (&["a".to_owned()][..], 1)
    );
    assert_eq!(taken[0].envelope, sent.envelope);
}

/// Python sends nothing but the header.
#[tokio::test]
async fn the_header_alone_is_enough() {
    let message = Publish {
        due: None,
        ..later("a", AN_HOUR)
    };
    assert_parked(message).await;
}

/// It is told by the sender and not by a header.
#[tokio::test]
async fn a_due_time_without_a_header_is_kept_too() {
    let message = Publish {
        due: Some(Clock::system().after(AN_HOUR)),
        ..message("celery", "a")
    };
    assert_parked(message).await;
}

async fn assert_parked(message: Publish) {
    let store = fresh().store().await;
    publish(&store, [message]).await;
    let consumer = consumer(&store, &["celery"]).await;

    assert_eq!(take(&*consumer).await, []);

    assert_eq!(counts(&store, "celery").await, [0, 1, 0, 0]);
}

#[tokio::test]
async fn those_that_are_due_are_counted_in_place_of_those_that_are_parked() {
    let store = fresh().store().await;
    publish(
        &store,
        [
            later("1", AN_HOUR),
            message("celery", "2"),
            message("celery", "3"),
        ],
    )
    .await;
    let worker = consumer(&store, &["celery"]).await;

    let fetch = aipo_core::store::Fetch {
        max: 3,
        started: 2,
        wait: Duration::ZERO,
    };
    let taken = worker.fetch(fetch).await.expect("fetch");

    let counted: Vec<_> = taken
        .iter()
        .map(|taken| (taken.started, taken.deliveries))
        .collect();
    assert_eq!(counted, [(true, 1), (true, 1)]);
    worker.close().await.expect("close");
    let again = take(&*consumer(&store, &["celery"]).await).await;
    assert_eq!(
        again
            .iter()
            .map(|taken| taken.deliveries)
            .collect::<Vec<_>>(),
        [2, 2]
    );
}

#[tokio::test]
async fn a_backlog_of_them_hides_nothing_behind_it() {
    let store = fresh().store().await;
    publish(
        &store,
        (0..1_200)
            .map(|n| later(&n.to_string(), AN_HOUR))
            .collect::<Vec<_>>(),
    )
    .await;
    publish(&store, [message("celery", "now")]).await;
    let consumer = consumer(&store, &["celery"]).await;

    assert_eq!(ids(&take(&*consumer).await), ["now"]);
    assert_eq!(counts(&store, "celery").await, [0, 1_200, 1, 0]);
}

#[tokio::test]
async fn a_retry_waits_for_its_time() {
    let store = fresh().store().await;
    publish(&store, [message("celery", "a")]).await;
    let consumer = consumer(&store, &["celery"]).await;
    let taken = take(&*consumer).await.remove(0);

    let retry = Settlement {
        tag: taken.tag,
        verdict: Verdict::Ack,
        result: None,
        publish: vec![later("a", Duration::from_millis(200))],
        step: Default::default(),
    };
    consumer.settle(vec![retry]).await.expect("settle");

    assert_eq!(take(&*consumer).await, []);
    assert_eq!(ids(&wait(&*consumer).await), ["a"]);
}

/// A worker that is told of a message which it may not run yet must not slow down for the next one.
#[tokio::test]
async fn parking_while_waiting_does_not_end_the_wait() {
    let store = fresh().store().await;
    let consumer = consumer(&store, &["celery"]).await;

    let (taken, ()) = tokio::join!(wait(&*consumer), async {
        for n in 0..5 {
            publish(&store, [later(&n.to_string(), AN_HOUR)]).await;
        }
        publish(&store, [message("celery", "now")]).await;
    });

    assert_eq!(ids(&taken), ["now"]);
}
