//! `queues`: what waits where.

use serde_json::{Value, json};

use super::dead;
use super::open;
use super::output::{self, Table};
use super::problem::{Exit, Problem};
use crate::AppBuilder;

/// Flags of `queues`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Subcommand>,
    /// Write JSON
    #[arg(short, long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// List dead letters, the newest first, or show one of them
    Dead(dead::List),
    /// Put dead letters back into their queues
    Redrive(dead::Select),
    /// Delete dead letters
    Discard(dead::Select),
}

impl Args {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let app = open(app).await?;
        match self.command {
            None => {}
            Some(Subcommand::Dead(list)) => return list.run(&app, self.json).await,
            Some(Subcommand::Redrive(select)) => return select.redrive(&app).await,
            Some(Subcommand::Discard(select)) => return select.discard(&app).await,
        }
        let queues = app.store().broker.queues().await?;
        if self.json {
            let queues: Vec<Value> = queues
                .iter()
                .map(|stats| {
                    json!({
                        "queue": stats.queue,
                        "ready": stats.ready,
                        "parked": stats.parked,
                        "in_flight": stats.in_flight,
                        "dead": stats.dead,
                    })
                })
                .collect();
            output::print_json(&queues)?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(&["QUEUE", ">READY", ">PARKED", ">IN FLIGHT", ">DEAD"]);
        for stats in &queues {
            table.row([
                stats.queue.to_string(),
                stats.ready.to_string(),
                stats.parked.to_string(),
                stats.in_flight.to_string(),
                stats.dead.to_string(),
            ]);
        }
        output::print(&table.render())?;
        Ok(Exit::Done)
    }
}
