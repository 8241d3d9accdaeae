//! What a listener hears, and what it misses.

use aipo_core::store::bus::BACKLOG;

use super::{fanout, letter, listen, mailbox, news, tell};
use crate::Harness;
use crate::support::{Fixture, poll_times, still_waiting, within};

pub async fn what_is_told_after_ok_is_heard(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;

    for round in 0..20 {
        let key = round.to_string();
        let mut all = listen(&first, [fanout("events", "#")]).await;
        tell(&second, [news("events", &key, "heard")]).await;
        let mut one = listen(&first, [mailbox("reply", &key)]).await;
        tell(&second, [letter("reply", &key, "heard")]).await;

        assert_eq!(all.next().await, news("events", &key, "heard"));
        assert_eq!(one.next().await, letter("reply", &key, "heard"));
    }
}

pub async fn what_was_told_before_is_not_heard(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    // Somebody has listened all the time, so that the store had a reason to keep it.
    let mut early = listen(&first, [fanout("events", "#")]).await;
    tell(&second, [news("events", "a", "before")]).await;
    assert_eq!(early.hear(1).await, ["before"]);

    let mut late = [
        listen(&first, [fanout("events", "#")]).await,
        listen(&second, [fanout("events", "#")]).await,
    ];
    tell(&second, [news("events", "a", "after")]).await;

    for ear in &mut late {
        assert_eq!(ear.hear(1).await, ["after"]);
    }
}

pub async fn a_pattern_chooses_keys(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let keys = ["worker.online", "worker", "task.sent", "worker.offline", ""];
    let expected: [(&str, &[&str]); 6] = [
        ("#", &keys),
        ("worker.#", &["worker.online", "worker.offline"]),
        ("worker.online", &["worker.online"]),
        ("worker", &["worker"]),
        ("task.#", &["task.sent"]),
        ("", &[""]),
    ];
    let mut ears = Vec::new();
    for (pattern, _) in expected {
        ears.push(listen(&first, [fanout("events", pattern)]).await);
    }
    // Each hears this one last, so it is known what did not come.
    let ends = expected.map(|(pattern, _)| pattern.replace('#', "end"));

    let notices = keys.iter().map(|key| news("events", key, key));
    let ends = ends.iter().map(|key| news("events", key, "end"));
    tell(&second, notices.chain(ends).collect::<Vec<_>>()).await;

    for ((pattern, keys), mut ear) in expected.into_iter().zip(ears) {
        assert_eq!(ear.hear(keys.len()).await, keys, "pattern {pattern:?}");
        assert_eq!(ear.hear(1).await, ["end"], "pattern {pattern:?}");
    }
}

pub async fn other_exchanges_are_not_heard(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let mut all = listen(&bed, [fanout("events", "#")]).await;
    let mut one = listen(&bed, [mailbox("reply", "key")]).await;

    for exchange in ["event", "events.more", "EVENTS"] {
        tell(&bed, [news(exchange, "a", exchange)]).await;
    }
    for exchange in ["repl", "reply.more", "REPLY"] {
        tell(&bed, [letter(exchange, "key", exchange)]).await;
    }
    tell(&bed, [news("events", "a", "last")]).await;
    tell(&bed, [letter("reply", "key", "last")]).await;

    assert_eq!(all.hear(1).await, ["last"]);
    assert_eq!(one.hear(1).await, ["last"]);
}

pub async fn a_listener_hears_all_its_topics(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let topics = [
        fanout("commands", "#"),
        fanout("events", "worker.#"),
        fanout("events", "task.sent"),
        mailbox("reply", "1"),
        mailbox("reply", "2"),
    ];
    let mut ear = listen(&first, topics).await;

    for sent in [
        letter("reply", "2", "a"),
        news("events", "worker.online", "b"),
        news("commands", "", "c"),
        letter("reply", "1", "d"),
        news("events", "task.sent", "e"),
    ] {
        tell(&second, [sent.clone()]).await;
        assert_eq!(ear.next().await, sent);
    }
}

/// However many of its topics match.
pub async fn a_notice_comes_once(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let topics = [
        fanout("events", "#"),
        fanout("events", "worker.#"),
        fanout("events", "worker.online"),
        fanout("events", "worker.online"),
    ];
    let mut ear = listen(&bed, topics).await;

    tell(
        &bed,
        [
            news("events", "worker.online", "1"),
            news("events", "worker.offline", "2"),
            news("events", "worker.online", "3"),
        ],
    )
    .await;

    assert_eq!(ear.hear(3).await, ["1", "2", "3"]);
    ear.hears_nothing().await;
}

pub async fn a_listener_to_nothing_hears_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let mut ear = listen(&bed, []).await;

    tell(&bed, [news("", "", "1"), letter("", "", "2")]).await;

    ear.hears_nothing().await;
}

pub async fn a_notice_ends_the_wait(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let mut ear = listen(&first, [fanout("events", "#"), mailbox("reply", "key")]).await;

    for (teller, sent) in [
        (&first, news("events", "a", "1")),
        (&second, news("events", "a", "2")),
        (&first, letter("reply", "key", "3")),
        (&second, letter("reply", "key", "4")),
    ] {
        let mut wait = ear.0.next();
        still_waiting(&mut wait).await;
        tell(teller, [sent.clone()]).await;
        assert_eq!(within(wait).await.expect("next"), sent);
    }
}

pub async fn a_dropped_wait_loses_nothing(harness: &impl Harness) {
    const NOTICES: usize = 60;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let mut ear = listen(&first, [fanout("events", "#"), mailbox("reply", "key")]).await;
    let numbers: Vec<String> = (0..NOTICES).map(|number| number.to_string()).collect();

    let mut heard = Vec::new();
    for (round, number) in numbers.iter().enumerate() {
        let sent = match round % 2 {
            0 => news("events", "a", number),
            _ => letter("reply", "key", number),
        };
        // Dropped while it is told, and after.
        let (_, early) = tokio::join!(tell(&second, [sent]), poll_times(ear.0.next(), round % 7));
        heard.extend(early);
        heard.extend(poll_times(ear.0.next(), round % 5).await);
    }
    while heard.len() < NOTICES {
        heard.push(Ok(ear.next().await));
    }

    let mut heard: Vec<usize> = heard
        .into_iter()
        .map(|notice| super::body_of(&notice.expect("next")))
        .map(|body| body.parse().expect("a number"))
        .collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..NOTICES).collect::<Vec<_>>());
}

/// A mailbox is there as long as its listener; who opens it again finds it empty.
pub async fn a_dropped_listeners_mailbox_is_closed(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let one = listen(&first, [mailbox("reply", "key")]).await;
    tell(&second, [letter("reply", "key", "unread")]).await;

    drop(one);
    tell(&second, [letter("reply", "key", "meanwhile")]).await;

    let mut again = listen(&first, [mailbox("reply", "key")]).await;
    tell(&second, [letter("reply", "key", "after")]).await;
    assert_eq!(again.hear(1).await, ["after"]);
    again.hears_nothing().await;
}

pub async fn a_dropped_listener_leaves_the_others_listening(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let dropped = listen(&bed, [fanout("events", "#"), mailbox("reply", "1")]).await;
    let mut ear = listen(&bed, [fanout("events", "#"), mailbox("reply", "2")]).await;

    drop(dropped);

    tell(&bed, [news("events", "a", "1")]).await;
    assert_eq!(ear.hear(1).await, ["1"]);
    tell(&bed, [letter("reply", "2", "2")]).await;
    assert_eq!(ear.hear(1).await, ["2"]);
}

/// It holds nobody up, and goes on with what is left. How much that is depends on how far the store had
/// come when it began to read; but there is a bound, and the newest is always there.
pub async fn a_listener_that_does_not_keep_up_misses_the_oldest(harness: &impl Harness) {
    const NOTICES: usize = 4 * BACKLOG;
    const CHUNK: usize = BACKLOG / 8;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let mut slow = listen(&first, [fanout("events", "#")]).await;
    let mut keen = listen(&first, [fanout("events", "#")]).await;

    for chunk in 0..NOTICES / CHUNK {
        let numbers = chunk * CHUNK..(chunk + 1) * CHUNK;
        let notices = numbers.map(|number| news("events", "a", &number.to_string()));
        within(tell(&second, notices.collect::<Vec<_>>())).await;
        keen.hear(CHUNK).await;
    }

    let mut heard: Vec<usize> = Vec::new();
    while heard.last() != Some(&(NOTICES - 1)) {
        heard.extend(slow.hear(1).await[0].parse::<usize>());
    }
    assert!(heard.is_sorted_by(|a, b| a < b), "in order, each once");
    assert!(
        heard.len() <= 2 * BACKLOG,
        "{} waited, and what came meanwhile",
        heard.len()
    );
    tell(&second, [news("events", "a", "and on")]).await;
    assert_eq!(slow.hear(1).await, ["and on"]);
}
