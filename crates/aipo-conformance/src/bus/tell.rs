//! Who hears what is told.

use aipo_core::message::{Envelope, Properties};
use aipo_core::store::{Address, Notice};

use super::{body_of, fanout, letter, listen, mailbox, news, tell};
use crate::Harness;
use crate::support::{Fixture, within};

pub async fn a_notice_to_everybody_reaches_every_listener(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let mut ears = [
        listen(&first, [fanout("events", "#")]).await,
        listen(&first, [fanout("events", "#")]).await,
        listen(&second, [fanout("events", "#")]).await,
    ];

    tell(&first, [news("events", "worker.online", "1")]).await;
    for ear in &mut ears {
        assert_eq!(ear.next().await, news("events", "worker.online", "1"));
    }
    tell(&second, [news("events", "worker.offline", "2")]).await;
    for ear in &mut ears {
        assert_eq!(ear.next().await, news("events", "worker.offline", "2"));
    }
}

pub async fn a_notice_to_a_mailbox_reaches_that_mailbox(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let mut one = listen(&first, [mailbox("reply", "1")]).await;
    let mut two = listen(&second, [mailbox("reply", "2")]).await;

    // Of each pair the first goes to the other one.
    tell(
        &first,
        [letter("reply", "2", "a"), letter("reply", "1", "b")],
    )
    .await;
    tell(
        &second,
        [letter("reply", "1", "c"), letter("reply", "2", "d")],
    )
    .await;

    assert_eq!(one.next().await, letter("reply", "1", "b"));
    assert_eq!(one.next().await, letter("reply", "1", "c"));
    assert_eq!(two.hear(2).await, ["a", "d"]);
    one.hears_nothing().await;
    two.hears_nothing().await;
}

/// An exchange is of one kind; two of different kinds may have the same name all the same.
pub async fn a_mailbox_is_not_everybody(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let mut all = listen(&bed, [fanout("same", "#")]).await;
    let mut one = listen(&bed, [mailbox("same", "key")]).await;

    tell(&bed, [letter("same", "key", "to one")]).await;
    tell(&bed, [news("same", "key", "to all")]).await;

    assert_eq!(all.hear(1).await, ["to all"]);
    assert_eq!(one.hear(1).await, ["to one"]);
    all.hears_nothing().await;
    one.hears_nothing().await;
}

pub async fn notices_of_one_call_keep_their_order(harness: &impl Harness) {
    const NOTICES: usize = 300;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let topics = [fanout("events", "#"), mailbox("reply", "key")];
    let mut here = listen(&first, topics.clone()).await;
    let mut there = listen(&second, [fanout("events", "#")]).await;
    let mut letters = listen(&second, [mailbox("reply", "other")]).await;
    let numbers: Vec<String> = (0..NOTICES).map(|number| number.to_string()).collect();

    // An exchange has many keys: a task is received under one and succeeds under another.
    let of_events = numbers.iter().map(|n| news("events", &n[..1], n));
    tell(&first, of_events.collect::<Vec<_>>()).await;
    assert_eq!(here.hear(NOTICES).await, numbers);
    assert_eq!(there.hear(NOTICES).await, numbers);

    let to_one = numbers
        .iter()
        .map(|number| letter("reply", "other", number));
    tell(&first, to_one.collect::<Vec<_>>()).await;
    assert_eq!(letters.hear(NOTICES).await, numbers);
}

pub async fn notices_of_one_call_go_to_their_own_addresses(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let mut events = listen(&bed, [fanout("events", "#")]).await;
    let mut commands = listen(&bed, [fanout("commands", "#")]).await;
    let mut replies = listen(&bed, [mailbox("reply", "key")]).await;

    tell(
        &bed,
        [
            news("commands", "", "1"),
            letter("reply", "key", "2"),
            news("events", "", "3"),
            news("nobody", "", "4"),
            news("commands", "", "5"),
        ],
    )
    .await;

    assert_eq!(commands.hear(2).await, ["1", "5"]);
    assert_eq!(replies.hear(1).await, ["2"]);
    assert_eq!(events.hear(1).await, ["3"]);
}

/// A worker emits its events whether somebody looks or not.
pub async fn telling_nobody_is_no_failure(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    tell(
        &bed,
        [news("events", "a", "1"), letter("reply", "key", "2")],
    )
    .await;

    let mut late = listen(&bed, [fanout("events", "#"), mailbox("reply", "key")]).await;
    late.hears_nothing().await;
}

pub async fn telling_nothing_tells_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let mut ear = listen(&bed, [fanout("events", "#")]).await;

    tell(&bed, []).await;

    ear.hears_nothing().await;
}

pub async fn an_envelope_arrives_byte_for_byte(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let mut properties = Properties {
        content_type: "application/x-yaml".to_owned(),
        content_encoding: "binary".to_owned(),
        correlation_id: Some("7b4e-é".to_owned()),
        reply_to: Some("somebody".to_owned()),
        delivery_mode: 1,
        priority: 7,
        expiration: Some("1000".to_owned()),
        other: Default::default(),
    };
    properties
        .other
        .insert("delivery_info".to_owned(), "any \"text\"".into());
    let every_byte: Vec<u8> = (0..=255).collect();
    let full = Envelope {
        headers: every_byte.clone(),
        properties,
        body: every_byte.repeat(5),
    };
    let mut ear = listen(&second, [fanout("events", "#"), mailbox("reply", "key")]).await;

    for envelope in [full, Envelope::default()] {
        for sent in [news("events", "a", ""), letter("reply", "key", "")] {
            let sent = Notice {
                envelope: envelope.clone(),
                ..sent
            };
            tell(&first, [sent.clone()]).await;
            assert_eq!(ear.next().await, sent);
        }
    }
}

pub async fn an_envelope_of_a_megabyte_arrives_whole(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let mut ear = listen(&second, [fanout("events", "#"), mailbox("reply", "key")]).await;
    let body: Vec<u8> = (0..1 << 20).map(|index: u32| (index % 251) as u8).collect();

    for mut sent in [news("events", "a", ""), letter("reply", "key", "")] {
        sent.envelope.body.clone_from(&body);
        tell(&first, [sent.clone()]).await;
        assert!(ear.next().await == sent);
    }
}

/// Text that means something to a store's own language is text here.
pub async fn any_text_names_an_exchange_and_a_key(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let names = [
        "", "a", "A", "a b", "a.b", "a:b", "a/b", "a%", "a_", "a*", "a?", "[a]", "a'b\"c", "a\\",
        "é", "🌱", "{a}",
    ];
    let mut ears = Vec::new();
    for name in names {
        let topics = [fanout(name, name), mailbox(name, name)];
        ears.push(listen(&bed, topics).await);
    }

    for name in names {
        tell(&bed, [news(name, name, name)]).await;
        tell(&bed, [letter(name, name, name)]).await;
    }

    for (name, ear) in names.iter().zip(&mut ears) {
        let mut heard = [ear.next().await, ear.next().await];
        // One is first told to everybody, then to the mailbox; two calls need not arrive in order.
        heard.sort_by_key(|notice| matches!(notice.to, Address::Mailbox { .. }));
        let expected = [news(name, name, name), letter(name, name, name)];
        assert_eq!(heard, expected, "name {name:?}");
    }
    for ear in &mut ears {
        ear.hears_nothing().await;
    }
}

pub async fn notices_told_at_the_same_time_all_arrive(harness: &impl Harness) {
    const TELLERS: usize = 8;
    const NOTICES: usize = 50;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let mut ears = [
        listen(&first, [fanout("events", "#")]).await,
        listen(&second, [fanout("events", "#")]).await,
    ];

    let tellers = (0..TELLERS).map(|teller| {
        let bus = [&first, &second][teller % 2].store.bus.clone();
        tokio::spawn(async move {
            for number in 0..NOTICES {
                let notice = news("events", &teller.to_string(), &format!("{number:02}"));
                bus.tell(vec![notice]).await.expect("tell");
            }
        })
    });
    let tellers: Vec<_> = tellers.collect();
    for ear in &mut ears {
        let mut heard = vec![0; TELLERS];
        for _ in 0..TELLERS * NOTICES {
            let notice = ear.next().await;
            let Address::Everybody { routing_key, .. } = &notice.to else {
                panic!("nothing else is told: {notice:?}");
            };
            let teller: usize = routing_key.parse().expect("a number");
            // One caller tells one after the other, and each is told before the next begins.
            assert_eq!(body_of(&notice), format!("{:02}", heard[teller]));
            heard[teller] += 1;
        }
        assert_eq!(heard, [NOTICES; TELLERS]);
    }
    for teller in tellers {
        within(teller).await.expect("no teller panics");
    }
}
