//! The queues of the model: a list of messages, each with its place.

use std::collections::BTreeSet;

use aipo_core::store::{
    ConsumerOptions, DeadLetter, Delivery, DeliveryTag, Location, Parked, Publish, QueueStats,
    Settled, Verdict,
};
use aipo_core::{QueueName, TaskId, clock};
use jiff::Timestamp;

#[derive(Default)]
pub(super) struct Queues {
    names: BTreeSet<QueueName>,
    messages: Vec<Message>,
    pub(super) consumers: Vec<Consumer>,
    /// Counts places in the line and deaths, in the order in which they happen.
    last: u64,
}

#[derive(Debug)]
struct Message {
    publish: Publish,
    deliveries: u32,
    place: Place,
}

#[derive(Debug, Clone, PartialEq)]
enum Place {
    /// In the line, behind all with a lower number.
    Line(u64),
    /// Handed back: before the line.
    Front,
    /// Parked until then; from then on anywhere among those that wait.
    Parked(Timestamp),
    Held {
        consumer: usize,
        tag: DeliveryTag,
        started: bool,
        /// Of one that was claimed: from when on it waits again when it is handed back, and then anywhere.
        again: Option<Timestamp>,
    },
    Dead {
        death: u64,
        reason: String,
        died: Timestamp,
    },
}

pub(super) struct Consumer {
    options: ConsumerOptions,
    until: Timestamp,
    /// Closed, or ended by a recovery.
    ended: bool,
    /// Every tag that it was ever given.
    pub(super) tags: Vec<DeliveryTag>,
}

impl Message {
    fn waits(&self, now: Timestamp) -> bool {
        match self.place {
            Place::Line(_) | Place::Front => true,
            Place::Parked(due) => due <= now,
            Place::Held { .. } | Place::Dead { .. } => false,
        }
    }

    fn is_parked(&self, now: Timestamp) -> bool {
        matches!(self.place, Place::Parked(due) if due > now)
    }

    fn is_held(&self) -> bool {
        matches!(self.place, Place::Held { .. })
    }

    fn is_dead(&self) -> bool {
        matches!(self.place, Place::Dead { .. })
    }

    /// Handed back: where it goes when nothing else is said.
    fn goes_back(&mut self) {
        self.place = match self.place {
            Place::Held {
                again: Some(again), ..
            } => Place::Parked(again),
            _ => Place::Front,
        };
    }

    fn is_held_by(&self, holder: usize) -> bool {
        matches!(self.place, Place::Held { consumer, .. } if consumer == holder)
    }

    fn priority(&self) -> u8 {
        self.publish.priority.min(9)
    }
}

impl Queues {
    pub(super) fn publish(&mut self, publish: Publish, now: Timestamp) {
        let place = match publish.due {
            Some(due) if due > now => Place::Parked(due),
            _ => Place::Line(self.next()),
        };
        self.names.insert(publish.queue.clone());
        self.messages.push(Message {
            publish,
            deliveries: 0,
            place,
        });
    }

    pub(super) fn consume(&mut self, options: ConsumerOptions, now: Timestamp) {
        self.names.extend(options.queues.iter().cloned());
        let until = clock::after(now, options.lease);
        self.consumers.push(Consumer {
            options,
            until,
            ended: false,
            tags: Vec::new(),
        });
    }

    /// Whether a consumer can still do anything.
    pub(super) fn has_lease(&self, consumer: usize, now: Timestamp) -> bool {
        let consumer = &self.consumers[consumer];
        !consumer.ended && consumer.until > now
    }

    /// Checks what a fetch answered against what may be answered, and takes it over.
    pub(super) fn fetch(
        &mut self,
        consumer: usize,
        [max, started]: [usize; 2],
        answer: &[Delivery],
        now: Timestamp,
    ) {
        let ready = self.waiting_for(consumer, now).count();
        assert_eq!(
            answer.len(),
            ready.min(max),
            "as many come as are ready and asked for"
        );
        for (position, delivery) in answer.iter().enumerate() {
            self.deliver(consumer, delivery, position < started, now);
        }
    }

    fn deliver(&mut self, consumer: usize, delivery: &Delivery, started: bool, now: Timestamp) {
        let most_urgent = self.waiting_for(consumer, now).map(Message::priority).min();
        let taken = self
            .waiting_for(consumer, now)
            .find(|message| message.publish.envelope == delivery.envelope)
            .unwrap_or_else(|| panic!("{delivery:?} does not wait for the consumer"));
        assert_eq!(
            Some(taken.priority()),
            most_urgent,
            "the most urgent comes first"
        );
        if let Place::Line(place) = taken.place {
            let before = self.waiting_for(consumer, now).find(|other| {
                let same_line = other.publish.queue == taken.publish.queue
                    && other.priority() == taken.priority();
                let earlier = match other.place {
                    Place::Front => true,
                    Place::Line(other_place) => other_place < place,
                    _ => false,
                };
                same_line && earlier
            });
            assert!(before.is_none(), "{before:?} comes before {delivery:?}");
        }
        let started = started && taken.deliveries == 0;
        self.hold(consumer, delivery, started, None);
    }

    /// Checks what a claim answered, and takes it over: all that waits of these tasks, since that is little.
    pub(super) fn claim(
        &mut self,
        consumer: usize,
        ids: &[TaskId],
        answer: &[Delivery],
        now: Timestamp,
    ) {
        let expected: Vec<(usize, Timestamp)> = (self.messages.iter().enumerate())
            .filter(|(_, message)| ids.contains(&message.publish.id))
            .filter_map(|(index, message)| match message.place {
                Place::Line(_) | Place::Front => Some((index, now)),
                Place::Parked(due) => Some((index, due)),
                Place::Held { .. } | Place::Dead { .. } => None,
            })
            .collect();
        assert_eq!(answer.len(), expected.len(), "all that wait come");
        for (index, again) in expected {
            let envelope = &self.messages[index].publish.envelope;
            let delivery = answer.iter().find(|one| one.envelope == *envelope);
            let delivery = delivery.unwrap_or_else(|| panic!("{envelope:?} was not claimed"));
            self.hold(consumer, delivery, false, Some(again));
        }
    }

    /// Checks what a delivery tells of its message, and notes who holds it.
    fn hold(
        &mut self,
        consumer: usize,
        delivery: &Delivery,
        started: bool,
        again: Option<Timestamp>,
    ) {
        let tags = &mut self.consumers[consumer].tags;
        assert!(
            !tags.contains(&delivery.tag),
            "{:?} was given before",
            delivery.tag
        );
        tags.push(delivery.tag);

        let taken = self
            .messages
            .iter_mut()
            .find(|message| message.publish.envelope == delivery.envelope)
            .expect("it was found before");
        assert_eq!(taken.publish.queue, delivery.queue);
        assert_eq!(delivery.deliveries, taken.deliveries + u32::from(started));
        assert_eq!(delivery.started, started);
        taken.deliveries = delivery.deliveries;
        taken.place = Place::Held {
            consumer,
            tag: delivery.tag,
            started,
            again,
        };
    }

    /// Whether a delivery is held before its message is due, as only a claim can have it.
    pub(super) fn is_early(&self, delivery: DeliveryTag, now: Timestamp) -> bool {
        self.messages.iter().any(|message| {
            matches!(message.place, Place::Held { tag, again: Some(due), .. }
                if tag == delivery && due > now)
        })
    }

    /// Whether the start is accepted: all deliveries are held, or nothing happens.
    pub(super) fn start(&mut self, consumer: usize, tags: &[DeliveryTag], now: Timestamp) -> bool {
        let all_held = tags.iter().all(|tag| self.held(consumer, *tag).is_some());
        if !self.has_lease(consumer, now) || !all_held {
            return false;
        }
        for tag in tags {
            let message = self.held(consumer, *tag).expect("all are held");
            if let Place::Held {
                started: started @ false,
                ..
            } = &mut message.place
            {
                *started = true;
                message.deliveries += 1;
            }
        }
        true
    }

    pub(super) fn settle(
        &mut self,
        consumer: usize,
        tag: DeliveryTag,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Settled {
        let end = self.next();
        if !self.has_lease(consumer, now) {
            return Settled::LeaseLost;
        }
        let Some(message) = self.held(consumer, tag) else {
            return Settled::LeaseLost;
        };
        match verdict {
            Verdict::Ack => {
                let gone = message.publish.envelope.clone();
                self.messages
                    .retain(|message| message.publish.envelope != gone);
            }
            Verdict::Release => {
                if let Place::Held { started: true, .. } = message.place {
                    message.deliveries -= 1;
                }
                message.goes_back();
            }
            Verdict::Park { until } => {
                if let Place::Held { started: true, .. } = message.place {
                    message.deliveries -= 1;
                }
                message.place = Place::Parked(*until);
            }
            Verdict::DeadLetter { reason } => {
                message.place = Place::Dead {
                    death: end,
                    reason: reason.clone(),
                    died: now,
                };
            }
        }
        Settled::Done
    }

    pub(super) fn set_queues(
        &mut self,
        consumer: usize,
        queues: Vec<QueueName>,
        now: Timestamp,
    ) -> bool {
        let set = self.has_lease(consumer, now);
        if set {
            self.names.extend(queues.iter().cloned());
            self.consumers[consumer].options.queues = queues;
        }
        set
    }

    pub(super) fn renew(&mut self, consumer: usize, now: Timestamp) -> bool {
        let renewed = self.has_lease(consumer, now);
        if renewed {
            let consumer = &mut self.consumers[consumer];
            consumer.until = clock::after(now, consumer.options.lease);
        }
        renewed
    }

    pub(super) fn close(&mut self, consumer: usize, now: Timestamp) -> bool {
        let closed = self.has_lease(consumer, now);
        if closed {
            self.end_consumer(consumer);
        }
        closed
    }

    pub(super) fn recover(&mut self, now: Timestamp) -> usize {
        let mut recovered = 0;
        for consumer in 0..self.consumers.len() {
            if !self.consumers[consumer].ended && self.consumers[consumer].until <= now {
                recovered += self.end_consumer(consumer);
            }
        }
        recovered
    }

    fn end_consumer(&mut self, consumer: usize) -> usize {
        self.consumers[consumer].ended = true;
        let held = self
            .messages
            .iter_mut()
            .filter(|message| message.is_held_by(consumer));
        held.map(Message::goes_back).count()
    }

    pub(super) fn stats(&self, now: Timestamp) -> Vec<QueueStats> {
        let stats = |name: &QueueName| {
            let count = |is: &dyn Fn(&Message) -> bool| {
                let of_queue = self.messages.iter().filter(|m| m.publish.queue == *name);
                of_queue.filter(|message| is(message)).count() as u64
            };
            QueueStats {
                queue: name.clone(),
                ready: count(&|message| message.waits(now)),
                parked: count(&|message| message.is_parked(now)),
                in_flight: count(&Message::is_held),
                dead: count(&Message::is_dead),
            }
        };
        self.names.iter().map(stats).collect()
    }

    pub(super) fn purge(&mut self, queue: &QueueName) -> u64 {
        self.remove(|message| {
            message.publish.queue == *queue && !message.is_held() && !message.is_dead()
        })
    }

    /// Every location that may be told: of the living messages, or else of the dead.
    pub(super) fn locations(&self, id: &TaskId, now: Timestamp) -> Vec<Option<Location>> {
        let of_task = || {
            self.messages
                .iter()
                .filter(|message| message.publish.id == *id)
        };
        let locate = |message: &Message| Some(self.locate(message, now));
        let living: Vec<_> = of_task().filter(|m| !m.is_dead()).map(locate).collect();
        if !living.is_empty() {
            return living;
        }
        let dead: Vec<_> = of_task().map(locate).collect();
        if dead.is_empty() { vec![None] } else { dead }
    }

    fn locate(&self, message: &Message, now: Timestamp) -> Location {
        let queue = message.publish.queue.clone();
        match message.place {
            Place::Parked(due) if due > now => Location::Parked { queue, due },
            Place::Line(_) | Place::Front | Place::Parked(_) => Location::Ready { queue },
            Place::Held { consumer, .. } => {
                let consumer = self.consumers[consumer].options.name.clone();
                Location::InFlight { queue, consumer }
            }
            Place::Dead { .. } => Location::Dead { queue },
        }
    }

    /// Checks what was told of parked messages. Those of the same moment may come in any order.
    pub(super) fn check_parked(
        &self,
        queues: &[QueueName],
        limit: usize,
        answer: &[Parked],
        now: Timestamp,
    ) {
        let mut parked: Vec<Parked> = Vec::new();
        for message in &self.messages {
            if let Place::Parked(due) = message.place
                && due > now
                && queues.contains(&message.publish.queue)
            {
                parked.push(Parked {
                    queue: message.publish.queue.clone(),
                    due,
                    envelope: message.publish.envelope.clone(),
                });
            }
        }
        parked.sort_by_key(|parked| parked.due);
        let dues = |parked: &[Parked]| parked.iter().map(|one| one.due).collect::<Vec<_>>();
        assert_eq!(dues(answer), dues(&parked[..limit.min(parked.len())]));
        for told in answer {
            let found = parked.iter().position(|one| one == told);
            let found = found.unwrap_or_else(|| panic!("{told:?} is not parked, or came twice"));
            parked.swap_remove(found);
        }
    }

    /// The dead letters, the newest first, all with the id 0: ids are the store's own.
    pub(super) fn dead_letters(&self, queue: Option<&QueueName>) -> Vec<DeadLetter> {
        let mut letters: Vec<(u64, DeadLetter)> = Vec::new();
        for message in &self.messages {
            let Place::Dead {
                death,
                reason,
                died,
            } = &message.place
            else {
                continue;
            };
            if queue.is_none_or(|queue| message.publish.queue == *queue) {
                let letter = DeadLetter {
                    id: 0,
                    queue: message.publish.queue.clone(),
                    task_id: message.publish.id.clone(),
                    reason: reason.clone(),
                    died: *died,
                    deliveries: message.deliveries,
                    envelope: message.publish.envelope.clone(),
                };
                letters.push((*death, letter));
            }
        }
        letters.sort_by_key(|(death, _)| std::cmp::Reverse(*death));
        letters.into_iter().map(|(_, letter)| letter).collect()
    }

    /// Puts a dead letter, told by the store, back. Where several are put back by one call their order
    /// is open, as it is for messages handed back; but all stand at the end.
    pub(super) fn redrive(&mut self, letters: &[&DeadLetter]) {
        let end = self.next();
        for letter in letters {
            let message = self
                .messages
                .iter_mut()
                .find(|message| message.publish.envelope == letter.envelope)
                .expect("only dead letters that were told are put back");
            message.deliveries = 0;
            message.place = Place::Line(end);
        }
    }

    pub(super) fn discard(&mut self, letters: &[&DeadLetter]) {
        for letter in letters {
            self.remove(|message| message.publish.envelope == letter.envelope);
        }
    }

    /// How many messages exist.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn waiting_for(&self, consumer: usize, now: Timestamp) -> impl Iterator<Item = &Message> {
        let queues = &self.consumers[consumer].options.queues;
        let of_queues = self
            .messages
            .iter()
            .filter(|m| queues.contains(&m.publish.queue));
        of_queues.filter(move |message| message.waits(now))
    }

    fn held(&mut self, holder: usize, delivery: DeliveryTag) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| {
            matches!(message.place, Place::Held { consumer, tag, .. }
                if consumer == holder && tag == delivery)
        })
    }

    fn remove(&mut self, is_gone: impl Fn(&Message) -> bool) -> u64 {
        let before = self.messages.len();
        self.messages.retain(|message| !is_gone(message));
        (before - self.messages.len()) as u64
    }
}
