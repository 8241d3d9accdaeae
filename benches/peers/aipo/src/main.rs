//! aipo as one of the systems of the peer benchmark: the verbs that its driver calls.
//!
//! | file | role |
//! |---|---|
//! | `contract` | what the driver and all its peers agree on: environment, payload, logs, clocks |
//! | `peer` | the same work in aipo: an app, its tasks, a worker, a sender |
//!
//! `benches/README.md` tells how to run it. Settings of a variant come through the environment, as any user
//! would set them (`AIPO_WORKER_CONCURRENCY=1000`).

mod contract;
mod peer;

use std::error::Error;
use std::time::Duration;

use serde_json::json;

use contract::{EventLog, cpu_seconds, ids, monotonic_ns, number, text, warm_ids};
use peer::Sender;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let verb = std::env::args().nth(1).unwrap_or_default();
    if verb == "worker" {
        return peer::work().await;
    }
    let sender = Sender::connect().await?;
    match verb.as_str() {
        "enqueue" => enqueue(&sender, None).await,
        "delayed" => {
            let delay = Duration::from_secs(number("DELAY_S", 3600)?);
            enqueue(&sender, Some(delay)).await
        }
        "roundtrip" => roundtrip(&sender).await,
        "steady" => steady(&sender).await,
        "workflow" => workflow(&sender).await,
        _ => Err(format!("there is no verb {verb:?}").into()),
    }
}

/// Jobs to be run at once, or after `delay`; those are sent without warming up, since none of them may run.
async fn enqueue(sender: &Sender, delay: Option<Duration>) -> Result<()> {
    if delay.is_none() {
        for id in warm_ids()? {
            sender.send(id, None).await?;
        }
    }
    let mode = text("MODE").unwrap_or_else(|| "single".to_owned());
    let ids = ids()?;
    let count = ids.end - ids.start;
    let (started, cpu) = (monotonic_ns(), cpu_seconds());
    match mode.as_str() {
        "single" => {
            for id in ids {
                sender.send(id, delay).await?;
            }
        }
        "concurrent" => sender.send_concurrently(ids, delay).await?,
        "bulk" => {
            let chunk = number("CHUNK", 1000)?.max(1);
            for first in ids.clone().step_by(usize::try_from(chunk)?) {
                let last = ids.end.min(first + chunk);
                sender.send_all(first..last, delay).await?;
            }
        }
        _ => return Err(format!("there is no way of sending called {mode:?}").into()),
    }
    contract::report(&json!({
        "n": count,
        "mode": mode,
        "seconds": seconds_since(started),
        "cpu_seconds": cpu_seconds() - cpu,
    }))
}

async fn roundtrip(sender: &Sender) -> Result<()> {
    for id in warm_ids()? {
        sender.send_and_wait(id).await?;
    }
    let mut latencies = Vec::new();
    for id in ids()? {
        let started = monotonic_ns();
        sender.send_and_wait(id).await?;
        latencies.push(monotonic_ns() - started);
    }
    contract::report(&json!({"n": latencies.len(), "lat_ns": latencies, "wait": "native (pushed)"}))
}

/// Jobs at a steady rate, each at its own moment: being late with one does not put off the next.
async fn steady(sender: &Sender) -> Result<()> {
    let log = EventLog::open("ENQ_LOG")?;
    for id in warm_ids()? {
        sender.send(id, None).await?;
    }
    let rate = number("RATE", 1000)?.max(1);
    let ids = ids()?;
    let count = ids.end - ids.start;
    let first_due = monotonic_ns() + 10_000_000;
    for (place, id) in (0_u64..).zip(ids) {
        let due = first_due + place * 1_000_000_000 / rate;
        let early = due.saturating_sub(monotonic_ns());
        if early > 0 {
            // The runtime's own timers count in milliseconds, as long as the whole step at 1,000 jobs a second.
            // The thread that sleeps here runs nothing else: connections live on the runtime's threads.
            std::thread::sleep(Duration::from_nanos(early));
        }
        log.put(id)?;
        sender.send(id, None).await?;
    }
    contract::report(&json!({"n": count, "t0_ns": first_due, "t1_ns": monotonic_ns()}))
}

async fn workflow(sender: &Sender) -> Result<()> {
    let ids = ids()?;
    let count = ids.end - ids.start;
    let started = monotonic_ns();
    sender.send_workflow(ids).await?;
    contract::report(&json!({"n": count, "t_submit_ns": started, "t_submitted_ns": monotonic_ns()}))
}

fn seconds_since(started: u64) -> f64 {
    Duration::from_nanos(monotonic_ns() - started).as_secs_f64()
}
