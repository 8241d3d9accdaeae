//! `revoke`: cancels tasks.

use aipo_core::TaskId;
use serde_json::json;

use super::open;
use super::output;
use super::problem::{Exit, Problem};
use crate::{AppBuilder, Revoke};

/// Flags of `revoke`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ids of the tasks
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// End them even if they are running
    #[arg(short, long)]
    terminate: bool,
    /// Write JSON
    #[arg(short, long)]
    json: bool,
}

impl Args {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let app = open(app).await?;
        let what = if self.terminate {
            Revoke::Running
        } else {
            Revoke::Waiting
        };
        let ids: Vec<TaskId> = self.ids.iter().map(|id| id.as_str().into()).collect();
        app.revoke(&ids, what).await?;
        if self.json {
            output::print_json(&json!({ "revoked": self.ids, "terminate": self.terminate }))?;
        } else {
            for id in &self.ids {
                output::print(&format!("{id} revoked\n"))?;
            }
        }
        Ok(Exit::Done)
    }
}
