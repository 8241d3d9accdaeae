//! What processes tell each other, as kombu has it on Redis, so that Python's remote control and monitors
//! hear aipo and are heard.
//!
//! | to | is told by | is heard by |
//! |---|---|---|
//! | everybody | `PUBLISH` on the channel of exchange and key | `PSUBSCRIBE`, see `channels.rs` |
//! | a mailbox | `LPUSH` to the list that the exchange's table of bindings names | taking it from there, see `mailbox.rs` |
//!
//! A message is written as one in a queue is, see `wire.rs`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aipo_core::Result;
use aipo_core::store::bus::BACKLOG;
use aipo_core::store::{Address, Bus, Listener, Notice, Topic};
use async_trait::async_trait;
use redis::Cmd;
use tokio::sync::Notify;

use crate::channels::Subscription;
use crate::handle::Handle;
use crate::mailbox::{Mailbox, Open};
use crate::script::TELL;
use crate::time::duration_ms;
use crate::wire;

/// Notices, and bytes of theirs, that one script tells at most; nothing else runs on the server meanwhile.
const MAX_NOTICES: usize = 500;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Bytes that wait for a listener at most, besides [`BACKLOG`]; the oldest go first.
const MAX_BACKLOG_BYTES: usize = 16 * 1024 * 1024;

/// How long a letter waits in a mailbox that nobody empties. Celery's `control_queue_ttl`.
const LETTER_TTL: Duration = Duration::from_secs(300);

pub(crate) struct RedisBus(pub(crate) Arc<Handle>);

#[async_trait]
impl Bus for RedisBus {
    async fn tell(&self, notices: Vec<Notice>) -> Result<()> {
        let mut step = Vec::new();
        let mut bytes = 0;
        for Notice { to, envelope } in notices {
            let (Address::Everybody {
                exchange,
                routing_key,
            }
            | Address::Mailbox {
                exchange,
                routing_key,
            }) = &to;
            let raw = wire::encode_notice(&envelope, exchange, routing_key);
            if step.len() == MAX_NOTICES || !step.is_empty() && bytes + raw.len() > MAX_BYTES {
                self.tell_step(&step, bytes).await?;
                step.clear();
                bytes = 0;
            }
            bytes += raw.len();
            step.push((to, raw));
        }
        match step.is_empty() {
            true => Ok(()),
            false => self.tell_step(&step, bytes).await,
        }
    }

    async fn listen(&self, topics: Vec<Topic>) -> Result<Box<dyn Listener>> {
        let keys = &self.0.keys;
        let mut subscriptions = Vec::new();
        let mut mailboxes = Vec::new();
        for topic in topics {
            match topic {
                Topic::Everybody { exchange, pattern } => {
                    subscriptions.extend(Subscription::of(keys, &exchange, &pattern));
                }
                Topic::Mailbox {
                    exchange,
                    routing_key,
                } => mailboxes.push(Mailbox::new(keys, exchange, routing_key)),
            }
        }
        let mut listener = RedisListener {
            ear: Arc::new(Ear::new(subscriptions)),
            handle: self.0.clone(),
            mailboxes: Vec::new(),
        };
        self.0.channels.join(&listener.ear).await?;
        for mailbox in mailboxes {
            let open = mailbox.open(&self.0, &listener.ear).await?;
            listener.mailboxes.push(open);
        }
        Ok(Box::new(listener))
    }
}

impl RedisBus {
    async fn tell_step(&self, step: &[(Address, Vec<u8>)], bytes: usize) -> Result<()> {
        let keys = &self.0.keys;
        let mut call = TELL.call_sized(0, step.len() * 4 + 3, bytes + step.len() * 100);
        call.arg(keys.prefix()).arg(keys.sep());
        call.arg(duration_ms(LETTER_TTL));
        for (to, raw) in step {
            write_address(&mut call, to, &self.0);
            call.arg(raw);
        }
        TELL.run(&self.0.link, &call).await.map(drop)
    }
}

fn write_address(call: &mut Cmd, to: &Address, handle: &Handle) {
    match to {
        Address::Everybody {
            exchange,
            routing_key,
        } => {
            let channel = handle.keys.channel(exchange, routing_key);
            call.arg("E").arg(channel).arg("")
        }
        Address::Mailbox {
            exchange,
            routing_key,
        } => {
            let table = handle.keys.exchange(exchange);
            call.arg("M").arg(table).arg(routing_key)
        }
    };
}

struct RedisListener {
    ear: Arc<Ear>,
    handle: Arc<Handle>,
    /// They are closed when these are dropped.
    mailboxes: Vec<Open>,
}

#[async_trait]
impl Listener for RedisListener {
    async fn next(&mut self) -> Result<Notice> {
        loop {
            while let Some(Heard { to, raw }) = self.ear.take() {
                match wire::decode_notice(&raw) {
                    Some(envelope) => return Ok(Notice { to, envelope }),
                    None => tracing::warn!(?to, "what came is no message; it is passed over"),
                }
            }
            self.ear.told.notified().await;
        }
    }
}

impl Drop for RedisListener {
    fn drop(&mut self) {
        self.handle.channels.leave(&self.ear);
    }
}

/// Where what comes waits for its listener.
pub(crate) struct Ear {
    pub(crate) subscriptions: Vec<Subscription>,
    backlog: Mutex<Backlog>,
    told: Notify,
}

#[derive(Default)]
struct Backlog {
    heard: VecDeque<Heard>,
    bytes: usize,
    /// How many went unheard since the last one was taken.
    missed: u64,
}

/// A notice as it came.
pub(crate) struct Heard {
    pub(crate) to: Address,
    pub(crate) raw: Vec<u8>,
}

impl Ear {
    fn new(subscriptions: Vec<Subscription>) -> Self {
        Self {
            subscriptions,
            backlog: Mutex::default(),
            told: Notify::new(),
        }
    }

    pub(crate) fn hear(&self, heard: Heard) {
        let mut backlog = self.lock();
        backlog.bytes += heard.raw.len();
        backlog.heard.push_back(heard);
        while backlog.heard.len() > BACKLOG
            || backlog.bytes > MAX_BACKLOG_BYTES && backlog.heard.len() > 1
        {
            backlog.pop();
            backlog.missed += 1;
        }
        drop(backlog);
        self.told.notify_one();
    }

    fn take(&self) -> Option<Heard> {
        let mut backlog = self.lock();
        let missed = std::mem::take(&mut backlog.missed);
        if missed > 0 {
            tracing::warn!(
                missed,
                "a listener did not keep up; the oldest notices are lost"
            );
        }
        backlog.pop()
    }

    fn lock(&self) -> MutexGuard<'_, Backlog> {
        // A panic elsewhere leaves it sound: at worst the count of bytes is too high.
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    fn pop(&mut self) -> Option<Heard> {
        let heard = self.heard.pop_front()?;
        self.bytes -= heard.raw.len();
        Some(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ear() -> Ear {
        Ear::new(Vec::new())
    }

    fn hear(ear: &Ear, number: usize, size: usize) {
        let to = Address::Mailbox {
            exchange: "e".to_owned(),
            routing_key: number.to_string(),
        };
        ear.hear(Heard {
            to,
            raw: vec![0; size],
        });
    }

    fn numbers(ear: &Ear) -> Vec<usize> {
        std::iter::from_fn(|| ear.take())
            .map(|heard| match heard.to {
                Address::Mailbox { routing_key, .. } => routing_key.parse().expect("a number"),
                Address::Everybody { .. } => panic!("only letters were heard"),
            })
            .collect()
    }

    #[test]
    fn the_oldest_of_too_many_go() {
        let ear = ear();
        (0..BACKLOG + 3).for_each(|number| hear(&ear, number, 1));
        assert_eq!(numbers(&ear), (3..BACKLOG + 3).collect::<Vec<_>>());
    }

    #[test]
    fn the_oldest_of_too_much_go() {
        let ear = ear();
        hear(&ear, 0, 1);
        hear(&ear, 1, MAX_BACKLOG_BYTES - 1);
        hear(&ear, 2, 1);
        assert_eq!(numbers(&ear), [1, 2]);
        hear(&ear, 3, 1);
        hear(&ear, 4, 2 * MAX_BACKLOG_BYTES);
        assert_eq!(numbers(&ear), [4], "one is kept, however large it is");
    }
}
