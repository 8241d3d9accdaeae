//! Putting messages into queues.
//!
//! Messages of one call that go to one list are one `LPUSH`, a single message too, and calls at the same
//! time share the connection's pipeline. Only what goes to several lists, or is to be parked, needs a script.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aipo_core::store::{MAX_PRIORITY, Publish};
use aipo_core::{QueueName, Result};
use redis::Cmd;

use crate::handle::Handle;
use crate::script::PUBLISH;
use crate::time::ceil_ms;
use crate::wire;

/// A message on its way.
pub(crate) struct Outgoing {
    pub(crate) queue: QueueName,
    list: String,
    step: u8,
    /// When it is due, if it is to be parked until then.
    due_ms: Option<i64>,
    raw: Vec<u8>,
}

/// The queues that this process has made known to the server, so that it does so once.
#[derive(Clone, Default)]
pub(crate) struct Declared(Arc<Mutex<HashSet<QueueName>>>);

impl Declared {
    pub(crate) fn contains(&self, queue: &QueueName) -> bool {
        self.lock().contains(queue)
    }

    pub(crate) fn insert(&self, queue: QueueName) {
        self.lock().insert(queue);
    }

    /// The server may be another, or have lost its data.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<QueueName>> {
        // A panic elsewhere leaves the set sound: each change to it is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outgoing {
    pub(crate) fn size(&self) -> usize {
        self.raw.len()
    }

    /// Adds what a script's `publish` takes.
    pub(crate) fn write(&self, call: &mut Cmd, handle: &Handle) {
        call.arg(&self.list)
            .arg(handle.keys.parked(&self.queue))
            .arg(self.step);
        match self.due_ms {
            Some(due_ms) => call.arg(due_ms),
            None => call.arg(""),
        };
        call.arg(&self.raw);
    }
}

impl Handle {
    /// Adds messages to a call of a script that declares their queues where that was not done yet, so that one that
    /// has no effect leaves no queue behind.
    pub(crate) fn write_messages<'a>(
        &self,
        call: &mut Cmd,
        messages: &'a [Outgoing],
        declares: &mut Vec<&'a QueueName>,
    ) {
        call.arg(messages.len());
        for message in messages {
            if self.declared.contains(&message.queue) {
                call.arg("");
            } else {
                call.arg(message.queue.as_str());
                declares.push(&message.queue);
            }
            message.write(call, self);
        }
    }

    pub(crate) fn outgoing(&self, message: &Publish) -> Outgoing {
        let priority = message.priority.min(MAX_PRIORITY);
        let step = self.keys.step(priority);
        Outgoing {
            queue: message.queue.clone(),
            list: self.keys.list(&message.queue, step),
            step,
            due_ms: message.due.map(ceil_ms).filter(|_| self.park_on_send),
            raw: wire::encode(message, priority),
        }
    }

    pub(crate) async fn publish(&self, messages: &[Publish]) -> Result<()> {
        self.declare(messages.iter().map(|message| &message.queue))
            .await?;
        let outgoing: Vec<Outgoing> = messages
            .iter()
            .map(|message| self.outgoing(message))
            .collect();
        let Some(first) = outgoing.first() else {
            return Ok(());
        };
        let size = outgoing.iter().map(Outgoing::size).sum();
        if outgoing
            .iter()
            .all(|message| message.list == first.list && message.due_ms.is_none())
        {
            let mut push = Cmd::with_capacity(outgoing.len() + 2, size + first.list.len() + 8);
            push.arg("LPUSH").arg(&first.list);
            for message in &outgoing {
                push.arg(&message.raw);
            }
            self.link.send(&push).await?;
        } else {
            let mut call = PUBLISH.call_sized(1, outgoing.len() * 5, size);
            call.arg(self.keys.parked_number()).arg(self.now());
            for message in &outgoing {
                message.write(&mut call, self);
            }
            PUBLISH.run(&self.link, &call).await?;
        }
        Ok(())
    }

    /// Makes queues known, to aipo and in Celery's tables, that this process has not made known yet.
    async fn declare(&self, queues: impl Iterator<Item = &QueueName>) -> Result<()> {
        let unknown: BTreeSet<&QueueName> = queues
            .filter(|queue| !self.declared.contains(queue))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut declare = redis::pipe();
        for queue in &unknown {
            declare
                .cmd("SADD")
                .arg(self.keys.queues())
                .arg(queue.as_str());
            for table in self.keys.bindings(queue) {
                declare.cmd("SADD").arg(table).arg(self.keys.binding(queue));
            }
        }
        self.link.transaction(declare.atomic()).await?;
        for queue in unknown {
            self.declared.insert(queue.clone());
        }
        Ok(())
    }
}
