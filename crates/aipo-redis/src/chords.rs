//! Not yet.

use std::time::Duration;

use aipo_core::store::{Chords, Complete, Publish, Step};
use aipo_core::{Error, ErrorKind, GroupId, Result};
use async_trait::async_trait;

pub(crate) struct NoChords;

#[async_trait]
impl Chords for NoChords {
    async fn advance(&self, _step: Step, _publish: Vec<Publish>) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "no chords yet"))
    }

    async fn take_complete(&self, _limit: usize, _claim: Duration) -> Result<Vec<Complete>> {
        Ok(Vec::new())
    }

    async fn finish(&self, _group: &GroupId, _step: Step, _publish: Vec<Publish>) -> Result<bool> {
        Err(Error::new(ErrorKind::Unsupported, "no chords yet"))
    }
}
