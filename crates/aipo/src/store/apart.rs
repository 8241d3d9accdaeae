//! A broker, and results in another store: what one step does in one store takes several in two.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::store::{Chords, Complete, Publish, StateStore, Step};
use aipo_core::{GroupId, Result, Store};
use async_trait::async_trait;

/// The store `broker`, with the results and the chords of `backend`.
pub(crate) fn with_results_of(broker: Store, backend: Store) -> Store {
    let chords = ChordsApart {
        chords: backend.chords,
        state: broker.state.clone(),
    };
    Store {
        results: backend.results,
        chords: Arc::new(chords),
        settles_results: false,
        ..broker
    }
}

/// Chords whose facts are in another store: they are set before anything else is done, and deleted after it.
struct ChordsApart {
    chords: Arc<dyn Chords>,
    state: Arc<dyn StateStore>,
}

impl ChordsApart {
    async fn keep(&self, step: &mut Step) -> Result<()> {
        for fact in step.keeps.drain(..) {
            self.state.put(&fact.key, fact.value, fact.ttl).await?;
        }
        Ok(())
    }

    async fn forget(&self, keys: &[String]) -> Result<()> {
        for key in keys {
            self.state.delete(key).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Chords for ChordsApart {
    async fn advance(&self, mut step: Step, publish: Vec<Publish>) -> Result<()> {
        self.keep(&mut step).await?;
        let drops = std::mem::take(&mut step.drops);
        if !step.is_empty() || !publish.is_empty() {
            self.chords.advance(step, publish).await?;
        }
        self.forget(&drops).await
    }

    async fn take_complete(&self, limit: usize, claim: Duration) -> Result<Vec<Complete>> {
        self.chords.take_complete(limit, claim).await
    }

    async fn finish(&self, group: &GroupId, mut step: Step, publish: Vec<Publish>) -> Result<bool> {
        self.keep(&mut step).await?;
        let drops = std::mem::take(&mut step.drops);
        let finished = self.chords.finish(group, step, publish).await?;
        if finished {
            self.forget(&drops).await?;
        }
        Ok(finished)
    }

    async fn save_group(
        &self,
        group: &GroupId,
        meta: Vec<u8>,
        expires: Option<Duration>,
    ) -> Result<()> {
        self.chords.save_group(group, meta, expires).await
    }

    async fn saved_group(&self, group: &GroupId) -> Result<Option<Vec<u8>>> {
        self.chords.saved_group(group).await
    }

    async fn delete_group(&self, group: &GroupId) -> Result<()> {
        self.chords.delete_group(group).await
    }
}
