//! The results of the model: a list of records with the moment of their expiry.

use aipo_core::store::ResultRecord;
use aipo_core::{TaskId, TaskState, clock};
use jiff::Timestamp;

#[derive(Default)]
pub(super) struct Results(Vec<(ResultRecord, Option<Timestamp>)>);

impl Results {
    pub(super) fn store(&mut self, record: ResultRecord, now: Timestamp) {
        let succeeded = self
            .live(&record.id, now)
            .is_some_and(|r| r.state == TaskState::Success);
        if !succeeded {
            self.forget(&record.id);
            let expires = record.expires.map(|keep| clock::after(now, keep));
            self.0.push((record, expires));
        }
    }

    pub(super) fn get(&self, id: &TaskId, now: Timestamp) -> Option<Vec<u8>> {
        self.live(id, now).map(|record| record.meta.clone())
    }

    pub(super) fn ready(&self, id: &TaskId, now: Timestamp) -> Option<Vec<u8>> {
        self.live(id, now)
            .filter(|record| record.state.is_ready())
            .map(|r| r.meta.clone())
    }

    pub(super) fn forget(&mut self, id: &TaskId) {
        self.0.retain(|(record, _)| record.id != *id);
    }

    pub(super) fn sweep(&mut self, now: Timestamp) -> u64 {
        let before = self.0.len();
        self.0
            .retain(|(_, expires)| expires.is_none_or(|moment| moment > now));
        (before - self.0.len()) as u64
    }

    fn live(&self, id: &TaskId, now: Timestamp) -> Option<&ResultRecord> {
        let (record, expires) = self.0.iter().find(|(record, _)| record.id == *id)?;
        expires.is_none_or(|moment| moment > now).then_some(record)
    }
}
