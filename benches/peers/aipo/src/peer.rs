//! The benchmark's work in aipo, by its public API alone.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aipo::{App, Call, Canvas, Context, Seconds, TaskResult};
use serde_json::json;
use tokio::task::JoinSet;

use crate::Result;
use crate::contract::{self, CALLBACK_ID, Done, EventLog, Payload};

/// How many calls are under way in the mode `concurrent`.
const IN_FLIGHT: usize = 100;
const PATIENCE: Duration = Duration::from_secs(30);
const RESULT_EXPIRES: Duration = Duration::from_secs(60 * 60);

#[aipo::task(name = "bench.noop")]
async fn noop(cx: &Context, payload: Payload) -> TaskResult<Done> {
    let id = payload.id;
    cx.data::<EventLog>()?.put(id)?;
    Ok(Done { id, ok: true })
}

/// What follows a workflow: it is given the results of all members.
#[aipo::task(name = "bench.callback")]
async fn callback(cx: &Context, results: Vec<Done>, id: u64) -> TaskResult<usize> {
    cx.data::<EventLog>()?.put(id)?;
    Ok(results.len())
}

/// What the variant's settings say, and where everything is as the driver says.
async fn app(log: Option<EventLog>) -> Result<App> {
    let url = contract::redis_url()?;
    let stores_results = contract::stores_results()?;
    let mut app = App::builder("bench")
        .task(noop::task())
        .task(callback::task())
        .env()
        .broker(url)
        .settings(|settings| {
            settings.task_ignore_result = !stores_results;
            settings.result_expires = Seconds(RESULT_EXPIRES);
        });
    if let Some(log) = log {
        app = app.data(log);
    }
    Ok(app.build().await?)
}

/// Runs jobs until SIGTERM.
pub(crate) async fn work() -> Result<()> {
    let app = app(Some(EventLog::open("EXEC_LOG")?)).await?;
    let mut worker = app.worker();
    let concurrency = contract::number("CONCURRENCY", 0)?;
    if concurrency > 0 {
        worker = worker.concurrency(usize::try_from(concurrency)?);
    }
    Ok(worker.run().await?)
}

/// Sends jobs.
#[derive(Debug, Clone)]
pub(crate) struct Sender(App);

impl Sender {
    pub(crate) async fn connect() -> Result<Self> {
        Ok(Self(app(None).await?))
    }

    pub(crate) async fn send(&self, id: u64, delay: Option<Duration>) -> Result<()> {
        self.0.send(call(id, delay)).await?;
        Ok(())
    }

    pub(crate) async fn send_all(&self, ids: Range<u64>, delay: Option<Duration>) -> Result<()> {
        self.0.send_all(ids.map(|id| call(id, delay))).await?;
        Ok(())
    }

    /// One call for each job, [`IN_FLIGHT`] of them at a time.
    pub(crate) async fn send_concurrently(
        &self,
        ids: Range<u64>,
        delay: Option<Duration>,
    ) -> Result<()> {
        let next = Arc::new(AtomicU64::new(ids.start));
        let mut senders = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let (sender, next, end) = (self.clone(), next.clone(), ids.end);
            senders.spawn(async move {
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if id >= end {
                        return Result::Ok(());
                    }
                    sender.send(id, delay).await?;
                }
            });
        }
        while let Some(done) = senders.join_next().await {
            done??;
        }
        Ok(())
    }

    pub(crate) async fn send_and_wait(&self, id: u64) -> Result<()> {
        let done = self.0.send(call(id, None)).await?.get(PATIENCE).await?;
        match done.id == id && done.ok {
            true => Ok(()),
            false => Err(format!("job {id} returned {done:?}").into()),
        }
    }

    /// A chord of these jobs and the callback.
    pub(crate) async fn send_workflow(&self, ids: Range<u64>) -> Result<()> {
        let members = ids.map(|id| Canvas {
            args: vec![json!(Payload::new(id))],
            ..Canvas::task("bench.noop")
        });
        let body = Canvas {
            args: vec![json!(CALLBACK_ID)],
            ..Canvas::task("bench.callback")
        };
        self.0
            .send_canvas(Canvas::chord(members.collect(), body))
            .await?;
        Ok(())
    }
}

fn call(id: u64, delay: Option<Duration>) -> Call<Done> {
    let call = noop::s(Payload::new(id));
    match delay {
        Some(delay) => call.countdown(delay),
        None => call,
    }
}
