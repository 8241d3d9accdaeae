//! What one run of a benchmark works with, and cleaning up after it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aipo_core::{QueueName, Settings, TaskId};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::super::problem::{Exit, Problem};
use super::Common;
use super::folder::Folder;
use super::job::{Done, Job, JobArgs, Payload, Tally};
use super::report::Report;
use crate::{App, Call, Handle, Task, Worker};

/// How many tasks one call sends or asks for, where a call takes many.
pub(super) const CHUNK: usize = 1000;
/// A scenario is given up when nothing happens for this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How often the progress bar moves.
const REDRAW: Duration = Duration::from_millis(100);

/// App, queue, worker and tally of one run.
pub(super) struct Lab {
    pub(super) app: App,
    pub(super) tally: Arc<Tally>,
    pub(super) n: u64,
    queue: QueueName,
    padding: usize,
    concurrency: usize,
    /// The worker while it runs, so that cleaning up can end it wherever the run was left.
    worker: Mutex<Option<Worker>>,
    /// Holds the file of a run that was given no store; dropped last.
    folder: Option<Folder>,
}

impl Lab {
    /// An app of its own with the settings of the program's, on a queue that nobody else uses, which
    /// expects the tasks with indices below `expected` to run.
    pub(super) async fn open(
        common: &Common,
        expected: u64,
        settings: Settings,
    ) -> Result<Self, Problem> {
        let name = format!("aipo-bench-{:012x}", fastrand::u64(..1 << 48));
        let (store, folder) = match &common.store {
            Some(url) => (url.clone(), None),
            None => {
                let folder = Folder::create(&name)?;
                (temporary_store(&folder)?, Some(folder))
            }
        };
        let queue = QueueName::from(name);
        let tally = Arc::new(Tally::new(expected));
        let concurrency = common.concurrency.map(|slots| slots as usize);
        let concurrency = concurrency.unwrap_or(settings.worker_concurrency);
        let app = App::builder("aipo-bench")
            .settings(|ours| {
                *ours = settings;
                ours.broker_url.clone_from(&store);
                ours.result_backend.clear();
                ours.task_routes.clear();
                ours.task_default_queue = queue.clone();
            })
            .task(Job {
                tally: tally.clone(),
            })
            .build()
            .await?;
        Ok(Self {
            app,
            tally,
            n: common.n,
            queue,
            padding: common.payload,
            concurrency,
            worker: Mutex::new(None),
            folder,
        })
    }

    /// A report with what every report tells.
    pub(super) fn report(&self, scenario: &'static str) -> Report {
        let store = match self.folder {
            Some(_) => "a temporary SQLite file".to_owned(),
            None => self.app.store().url.clone(),
        };
        let facts: Vec<(&'static str, Value)> = vec![
            ("store", json!(store)),
            ("n", json!(self.n)),
            ("payload_bytes", json!(self.padding)),
            ("concurrency", json!(self.concurrency)),
            (
                "cores",
                json!(std::thread::available_parallelism().map_or(1, usize::from)),
            ),
        ];
        Report::new(scenario, facts)
    }

    /// Who sends one task at a time.
    pub(super) fn sender(&self) -> Sender {
        Sender {
            app: self.app.clone(),
            padding: self.padding,
        }
    }

    /// Sends the tasks with these indices, [`CHUNK`] in a call, each changed by `with`; after each call
    /// `sent` gets the handles.
    pub(super) async fn fill(
        &self,
        indices: Range<u64>,
        with: impl Fn(Call<Done>) -> Call<Done>,
        mut sent: impl FnMut(Vec<Handle<Done>>),
    ) -> Result<(), Problem> {
        let sender = self.sender();
        let mut start = indices.start;
        while start < indices.end {
            let end = indices.end.min(start + CHUNK as u64);
            let calls = (start..end).map(|index| with(sender.call(index)));
            sent(self.app.send_all(calls).await?);
            start = end;
        }
        Ok(())
    }

    /// Starts the worker.
    pub(super) async fn start_worker(&self) -> Result<(), Problem> {
        let worker = self
            .app
            .worker()
            .queues([&self.queue])
            .concurrency(self.concurrency)
            .start()
            .await?;
        *self.worker.lock().await = Some(worker);
        Ok(())
    }

    /// Stops the worker; when this returns, all that ran is settled.
    pub(super) async fn stop_worker(&self) -> Result<(), Problem> {
        if let Some(worker) = self.worker.lock().await.take() {
            worker.stop().await?;
        }
        Ok(())
    }

    /// Waits until every task has run.
    ///
    /// # Errors
    /// When none does for [`PATIENCE`].
    pub(super) async fn all_ran(&self) -> Result<(), Problem> {
        if self.tally.complete(PATIENCE).await {
            return Ok(());
        }
        let counted = self.tally.counted();
        Err(Problem::new(
            Exit::Failed,
            format!(
                "no task ran for {PATIENCE:?}: {} ran, {} are missing",
                counted.ran, counted.missing
            ),
        ))
    }

    /// What waits in the queue: ready and parked.
    pub(super) async fn waiting(&self) -> Result<(u64, u64), Problem> {
        let queues = self.app.store().broker.queues().await?;
        let ours = queues.iter().find(|stats| stats.queue == self.queue);
        Ok(ours.map_or((0, 0), |stats| (stats.ready, stats.parked)))
    }

    /// Deletes what waits in the queue.
    pub(super) async fn purge(&self) -> Result<(), Problem> {
        self.app.store().broker.purge(&self.queue).await?;
        Ok(())
    }

    /// How many of these tasks have the result that they should have; deletes all of them.
    pub(super) async fn take_results(&self, ids: &[TaskId]) -> Result<u64, Problem> {
        let results = &self.app.store().results;
        let limit = self.app.settings().result_read_limit();
        let (mut good, mut index) = (0, 0);
        for chunk in ids.chunks(CHUNK) {
            for stored in results.get(chunk).await? {
                let done = stored.and_then(|bytes| {
                    let meta = crate::TaskMeta::decode(&bytes, limit).ok()?;
                    serde_json::from_str::<Done>(meta.result.get()).ok()
                });
                good += u64::from(
                    done == Some(Done {
                        id: index,
                        ok: true,
                    }),
                );
                index += 1;
            }
            results.forget(chunk).await?;
        }
        Ok(good)
    }

    /// Shows progress on a terminal until the answer is dropped.
    pub(super) fn progress(
        &self,
        what: &'static str,
        total: u64,
        position: impl Fn() -> u64 + Send + 'static,
    ) -> Progress {
        let bar = ProgressBar::new(total).with_message(what);
        if bar.is_hidden() {
            return Progress(None);
        }
        let style =
            ProgressStyle::with_template("{msg:<10} {wide_bar} {human_pos}/{human_len} {eta}")
                .expect("the template is right");
        bar.set_style(style);
        let moving = tokio::spawn({
            let bar = bar.clone();
            async move {
                let mut ticks = tokio::time::interval(REDRAW);
                loop {
                    ticks.tick().await;
                    bar.set_position(position());
                }
            }
        });
        Progress(Some((bar, moving)))
    }

    /// Ends the worker and deletes everything that the run made, as far as it is still there.
    pub(super) async fn clean(&self) -> Result<(), Problem> {
        if let Some(worker) = self.worker.lock().await.take() {
            worker.abort().await?;
        }
        let broker = &self.app.store().broker;
        broker.purge(&self.queue).await?;
        loop {
            let dead = broker.dead_letters(Some(&self.queue), CHUNK).await?;
            if dead.is_empty() {
                return Ok(());
            }
            let ids: Vec<u64> = dead.iter().map(|letter| letter.id).collect();
            broker.discard(&ids).await?;
        }
    }
}

/// Sends one task at a time.
pub(super) struct Sender {
    app: App,
    padding: usize,
}

impl Sender {
    /// The task with this index, not yet sent.
    pub(super) fn call(&self, index: u64) -> Call<Done> {
        let payload = Payload::new(index, self.padding);
        Job::call(JobArgs { payload })
    }

    /// Sends it.
    pub(super) async fn send(&self, index: u64) -> aipo_core::Result<Handle<Done>> {
        self.app.send(self.call(index)).await
    }
}

/// A progress bar that goes away when dropped.
pub(super) struct Progress(Option<(ProgressBar, tokio::task::JoinHandle<()>)>);

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((bar, moving)) = &self.0 {
            moving.abort();
            bar.finish_and_clear();
        }
    }
}

#[cfg(feature = "sqlite")]
fn temporary_store(folder: &Folder) -> Result<String, Problem> {
    let path = folder.path().join("bench.db");
    path.to_str()
        .map(|path| format!("sqlite://{}", path.replace('%', "%25").replace('?', "%3F")))
        .ok_or_else(|| Problem::usage("the path of the temporary folder is not Unicode"))
}

#[cfg(not(feature = "sqlite"))]
fn temporary_store(folder: &Folder) -> Result<String, Problem> {
    let problem = format!(
        "this program has no SQLite store to put in {}",
        folder.path().display()
    );
    Err(Problem::usage(problem).hint("name a store, such as `--store memory://`"))
}
