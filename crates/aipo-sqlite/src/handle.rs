//! What broker, results, state and consumers of one store share.

use std::sync::Arc;

use aipo_core::{Clock, Result};
use rusqlite::params;

use crate::awaited::Awaited;
use crate::batch::Batch;
use crate::listeners::Listeners;
use crate::reader::Reader;
use crate::wake::Watch;
use crate::writer::{Weight, Writer};

/// Rows that a sweep deletes in one step; other operations run in between.
const SWEEP_STEP: usize = 1_000;

/// The threads end when the last clone of this is dropped.
pub(crate) struct Handle {
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
    pub(crate) awaited: Arc<Awaited>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) clock: Clock,
    /// Held for its end: it has a way to the writer, which would never stop otherwise.
    #[expect(dead_code, reason = "held to keep watching")]
    pub(crate) watch: Watch,
}

impl Handle {
    /// Deletes expired rows step by step: `delete` takes ?1 now, ?2 how many at most.
    pub(crate) async fn sweep(&self, delete: &'static str) -> Result<u64> {
        let mut swept = 0;
        loop {
            let run = move |batch: &mut Batch<'_>| {
                Ok(Ok(batch
                    .prepared(delete)?
                    .execute(params![batch.now_ms, SWEEP_STEP])?))
            };
            let weight = Weight {
                rows: SWEEP_STEP,
                ..Weight::SMALL
            };
            let step = self.writer.call(weight, run).await?;
            swept += step as u64;
            if step < SWEEP_STEP {
                return Ok(swept);
            }
        }
    }
}
