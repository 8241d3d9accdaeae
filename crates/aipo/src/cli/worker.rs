//! `worker`: runs the tasks of this program.

use std::time::Duration;

use aipo_core::url::redact;

use super::problem::{Exit, Problem};
use super::values;
use crate::{App, AppBuilder, QueueName};

/// Flags of `worker`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take tasks from these queues; from all that the tasks can go to otherwise
    #[arg(short = 'Q', long, value_name = "QUEUES", value_delimiter = ',')]
    queues: Vec<String>,
    /// How many tasks run at the same time; the setting worker_concurrency otherwise
    #[arg(short, long, value_name = "N", value_parser = values::at_least_one)]
    concurrency: Option<u64>,
    /// Its name; %h stands for the host, %n for the app
    #[arg(short = 'n', long, value_name = "NAME")]
    hostname: Option<String>,
    /// Tell what happens to tasks from the start; the setting worker_send_task_events otherwise
    #[arg(short = 'E', long)]
    task_events: bool,
    /// How often it tells monitors that it is there
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = values::duration)]
    heartbeat_interval: Duration,
    /// Do not tell monitors that it is there
    #[arg(long)]
    without_heartbeat: bool,
    /// Do not greet the other workers at the start
    #[arg(long)]
    without_mingle: bool,
    /// What it does anyway, for those used to Celery
    #[arg(long, hide = true)]
    without_gossip: bool,
}

impl Args {
    /// Runs until a signal comes, or the store can't be reached at the start.
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let app = app.build().await?;
        if app.tasks().is_empty() {
            // It would make a dead letter of every message that it takes.
            return Err(Problem::usage(
                "this program has no tasks, so a worker has nothing to run",
            )
            .hint("a worker is part of the program with the tasks: call `aipo::cli::run` there"));
        }
        let mut worker = app.worker().queues(self.queues.iter().map(String::as_str));
        if let Some(slots) = self.concurrency {
            worker = worker.concurrency(slots as usize);
        }
        if let Some(name) = &self.hostname {
            worker = worker.name(name);
        }
        if self.task_events {
            worker = worker.task_events();
        }
        let heartbeat = Some(self.heartbeat_interval).filter(|_| !self.without_heartbeat);
        worker = worker.heartbeat(heartbeat);
        if self.without_mingle {
            worker = worker.without_mingle();
        }
        eprint!("{}", self.banner(&app));
        worker.run().await?;
        // Not by returning: the runtime would wait for the threads of plain functions that run past
        // their time limit, and nobody knows when those end. The worker itself has finished.
        std::process::exit(Exit::Done as i32)
    }

    /// What will run where, told before it does.
    fn banner(&self, app: &App) -> String {
        let settings = app.settings();
        let results = match settings.result_backend.as_str() {
            "" => "with the broker".to_owned(),
            url => redact(url),
        };
        let concurrency = self.concurrency.map(|slots| slots as usize);
        let concurrency = concurrency.unwrap_or(settings.worker_concurrency);
        let all = app.queues();
        let queues = if self.queues.is_empty() {
            all.iter().map(QueueName::as_str).collect()
        } else {
            self.queues.iter().map(String::as_str).collect()
        };
        let lines = [
            ("app", vec![app.name()]),
            ("broker", vec![app.store().url.as_str()]),
            ("results", vec![results.as_str()]),
            ("concurrency", vec![&*concurrency.to_string()]),
            ("queues", queues),
            ("tasks", app.tasks()),
        ]
        .map(|(what, values)| format!("  {what:<12}{}\n", values.join("\n              ")));
        format!("aipo {}\n\n{}\n", env!("CARGO_PKG_VERSION"), lines.concat())
    }
}
