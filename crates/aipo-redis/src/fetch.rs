//! Taking messages, and waiting for some.
//!
//! Each look at the lists is a task of its own, so that dropping the caller's future does not cut it:
//! what it took and nobody read is handed back. When its answer was lost with the connection, or
//! came too late, nobody knows what it took; it is given up by its numbers, which every look chooses
//! anew, and the server refuses a look that was given up and arrives later still.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aipo_core::store::state::REVOKED;
use aipo_core::store::{Delivery, DeliveryTag, Fetch};
use aipo_core::{Error, ErrorKind, Result};
use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::{lease_lost, unexpected};
use crate::reply;
use crate::script::{ABANDON, FETCH, PARK};
use crate::source::{Hold, Lanes, Source};
use crate::wire;

/// Messages in one answer at most.
const MAX_FETCH: usize = 500;

/// The longest wait; nobody waits for ever without a look.
const MAX_WAIT: Duration = Duration::from_secs(3_600);

/// How long a consumer hesitates at most when it is told of a message again and again that another
/// consumer gets. So a fleet of idle workers does not run for every message all at once.
const MAX_HESITATION: Duration = Duration::from_millis(64);
/// Told after such a time of quiet, it does not hesitate.
const QUIET: Duration = Duration::from_secs(1);

/// The first and the longest wait between attempts to hand messages back.
const BACKOFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];

/// What a look found: messages, or none and how long until the next parked one is due.
#[derive(Default)]
struct Found {
    deliveries: Vec<Delivery>,
    next_due: Option<Duration>,
}

/// A message that was taken.
struct Taken {
    hold: Hold,
    delivery: Delivery,
    /// When it is due, if that is not yet.
    early_until_ms: Option<i64>,
}

/// What a look found, on its way to the caller. Dropped before it is read, wherever it is then, what was
/// taken is handed back.
struct Unread {
    found: Found,
    source: Arc<Source>,
    /// From the first number to the one after the last, while there may be something to hand back.
    numbers: Option<[u64; 2]>,
    runtime: Handle,
}

impl Unread {
    fn new(source: Arc<Source>, numbers: [u64; 2]) -> Self {
        Self {
            found: Found::default(),
            source,
            numbers: Some(numbers),
            runtime: Handle::current(),
        }
    }

    fn holds_nothing(&mut self) {
        self.numbers = None;
    }

    fn read(mut self) -> Found {
        self.holds_nothing();
        std::mem::take(&mut self.found)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(numbers) = self.numbers {
            let source = self.source.clone();
            self.runtime
                .spawn(async move { source.abandon(numbers).await });
        }
    }
}

impl Source {
    pub(crate) async fn fetch(self: &Arc<Self>, request: Fetch) -> Result<Vec<Delivery>> {
        let deadline = Instant::now() + request.wait.min(MAX_WAIT);
        let lanes = self.lanes();
        // First a place among the waiters, then the look: what comes in between is told.
        let waiter = (!request.wait.is_zero()).then(|| {
            let keys = lanes.keys.iter().map(|key| key.clone().into_bytes());
            self.handle.watch.register(keys.collect())
        });
        loop {
            let Found {
                deliveries,
                next_due,
            } = self.look(request, lanes.clone()).await?;
            if !deliveries.is_empty() {
                self.in_vain.store(0, Ordering::Relaxed);
                return Ok(deliveries);
            }
            let Some(waiter) = &waiter else {
                return Ok(Vec::new());
            };
            let waiting_since = Instant::now();
            let due = next_due.and_then(|next_due| waiting_since.checked_add(next_due));
            let until = due.map_or(deadline, |due| due.min(deadline));
            tokio::select! {
                () = waiter.told() => self.hesitate(waiting_since.elapsed()).await,
                () = tokio::time::sleep_until(until) => {
                    if until == deadline {
                        return Ok(Vec::new());
                    }
                }
            }
        }
    }

    /// Waits a random moment, the longer the more often it was told in vain.
    async fn hesitate(&self, waited: Duration) {
        if waited >= QUIET {
            self.in_vain.store(0, Ordering::Relaxed);
        }
        let in_vain = self.in_vain.fetch_add(1, Ordering::Relaxed);
        if in_vain > 0 {
            let longest = Duration::from_millis(1 << in_vain.min(10)).min(MAX_HESITATION);
            tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
        }
    }

    async fn look(self: &Arc<Self>, request: Fetch, lanes: Arc<Lanes>) -> Result<Found> {
        let (answer, unread) = oneshot::channel();
        tokio::spawn(self.clone().look_to_the_end(request, lanes, answer));
        match unread.await {
            Ok(unread) => unread.map(Unread::read),
            Err(_) => {
                let message = "the runtime that the fetch ran on is gone";
                Err(Error::new(ErrorKind::Closed, message))
            }
        }
    }

    async fn look_to_the_end(
        self: Arc<Self>,
        request: Fetch,
        lanes: Arc<Lanes>,
        answer: oneshot::Sender<Result<Unread>>,
    ) {
        let max = request.max.min(MAX_FETCH);
        loop {
            let first = self.next.fetch_add(max as u64, Ordering::Relaxed);
            let mut unread = Unread::new(self.clone(), [first, first + max as u64]);
            let found = self.take_due(request, &lanes, max, first).await;
            let is_lost = |error: &Error| error.kind() == ErrorKind::LeaseLost;
            match &found {
                Ok(Some(found)) if !found.deliveries.is_empty() => {}
                Err(error) if !is_lost(error) => {}
                _ => unread.holds_nothing(),
            }
            let told = match found {
                Ok(None) => continue,
                Ok(Some(found)) => {
                    unread.found = found;
                    Ok(unread)
                }
                Err(error) => Err(error),
            };
            // The caller may be gone; then it is dropped unread.
            let _ = answer.send(told);
            return;
        }
    }

    /// Takes messages and parks those among them that are not due; `None` when it should be tried again
    /// at once.
    async fn take_due(
        &self,
        request: Fetch,
        lanes: &Lanes,
        max: usize,
        first: u64,
    ) -> Result<Option<Found>> {
        let Some((taken, next_due)) = self.take(request, lanes, max, first).await? else {
            return Ok(None);
        };
        let (early, mut due): (Vec<Taken>, Vec<Taken>) = taken
            .into_iter()
            .partition(|taken| taken.early_until_ms.is_some());
        if !early.is_empty() {
            self.park(&early).await?;
            self.in_vain.store(0, Ordering::Relaxed);
            // There may be more behind them, or one that is due before the wait is over.
            if due.is_empty() {
                return Ok(None);
            }
            self.start_in_place(&mut due, request.started).await?;
        }
        let deliveries = due.into_iter().map(|taken| taken.delivery).collect();
        Ok(Some(Found {
            deliveries,
            next_due,
        }))
    }

    /// Takes messages, and otherwise says how long until the next parked one is due; `None` when these
    /// numbers were given up meanwhile.
    async fn take(
        &self,
        request: Fetch,
        lanes: &Lanes,
        max: usize,
        first: u64,
    ) -> Result<Option<(Vec<Taken>, Option<Duration>)>> {
        let revoked = self.handle.keys.log_number(REVOKED);
        let mut keys = vec![&*revoked];
        keys.extend(lanes.keys.iter().map(String::as_str));
        let steps = &self.handle.keys.steps;
        let arguments = steps.len() + lanes.taken.len() + 6;
        let mut call = self.call_sized(&FETCH, &keys, arguments, 64 * keys.len());
        call.arg(first).arg(max).arg(request.started);
        call.arg(self.turn.load(Ordering::Relaxed));
        call.arg(steps.len());
        // Not as one argument, which a vector of bytes is.
        steps.iter().for_each(|step| _ = call.arg(*step));
        call.arg(&lanes.taken);
        // Over the connection that watches, so that finding nothing is told of the next change.
        let mut items = match FETCH.run(&self.handle.watch.link, &call).await? {
            Value::BulkString(text) if text == b"lost" => return Err(lease_lost()),
            Value::BulkString(text) if text == b"late" => return Ok(None),
            other => reply::array(other)?.into_iter(),
        };
        let (Some(now_ms), Some(next_due), Some(revoked)) =
            (items.next(), items.next(), items.next())
        else {
            return Err(unexpected(&Value::Nil));
        };
        let now_ms = reply::int(&now_ms)?;
        self.last_revoked
            .store(reply::count(&revoked)?, Ordering::Relaxed);
        let mut taken = Vec::with_capacity(items.len() / 2);
        while let (Some(place), Some(raw)) = (items.next(), items.next()) {
            let number = first + taken.len() as u64;
            taken.push(self.understand(lanes, &place, raw, number, now_ms)?);
        }
        if let Some(last) = taken.last() {
            let place = usize::from(last.hold.lane) / steps.len();
            let queue = lanes.taken.iter().position(|taken| *taken == place);
            self.turn
                .store(queue.map_or(0, |queue| queue + 1), Ordering::Relaxed);
        }
        Ok(Some((taken, time_until(next_due, now_ms)?)))
    }

    /// A message as the script tells it: `place` is twice its lane, plus one if it was started.
    fn understand(
        &self,
        lanes: &Lanes,
        place: &Value,
        raw: Value,
        number: u64,
        now_ms: i64,
    ) -> Result<Taken> {
        let told = reply::count(place)?;
        let started = told % 2 == 1;
        let lane = u16::try_from(told / 2).map_err(|_| unexpected(place))?;
        let queue = lanes
            .known
            .get(usize::from(lane) / self.handle.keys.steps.len());
        let queue = queue.ok_or_else(|| unexpected(place))?;
        let message = wire::decode(&reply::bytes(raw)?);
        let hold = Hold {
            lane,
            started,
            number,
        };
        Ok(Taken {
            hold,
            delivery: Delivery {
                tag: hold.into(),
                queue: queue.clone(),
                deliveries: message.deliveries.saturating_add(u32::from(started)),
                started,
                envelope: message.envelope,
            },
            early_until_ms: message.due_ms.filter(|due_ms| *due_ms > now_ms),
        })
    }

    async fn park(&self, early: &[Taken]) -> Result<()> {
        let keys = &self.handle.keys;
        let mut call = self.call(&PARK, &[&keys.parked_number()]);
        for taken in early {
            let step = keys.steps[usize::from(taken.hold.lane) % keys.steps.len()];
            call.arg(taken.hold.field())
                .arg(keys.parked(&taken.delivery.queue));
            call.arg(step).arg(taken.early_until_ms);
        }
        self.run_held(&PARK, &call).await
    }

    /// Counts the starts that were counted for messages which were parked then.
    async fn start_in_place(&self, due: &mut [Taken], started: usize) -> Result<()> {
        // One that was started before is left to the caller.
        let is_new = |taken: &&mut Taken| !taken.delivery.started && taken.delivery.deliveries == 0;
        let mut uncounted: Vec<&mut Taken> = due.iter_mut().take(started).filter(is_new).collect();
        if uncounted.is_empty() {
            return Ok(());
        }
        let tags: Vec<DeliveryTag> = uncounted.iter().map(|taken| taken.delivery.tag).collect();
        self.start(&tags).await?;
        for taken in &mut uncounted {
            taken.delivery.started = true;
            taken.delivery.deliveries = 1;
        }
        Ok(())
    }

    /// Gives up a look that nobody knows the answer of, until that has worked or there is nothing to
    /// give up any more.
    async fn abandon(&self, [first, past]: [u64; 2]) {
        let mut call = self.call(&ABANDON, &[]);
        call.arg(first).arg(past);
        let [mut backoff, longest] = BACKOFF;
        loop {
            match self.run_held(&ABANDON, &call).await {
                Ok(()) => return,
                // Then its messages go back with all others of the consumer.
                Err(error) if error.kind() == ErrorKind::LeaseLost => return,
                Err(error) if !error.is_temporary() => {
                    tracing::error!(%error, "messages that nobody read can't be handed back");
                    return;
                }
                Err(_) => tokio::time::sleep(backoff).await,
            }
            backoff = (backoff * 2).min(longest);
        }
    }
}

/// How long until the time that a script told; nothing when it told none.
fn time_until(due: Value, now_ms: i64) -> Result<Option<Duration>> {
    if due == Value::BulkString(Vec::new()) {
        return Ok(None);
    }
    // Scores are doubles, and are told as such when they are large.
    let due_ms: f64 = reply::number(due)?;
    Ok(Some(Duration::from_millis(
        (due_ms - now_ms as f64).max(0.0) as u64,
    )))
}
