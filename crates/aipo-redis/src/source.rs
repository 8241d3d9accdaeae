//! A consumer on the server: where it takes from, and how its scripts are called.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aipo_core::store::DeliveryTag;
use aipo_core::{Error, ErrorKind, QueueName, Result};
use redis::{Cmd, Value};

use crate::error::{lease_lost, unexpected};
use crate::handle::Handle;
use crate::keys::Keys;
use crate::script::{ADD_QUEUES, START, Script};

pub(crate) struct Source {
    pub(crate) handle: Arc<Handle>,
    pub(crate) id: String,
    lanes: Mutex<Arc<Lanes>>,
    /// Held while the lanes change.
    setting: tokio::sync::Mutex<()>,
    /// The number of the last entry of the log of what was revoked, as of the last fetch.
    pub(crate) last_revoked: AtomicU64,
    /// The number of the next message.
    pub(crate) next: AtomicU64,
    /// The queue whose turn it is.
    pub(crate) turn: AtomicUsize,
    /// How often in a row it was told of a message and found none.
    pub(crate) in_vain: AtomicU32,
}

/// Which queues a consumer takes from. What it holds is named by the place of its queue, so a queue keeps
/// its place for as long as the consumer lives.
#[derive(Clone, Default)]
pub(crate) struct Lanes {
    /// Every queue that it took from, by place.
    pub(crate) known: Vec<QueueName>,
    /// The places of those that it takes from now.
    pub(crate) taken: Vec<usize>,
    /// Of each of these: the key of its parked messages and those of its lists.
    pub(crate) keys: Vec<String>,
}

impl Lanes {
    /// The same consumer with these queues to take from.
    pub(crate) fn taking(&self, keys: &Keys, queues: Vec<QueueName>) -> Result<Self> {
        let mut lanes = Self {
            known: self.known.clone(),
            ..Self::default()
        };
        let mut seen = HashSet::new();
        for queue in queues {
            if !seen.insert(queue.clone()) {
                continue;
            }
            lanes.keys.push(keys.parked(&queue));
            lanes.keys.extend(keys.lists(&queue));
            let known = lanes.known.iter().position(|known| *known == queue);
            lanes.taken.push(known.unwrap_or(lanes.known.len()));
            if known.is_none() {
                lanes.known.push(queue);
            }
        }
        lanes.checked(keys)
    }

    /// The same consumer with one more queue that it can hold messages of.
    fn knowing(&self, keys: &Keys, queue: QueueName) -> Result<Self> {
        let mut lanes = self.clone();
        lanes.known.push(queue);
        lanes.checked(keys)
    }

    fn checked(self, keys: &Keys) -> Result<Self> {
        if self.known.len() * keys.steps.len() > usize::from(u16::MAX) {
            let message = "a consumer can't take from so many queues";
            return Err(Error::new(ErrorKind::TooLarge, message).with("queues", self.known.len()));
        }
        Ok(self)
    }
}

/// What names a message to its consumer: which list it came off, whether the fetch counted it as started,
/// and its number, packed into a [`DeliveryTag`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    /// The list, by queue and step: one of the lists of a consumer.
    pub(crate) lane: u16,
    pub(crate) started: bool,
    pub(crate) number: u64,
}

impl Hold {
    /// Its field in the consumer's hash.
    pub(crate) fn field(self) -> String {
        format!("{}:{}:{}", self.lane, u8::from(self.started), self.number)
    }

    /// The field that notes a start after the fetch; empty when the fetch counted it.
    pub(crate) fn later_start(self) -> String {
        match self.started {
            true => String::new(),
            false => format!("started:{}", self.number),
        }
    }
}

impl From<Hold> for DeliveryTag {
    fn from(hold: Hold) -> Self {
        Self((hold.number << 17) | (u64::from(hold.lane) << 1) | u64::from(hold.started))
    }
}

impl From<DeliveryTag> for Hold {
    fn from(DeliveryTag(tag): DeliveryTag) -> Self {
        let lane = u16::try_from((tag >> 1) & 0xffff).expect("16 bits are left");
        Self {
            lane,
            started: tag & 1 == 1,
            number: tag >> 17,
        }
    }
}

impl Source {
    pub(crate) fn new(handle: Arc<Handle>, id: String, lanes: Lanes) -> Self {
        Self {
            handle,
            id,
            lanes: Mutex::new(Arc::new(lanes)),
            setting: tokio::sync::Mutex::default(),
            last_revoked: AtomicU64::new(0),
            next: AtomicU64::new(1),
            turn: AtomicUsize::new(0),
            in_vain: AtomicU32::new(0),
        }
    }

    /// The queues that it takes from at this moment.
    pub(crate) fn lanes(&self) -> Arc<Lanes> {
        self.lock_lanes().clone()
    }

    pub(crate) async fn set_queues(&self, queues: Vec<QueueName>) -> Result<()> {
        let _alone = self.setting.lock().await;
        let before = self.lanes();
        let lanes = before.taking(&self.handle.keys, queues)?;
        self.set_lanes(&before, lanes).await
    }

    /// The place of a queue, which is known from then on if it was not.
    pub(crate) async fn place_of(&self, queue: &QueueName) -> Result<usize> {
        let _alone = self.setting.lock().await;
        let before = self.lanes();
        if let Some(place) = before.known.iter().position(|known| known == queue) {
            return Ok(place);
        }
        let lanes = before.knowing(&self.handle.keys, queue.clone())?;
        self.set_lanes(&before, lanes).await?;
        Ok(before.known.len())
    }

    async fn set_lanes(&self, before: &Lanes, lanes: Lanes) -> Result<()> {
        let first = before.known.len();
        let call = self.queues_call(&ADD_QUEUES, first, &lanes.known[first..]);
        self.run_held(&ADD_QUEUES, &call).await?;
        *self.lock_lanes() = Arc::new(lanes);
        Ok(())
    }

    fn lock_lanes(&self) -> MutexGuard<'_, Arc<Lanes>> {
        // A panic elsewhere leaves it sound: each change is one assignment.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of a script that notes queues, of which the first has the place `first`.
    pub(crate) fn queues_call(&self, script: &Script, first: usize, queues: &[QueueName]) -> Cmd {
        let keys = &self.handle.keys;
        let mut call = self.call(script, &[]);
        call.arg(keys.prefix()).arg(keys.sep());
        call.arg(keys.steps.len()).arg(first).arg(queues.len());
        queues.iter().for_each(|queue| _ = call.arg(queue.as_str()));
        for list in queues.iter().flat_map(|queue| keys.lists(queue)) {
            call.arg(list);
        }
        call
    }

    /// A call of a script on this consumer with what all of them have, keys first: consumers, the
    /// consumer and `more`, then the arguments id and now.
    pub(crate) fn call(&self, script: &Script, more: &[&str]) -> Cmd {
        self.call_sized(script, more, 0, 0)
    }

    /// The same with room for `arguments` of `bytes` together.
    pub(crate) fn call_sized(
        &self,
        script: &Script,
        more: &[&str],
        arguments: usize,
        bytes: usize,
    ) -> Cmd {
        let keys = &self.handle.keys;
        let mut call = script.call_sized(2 + more.len(), arguments + 2, bytes + 256);
        call.arg(keys.consumers())
            .arg(keys.consumer(&self.id))
            .arg(more);
        call.arg(&self.id).arg(self.handle.now());
        call
    }

    /// Runs a script that answers `lost` or nothing.
    pub(crate) async fn run_held(&self, script: &Script, call: &Cmd) -> Result<()> {
        match script.run(&self.handle.link, call).await? {
            Value::Nil => Ok(()),
            Value::BulkString(text) if text == b"lost" => Err(lease_lost()),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn start(&self, tags: &[DeliveryTag]) -> Result<()> {
        let mut call = self.call(&START, &[]);
        for tag in tags {
            let hold = Hold::from(*tag);
            call.arg(hold.field()).arg(hold.later_start());
        }
        self.run_held(&START, &call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_a_hold() {
        for hold in [
            Hold {
                lane: 0,
                started: false,
                number: 1,
            },
            Hold {
                lane: u16::MAX,
                started: true,
                number: (1 << 47) - 1,
            },
        ] {
            assert_eq!(Hold::from(DeliveryTag::from(hold)), hold);
        }
        let hold = Hold {
            lane: 5,
            started: true,
            number: 12,
        };
        assert_eq!((&*hold.field(), &*hold.later_start()), ("5:1:12", ""));
        let hold = Hold {
            started: false,
            ..hold
        };
        assert_eq!(
            (&*hold.field(), &*hold.later_start()),
            ("5:0:12", "started:12")
        );
    }
}
