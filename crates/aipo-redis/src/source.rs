//! A consumer on the server: where it takes from, and how its scripts are called.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use aipo_core::store::DeliveryTag;
use aipo_core::{QueueName, Result};
use redis::{Cmd, Value};

use crate::error::{lease_lost, unexpected};
use crate::handle::Handle;
use crate::script::{START, Script};

pub(crate) struct Source {
    pub(crate) handle: Arc<Handle>,
    pub(crate) id: String,
    pub(crate) queues: Vec<QueueName>,
    /// By queue: the key of its parked messages and those of its lists.
    pub(crate) keys: Vec<String>,
    /// The number of the next message.
    pub(crate) next: AtomicU64,
    /// The queue whose turn it is.
    pub(crate) turn: AtomicUsize,
    /// How often in a row it was told of a message and found none.
    pub(crate) in_vain: AtomicU32,
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
    pub(crate) fn new(handle: Arc<Handle>, id: String, queues: Vec<QueueName>) -> Self {
        let keys = queues.iter().flat_map(|queue| {
            let parked = std::iter::once(handle.keys.parked(queue));
            parked.chain(handle.keys.lists(queue))
        });
        let keys = keys.collect();
        Self {
            handle,
            id,
            queues,
            keys,
            next: AtomicU64::new(1),
            turn: AtomicUsize::new(0),
            in_vain: AtomicU32::new(0),
        }
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
