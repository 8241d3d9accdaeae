//! `bench`: measures a store on this machine, and checks what it measures.
//!
//! Every scenario sends to a queue of its own, counts every run of every task, and deletes what it made.
//! A figure is only worth as much as the work behind it: a task that did not run, or ran twice, or
//! whose result is missing, ends the command with exit code 1.
//!
//! | file | role |
//! |---|---|
//! | `enqueue` `drain` `roundtrip` `parked` `workflow` | the scenarios |
//! | `lab` | app, queue and worker of one run, and cleaning up |
//! | `job` | the task, and the tally of its runs |
//! | `report` | figures as tables or JSON |
//! | `machine` | memory and processor time of this process |

mod drain;
mod enqueue;
mod folder;
mod job;
mod lab;
mod machine;
mod parked;
mod report;
mod roundtrip;
mod workflow;

use super::problem::{Exit, Problem};
use super::{output, values};
use crate::AppBuilder;
use lab::Lab;

/// Flags of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, clap::Subcommand)]
enum Scenario {
    /// How fast tasks are sent: one by one, by many senders at a time, 1,000 in a call
    Enqueue(enqueue::Args),
    /// How fast a worker empties a full queue
    Drain(drain::Args),
    /// How long it takes from sending a task to having its result, one after the other
    Roundtrip(roundtrip::Args),
    /// What tasks that are due later cost, and whether others still get through
    Parked(parked::Args),
    /// How long it takes to send and to run a workflow of many layers
    Workflow(workflow::Args),
}

/// Flags of every scenario.
#[derive(Debug, clap::Args)]
struct Common {
    /// The store to measure; a fresh SQLite file in the temporary folder otherwise
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// How many tasks
    #[arg(short, long = "number", value_name = "N", default_value_t = 20_000, value_parser = values::at_least_one)]
    n: u64,
    /// Make the argument of each task larger by this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    payload: usize,
    /// How many tasks the worker runs at the same time; the setting worker_concurrency otherwise
    #[arg(short, long, value_name = "N", value_parser = values::at_least_one)]
    concurrency: Option<u64>,
    /// Write JSON: rates as `per_s`, times as `…_ms`
    #[arg(short, long)]
    json: bool,
}

impl Args {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let settings = app.into_settings()?;
        let (common, expected) = match &self.scenario {
            Scenario::Enqueue(args) => (&args.common, 0),
            Scenario::Drain(args) => (&args.common, args.common.n),
            Scenario::Roundtrip(args) => (&args.common, args.common.n),
            Scenario::Parked(args) => (&args.common, args.due()),
            Scenario::Workflow(args) => (&args.common, args.common.n),
        };
        let lab = Lab::open(common, expected, settings).await?;
        let measuring = async {
            match &self.scenario {
                Scenario::Enqueue(args) => args.measure(&lab).await,
                Scenario::Drain(args) => args.measure(&lab).await,
                Scenario::Roundtrip(args) => args.measure(&lab).await,
                Scenario::Parked(args) => args.measure(&lab).await,
                Scenario::Workflow(args) => args.measure(&lab).await,
            }
        };
        let measured = tokio::select! {
            measured = measuring => measured,
            _ = tokio::signal::ctrl_c() => Err(Problem::new(Exit::Interrupted, "interrupted")),
        };
        let cleaned = lab.clean().await;
        let report = measured?;
        if common.json {
            output::print_json(&report.to_json())?;
        } else {
            output::print(&report.to_text())?;
        }
        cleaned?;
        report.verdict()
    }
}
