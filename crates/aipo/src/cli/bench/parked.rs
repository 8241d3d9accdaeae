//! What tasks that are due later cost, and whether others still get through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::super::problem::Problem;
use super::super::values;
use super::Common;
use super::job::WARM_UP;
use super::lab::Lab;
use super::machine;
use super::report::{Part, Report};

/// When the parked tasks would be due: long after the run.
const DUE_IN: Duration = Duration::from_secs(60 * 60);
const MIB: f64 = 1024.0 * 1024.0;

/// Flags of `bench parked`. `-n` is how many tasks are parked.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many tasks that are due now have to get through
    #[arg(long, value_name = "M", default_value_t = 1000, value_parser = values::at_least_one)]
    due: u64,
    /// How long the idle worker is watched
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::duration)]
    idle: Duration,
}

impl Args {
    /// How many tasks are to run.
    pub(super) fn due(&self) -> u64 {
        self.due
    }

    pub(super) async fn measure(&self, lab: &Lab) -> Result<Report, Problem> {
        let mut report = lab.report("parked");
        let start = Instant::now();
        {
            let sent = Arc::new(AtomicU64::new(0));
            let position = sent.clone();
            let _progress =
                lab.progress("parking", lab.n, move || position.load(Ordering::Relaxed));
            let count = |handles: Vec<_>| {
                sent.fetch_add(handles.len() as u64, Ordering::Relaxed);
            };
            // Indices that the tally does not expect: these tasks must not run.
            let indices = WARM_UP..WARM_UP + lab.n;
            lab.fill(indices, |call| call.countdown(DUE_IN), count)
                .await?;
        }
        report.add(Part::new("park").rate(lab.n, start.elapsed()));
        let (_, parked) = lab.waiting().await?;
        report.check("parked", parked, lab.n);

        lab.start_worker().await?;
        report.add(self.watch_idle().await);

        let start = Instant::now();
        lab.fill(0..self.due, |call| call, drop).await?;
        lab.all_ran().await?;
        report.add(Part::new("due").rate(self.due, start.elapsed()));
        lab.stop_worker().await?;
        report.check_runs(lab.tally.counted());
        let (_, parked) = lab.waiting().await?;
        report.check("parked_after", parked, lab.n);
        Ok(report)
    }

    /// What the worker costs while nothing is due.
    async fn watch_idle(&self) -> Part {
        let (before, since) = (machine::cpu_time(), Instant::now());
        tokio::time::sleep(self.idle).await;
        let watched = since.elapsed();
        let busy = machine::cpu_time()
            .zip(before)
            .map(|(after, before)| after - before);
        let percent = |busy: Duration| 100.0 * busy.as_secs_f64() / watched.as_secs_f64();
        Part::new("idle")
            .time("watched_ms", watched)
            .figure("cpu_percent", busy.map(percent))
            .figure(
                "rss_mib",
                machine::resident_bytes().map(|bytes| bytes as f64 / MIB),
            )
    }
}
