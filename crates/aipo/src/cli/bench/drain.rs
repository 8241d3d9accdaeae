//! How fast a worker empties a full queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::super::problem::Problem;
use super::Common;
use super::job::Done;
use super::lab::Lab;
use super::machine;
use super::report::{Part, Report};
use crate::Call;

/// Flags of `bench drain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    /// Do not store the results
    #[arg(long)]
    no_results: bool,
}

impl Args {
    /// The clock runs from the first run of a task until the worker has settled the last one.
    pub(super) async fn measure(&self, lab: &Lab) -> Result<Report, Problem> {
        let mut report = lab.report("drain");
        report.fact("results", json!(!self.no_results));
        let mut ids = Vec::new();
        {
            let sent = Arc::new(AtomicU64::new(0));
            let position = sent.clone();
            let _progress =
                lab.progress("filling", lab.n, move || position.load(Ordering::Relaxed));
            let no_results = self.no_results;
            let with = |call: Call<Done>| call.ignore_result(no_results);
            lab.fill(0..lab.n, with, |handles| {
                ids.extend(handles.iter().map(|handle| handle.id().clone()));
                sent.store(ids.len() as u64, Ordering::Relaxed);
            })
            .await?;
        }

        let cpu_before = machine::cpu_time();
        let start = Instant::now();
        {
            let tally = lab.tally.clone();
            let _progress = lab.progress("draining", lab.n, move || tally.ran());
            lab.start_worker().await?;
            lab.all_ran().await?;
            lab.stop_worker().await?;
        }
        let settled = Instant::now();
        let cpu = machine::cpu_time()
            .zip(cpu_before)
            .map(|(after, before)| after - before);

        let first = lab.tally.first().unwrap_or(settled);
        report.add(
            Part::new("drain")
                .rate(lab.n, settled - first)
                .time("start_to_first_ms", first - start)
                .time("first_to_last_ms", lab.tally.last() - first)
                .time("last_to_settled_ms", settled - lab.tally.last())
                .figure("cpu_ms_per_1000", cpu.map(|cpu| per_1000(cpu, lab.n))),
        );
        let (ready, parked) = lab.waiting().await?;
        report.check_runs(lab.tally.counted());
        report.check("left_in_queue", ready + parked, 0);
        let expected = if self.no_results { 0 } else { lab.n };
        report.check("results", lab.take_results(&ids).await?, expected);
        Ok(report)
    }
}

fn per_1000(cpu: Duration, n: u64) -> f64 {
    cpu.as_secs_f64() * 1000.0 * 1000.0 / n as f64
}
