//! The result backend.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aipo_core::store::{ResultBackend, ResultRecord};
use aipo_core::{Result, TaskId, TaskState, clock};
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use super::waiters::Interest;
use super::{Data, Shared};

#[derive(Default)]
pub(super) struct Results {
    by_task: HashMap<TaskId, Stored>,
    /// Tasks by the expiry of their result, of those that expire.
    expiries: BTreeSet<(Timestamp, TaskId)>,
}

struct Stored {
    state: TaskState,
    meta: Vec<u8>,
    expires: Option<Timestamp>,
}

impl Results {
    /// Stores a result, unless a success stands in its way. Whether it was stored.
    fn store(&mut self, record: ResultRecord, now: Timestamp) -> bool {
        if self
            .get(&record.id, now)
            .is_some_and(|stored| stored.state == TaskState::Success)
        {
            return false;
        }
        self.remove(&record.id);
        let expires = record.expires.map(|keep| clock::after(now, keep));
        self.expiries
            .extend(expires.map(|moment| (moment, record.id.clone())));
        self.by_task.insert(
            record.id,
            Stored {
                state: record.state,
                meta: record.meta,
                expires,
            },
        );
        true
    }

    fn get(&self, id: &TaskId, now: Timestamp) -> Option<&Stored> {
        self.by_task
            .get(id)
            .filter(|stored| stored.expires.is_none_or(|moment| moment > now))
    }

    fn remove(&mut self, id: &TaskId) {
        if let Some(Stored {
            expires: Some(moment),
            ..
        }) = self.by_task.remove(id)
        {
            self.expiries.remove(&(moment, id.clone()));
        }
    }

    fn sweep(&mut self, now: Timestamp) -> u64 {
        let mut swept = 0;
        while let Some((moment, id)) = self.expiries.first()
            && *moment <= now
        {
            self.by_task.remove(id);
            self.expiries.pop_first();
            swept += 1;
        }
        swept
    }
}

impl Data {
    /// Stores a result and wakes who waits for it.
    pub(super) fn store_result(&mut self, record: ResultRecord, now: Timestamp) {
        let id = record.id.clone();
        let ready = record.state.is_ready();
        if self.results.store(record, now) && ready {
            self.waits.wake(&id);
        }
    }
}

pub(super) struct MemoryResults(pub(super) Arc<Shared>);

#[async_trait]
impl ResultBackend for MemoryResults {
    async fn store(&self, batch: Vec<ResultRecord>) -> Result<()> {
        let now = self.0.clock.now();
        let mut data = self.0.lock();
        for record in batch {
            data.store_result(record, now);
        }
        Ok(())
    }

    async fn get(&self, ids: &[TaskId]) -> Result<Vec<Option<Vec<u8>>>> {
        let now = self.0.clock.now();
        let data = self.0.lock();
        let meta = |id| data.results.get(id, now).map(|stored| stored.meta.clone());
        Ok(ids.iter().map(meta).collect())
    }

    async fn wait(&self, id: &TaskId, timeout: Duration) -> Result<Option<Vec<u8>>> {
        let began = Instant::now();
        loop {
            let interest = match self.look(id) {
                Ok(meta) => return Ok(Some(meta)),
                Err(interest) => interest,
            };
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            tokio::select! {
                () = interest.woken() => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    async fn forget(&self, ids: &[TaskId]) -> Result<()> {
        let mut data = self.0.lock();
        for id in ids {
            data.results.remove(id);
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<u64> {
        Ok(self.0.lock().results.sweep(self.0.clock.now()))
    }
}

impl MemoryResults {
    /// Gives the meta of a ready state or, in the same step, registers for it.
    fn look<'a>(&'a self, id: &'a TaskId) -> Result<Vec<u8>, Interest<'a, TaskId>> {
        let now = self.0.clock.now();
        let mut data = self.0.lock();
        if let Some(stored) = data
            .results
            .get(id, now)
            .filter(|stored| stored.state.is_ready())
        {
            return Ok(stored.meta.clone());
        }
        Err(Interest::register(
            &self.0,
            &mut data,
            |data| &mut data.waits,
            [id.clone()].into(),
        ))
    }
}
