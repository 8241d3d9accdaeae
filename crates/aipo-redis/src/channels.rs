//! Hearing what is told to everybody.
//!
//! One connection with subscriptions serves all listeners of a store. It is made for the first of them and
//! closed after the last. A listener that joins waits until the server has confirmed its patterns, so what is
//! told from then on is heard. When the connection is lost, [`keep`] connects again and asks for all patterns
//! anew; idle, it costs a probe every [`PROBE_EVERY`].
//!
//! It is a connection of its own, since a server gives up one that does not keep up with what is published,
//! and that must not end a fetch.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aipo_core::Result;
use aipo_core::store::{Address, Topic};
use redis::cmd;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::bus::{Ear, Heard};
use crate::config::RedisOptions;
use crate::keys::Keys;
use crate::link::{Link, News};

/// How often the connection is tried, by which one that died without a word is noticed.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// The pause after a failed attempt to connect again, which itself takes as long as any call.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What the server is asked for, for a topic.
#[derive(Debug, PartialEq)]
pub(crate) struct Subscription {
    topic: Topic,
    /// The channel of the exchange, without a key.
    channel: String,
    /// The pattern for the server.
    glob: String,
}

impl Subscription {
    /// For a topic as of [`Topic::Everybody`].
    pub(crate) fn of(keys: &Keys, exchange: &str, pattern: &str) -> Vec<Self> {
        let channel = keys.channel(exchange, "");
        let new = |pattern: &str, glob: String| Self {
            topic: Topic::Everybody {
                exchange: exchange.to_owned(),
                pattern: pattern.to_owned(),
            },
            channel: channel.clone(),
            glob,
        };
        let literal = |key: &str| escape(&keys.channel(exchange, key));
        match pattern.strip_suffix('#') {
            // The empty key has no slash in front of it.
            Some("") => vec![new("", literal("")), new("#", format!("{}/*", literal("")))],
            Some(start) => vec![new(pattern, format!("{}*", literal(start)))],
            None => vec![new(pattern, literal(pattern))],
        }
    }

    /// To whom something on this channel was told, if it matches.
    fn address(&self, channel: &[u8]) -> Option<Address> {
        let Topic::Everybody { exchange, .. } = &self.topic else {
            return None;
        };
        let key = match channel.strip_prefix(self.channel.as_bytes())? {
            [b'/', key @ ..] => std::str::from_utf8(key).ok()?,
            [] => "",
            _ => return None,
        };
        let address = Address::Everybody {
            exchange: exchange.clone(),
            routing_key: key.to_owned(),
        };
        self.topic.matches(&address).then_some(address)
    }
}

/// A name as a pattern that matches it alone.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for char in name.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

impl Ear {
    /// Hears what came on a channel for a pattern. Something that several patterns match comes once for
    /// each of them, and is heard once.
    fn hear_published(&self, pattern: &[u8], channel: &[u8], message: &[u8]) {
        let first = self.subscriptions.iter().find_map(|subscription| {
            let address = subscription.address(channel)?;
            Some((subscription, address))
        });
        if let Some((subscription, to)) = first
            && subscription.glob.as_bytes() == pattern
        {
            self.hear(Heard {
                to,
                raw: message.to_vec(),
            });
        }
    }
}

/// The connection and who listens on it.
pub(crate) struct Channels {
    link: Link,
    ears: Arc<Ears>,
    /// What the connection has subscribed to. Held while that is changed.
    subscribed: tokio::sync::Mutex<HashSet<String>>,
}

#[derive(Default)]
struct Ears {
    joined: Mutex<Joined>,
    /// Told when listeners have gone or the connection was lost.
    changed: Notify,
    /// Whether the connection was lost since its subscriptions were looked at.
    is_lost: AtomicBool,
}

#[derive(Default)]
struct Joined {
    ears: Vec<Arc<Ear>>,
    /// There while anybody listens, and a little longer.
    keeper: Option<JoinHandle<()>>,
}

impl Channels {
    pub(crate) fn new(options: &RedisOptions) -> Result<Arc<Self>> {
        let ears = Arc::new(Ears::default());
        let listener = {
            let ears = ears.clone();
            Box::new(move |news| match news {
                News::Published {
                    pattern,
                    channel,
                    message,
                } => {
                    for ear in &ears.lock().ears {
                        ear.hear_published(&pattern, &channel, &message);
                    }
                }
                News::All => {
                    ears.is_lost.store(true, Ordering::Release);
                    ears.changed.notify_one();
                }
                News::Changed(_) => {}
            })
        };
        Ok(Arc::new(Self {
            link: Link::new(options, None, listener)?,
            ears,
            subscribed: tokio::sync::Mutex::default(),
        }))
    }

    /// Lets a listener hear what its subscriptions match, from now on.
    pub(crate) async fn join(self: &Arc<Self>, ear: &Arc<Ear>) -> Result<()> {
        if ear.subscriptions.is_empty() {
            return Ok(());
        }
        {
            let mut joined = self.ears.lock();
            joined.ears.push(ear.clone());
            if joined.keeper.as_ref().is_none_or(JoinHandle::is_finished) {
                joined.keeper = Some(tokio::spawn(keep(self.clone())));
            }
        }
        self.subscribe().await
    }

    pub(crate) fn leave(&self, ear: &Arc<Ear>) {
        let joined = &mut self.ears.lock().ears;
        joined.retain(|joined| !Arc::ptr_eq(joined, ear));
        self.ears.changed.notify_one();
    }

    /// Subscribes to what is wanted, and to nothing else.
    async fn subscribe(&self) -> Result<()> {
        let mut subscribed = self.subscribed.lock().await;
        loop {
            if self.ears.is_lost.swap(false, Ordering::AcqRel) {
                subscribed.clear();
            }
            let wanted = self.ears.wanted();
            // One at a time: the driver takes one answer for each command, and the server gives one
            // for each pattern.
            for glob in wanted.difference(&subscribed.clone()) {
                self.link.send(cmd("PSUBSCRIBE").arg(glob)).await?;
                subscribed.insert(glob.clone());
            }
            for glob in subscribed.clone().difference(&wanted) {
                self.link.send(cmd("PUNSUBSCRIBE").arg(glob)).await?;
                subscribed.remove(glob);
            }
            if !self.ears.is_lost.load(Ordering::Acquire) {
                return Ok(());
            }
        }
    }
}

/// Keeps the subscriptions right while anybody listens, and then closes the connection.
async fn keep(channels: Arc<Channels>) {
    let Channels { link, ears, .. } = &*channels;
    loop {
        let is_probe = tokio::select! {
            () = ears.changed.notified() => false,
            () = tokio::time::sleep(PROBE_EVERY) => true,
        };
        {
            let mut joined = ears.lock();
            if joined.ears.is_empty() {
                joined.keeper = None;
                ears.is_lost.store(true, Ordering::Release);
                link.disconnect();
                return;
            }
        }
        let kept = match is_probe {
            // The link itself tells when it fails.
            true => link.send(&cmd("PING")).await.map(drop),
            false => channels.subscribe().await,
        };
        if let Err(error) = kept {
            tracing::debug!(%error, "the connection to redis that listens was lost; connecting again");
            tokio::time::sleep(LOOK_AGAIN).await;
            ears.changed.notify_one();
        }
    }
}

impl Ears {
    /// All patterns that somebody listens to.
    fn wanted(&self) -> HashSet<String> {
        let joined = self.lock();
        let subscriptions = joined.ears.iter().flat_map(|ear| &ear.subscriptions);
        subscriptions
            .map(|subscription| subscription.glob.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Joined> {
        // A panic elsewhere leaves it sound: each change is one call.
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(url: &str, exchange: &str, pattern: &str) -> Vec<String> {
        let options = RedisOptions::from_url(url).expect(url);
        let subscriptions = Subscription::of(&Keys::new(&options), exchange, pattern);
        subscriptions
            .into_iter()
            .map(|subscription| subscription.glob)
            .collect()
    }

    #[test]
    fn patterns_are_kombus() {
        #[track_caller]
        fn check(url: &str, exchange: &str, pattern: &str, expected: &[&str]) {
            assert_eq!(globs(url, exchange, pattern), expected);
        }
        check("redis://h/0", "celery.pidbox", "", &["/0.celery.pidbox"]);
        check(
            "redis://h/3",
            "celeryev",
            "worker.#",
            &["/3.celeryev/worker.*"],
        );
        check(
            "redis://",
            "celeryev",
            "#",
            &["/0.celeryev", "/0.celeryev/*"],
        );
        check(
            "redis://",
            "celeryev",
            "task.sent",
            &["/0.celeryev/task.sent"],
        );
        let url = "redis://h/2?global_keyprefix=app:";
        check(url, "celeryev", "a", &["app:/2.celeryev/a"]);
        let url = "redis://h/2?fanout_prefix=false";
        check(url, "celeryev", "a", &["celeryev/a"]);
    }

    #[test]
    fn what_means_something_in_a_pattern_is_taken_literally() {
        assert_eq!(globs("redis://", r"a*[b]\", "c?#"), [r"/0.a\*\[b\]\\/c\?*"]);
    }

    #[test]
    fn a_channel_tells_exchange_and_key() {
        let keys = Keys::new(&RedisOptions::default());
        let all = Subscription::of(&keys, "e.x", "#");
        let of = |channel: &str| {
            let mut addresses = all.iter().map(|one| one.address(channel.as_bytes()));
            addresses.find_map(|address| address)
        };
        let told = |key: &str| {
            Some(Address::Everybody {
                exchange: "e.x".to_owned(),
                routing_key: key.to_owned(),
            })
        };
        assert_eq!(of("/0.e.x"), told(""));
        assert_eq!(of("/0.e.x/worker.online"), told("worker.online"));
        assert_eq!(of("/0.e.x/a/b"), told("a/b"));
        assert_eq!(of("/0.e.xy"), None);
        assert_eq!(of("/1.e.x/a"), None);
    }
}
