//! Step 15 of a task's life: a decision is carried out. Every ack is in this file.
//!
//! Before it: `aipo_core::task::decide`. After it: the caller's `get` wakes (`result.rs`).
//!
//! | when | why |
//! |---|---|
//! | after the outcome is stored, in one atomic step with it | late ack, the default: a crash before it runs the task again |
//! | before the task runs | `acks_late = false`: a crash loses the task rather than running it twice |
//! | never, but parked | its rate limit says that its turn has not come |
//! | never, but handed back | it was fetched and not started when the worker stopped, or interrupted |
//! | never | the lease was lost: the message belongs to another worker by now |
//!
//! Where broker and results are not one server, the order is: store the result, send what follows,
//! ack. A crash after the first leaves a result and runs the task again; after the second it
//! also sends what follows again. Nothing is lost in either case.

use std::sync::Arc;

use aipo_core::canvas::ResultNode;
use aipo_core::message::{Envelope, Format, TaskMessage, WireTime};
use aipo_core::store::{
    Consumer, DeliveryTag, Publish, ResultRecord, Settled, Settlement, Step, Store, Verdict,
};
use aipo_core::task::{Decision, Failure, NextRun, Parameters, Policy, REDELIVERED, Retry, Stored};
use aipo_core::{ErrorKind, QueueName, Result, TaskState};
use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use crate::App;
use crate::app::Work;
use crate::app::into_publish;
use crate::task::Context;

/// How many settlements share one call at most.
const BATCH: usize = 512;
/// How many settlements may wait for the store; beyond it, tasks that end wait here and keep their
/// slots, so that memory stays bounded while a store is away.
const WAITING: usize = 1024;

/// Takes settlements and carries them out in batches.
#[derive(Clone)]
pub(crate) struct Settler(mpsc::Sender<Item>);

struct Item {
    settlement: Settlement,
    /// Told whether it happened, if somebody waits for that.
    done: Option<oneshot::Sender<Settled>>,
}

impl Settler {
    /// A settler and the future that does its work: it ends when all clones are dropped and
    /// everything is settled.
    pub(crate) fn new(
        store: Store,
        consumer: Arc<dyn Consumer>,
        lost: CancellationToken,
        parts: Arc<Notify>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), work(store, consumer, lost, parts, receiver))
    }

    /// Hands a settlement over; what comes of it is logged.
    pub(crate) async fn settle(&self, settlement: Settlement) {
        self.hand_over(settlement, None).await;
    }

    /// Hands a settlement over and waits until it is carried out; `None` when that can't be.
    pub(crate) async fn settle_and_wait(&self, settlement: Settlement) -> Option<Settled> {
        let (done, settled) = oneshot::channel();
        self.hand_over(settlement, Some(done)).await;
        settled.await.ok()
    }

    async fn hand_over(&self, settlement: Settlement, done: Option<oneshot::Sender<Settled>>) {
        self.0
            .send(Item { settlement, done })
            .await
            .expect("the settler works until its last sender is dropped");
    }

    /// Acknowledges before the task runs; false when the message is not ours any more, and then the
    /// task must not run.
    pub(crate) async fn ack_early(&self, tag: DeliveryTag) -> bool {
        let ack = bare(tag, Verdict::Ack);
        self.settle_and_wait(ack).await == Some(Settled::Done)
    }

    /// Gives a delivery back that was not run.
    pub(crate) async fn hand_back(&self, tag: DeliveryTag) {
        self.settle(bare(tag, Verdict::Release)).await;
    }

    /// Puts a delivery aside whose turn has not come.
    pub(crate) async fn park(&self, tag: DeliveryTag, until: Timestamp) {
        self.settle(bare(tag, Verdict::Park { until })).await;
    }
}

/// A verdict and nothing else.
fn bare(tag: DeliveryTag, verdict: Verdict) -> Settlement {
    Settlement {
        tag,
        verdict,
        result: None,
        publish: Vec::new(),
        step: Default::default(),
    }
}

async fn work(
    store: Store,
    consumer: Arc<dyn Consumer>,
    lost: CancellationToken,
    parts: Arc<Notify>,
    mut receiver: mpsc::Receiver<Item>,
) {
    let mut items = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut items, BATCH).await > 0 {
        let (settlements, waiting): (Vec<_>, Vec<_>) = items
            .drain(..)
            .map(|item| (item.settlement, item.done))
            .unzip();
        let tags: Vec<DeliveryTag> = settlements
            .iter()
            .map(|settlement| settlement.tag)
            .collect();
        let has_parts = settlements
            .iter()
            .any(|settlement| !settlement.step.parts.is_empty());
        let outcomes = carry_out(&store, &*consumer, &lost, settlements).await;
        if has_parts {
            parts.notify_one();
        }
        for ((settled, done), tag) in outcomes.into_iter().zip(waiting).zip(tags) {
            if settled == Settled::LeaseLost {
                tracing::warn!(
                    tag = tag.0,
                    "the lease was lost before the task was settled; it will run again"
                );
            }
            if let Some(done) = done {
                // Who waited may be gone; the ack stands all the same.
                let _ = done.send(settled);
            }
        }
    }
}

/// Settles a batch, again and again while the store is away, until the lease is lost.
async fn carry_out(
    store: &Store,
    consumer: &dyn Consumer,
    lost: &CancellationToken,
    batch: Vec<Settlement>,
) -> Vec<Settled> {
    let count = batch.len();
    let mut backoff = Backoff::new();
    loop {
        // Cloned for the case that it must be tried again; the store takes it by value.
        match attempt(store, consumer, batch.clone()).await {
            Ok(settled) => return settled,
            Err(error) if error.kind() == ErrorKind::LeaseLost => {
                lost.cancel();
                return vec![Settled::LeaseLost; count];
            }
            Err(error) => {
                tracing::warn!(%error, count, "settling failed; trying again");
                tokio::select! {
                    () = backoff.wait() => {}
                    () = lost.cancelled() => return vec![Settled::LeaseLost; count],
                }
            }
        }
    }
}

/// Settles a batch, once.
pub(crate) async fn attempt(
    store: &Store,
    consumer: &dyn Consumer,
    mut batch: Vec<Settlement>,
) -> Result<Vec<Settled>> {
    if store.settles_results {
        return consumer.settle(batch).await;
    }
    // After a crash in between, all of it is done again: so what is kept is forgotten last, by who settled the task.
    let mut drops = Vec::with_capacity(batch.len());
    for settlement in &mut batch {
        let mut step = std::mem::take(&mut settlement.step);
        step.results.extend(settlement.result.take());
        drops.push(std::mem::take(&mut step.drops));
        if !step.is_empty() {
            store.chords.advance(step, Vec::new()).await?;
        }
    }
    let settled = consumer.settle(batch).await?;
    let done = settled.iter().zip(drops);
    let done = done.filter(|(settled, _)| **settled == Settled::Done);
    let last = Step {
        drops: done.flat_map(|(_, drops)| drops).collect(),
        ..Step::default()
    };
    if !last.is_empty() {
        store.chords.advance(last, Vec::new()).await?;
    }
    Ok(settled)
}

/// What a decision comes to for the store.
pub(crate) fn settlement(
    cx: &Context,
    tag: DeliveryTag,
    policy: &Policy,
    mut decision: Decision,
    work: Work,
) -> Settlement {
    let Work { step, publish } = work;
    let mut publish = into_publish(publish);
    if let Some(said) = decision.retry.take() {
        publish.push(retry(cx, policy, *said));
        cx.adopt(ResultNode::task(cx.id().as_str()));
    }
    if decision.requeue {
        publish.push(requeued(cx));
    }
    Settlement {
        tag,
        result: record(cx, &decision),
        verdict: decision.verdict,
        publish,
        step,
    }
}

fn record(cx: &Context, decision: &Decision) -> Option<ResultRecord> {
    // Bytes that tell no id leave their story with the dead letter only.
    let tells_id = !cx.id().as_str().is_empty();
    let state = decision
        .state
        .clone()
        .filter(|_| decision.store && tells_id)?;
    let null = || RawValue::NULL.to_owned();
    let (value, failure) = match &decision.value {
        Stored::Nothing => (null(), None),
        Stored::Value(value) => (value.clone(), None),
        Stored::Told(failure) => (null(), Some(failure)),
        Stored::Exception(failure) => {
            let value = to_raw_value(&failure.exception)
                .expect("an exception is text and values, which JSON can hold");
            (value, Some(failure))
        }
    };
    // Python readers expect one with each failure and each retry, and none with a revoked task.
    let traceback = failure
        .filter(|_| state != TaskState::Revoked)
        .map(Failure::told);
    Some(cx.record(state, value, traceback))
}

/// The message of a retry: the same task once more, later.
fn retry(cx: &Context, policy: &Policy, mut said: Retry) -> Publish {
    let queue = said.queue.take().unwrap_or_else(|| cx.queue().clone());
    let task = cx.app().registry().get(cx.name());
    let next = NextRun {
        parameters: task.map_or(Parameters::NONE, |task| task.parameters()),
        ignore_result: !policy.store_result,
        now: cx.app().clock().now(),
    };
    let message = said.message(message(cx), &next);
    let due = message.headers.eta.as_ref().map(WireTime::timestamp);
    published(cx, queue, due, message)
}

/// The message of a task that gives it back: the same, at the end of its line, and with it the count of its starts begins
/// anew, since no worker was lost over it.
fn requeued(cx: &Context) -> Publish {
    let mut message = message(cx);
    let headers = &mut message.headers;
    headers.custom.insert(REDELIVERED.to_owned(), true.into());
    published(cx, cx.queue().clone(), None, message)
}

/// The message that the task came with.
fn message(cx: &Context) -> TaskMessage {
    TaskMessage {
        headers: cx.headers().clone(),
        properties: cx.properties().clone(),
        body: cx.parts().body.clone(),
        has_full_headers: true,
    }
}

fn published(
    cx: &Context,
    queue: QueueName,
    due: Option<Timestamp>,
    message: TaskMessage,
) -> Publish {
    Publish {
        queue,
        id: message.headers.id.clone(),
        priority: message.properties.priority,
        due,
        envelope: written(cx, message),
    }
}

/// Written as the settings say; as JSON where that has no place for an argument, since what was accepted must be fit
/// for a retry.
fn written(cx: &Context, message: TaskMessage) -> Envelope {
    let format = cx.app().settings().task_format();
    if format == Format::default() {
        return message.into_envelope();
    }
    let written = message.clone().into_envelope_as(format);
    written.unwrap_or_else(|_| message.into_envelope())
}

/// Carries out what follows from a task that was acknowledged before it ran: there is no delivery
/// left to settle. Tried again while the store is away, at most until the worker ends.
pub(crate) async fn settle_acknowledged(
    app: &App,
    settlement: Settlement,
    parts: &Notify,
    ending: &CancellationToken,
) {
    let Settlement {
        result,
        publish,
        mut step,
        ..
    } = settlement;
    step.results.extend(result);
    if step.is_empty() && publish.is_empty() {
        return;
    }
    let has_parts = !step.parts.is_empty();
    let mut backoff = Backoff::new();
    loop {
        let Err(error) = app.carry_out(step.clone(), publish.clone()).await else {
            if has_parts {
                parts.notify_one();
            }
            return;
        };
        tracing::warn!(%error, "storing the outcome failed; trying again");
        tokio::select! {
            () = backoff.wait() => {}
            () = ending.cancelled() => {
                tracing::error!(%error, "the outcome of an acknowledged task could not be stored");
                return;
            }
        }
    }
}
