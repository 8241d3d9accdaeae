//! How fast tasks are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::problem::Problem;
use super::super::values;
use super::Common;
use super::job::WARM_UP;
use super::lab::Lab;
use super::report::{Part, Report};

/// How many tasks are sent before the clock runs.
const WARM_UPS: u64 = 200;

/// Flags of `bench enqueue`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many senders there are at a time in the part `concurrent`
    #[arg(long, value_name = "P", default_value_t = 16, value_parser = values::at_least_one)]
    producers: u64,
}

impl Args {
    pub(super) async fn measure(&self, lab: &Lab) -> Result<Report, Problem> {
        let mut report = lab.report("enqueue");
        let sent = Arc::new(AtomicU64::new(0));
        lab.fill(WARM_UP..WARM_UP + WARM_UPS, |call| call, drop)
            .await?;
        lab.purge().await?;

        let mut parts = Vec::new();
        for way in [Way::Single, Way::Concurrent(self.producers), Way::Bulk] {
            sent.store(0, Ordering::Relaxed);
            let position = sent.clone();
            let progress =
                lab.progress(way.name(), lab.n, move || position.load(Ordering::Relaxed));
            let start = Instant::now();
            way.send(lab, &sent).await?;
            let took = start.elapsed();
            drop(progress);
            let (ready, _) = lab.waiting().await?;
            report.check(way.name(), ready, lab.n);
            parts.push(Part::new(way.name()).rate(lab.n, took));
            lab.purge().await?;
        }
        for part in parts {
            report.add(part);
        }
        Ok(report)
    }
}

/// A way of sending.
#[derive(Clone, Copy)]
enum Way {
    /// One call after the other.
    Single,
    /// So many senders at a time, each with one call after the other.
    Concurrent(u64),
    /// Many in a call.
    Bulk,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Concurrent(_) => "concurrent",
            Self::Bulk => "bulk",
        }
    }

    async fn send(self, lab: &Lab, sent: &Arc<AtomicU64>) -> Result<(), Problem> {
        let producers = match self {
            Self::Bulk => {
                let counted = |handles: Vec<_>| {
                    sent.fetch_add(handles.len() as u64, Ordering::Relaxed);
                };
                return lab.fill(0..lab.n, |call| call, counted).await;
            }
            Self::Single => 1,
            Self::Concurrent(producers) => producers,
        };
        let next = Arc::new(AtomicU64::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..producers {
            let (sender, next, sent) = (lab.sender(), next.clone(), sent.clone());
            let n = lab.n;
            senders.spawn(async move {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= n {
                        return Ok(());
                    }
                    sender.send(index).await?;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let all: aipo_core::Result<Vec<()>> = senders.join_all().await.into_iter().collect();
        all?;
        Ok(())
    }
}
