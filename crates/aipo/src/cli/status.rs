//! `status`: who is there, a line each.

use serde_json::Value;

use super::problem::{Exit, Problem};
use super::remote::{self, Whom};
use crate::AppBuilder;

/// Flags of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    whom: Whom,
}

impl Args {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        self.whom
            .ask(app, "ping", Value::Null, remote::in_short)
            .await
    }
}
