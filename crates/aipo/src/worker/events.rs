//! Telling events: a bounded buffer, and a role that empties it.
//!
//! Events are told beside the work and never hold it up. While the bus does not keep up they are dropped,
//! counted and logged. With task events off nothing is computed for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aipo_core::control::{EVENTS_IN_A_NOTICE as BATCH, Event, events_notice};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use crate::App;

/// How many events may wait to be told.
const WAITING: usize = 4096;

/// Where the worker's events are put.
pub(crate) struct Events {
    app: App,
    worker: Arc<str>,
    /// Whether events of tasks are told.
    of_tasks: AtomicBool,
    waiting: mpsc::Sender<Event>,
    dropped: AtomicU64,
}

/// Events on their way out.
pub(crate) struct Outbox(mpsc::Receiver<Event>);

impl Events {
    pub(crate) fn new(app: App, worker: Arc<str>, of_tasks: bool) -> (Self, Outbox) {
        let (waiting, outbox) = mpsc::channel(WAITING);
        let events = Self {
            app,
            worker,
            of_tasks: AtomicBool::new(of_tasks),
            waiting,
            dropped: AtomicU64::new(0),
        };
        (events, Outbox(outbox))
    }

    /// Turns the events of tasks on or off, and says whether that changed anything.
    pub(crate) fn tell_of_tasks(&self, on: bool) -> bool {
        self.of_tasks.swap(on, Ordering::Relaxed) != on
    }

    /// Tells an event of a task, if those are wanted.
    pub(crate) fn task(&self, kind: &str, fields: impl FnOnce() -> Value) {
        if self.of_tasks.load(Ordering::Relaxed) {
            self.tell(kind, fields());
        }
    }

    /// Tells an event; `fields` is an object.
    pub(crate) fn tell(&self, kind: &str, fields: Value) {
        let Value::Object(fields) = fields else {
            unreachable!("the fields of an event are an object");
        };
        let event = self.app.event(kind, &self.worker, fields);
        if self.waiting.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were dropped since this was last asked.
    fn dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// Tells what is put in, until `ending`; then what is left.
pub(crate) async fn tell(events: &Events, Outbox(mut waiting): Outbox, ending: CancellationToken) {
    let exchange = events.app.settings().event_exchange.clone();
    let bus = &events.app.store().bus;
    let mut backoff = Backoff::new();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            count = waiting.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return;
                }
            }
            () = ending.cancelled(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        }
        let notices = batch
            .chunk_by(|one, next| one.is_task() && next.is_task())
            .map(|alike| events_notice(&exchange, alike))
            .collect();
        let told = bus.tell(notices).await;
        let count = batch.len() as u64;
        batch.clear();
        match told {
            Ok(()) => backoff = Backoff::new(),
            Err(error) => {
                tracing::warn!(%error, count, "telling events failed; they are dropped");
                backoff.wait().await;
            }
        }
        match events.dropped() {
            0 => {}
            count => tracing::warn!(count, "events were dropped: the store does not keep up"),
        }
    }
}
