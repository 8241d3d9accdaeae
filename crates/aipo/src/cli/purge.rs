//! `purge`: deletes what waits.

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};

use aipo_core::QueueName;
use serde_json::json;

use super::open;
use super::output::{self, count};
use super::problem::{Exit, Problem};
use crate::{App, AppBuilder};

/// Flags of `purge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these queues; otherwise all that the program's tasks and settings name
    #[arg(short = 'Q', long, value_name = "QUEUES", value_delimiter = ',')]
    queues: Vec<String>,
    /// Not these queues
    #[arg(short = 'X', long, value_name = "QUEUES", value_delimiter = ',')]
    exclude_queues: Vec<String>,
    /// Do not ask first
    #[arg(short, long)]
    force: bool,
    /// Write JSON
    #[arg(short, long)]
    json: bool,
}

impl Args {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let app = open(app).await?;
        let mut queues: BTreeSet<QueueName> = if self.queues.is_empty() {
            queues_of(&app)
        } else {
            self.queues
                .iter()
                .map(|name| name.as_str().into())
                .collect()
        };
        queues.retain(|queue| {
            !self
                .exclude_queues
                .iter()
                .any(|name| name == queue.as_str())
        });
        if queues.is_empty() {
            return Err(Problem::usage("no queue is left to purge"));
        }
        let names: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
        if !self.force && !confirmed(&names.join(", "))? {
            return Err(Problem::new(Exit::Failed, "nothing was deleted"));
        }
        let mut purged = Vec::new();
        for queue in &queues {
            purged.push((queue, app.store().broker.purge(queue).await?));
        }
        if self.json {
            let queues: serde_json::Map<_, _> = purged
                .iter()
                .map(|(queue, number)| (queue.to_string(), json!(number)))
                .collect();
            output::print_json(&queues)?;
            return Ok(Exit::Done);
        }
        let total: u64 = purged.iter().map(|(_, number)| number).sum();
        output::print(&format!(
            "{} deleted from {}\n",
            count(total, "message"),
            count(queues.len() as u64, "queue")
        ))?;
        Ok(Exit::Done)
    }
}

/// The queues to which an app's tasks go: the default one, those of `task_routes`, and the tasks' own.
fn queues_of(app: &App) -> BTreeSet<QueueName> {
    let settings = app.settings();
    let own = app
        .tasks()
        .into_iter()
        .filter_map(|name| app.task_options(name)?.queue.clone());
    own.chain(settings.task_routes.values().cloned())
        .chain([settings.task_default_queue.clone()])
        .collect()
}

/// Asks on the terminal.
fn confirmed(queues: &str) -> Result<bool, Problem> {
    if !io::stdin().is_terminal() {
        let problem = Problem::new(
            Exit::Failed,
            "purging deletes messages for good, and nobody is there to ask",
        );
        return Err(problem.hint(format!(
            "--force deletes what waits in {queues} without asking"
        )));
    }
    eprint!("This deletes all messages that wait in {queues}, for good. Delete them? [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
