//! The queues as plain data: every message, where it is, and who holds it.
//!
//! A message has a serial, which names it for as long as it exists, and an order, which is its place
//! in the line. Handing it back keeps the order, so it stands where it stood; a redrive
//! gives it a new one, at the end.
//!
//! Invariant: a message is in exactly one of `ready`, `parked`, `held` and `dead`, and its
//! [`Place`] says in which.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aipo_core::message::Envelope;
use aipo_core::store::{
    ConsumerOptions, DeadLetter, Delivery, DeliveryTag, Fetch, Location, Parked, Publish,
    QueueStats, Verdict,
};
use aipo_core::{Error, ErrorKind, QueueName, Result, TaskId, clock};
use jiff::Timestamp;

/// The least urgent priority.
const LAST_PRIORITY: u8 = 9;

#[derive(Default)]
pub(super) struct Queues {
    queues: BTreeMap<QueueName, Queue>,
    messages: HashMap<u64, Message>,
    /// Task, whether the message is dead, serial: so that the living are found first.
    tasks: BTreeSet<(TaskId, bool, u64)>,
    /// Dead letters' serials by their id, which grows with each death.
    dead: BTreeMap<u64, u64>,
    consumers: HashMap<u64, Holder>,
    /// Consumers by the end of their lease.
    leases: BTreeSet<(Timestamp, u64)>,
    /// The last number given out, for serials, orders, tags, consumers and dead letters alike.
    last: u64,
}

#[derive(Default)]
struct Queue {
    /// Serials by priority and order.
    ready: BTreeMap<(u8, u64), u64>,
    /// Serials by due time, and among equals by serial.
    parked: BTreeSet<(Timestamp, u64)>,
    in_flight: u64,
    /// Ids of dead letters.
    dead: BTreeSet<u64>,
}

struct Message {
    queue: QueueName,
    id: TaskId,
    priority: u8,
    order: u64,
    deliveries: u32,
    envelope: Envelope,
    place: Place,
}

enum Place {
    Ready,
    Parked {
        due: Timestamp,
    },
    InFlight {
        consumer: u64,
        started: bool,
        /// Until when it was parked, of one that was claimed.
        due: Option<Timestamp>,
    },
    Dead {
        letter: u64,
        reason: String,
        died: Timestamp,
    },
}

/// A consumer.
struct Holder {
    name: String,
    lease: Duration,
    until: Timestamp,
    /// Serials of what it holds, by tag; tags grow, so this is the order of fetching.
    held: BTreeMap<u64, u64>,
}

impl Queues {
    pub(super) fn publish(&mut self, publish: Publish, now: Timestamp) {
        let serial = self.next();
        let place = match publish.due {
            Some(due) if due > now => Place::Parked { due },
            _ => Place::Ready,
        };
        let message = Message {
            queue: publish.queue,
            id: publish.id,
            priority: publish.priority.min(LAST_PRIORITY),
            order: serial,
            deliveries: 0,
            envelope: publish.envelope,
            place,
        };
        self.tasks.insert((message.id.clone(), false, serial));
        let queue = self.queues.entry(message.queue.clone()).or_default();
        match message.place {
            Place::Parked { due } => drop(queue.parked.insert((due, serial))),
            _ => drop(
                queue
                    .ready
                    .insert((message.priority, message.order), serial),
            ),
        }
        self.messages.insert(serial, message);
    }

    pub(super) fn consume(
        &mut self,
        options: ConsumerOptions,
        now: Timestamp,
    ) -> (u64, Vec<QueueName>) {
        let consumer = self.next();
        let turns = self.turns(options.queues);
        let until = clock::after(now, options.lease);
        self.leases.insert((until, consumer));
        let (name, lease) = (options.name, options.lease);
        self.consumers.insert(
            consumer,
            Holder {
                name,
                lease,
                until,
                held: BTreeMap::new(),
            },
        );
        (consumer, turns)
    }

    /// Takes what is ready in these queues for this consumer. The one that was served last comes last then.
    pub(super) fn take(
        &mut self,
        consumer: u64,
        turns: &mut Vec<QueueName>,
        request: Fetch,
        now: Timestamp,
    ) -> Result<Vec<Delivery>> {
        self.check_lease(consumer, now)?;
        self.unpark(turns, now);
        let mut taken = Vec::new();
        while taken.len() < request.max
            && let Some(serial) = self.pop_ready(turns)
        {
            let started = taken.len() < request.started;
            taken.push(self.deliver(serial, consumer, started));
        }
        Ok(taken)
    }

    /// Takes what waits of these tasks for this consumer, in whatever queue.
    pub(super) fn claim(
        &mut self,
        consumer: u64,
        ids: &[TaskId],
        now: Timestamp,
    ) -> Result<Vec<Delivery>> {
        self.check_lease(consumer, now)?;
        let mut claimed = Vec::new();
        for id in ids {
            let living = (id.clone(), false, 0)..=(id.clone(), false, u64::MAX);
            let of_task = self.tasks.range(living);
            let serials: Vec<u64> = of_task.map(|(.., serial)| *serial).collect();
            for serial in serials {
                if self.leave_line(serial) {
                    claimed.push(self.deliver(serial, consumer, false));
                }
            }
        }
        Ok(claimed)
    }

    /// When the next parked message of these queues becomes due.
    pub(super) fn next_due(&self, queues: &[QueueName]) -> Option<Timestamp> {
        queues
            .iter()
            .filter_map(|queue| Some(self.queues.get(queue)?.parked.first()?.0))
            .min()
    }

    /// Counts the starts of deliveries, all of them or, when one is not held, none.
    pub(super) fn start(
        &mut self,
        consumer: u64,
        tags: &[DeliveryTag],
        now: Timestamp,
    ) -> Result<()> {
        let holder = self.check_lease(consumer, now)?;
        let held = tags.iter().map(|tag| holder.held.get(&tag.0).copied());
        let Some(serials) = held.collect::<Option<Vec<u64>>>() else {
            return Err(lease_lost(
                "a delivery to start is not held any more",
                &holder.name,
            ));
        };
        for serial in serials {
            let message = self.message_mut(serial);
            if let Place::InFlight {
                started: started @ false,
                ..
            } = &mut message.place
            {
                *started = true;
                message.deliveries += 1;
            }
        }
        Ok(())
    }

    /// Ends a delivery; the queue that got the message back, if one did. `None` when the delivery
    /// is not this consumer's any more.
    pub(super) fn settle(
        &mut self,
        consumer: u64,
        tag: DeliveryTag,
        verdict: Verdict,
        now: Timestamp,
    ) -> Option<Option<QueueName>> {
        if self.check_lease(consumer, now).is_err() {
            return None;
        }
        let serial = self.consumers.get_mut(&consumer)?.held.remove(&tag.0)?;
        Some(match verdict {
            Verdict::Ack => {
                self.queue_mut(serial).in_flight -= 1;
                self.delete(serial);
                None
            }
            Verdict::Release => {
                let message = self.message_mut(serial);
                if let Place::InFlight { started: true, .. } = message.place {
                    message.deliveries -= 1;
                }
                Some(self.hand_back(serial, now))
            }
            Verdict::Park { until } => {
                let message = self.message_mut(serial);
                if let Place::InFlight { started: true, .. } = message.place {
                    message.deliveries -= 1;
                }
                Some(match until > now {
                    true => self.park(serial, until),
                    false => self.hand_back(serial, now),
                })
            }
            Verdict::DeadLetter { reason } => {
                self.give_up(serial, reason, now);
                None
            }
        })
    }

    /// Other queues for this consumer to take from.
    pub(super) fn set_queues(
        &mut self,
        consumer: u64,
        queues: Vec<QueueName>,
        now: Timestamp,
    ) -> Result<Vec<QueueName>> {
        self.check_lease(consumer, now)?;
        Ok(self.turns(queues))
    }

    pub(super) fn renew(&mut self, consumer: u64, now: Timestamp) -> Result<()> {
        self.check_lease(consumer, now)?;
        let holder = self
            .consumers
            .get_mut(&consumer)
            .expect("its lease was checked");
        self.leases.remove(&(holder.until, consumer));
        holder.until = clock::after(now, holder.lease);
        self.leases.insert((holder.until, consumer));
        Ok(())
    }

    /// Ends a consumer; the queues that got messages back.
    pub(super) fn close(&mut self, consumer: u64, now: Timestamp) -> Result<Vec<QueueName>> {
        self.check_lease(consumer, now)?;
        Ok(self.end(consumer, now))
    }

    /// Ends the consumers whose lease ran out; the queues that got messages back, one for each message.
    pub(super) fn recover(&mut self, now: Timestamp) -> Vec<QueueName> {
        let mut returned = Vec::new();
        while let Some(&(until, consumer)) = self.leases.first()
            && until <= now
        {
            returned.append(&mut self.end(consumer, now));
        }
        returned
    }

    pub(super) fn stats(&mut self, now: Timestamp) -> Vec<QueueStats> {
        let Self {
            queues, messages, ..
        } = self;
        queues
            .iter_mut()
            .map(|(name, queue)| {
                queue.unpark(messages, now);
                QueueStats {
                    queue: name.clone(),
                    ready: queue.ready.len() as u64,
                    parked: queue.parked.len() as u64,
                    in_flight: queue.in_flight,
                    dead: queue.dead.len() as u64,
                }
            })
            .collect()
    }

    /// What waits for its time, the next first.
    pub(super) fn parked(&self, queues: &[QueueName], limit: usize, now: Timestamp) -> Vec<Parked> {
        let of_queues = queues.iter().filter_map(|queue| self.queues.get(queue));
        let mut parked: Vec<(Timestamp, u64)> = of_queues
            .flat_map(|queue| {
                queue
                    .parked
                    .iter()
                    .filter(|(due, _)| *due > now)
                    .take(limit)
            })
            .copied()
            .collect();
        parked.sort_unstable();
        // Of a queue that was named twice.
        parked.dedup();
        parked.truncate(limit);
        let tell = |(due, serial)| {
            let message: &Message = &self.messages[&serial];
            Parked {
                queue: message.queue.clone(),
                due,
                envelope: message.envelope.clone(),
            }
        };
        parked.into_iter().map(tell).collect()
    }

    pub(super) fn purge(&mut self, queue: &QueueName) -> u64 {
        let Some(queue) = self.queues.get_mut(queue) else {
            return 0;
        };
        let ready = std::mem::take(&mut queue.ready).into_values();
        let parked = std::mem::take(&mut queue.parked)
            .into_iter()
            .map(|(_, serial)| serial);
        let purged: Vec<u64> = ready.chain(parked).collect();
        for serial in &purged {
            self.delete(*serial);
        }
        purged.len() as u64
    }

    /// Where the oldest living message of a task is, or its oldest dead one.
    pub(super) fn locate(&self, id: &TaskId, now: Timestamp) -> Option<Location> {
        let all = (id.clone(), false, 0)..=(id.clone(), true, u64::MAX);
        let (.., serial) = self.tasks.range(all).next()?;
        let message = &self.messages[serial];
        let queue = message.queue.clone();
        Some(match &message.place {
            Place::Parked { due } if *due > now => Location::Parked { queue, due: *due },
            Place::Ready | Place::Parked { .. } => Location::Ready { queue },
            Place::InFlight { consumer, .. } => Location::InFlight {
                queue,
                consumer: self.consumers[consumer].name.clone(),
            },
            Place::Dead { .. } => Location::Dead { queue },
        })
    }

    pub(super) fn dead_letters(&self, queue: Option<&QueueName>, limit: usize) -> Vec<DeadLetter> {
        let letter = |serial: &u64| self.messages[serial].dead_letter();
        match queue {
            None => self
                .dead
                .values()
                .rev()
                .take(limit)
                .filter_map(letter)
                .collect(),
            Some(queue) => {
                let letters = self
                    .queues
                    .get(queue)
                    .into_iter()
                    .flat_map(|queue| queue.dead.iter().rev());
                letters
                    .take(limit)
                    .filter_map(|id| letter(&self.dead[id]))
                    .collect()
            }
        }
    }

    /// Puts dead letters back; the queues that got them, one for each.
    pub(super) fn redrive(&mut self, letters: &[u64]) -> Vec<QueueName> {
        let mut returned = Vec::new();
        for letter in letters {
            if let Some(serial) = self.unbury(*letter) {
                let end = self.next();
                let message = self.message_mut(serial);
                message.order = end;
                message.deliveries = 0;
                let id = message.id.clone();
                self.tasks.remove(&(id.clone(), true, serial));
                self.tasks.insert((id, false, serial));
                returned.push(self.make_ready(serial));
            }
        }
        returned
    }

    pub(super) fn discard(&mut self, letters: &[u64]) -> usize {
        let mut discarded = 0;
        for letter in letters {
            if let Some(serial) = self.unbury(*letter) {
                self.delete(serial);
                discarded += 1;
            }
        }
        discarded
    }

    /// Queues for a consumer to take from, each once; they exist from now on.
    fn turns(&mut self, queues: Vec<QueueName>) -> Vec<QueueName> {
        let mut turns: Vec<QueueName> = Vec::with_capacity(queues.len());
        for queue in queues {
            self.queues.entry(queue.clone()).or_default();
            if !turns.contains(&queue) {
                turns.push(queue);
            }
        }
        turns
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn message_mut(&mut self, serial: u64) -> &mut Message {
        self.messages
            .get_mut(&serial)
            .expect("every serial that is kept names a message")
    }

    fn queue_mut(&mut self, serial: u64) -> &mut Queue {
        let queue = &self.messages[&serial].queue;
        self.queues
            .get_mut(queue)
            .expect("the queue of a message exists")
    }

    fn check_lease(&self, consumer: u64, now: Timestamp) -> Result<&Holder> {
        match self.consumers.get(&consumer) {
            Some(holder) if holder.until > now => Ok(holder),
            Some(holder) => Err(lease_lost("the consumer's lease ran out", &holder.name)),
            None => Err(Error::new(ErrorKind::LeaseLost, "the consumer was ended")),
        }
    }

    /// Moves the messages of these queues whose time has come into the line.
    fn unpark(&mut self, of: &[QueueName], now: Timestamp) {
        let Self {
            queues, messages, ..
        } = self;
        for queue in of {
            queues
                .get_mut(queue)
                .expect("a consumer's queues exist")
                .unpark(messages, now);
        }
    }

    /// Takes the message that comes first in these queues out of its line: the most urgent, and
    /// among queues of equal standing that of the queue that was served the longest time ago.
    fn pop_ready(&mut self, turns: &mut Vec<QueueName>) -> Option<u64> {
        let heads = turns.iter().enumerate().filter_map(|(turn, queue)| {
            let ((priority, _), _) = self.queues.get(queue)?.ready.first_key_value()?;
            Some((*priority, turn))
        });
        let (_, turn) = heads.min()?;
        let served = turns.remove(turn);
        let queue = self.queues.get_mut(&served)?;
        turns.push(served);
        queue.ready.pop_first().map(|(_, serial)| serial)
    }

    fn deliver(&mut self, serial: u64, consumer: u64, started: bool) -> Delivery {
        let tag = self.next();
        self.queue_mut(serial).in_flight += 1;
        let holder = self
            .consumers
            .get_mut(&consumer)
            .expect("its lease was checked");
        holder.held.insert(tag, serial);
        let message = self.message_mut(serial);
        let started = started && message.deliveries == 0;
        message.deliveries += u32::from(started);
        let due = match message.place {
            Place::Parked { due } => Some(due),
            _ => None,
        };
        message.place = Place::InFlight {
            consumer,
            started,
            due,
        };
        Delivery {
            tag: DeliveryTag(tag),
            queue: message.queue.clone(),
            deliveries: message.deliveries,
            started,
            envelope: message.envelope.clone(),
        }
    }

    /// Returns a message in flight to its place in the line, or to where it waits for its time; its queue.
    fn hand_back(&mut self, serial: u64, now: Timestamp) -> QueueName {
        if let Place::InFlight { due: Some(due), .. } = self.messages[&serial].place
            && due > now
        {
            return self.park(serial, due);
        }
        self.queue_mut(serial).in_flight -= 1;
        self.make_ready(serial)
    }

    /// Puts a message in flight aside until then; the queue it waits for.
    fn park(&mut self, serial: u64, until: Timestamp) -> QueueName {
        let message = self.message_mut(serial);
        message.place = Place::Parked { due: until };
        let name = message.queue.clone();
        let queue = self.queue_mut(serial);
        queue.in_flight -= 1;
        queue.parked.insert((until, serial));
        name
    }

    fn make_ready(&mut self, serial: u64) -> QueueName {
        let message = self.message_mut(serial);
        message.place = Place::Ready;
        let (name, key) = (message.queue.clone(), (message.priority, message.order));
        self.queue_mut(serial).ready.insert(key, serial);
        name
    }

    /// Takes a message that waits out of its line; whether it was waiting.
    fn leave_line(&mut self, serial: u64) -> bool {
        let message = &self.messages[&serial];
        let queue = self
            .queues
            .get_mut(&message.queue)
            .expect("the queue of a message exists");
        match message.place {
            Place::Ready => queue
                .ready
                .remove(&(message.priority, message.order))
                .is_some(),
            Place::Parked { due } => queue.parked.remove(&(due, serial)),
            Place::InFlight { .. } | Place::Dead { .. } => false,
        }
    }

    fn give_up(&mut self, serial: u64, reason: String, died: Timestamp) {
        let letter = self.next();
        let message = self.message_mut(serial);
        message.place = Place::Dead {
            letter,
            reason,
            died,
        };
        let id = message.id.clone();
        let queue = self.queue_mut(serial);
        queue.in_flight -= 1;
        queue.dead.insert(letter);
        self.dead.insert(letter, serial);
        self.tasks.remove(&(id.clone(), false, serial));
        self.tasks.insert((id, true, serial));
    }

    /// Takes a dead letter from among the dead; its serial.
    fn unbury(&mut self, letter: u64) -> Option<u64> {
        let serial = self.dead.remove(&letter)?;
        self.queue_mut(serial).dead.remove(&letter);
        Some(serial)
    }

    /// Deletes a message that is in no line any more.
    fn delete(&mut self, serial: u64) {
        let message = self
            .messages
            .remove(&serial)
            .expect("a message is deleted once");
        let dead = matches!(message.place, Place::Dead { .. });
        self.tasks.remove(&(message.id, dead, serial));
    }

    fn end(&mut self, consumer: u64, now: Timestamp) -> Vec<QueueName> {
        let holder = self
            .consumers
            .remove(&consumer)
            .expect("a consumer is ended once");
        self.leases.remove(&(holder.until, consumer));
        holder
            .held
            .into_values()
            .map(|serial| self.hand_back(serial, now))
            .collect()
    }
}

impl Queue {
    fn unpark(&mut self, messages: &mut HashMap<u64, Message>, now: Timestamp) {
        while let Some(&(due, serial)) = self.parked.first()
            && due <= now
        {
            self.parked.pop_first();
            let message = messages
                .get_mut(&serial)
                .expect("a parked serial names a message");
            message.place = Place::Ready;
            self.ready.insert((message.priority, message.order), serial);
        }
    }
}

impl Message {
    fn dead_letter(&self) -> Option<DeadLetter> {
        let Place::Dead {
            letter,
            reason,
            died,
        } = &self.place
        else {
            return None;
        };
        Some(DeadLetter {
            id: *letter,
            queue: self.queue.clone(),
            task_id: self.id.clone(),
            reason: reason.clone(),
            died: *died,
            deliveries: self.deliveries,
            envelope: self.envelope.clone(),
        })
    }
}

fn lease_lost(message: &str, consumer: &str) -> Error {
    Error::new(ErrorKind::LeaseLost, message).with("consumer", consumer)
}
