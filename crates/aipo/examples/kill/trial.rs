//! Starts the processes, kills workers, waits for all results, and collects the evidence.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use aipo::{App, TaskState};
use aipo_core::store::Location;
use fastrand::Rng;
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::effects::{Effects, decode_all};
use crate::options::Options;
use crate::verdict::{Ending, Evidence, Kill};
use crate::workload::{self, worker_name};
use crate::{Result, effects};

/// How many results are asked for in one step.
const CHUNK: usize = 1000;
/// How long a process may take to end when it was asked to.
const GOODBYE: Duration = Duration::from_secs(30);

/// Runs the trial.
pub(crate) async fn run(options: &Options) -> Result<Evidence> {
    let folder = tempfile::Builder::new().prefix("aipo-kill-").tempdir()?;
    let store = folder.path().join("kill.db");
    let options = Options {
        store: Some(match &options.store {
            Some(url) => url.clone(),
            None => format!("sqlite://{}", store.display()),
        }),
        effects: folder.path().join("effects"),
        ..options.clone()
    };
    Effects::open(&options.effects)?;
    let app = workload::app(&options).await?;
    eprintln!("{:?}, seed {}", app.store(), options.seed);
    let trial = Trial {
        app,
        options: &options,
        rng: Rng::with_seed(options.seed),
        workers: Vec::new(),
        started: 0,
        kills: Vec::new(),
    };
    trial.run().await
}

struct Trial<'a> {
    app: App,
    options: &'a Options,
    rng: Rng,
    /// The workers that live, with their numbers.
    workers: Vec<(u32, Child)>,
    /// How many workers were started so far; the next one's number.
    started: u32,
    kills: Vec<Kill>,
}

impl Trial<'_> {
    async fn run(mut self) -> Result<Evidence> {
        let began = workload::now(&self.app);
        let mut sender = process("send", self.options)?;
        for _ in 0..self.options.workers {
            self.start_worker()?;
        }
        let in_time = timeout(self.options.within, self.kill_until_all_have_ended()).await;
        let took = workload::now(&self.app) - began;
        let given_up = match in_time {
            Ok(ended) => ended.map(|()| false)?,
            // What is missing is judged like everything else.
            Err(_) => true,
        };
        end("the sender", &mut sender).await?;
        self.stop_workers().await?;
        let endings = self.endings().await?;
        let queues = self.app.store().broker.queues().await?;
        Ok(Evidence {
            tasks: self.options.tasks,
            took: Duration::from_nanos(took.unsigned_abs()),
            given_up,
            effects: read_effects(&self.options.effects)?,
            kills: self.kills,
            endings,
            queues,
        })
    }

    /// Kills a worker at each tick, until every task has a result.
    async fn kill_until_all_have_ended(&mut self) -> Result<()> {
        let (app, options) = (self.app.clone(), self.options);
        let all_have_ended = async {
            for task in 0..options.tasks {
                let handle = app.result::<u32>(workload::id(options, task));
                handle.wait(options.within).await?;
            }
            Ok::<(), aipo::Error>(())
        };
        let mut all_have_ended = std::pin::pin!(all_have_ended);
        let mut ticks = interval(options.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once.
        ticks.tick().await;
        loop {
            tokio::select! {
                ended = &mut all_have_ended => return Ok(ended?),
                _ = ticks.tick() => self.kill_one().await?,
            }
        }
    }

    fn start_worker(&mut self) -> Result<()> {
        let worker = self.started;
        let options = Options {
            worker,
            ..self.options.clone()
        };
        self.workers.push((worker, process("work", &options)?));
        self.started += 1;
        Ok(())
    }

    /// Kills one of the workers, starts another in its place, and notes what the dead one held.
    async fn kill_one(&mut self) -> Result<()> {
        let index = self.rng.usize(..self.workers.len());
        let (worker, mut process) = self.workers.swap_remove(index);
        if let Some(status) = process.try_wait()? {
            return Err(format!("worker {worker} ended by itself: {status}").into());
        }
        let at = workload::now(&self.app);
        // Once this returns the process is gone, and nothing that it did is still under way.
        process.kill().await?;
        let held = self.held_by(worker).await?;
        self.kills.push(Kill { worker, at, held });
        self.start_worker()
    }

    /// The tasks that a dead worker had begun and not settled. They stay in flight until its lease
    /// runs out, so what the store says now is what was true at its death.
    async fn held_by(&self, worker: u32) -> Result<BTreeSet<u32>> {
        let effects = read_effects(&self.options.effects)?;
        let begun: BTreeSet<u32> = effects
            .iter()
            .filter(|effect| effect.worker == worker)
            .map(|effect| effect.task)
            .collect();
        let ids: Vec<_> = begun
            .iter()
            .map(|&task| workload::id(self.options, task))
            .collect();
        let places = self.app.store().broker.locate(&ids).await?;
        let name = worker_name(worker);
        let is_held = |place: &Option<Location>| match place {
            Some(Location::InFlight { consumer, .. }) => *consumer == name,
            _ => false,
        };
        let places = begun.into_iter().zip(places);
        Ok(places
            .filter(|(_, place)| is_held(place))
            .map(|(task, _)| task)
            .collect())
    }

    /// Ends the workers that live, in peace.
    async fn stop_workers(&mut self) -> Result<()> {
        for (worker, mut process) in self.workers.drain(..) {
            drop(process.stdin.take());
            end(&format!("worker {worker}"), &mut process).await?;
        }
        Ok(())
    }

    /// How each task ended, by number.
    async fn endings(&self) -> Result<Vec<Ending>> {
        let ids: Vec<_> = (0..self.options.tasks)
            .map(|task| workload::id(self.options, task))
            .collect();
        let mut endings = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            for stored in self.app.store().results.get(chunk).await? {
                let Some(stored) = stored else {
                    endings.push(Ending::Nothing);
                    continue;
                };
                let meta = aipo_core::message::TaskMeta::decode(
                    &stored,
                    self.app.settings().result_read_limit(),
                )?;
                endings.push(match meta.status {
                    TaskState::Success => Ending::Success {
                        worker: serde_json::from_str(meta.result.get())?,
                    },
                    other => Ending::Other(other),
                });
            }
        }
        Ok(endings)
    }
}

/// Starts this program in another role. It does not outlive this one: its input closes then.
fn process(role: &str, options: &Options) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg(role)
        .args(options.words())
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Waits for a process to end well.
async fn end(name: &str, process: &mut Child) -> Result<()> {
    let status = timeout(GOODBYE, process.wait())
        .await
        .map_err(|_| format!("{name} does not end"))??;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{name} ended with {status}").into()),
    }
}

fn read_effects(path: &Path) -> std::io::Result<Vec<effects::Effect>> {
    decode_all(&std::fs::read(path)?)
}
