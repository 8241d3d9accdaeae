//! Cases for [`Bus`](aipo_core::store::Bus).

pub mod listen;
pub mod tell;

use aipo_core::message::Envelope;
use aipo_core::store::{Address, Listener, Notice, Topic};

use crate::support::{Fixture, still_waiting, within};

/// A listener with short words for what cases do with it.
struct Ear(Box<dyn Listener>);

impl Ear {
    async fn next(&mut self) -> Notice {
        within(self.0.next()).await.expect("next")
    }

    /// The next notices, told by their bodies.
    async fn hear(&mut self, count: usize) -> Vec<String> {
        let mut heard = Vec::with_capacity(count);
        for _ in 0..count {
            heard.push(body_of(&self.next().await));
        }
        heard
    }

    /// Asserts that there is nothing to hear.
    async fn hears_nothing(&mut self) {
        still_waiting(&mut self.0.next()).await;
    }
}

async fn listen(bed: &Fixture, topics: impl Into<Vec<Topic>>) -> Ear {
    Ear(bed.store.bus.listen(topics.into()).await.expect("listen"))
}

async fn tell(bed: &Fixture, notices: impl Into<Vec<Notice>>) {
    bed.store.bus.tell(notices.into()).await.expect("tell");
}

/// Those who listen to a fanout exchange under keys that match.
fn fanout(exchange: &str, pattern: &str) -> Topic {
    Topic::Everybody {
        exchange: exchange.to_owned(),
        pattern: pattern.to_owned(),
    }
}

fn mailbox(exchange: &str, routing_key: &str) -> Topic {
    Topic::Mailbox {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
    }
}

/// A notice to everybody.
fn news(exchange: &str, routing_key: &str, body: &str) -> Notice {
    let to = Address::Everybody {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
    };
    notice(to, body)
}

/// A notice to a mailbox.
fn letter(exchange: &str, routing_key: &str, body: &str) -> Notice {
    let to = Address::Mailbox {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
    };
    notice(to, body)
}

fn notice(to: Address, body: &str) -> Notice {
    let envelope = Envelope {
        headers: b"{}".to_vec(),
        body: body.as_bytes().to_vec(),
        ..Envelope::default()
    };
    Notice { to, envelope }
}

/// Only for notices made here.
fn body_of(notice: &Notice) -> String {
    String::from_utf8(notice.envelope.body.clone()).expect("the body is text")
}
