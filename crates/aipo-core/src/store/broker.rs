//! Where a message waits, and who holds it.
//!
//! ```text
//!             publish                      fetch, start                 settle: ack
//!  (sender) ───────────▶ ready ──────────────────────────▶ in flight ─────────────────▶ gone
//!              │           ▲                                   │
//!              ▼  when due │    settle: release;               │ settle: dead letter
//!            parked ───────┘    recover, after the lease ◀─────┴──────────────────────▶ dead
//! ```
//! [`Consumer::claim`] takes named messages, ready or parked, past the line: for those who end what nobody has begun.
//!
//! # Leases
//! A [`Consumer`] holds one lease for all that it has in flight and renews it with one call, however
//! much that is. A consumer that dies stops renewing; [`Broker::recover`], which every worker calls
//! from time to time, then returns its messages to their queues. A consumer whose lease ran out, or that
//! was closed, can do nothing more (fencing): every call answers
//! [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost), and [`Consumer::settle`] says
//! [`Settled::LeaseLost`] of each delivery. A lease, like a due time, is over at its moment.
//!
//! # Order
//! Within a priority messages come in the order of their publication. What is released, recovered or
//! left by a consumer that closes goes back before the line, in its old order; what is redriven goes to its end. Where a parked message stands once it is due is the store's choice, and so it is of one
//! that was claimed and comes back.
//!
//! # Counting deliveries
//! A message's count goes up when it is *started*, before the code runs, so a message that kills its
//! worker is counted each time, and one that was only held by a worker that died is not. A fetch can
//! count as it fetches ([`Fetch::started`]), which saves the common case a step.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::chords::Step;
use super::results::ResultRecord;
use crate::error::Result;
use crate::id::{QueueName, TaskId};
use crate::message::Envelope;

/// The queues of one store.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Puts messages into queues, creating the queues that are missing.
    ///
    /// - All messages of one call are accepted, or none is.
    /// - After `Ok` a message survives the death of every process.
    /// - A message whose `due` lies in the future is parked until then, and is fetched by nobody.
    async fn publish(&self, messages: Vec<Publish>) -> Result<()>;

    /// Registers a consumer, which holds a lease from now on.
    async fn consume(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>>;

    /// Returns the messages of consumers whose lease ran out to their queues, at the front, and
    /// says how many they were.
    ///
    /// - A message that was started keeps its count; it is never lost and never in two places.
    /// - Consumers that renew in time are left alone.
    async fn recover(&self) -> Result<usize>;

    /// The queues that exist, with what they hold, by name in byte order. A queue exists from its first
    /// message or consumer on, also when it is empty; a parked message that is due counts as ready.
    async fn queues(&self) -> Result<Vec<QueueStats>>;

    /// Deletes the ready and parked messages of a queue and says how many they were. What is in
    /// flight or dead stays.
    async fn purge(&self, queue: &QueueName) -> Result<u64>;

    /// Where the messages of these tasks are; `None` for a task that has no message here. Of several
    /// messages of one task a living one is told before a dead one.
    async fn locate(&self, ids: &[TaskId]) -> Result<Vec<Option<Location>>>;

    /// The messages that are parked for one of these queues, the next one that is due first, at most `limit`.
    /// One whose time has come is ready, and not among them.
    async fn parked(&self, queues: &[QueueName], limit: usize) -> Result<Vec<Parked>>;

    /// The newest dead letters, at most `limit`; of one queue, or of all.
    async fn dead_letters(
        &self,
        queue: Option<&QueueName>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>>;

    /// Puts dead letters back into their queues with their count at zero, and says how many of the
    /// ids were there.
    async fn redrive(&self, ids: &[u64]) -> Result<usize>;

    /// Deletes dead letters for good, and says how many of the ids were there.
    async fn discard(&self, ids: &[u64]) -> Result<usize>;
}

/// A registered consumer. Dropping it without [`close`](Consumer::close) is what a crash looks like:
/// its messages return when the lease has run out.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Takes ready messages: the most urgent first, within a priority the oldest first, and waits
    /// until there is at least one or the time is over.
    ///
    /// - A message moves from its queue to in flight in one atomic step; two consumers never hold
    ///   the same message.
    /// - At most `max` messages come, of which the first `started` have been counted, except those that
    ///   were started before.
    /// - As many come as are ready, up to `max`.
    /// - With nothing to fetch the answer is empty after `wait`, and no work is done meanwhile.
    /// - Whatever makes a message ready ends the wait: a publish, a due time, a recovery, a message
    ///   that is handed back or redriven, another consumer that closes.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what it had taken is handed back as by
    /// [`Verdict::Release`]. The same holds for a fetch that answers an error.
    async fn fetch(&self, request: Fetch) -> Result<Vec<Delivery>>;

    /// Takes the messages of these tasks that wait, ready or parked, in whatever queue.
    ///
    /// - A message moves from its queue to in flight in one atomic step; of two consumers that claim it one gets it.
    /// - What is in flight or dead stays where it is. Nothing is counted as started.
    /// - As many come as the store takes at once: all of a few, and none only when none of them waits. Whoever
    ///   wants all of many asks until none comes.
    /// - A message that is not due is parked again until its time, however it goes back to its queue.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) when more waits than the store searches, as with
    /// [`Broker::locate`].
    ///
    /// # Cancel safety
    /// Dropped or failed, it may have taken messages. They stay in flight until the consumer is closed or its
    /// lease runs out.
    async fn claim(&self, ids: &[TaskId]) -> Result<Vec<Delivery>>;

    /// Counts the start of messages that were fetched uncounted, before they run.
    ///
    /// - A delivery is counted once, however often this is called.
    /// - When one of the tags is not held the kind is `LeaseLost` and nothing is counted.
    async fn start(&self, tags: &[DeliveryTag]) -> Result<()>;

    /// Ends deliveries, in order, one answer for each.
    ///
    /// - Each settlement is atomic: verdict, result and follow-up messages happen together or not at all
    ///   (the result only where [`settles_results`](super::Store::settles_results) says so).
    /// - A delivery that is not this consumer's any more answers [`Settled::LeaseLost`], with no
    ///   effect; the others of the batch are not affected.
    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>>;

    /// Renews the lease for another period, for everything in flight.
    async fn renew(&self) -> Result<()>;

    /// Takes from these queues, and from no others, from the next fetch on.
    ///
    /// - Queues that are missing are created. There may be none at all, and then a fetch comes back empty.
    /// - What is in flight stays.
    /// - A fetch that waits goes on waiting for the queues that it began with.
    async fn set_queues(&self, queues: Vec<QueueName>) -> Result<()>;

    /// The number of the last entry that the log [`REVOKED`](super::state::REVOKED) had at the last fetch, which
    /// learns it on its way; `None` where the broker has no way to know.
    ///
    /// - It is that of the moment in which the messages were taken: what was revoked before is known with them.
    /// - A fetch that comes back empty learns it when it begins to wait, or later.
    /// - Zero before the first fetch and while nothing was ever revoked. It does not go down when entries expire.
    fn last_revoked(&self) -> Option<u64>;

    /// Ends the consumer: what is still in flight is handed back at once, counted or not as it was.
    async fn close(&self) -> Result<()>;
}

/// How a consumer is registered.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Who consumes, for people to read: the worker's node name.
    pub name: String,
    /// The queues to take from. Priority comes before their order; queues of equal standing take turns.
    pub queues: Vec<QueueName>,
    /// How long the lease lasts without renewal. Default in the worker: 10 s (`worker_lease`).
    pub lease: Duration,
}

/// The least urgent priority there is; what lies beyond counts as this, as kombu has it.
pub const MAX_PRIORITY: u8 = 9;

/// A message on its way into a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// Where it goes.
    pub queue: QueueName,
    /// The task that the message is for; several messages may carry the same id over time.
    pub id: TaskId,
    /// From 0, the most urgent, to 9; beyond counts as 9.
    pub priority: u8,
    /// When it becomes ready; now when `None` or past.
    pub due: Option<Timestamp>,
    /// The message.
    pub envelope: Envelope,
}

/// What a fetch asks for.
#[derive(Debug, Clone, Copy)]
pub struct Fetch {
    /// How many messages at most.
    pub max: usize,
    /// How many of them, from the first on, are to be counted as started at once. A message that was
    /// started before comes uncounted all the same: it may have been what ended its worker, and the
    /// next one chooses when to run it.
    pub started: usize,
    /// How long to wait for the first.
    pub wait: Duration,
}

/// Names a delivery to the consumer that fetched it; means nothing to another, and is not used again
/// by this one, not even for the same message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryTag(pub u64);

/// A message in flight.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// For [`Consumer::start`] and [`Consumer::settle`].
    pub tag: DeliveryTag,
    /// Where it was waiting.
    pub queue: QueueName,
    /// How often it was started, including now if `started`.
    pub deliveries: u32,
    /// Whether this delivery has been counted.
    pub started: bool,
    /// The message.
    pub envelope: Envelope,
}

/// How a delivery ends, and what happens together with that.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// Which delivery.
    pub tag: DeliveryTag,
    /// What becomes of the message.
    pub verdict: Verdict,
    /// The result to store.
    pub result: Option<ResultRecord>,
    /// What to send: the retry, the next link, the callbacks.
    pub publish: Vec<Publish>,
    /// What else a workflow changes with it.
    pub step: Step,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is done and never returns. With the same message among what is sent, that is Celery's reject with requeue:
    /// it goes to the end of the line, as one that was never started.
    Ack,
    /// It goes back to the front as if it had never been fetched: it was not run, or was interrupted
    /// through no fault of its own. A start that was
    /// counted is taken back.
    Release,
    /// It waits in its queue until then, with its priority; what was counted for this delivery is taken back.
    Park {
        /// When it is ready again.
        until: Timestamp,
    },
    /// It is kept aside with the reason, for a person to look at.
    DeadLetter {
        /// Why, in words.
        reason: String,
    },
}

/// What came of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// All of it happened.
    Done,
    /// None of it happened: the delivery is not this consumer's any more.
    LeaseLost,
}

/// Where a task's message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// Waiting in a queue.
    Ready {
        /// Which.
        queue: QueueName,
    },
    /// Waiting for its time.
    Parked {
        /// Where it will go.
        queue: QueueName,
        /// When.
        due: Timestamp,
    },
    /// Held by a consumer.
    InFlight {
        /// Where it came from.
        queue: QueueName,
        /// Who holds it.
        consumer: String,
    },
    /// Among the dead letters.
    Dead {
        /// Where it came from.
        queue: QueueName,
    },
}

/// A message that waits for its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    /// Where it will go.
    pub queue: QueueName,
    /// When.
    pub due: Timestamp,
    /// The message.
    pub envelope: Envelope,
}

/// What a queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStats {
    /// Its name.
    pub queue: QueueName,
    /// Messages that can be fetched now.
    pub ready: u64,
    /// Messages that wait for their time.
    pub parked: u64,
    /// Messages that consumers hold.
    pub in_flight: u64,
    /// Dead letters that came from it.
    pub dead: u64,
}

/// A message that was given up, with the reason.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Names it to [`Broker::redrive`] and [`Broker::discard`].
    pub id: u64,
    /// Where it came from.
    pub queue: QueueName,
    /// The task it was for.
    pub task_id: TaskId,
    /// Why it was given up.
    pub reason: String,
    /// When.
    pub died: Timestamp,
    /// How often it had been started.
    pub deliveries: u32,
    /// The message, byte for byte.
    pub envelope: Envelope,
}
