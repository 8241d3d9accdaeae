//! What the handles of one store tell each other.

use aipo_core::store::bus::BACKLOG;
use aipo_core::store::{Bus, Listener, Notice, Topic};
use aipo_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use tokio::sync::broadcast::{self, error::RecvError};

pub(super) struct MemoryBus(broadcast::Sender<Notice>);

impl MemoryBus {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

struct MemoryListener {
    topics: Vec<Topic>,
    told: broadcast::Receiver<Notice>,
}

#[async_trait]
impl Bus for MemoryBus {
    async fn tell(&self, notices: Vec<Notice>) -> Result<()> {
        for notice in notices {
            // It fails when nobody listens, which is no failure here.
            let _ = self.0.send(notice);
        }
        Ok(())
    }

    async fn listen(&self, topics: Vec<Topic>) -> Result<Box<dyn Listener>> {
        Ok(Box::new(MemoryListener {
            topics,
            told: self.0.subscribe(),
        }))
    }
}

#[async_trait]
impl Listener for MemoryListener {
    async fn next(&mut self) -> Result<Notice> {
        loop {
            match self.told.recv().await {
                Ok(notice) if self.topics.iter().any(|topic| topic.matches(&notice.to)) => {
                    return Ok(notice);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a listener did not keep up and missed notices");
                }
                Err(RecvError::Closed) => {
                    return Err(Error::new(ErrorKind::Closed, "the store is gone"));
                }
            }
        }
    }
}
