//! `inspect`: what the workers tell of themselves.
//!
//! They tell it with every heartbeat, and the store keeps it for two lease periods: a worker that was
//! killed is listed until then.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::open;
use super::output::{self, count};
use super::problem::{Exit, Problem};
use crate::{App, AppBuilder, WorkerStatus};

/// Flags of `inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to ask for
    #[arg(value_enum, value_name = "METHOD")]
    method: Method,
    /// Only these workers
    #[arg(short, long, value_name = "NAMES", value_delimiter = ',')]
    destination: Vec<String>,
    /// Write JSON
    #[arg(short, long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Method {
    /// Who is there
    Ping,
    /// The tasks that run
    Active,
    /// The tasks that they know
    Registered,
    /// Process, concurrency and what came of the tasks so far
    Stats,
    /// The queues they take from
    ActiveQueues,
    /// Everything, with this program's version, platform and store
    Report,
}

impl Args {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let app = open(app).await?;
        let asked = |worker: &WorkerStatus| {
            self.destination.is_empty() || self.destination.contains(&worker.name)
        };
        let workers: Vec<WorkerStatus> = app.workers().await?.into_iter().filter(asked).collect();
        if workers.is_empty() && self.method != Method::Report {
            return Err(Problem::new(Exit::NoWorker, "no worker answers")
                .hint("is a worker running, and does it use the same store? See `--broker`"));
        }
        if self.json {
            output::print_json(&self.to_json(&app, &workers))?;
        } else {
            output::print(&self.to_text(&app, &workers))?;
        }
        Ok(Exit::Done)
    }

    /// Celery's shape: what each worker answers, under its name.
    fn to_json(&self, app: &App, workers: &[WorkerStatus]) -> Value {
        let answers: serde_json::Map<String, Value> = workers
            .iter()
            .map(|worker| (worker.name.clone(), answer(self.method, worker)))
            .collect();
        match self.method {
            Method::Report => json!({
                "version": env!("CARGO_PKG_VERSION"),
                "platform": platform(),
                "app": app.name(),
                "broker": app.store().url,
                "workers": answers,
            }),
            _ => answers.into(),
        }
    }

    fn to_text(&self, app: &App, workers: &[WorkerStatus]) -> String {
        let mut text = String::new();
        if self.method == Method::Report {
            text = format!(
                "version   {}\nplatform  {}\napp       {}\nbroker    {}\n\n",
                env!("CARGO_PKG_VERSION"),
                platform(),
                app.name(),
                app.store().url
            );
        }
        for worker in workers {
            text.push_str(&format!("->  {}: OK\n", worker.name));
            let lines = lines(self.method, worker);
            if lines.is_empty() {
                text.push_str("    - empty -\n");
            }
            for line in lines {
                text.push_str(&format!("    {line}\n"));
            }
        }
        if matches!(self.method, Method::Ping | Method::Report) {
            let nodes = count(workers.len() as u64, "node");
            text.push_str(&format!("\n{nodes} online.\n"));
        }
        text
    }
}

fn platform() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
}

fn answer(method: Method, worker: &WorkerStatus) -> Value {
    match method {
        Method::Ping => json!({ "ok": "pong" }),
        Method::Active => json!(worker.active),
        Method::Registered => json!(worker.registered),
        Method::Stats => json!({
            "app": worker.app,
            "pid": worker.pid,
            "started": worker.started,
            "concurrency": worker.concurrency,
            "active": worker.active.len(),
            "total": worker.total,
        }),
        Method::ActiveQueues => {
            let queues = worker.queues.iter().map(|queue| json!({ "name": queue }));
            queues.collect()
        }
        Method::Report => json!(worker),
    }
}

fn lines(method: Method, worker: &WorkerStatus) -> Vec<String> {
    match method {
        Method::Ping => vec!["pong".to_owned()],
        Method::Active => worker
            .active
            .iter()
            .map(|task| {
                format!(
                    "* {} {} args={} kwargs={} for {:.1} s",
                    task.name, task.id, task.args, task.kwargs, task.runtime_secs
                )
            })
            .collect(),
        Method::Registered => worker
            .registered
            .iter()
            .map(|name| format!("* {name}"))
            .collect(),
        Method::ActiveQueues => worker
            .queues
            .iter()
            .map(|name| format!("* {name}"))
            .collect(),
        Method::Stats => {
            let total = worker.total;
            [
                ("app", worker.app.clone()),
                ("pid", worker.pid.to_string()),
                ("started", worker.started.clone()),
                ("concurrency", worker.concurrency.to_string()),
                ("active", worker.active.len().to_string()),
                ("succeeded", total.succeeded.to_string()),
                ("failed", total.failed.to_string()),
                ("retried", total.retried.to_string()),
                ("revoked", total.revoked.to_string()),
            ]
            .map(|(what, value)| format!("{what:<12}{value}"))
            .into()
        }
        Method::Report => {
            let mut all = lines(Method::Stats, worker);
            for (what, method) in [
                ("queues", Method::ActiveQueues),
                ("registered", Method::Registered),
                ("running", Method::Active),
            ] {
                let each = lines(method, worker);
                if !each.is_empty() {
                    all.push(format!("{what}:"));
                    all.extend(each.into_iter().map(|line| format!("  {line}")));
                }
            }
            all
        }
    }
}
