//! What processes tell each other while they live: control commands and their replies, events.
//!
//! Nothing is kept here for those who do not listen. What must not be missed belongs into the other
//! contracts; what is told here makes it known sooner.
//!
//! Names are kombu's: a notice goes to an exchange under a routing key. Of the two kinds of exchange a
//! fanout reaches everybody who listens, a direct one the mailbox that was opened under that key.

use async_trait::async_trait;

use crate::error::Result;
use crate::message::Envelope;

/// What the processes of one store tell each other.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Tells notices, in order.
    ///
    /// - A notice to everybody reaches every listener with a topic that matches, once, however many do; one to a
    ///   mailbox reaches that mailbox. Where nobody listens it is gone.
    /// - It arrives byte for byte, with its address.
    /// - Notices of one call to one exchange reach a listener in their order, and so do those that one caller
    ///   tells one after the other. Between exchanges there is no order.
    async fn tell(&self, notices: Vec<Notice>) -> Result<()>;

    /// Listens to these topics: what is told after `Ok`, by whichever process, is heard; what was told before
    /// the call is not.
    async fn listen(&self, topics: Vec<Topic>) -> Result<Box<dyn Listener>>;
}

/// Somebody who listens. Dropping it ends that; a mailbox is closed then.
#[async_trait]
pub trait Listener: Send + 'static {
    /// The next notice; waits until there is one.
    ///
    /// - A listener that does not keep up, or whose connection was lost for a while, misses notices:
    ///   the oldest go first, at most [`BACKLOG`] wait. It holds up nobody.
    /// - It goes on after a lost connection by itself.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Notice>;
}

/// How many notices wait for a listener at most.
pub const BACKLOG: usize = 4096;

/// Something told.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// To whom.
    pub to: Address,
    /// What.
    pub envelope: Envelope,
}

/// To whom something is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// To everybody who listens to a fanout exchange.
    Everybody {
        /// The exchange: `celery.pidbox`, `celeryev`.
        exchange: String,
        /// Under which key, words separated by dots; may be empty.
        routing_key: String,
    },
    /// To one mailbox of a direct exchange.
    Mailbox {
        /// The exchange: `reply.celery.pidbox`.
        exchange: String,
        /// The key that the mailbox was opened under.
        routing_key: String,
    },
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// What is told to everybody.
    Everybody {
        /// On this exchange.
        exchange: String,
        /// Under keys that match: `#` alone matches every key, `worker.#` those that begin with `worker.`;
        /// otherwise the key itself.
        pattern: String,
    },
    /// What is told to this mailbox, which exists from now on.
    Mailbox {
        /// On this exchange.
        exchange: String,
        /// Under this key; unique to the listener.
        routing_key: String,
    },
}

impl Topic {
    /// Whether a listener to this topic hears what is told to `address`.
    pub fn matches(&self, address: &Address) -> bool {
        match (self, address) {
            (
                Self::Everybody { exchange, pattern },
                Address::Everybody {
                    exchange: told_on,
                    routing_key,
                },
            ) => exchange == told_on && key_matches(pattern, routing_key),
            (
                Self::Mailbox {
                    exchange,
                    routing_key,
                },
                Address::Mailbox {
                    exchange: told_on,
                    routing_key: told_under,
                },
            ) => exchange == told_on && routing_key == told_under,
            _ => false,
        }
    }
}

fn key_matches(pattern: &str, key: &str) -> bool {
    match pattern.strip_suffix('#') {
        Some(start) => key.starts_with(start),
        None => pattern == key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_stands_for_the_rest_of_a_key() {
        #[track_caller]
        fn check(pattern: &str, key: &str, expected: bool) {
            let topic = Topic::Everybody {
                exchange: "celeryev".to_owned(),
                pattern: pattern.to_owned(),
            };
            let address = |exchange: &str| Address::Everybody {
                exchange: exchange.to_owned(),
                routing_key: key.to_owned(),
            };
            assert_eq!(
                topic.matches(&address("celeryev")),
                expected,
                "{pattern} {key}"
            );
            assert!(!topic.matches(&address("other")));
        }
        check("#", "worker.online", true);
        check("#", "", true);
        check("worker.#", "worker.online", true);
        check("worker.#", "task.sent", false);
        check("worker.online", "worker.online", true);
        check("", "", true);
        check("", "worker.online", false);
    }

    #[test]
    fn a_mailbox_is_not_everybody() {
        let exchange = "e".to_owned();
        let routing_key = "k".to_owned();
        let mailbox = Topic::Mailbox {
            exchange: exchange.clone(),
            routing_key: routing_key.clone(),
        };
        let letter = Address::Mailbox {
            exchange: exchange.clone(),
            routing_key: routing_key.clone(),
        };
        assert!(mailbox.matches(&letter));
        assert!(!mailbox.matches(&Address::Everybody {
            exchange,
            routing_key
        }));
    }
}
