//! How long it takes from sending a task to having its result.

use std::time::Duration;

use tokio::time::Instant;

use super::super::problem::{Exit, Problem};
use super::Common;
use super::job::{Done, WARM_UP};
use super::lab::{Lab, PATIENCE};
use super::report::{Part, Report};

/// How many round trips are made before the clock runs.
const WARM_UPS: u64 = 50;

/// Flags of `bench roundtrip`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
}

impl Args {
    pub(super) async fn measure(&self, lab: &Lab) -> Result<Report, Problem> {
        let mut report = lab.report("roundtrip");
        lab.start_worker().await?;
        let mut ids = Vec::new();
        let mut trips = Vec::new();
        let started = {
            let tally = lab.tally.clone();
            let _progress = lab.progress("round trip", lab.n, move || tally.ran());
            let sender = lab.sender();
            let mut started = Instant::now();
            for index in (WARM_UP..WARM_UP + WARM_UPS).chain(0..lab.n) {
                if index == 0 {
                    started = Instant::now();
                }
                let sent = Instant::now();
                let handle = sender.send(index).await?;
                let done = handle.get(PATIENCE).await.map_err(|error| {
                    Problem::new(Exit::Failed, format!("task {index} has no result: {error}"))
                })?;
                let took = sent.elapsed();
                if done
                    != (Done {
                        id: index,
                        ok: true,
                    })
                {
                    let text = format!("task {index} has the result of another: {done:?}");
                    return Err(Problem::new(Exit::Failed, text));
                }
                if index < WARM_UP {
                    trips.push(took);
                    ids.push(handle.id().clone());
                } else {
                    handle.forget().await?;
                }
            }
            started
        };
        let took = started.elapsed();
        lab.stop_worker().await?;

        trips.sort_unstable();
        report.add(
            Part::new("roundtrip")
                .time("p50_ms", percentile(&trips, 50))
                .time("p95_ms", percentile(&trips, 95))
                .time("p99_ms", percentile(&trips, 99))
                .time("max_ms", percentile(&trips, 100))
                .rate(lab.n, took),
        );
        report.check_runs(lab.tally.counted());
        report.check("results", lab.take_results(&ids).await?, lab.n);
        Ok(report)
    }
}

/// The smallest time that so many percent of the sorted times do not exceed (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let millis = [50, 95, 99, 100].map(|percent| percentile(&times, percent).as_millis());
        assert_eq!(millis, [100, 190, 198, 200]);
        assert_eq!(percentile(&times[..1], 50).as_millis(), 1);
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
