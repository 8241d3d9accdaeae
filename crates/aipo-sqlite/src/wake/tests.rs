//! Wake-ups between handles that share nothing but the file. Looking by itself is switched off here
//! (see `RECHECK`), so what ends a wait was told.

use aipo_core::message::Envelope;
use aipo_core::store::{Address, Fetch, Notice, Publish, ResultRecord, Settlement, Topic, Verdict};
use aipo_core::{Clock, TaskState};

use super::*;
use crate::testing::{
    A_MOMENT, AN_HOUR, Bed, GUARD, ack, consumer, fetch, message, publish, still_waiting, within,
};

#[tokio::test]
async fn a_publish_through_another_handle_wakes_a_fetch() {
    let bed = Bed::new();
    let (one, two) = (bed.connect().await, bed.connect().await);
    let consumer = consumer(&one, &["q"]).await;

    for id in ["first", "second", "third"] {
        let mut wait = Box::pin(fetch(&*consumer, 1));
        still_waiting(&mut wait).await;
        publish(&two, [message("q", id)]).await;
        assert_eq!(within(wait).await, [id]);
    }
}

#[tokio::test]
async fn every_handle_is_woken() {
    let bed = Bed::new();
    let (one, two, three) = (
        bed.connect().await,
        bed.connect().await,
        bed.connect().await,
    );
    let (consumer_1, consumer_2) = (consumer(&one, &["q"]).await, consumer(&two, &["q"]).await);
    let (mut wait_1, mut wait_2) = (
        Box::pin(fetch(&*consumer_1, 1)),
        Box::pin(fetch(&*consumer_2, 1)),
    );
    still_waiting(&mut wait_1).await;
    still_waiting(&mut wait_2).await;

    publish(&three, [message("q", "a"), message("q", "b")]).await;

    let mut taken = within(wait_1).await;
    taken.extend(within(wait_2).await);
    taken.sort();
    assert_eq!(taken, ["a", "b"]);
}

/// Nobody is told of later messages while some are left, so who comes late must look by itself.
#[tokio::test]
async fn what_one_handle_leaves_another_gets() {
    let bed = Bed::new();
    let (one, two) = (bed.connect().await, bed.connect().await);
    let (consumer_1, consumer_2) = (consumer(&one, &["q"]).await, consumer(&two, &["q"]).await);

    publish(&one, [message("q", "a"), message("q", "b")]).await;
    publish(&one, [message("q", "c")]).await;

    assert_eq!(fetch(&*consumer_1, 1).await, ["a"]);
    assert_eq!(fetch(&*consumer_2, 9).await, ["b", "c"]);
    let mut wait = Box::pin(fetch(&*consumer_2, 9));
    still_waiting(&mut wait).await;
    publish(&one, [message("q", "d")]).await;
    assert_eq!(within(wait).await, ["d"]);
}

#[tokio::test]
async fn an_earlier_due_time_parked_by_another_handle_is_heard_of() {
    let bed = Bed::new();
    let (one, two) = (bed.connect().await, bed.connect().await);
    let clock = Clock::system();
    let later = Some(clock.after(GUARD * 10));
    publish(
        &one,
        [Publish {
            due: later,
            ..message("q", "later")
        }],
    )
    .await;
    let consumer = consumer(&one, &["q"]).await;
    let mut wait = Box::pin(fetch(&*consumer, 9));
    still_waiting(&mut wait).await;

    let soon = Some(clock.after(A_MOMENT));
    publish(
        &two,
        [Publish {
            due: soon,
            ..message("q", "soon")
        }],
    )
    .await;

    assert_eq!(within(wait).await, ["soon"]);
}

#[tokio::test]
async fn a_message_parked_again_by_another_handle_is_heard_of() {
    let bed = Bed::new();
    let (one, two) = (bed.connect().await, bed.connect().await);
    publish(&two, [message("q", "a")]).await;
    let holder = consumer(&two, &["q"]).await;
    let take = Fetch {
        max: 1,
        started: 1,
        wait: AN_HOUR,
    };
    let held = within(holder.fetch(take)).await.expect("fetch");
    let consumer = consumer(&one, &["q"]).await;
    let mut wait = Box::pin(fetch(&*consumer, 9));
    still_waiting(&mut wait).await;

    let until = Clock::system().after(A_MOMENT);
    let park = Settlement {
        verdict: Verdict::Park { until },
        ..ack(&held[0])
    };
    holder.settle(vec![park]).await.expect("settle");

    assert_eq!(within(wait).await, ["a"]);
}

#[tokio::test]
async fn a_close_ends_a_wait_for_queues_that_were_changed_since() {
    let bed = Bed::new();
    let store = bed.connect().await;
    let consumer = consumer(&store, &["q"]).await;
    let mut wait = consumer.fetch(Fetch {
        max: 1,
        started: 1,
        wait: AN_HOUR,
    });
    still_waiting(&mut wait).await;
    let other_queues = consumer.set_queues(vec!["other".into()]).await;
    other_queues.expect("set queues");

    consumer.close().await.expect("close");

    let refused = within(wait).await.expect_err("it is closed");
    assert_eq!(refused.kind(), ErrorKind::LeaseLost);
}

#[tokio::test]
async fn results_stored_through_another_handle_wake_their_waits() {
    let bed = Bed::new();
    let (one, two) = (bed.connect().await, bed.connect().await);
    let record = |id: &str, state| ResultRecord {
        id: id.into(),
        state,
        meta: id.as_bytes().to_vec(),
        expires: None,
    };
    // More than one step of catching up, and one task whose row is there from before.
    let many = (0..2_500).map(|number| record(&number.to_string(), TaskState::Success));
    two.results
        .store(vec![record("last", TaskState::Started)])
        .await
        .expect("store");
    let ids = ["7".into(), "2499".into(), "last".into()];
    let mut waits: Vec<_> = ids.iter().map(|id| one.results.wait(id, AN_HOUR)).collect();
    for wait in &mut waits {
        still_waiting(wait).await;
    }

    two.results.store(many.collect()).await.expect("store");
    two.results
        .store(vec![record("last", TaskState::Failure)])
        .await
        .expect("store");

    for (wait, id) in waits.into_iter().zip(&ids) {
        let meta = within(wait).await.expect("wait");
        assert_eq!(meta.as_deref(), Some(id.as_str().as_bytes()));
    }
}

#[tokio::test]
async fn what_is_told_through_any_handle_wakes_a_listener() {
    let bed = Bed::new();
    let (one, two) = (bed.connect().await, bed.connect().await);
    let topic = Topic::Mailbox {
        exchange: "reply".to_owned(),
        routing_key: "key".to_owned(),
    };
    let mut listener = one.bus.listen(vec![topic]).await.expect("listen");
    let letter = Notice {
        to: Address::Mailbox {
            exchange: "reply".to_owned(),
            routing_key: "key".to_owned(),
        },
        envelope: Envelope::default(),
    };

    for teller in [&one, &two, &one] {
        let mut wait = listener.next();
        still_waiting(&mut wait).await;
        let told = teller.bus.tell(vec![letter.clone()]).await;
        told.expect("tell");
        assert_eq!(within(wait).await.expect("next"), letter);
    }
}

#[tokio::test]
async fn a_handle_that_waits_for_nothing_is_not_nudged() {
    let bed = Bed::new();
    let (one, two) = (bed.connect().await, bed.connect().await);
    let consumer = consumer(&one, &["q"]).await;
    let fetch = Fetch {
        max: 1,
        started: 1,
        wait: A_MOMENT,
    };
    assert_eq!(within(consumer.fetch(fetch)).await.expect("fetch"), []);

    // The wait is over: this message stays for whoever asks.
    publish(&two, [message("q", "a")]).await;

    assert_eq!(within(consumer.fetch(fetch)).await.expect("fetch").len(), 1);
}

#[test]
fn the_wake_file_does_not_grow() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("wake");
    let mut bells = [
        Bell::open(&path).expect("open"),
        Bell::open(&path).expect("open"),
    ];

    for _ in 0..10 {
        for bell in &mut bells {
            bell.ring().expect("ring");
        }
    }

    assert_eq!(std::fs::metadata(&path).expect("metadata").len(), 1);
}
