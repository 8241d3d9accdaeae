//! The task whose workers are killed, who sends it, and who runs it.

use std::time::Duration;

use aipo::{App, Context, TaskId, TaskResult};
use fastrand::Rng;

use crate::Result;
use crate::effects::{Effect, Effects, What};
use crate::options::Options;

/// The queue of the trial.
pub(crate) const QUEUE: &str = "kill";
/// How many tasks are sent in one step.
const BATCH: u32 = 200;

/// Takes its time and tells when it began and ended.
///
/// What a killed worker held is delivered again and counts one delivery more. By chance the same task can be
/// hit several times; that is not what is tried here, so the limit is out of reach.
#[aipo::task(name = "kill.work", queue = "kill", max_deliveries = 1000)]
async fn work_for(cx: &Context, task: u32, micros: u64) -> TaskResult<u32> {
    let record = cx.data::<Record>()?;
    record.append(cx, task, What::Began)?;
    tokio::time::sleep(Duration::from_micros(micros)).await;
    record.append(cx, task, What::Ended)?;
    Ok(record.worker)
}

/// Where a worker's tasks leave their effects.
struct Record {
    effects: Effects,
    worker: u32,
}

impl Record {
    fn append(&self, cx: &Context, task: u32, what: What) -> std::io::Result<()> {
        self.effects.append(Effect {
            task,
            worker: self.worker,
            at: now(cx.app()),
            what,
        })
    }
}

/// The app of the judge and of the sender.
pub(crate) async fn app(options: &Options) -> aipo::Result<App> {
    builder(options).build().await
}

fn builder(options: &Options) -> aipo::AppBuilder {
    App::builder("kill")
        .broker(options.store.clone().unwrap_or_default())
        .settings(|settings| settings.worker_lease = aipo::Seconds(options.lease))
        .task(work_for::task())
}

/// Nanoseconds since 1970. Processes compare their times, so it is the clock on the wall.
pub(crate) fn now(app: &App) -> i64 {
    i64::try_from(app.clock().now().as_nanosecond()).expect("the year is before 2262")
}

/// The id of a task. Told by its number, so that nobody has to pass ids on.
pub(crate) fn id(options: &Options, task: u32) -> TaskId {
    format!("kill-{}-{task}", options.seed).into()
}

/// The name of a worker, which is its consumer's name too.
pub(crate) fn worker_name(worker: u32) -> String {
    format!("kill-worker-{worker}")
}

/// Sends all tasks.
pub(crate) async fn send(options: &Options) -> Result<()> {
    let app = app(options).await?;
    let mut rng = Rng::with_seed(options.seed);
    let longest = u64::try_from(options.busy.as_micros())?;
    for first in (0..options.tasks).step_by(BATCH as usize) {
        let batch = first..options.tasks.min(first + BATCH);
        let calls =
            batch.map(|task| work_for::s(task, rng.u64(0..=longest)).task_id(id(options, task)));
        app.send_all(calls).await?;
    }
    Ok(())
}

/// Runs tasks until the judge closes this process's input, or is gone.
pub(crate) async fn work(options: &Options) -> Result<()> {
    let record = Record {
        effects: Effects::open(&options.effects)?,
        worker: options.worker,
    };
    let app = builder(options).data(record).build().await?;
    let worker = app
        .worker()
        .name(worker_name(options.worker))
        .queues([QUEUE])
        .concurrency(options.slots)
        .start()
        .await?;
    let (closed, input_closed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        // Nobody listens when the worker has ended by itself.
        let _ = closed.send(end);
    });
    input_closed.await??;
    worker.stop().await?;
    Ok(())
}
