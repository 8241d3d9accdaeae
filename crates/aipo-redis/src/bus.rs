//! Not yet.

use aipo_core::store::{Bus, Listener, Notice, Topic};
use aipo_core::{Error, ErrorKind, Result};
use async_trait::async_trait;

pub(crate) struct NoBus;

#[async_trait]
impl Bus for NoBus {
    async fn tell(&self, _notices: Vec<Notice>) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "not yet"))
    }

    async fn listen(&self, _topics: Vec<Topic>) -> Result<Box<dyn Listener>> {
        Err(Error::new(ErrorKind::Unsupported, "not yet"))
    }
}
