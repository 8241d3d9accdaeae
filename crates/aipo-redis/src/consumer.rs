//! A consumer: what it does with what it holds.
//!
//! Each of its scripts first looks whether its lease lies ahead, in the same step in which it changes
//! things. A recovery deletes the consumer together with returning its messages, so one that was
//! given up for dead finds nothing to do harm with.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aipo_core::store::{Consumer, Delivery, DeliveryTag, Fetch, Settled, Settlement};
use aipo_core::{QueueName, Result, TaskId};
use async_trait::async_trait;
use redis::Value;

use crate::error::lease_lost;
use crate::reply;
use crate::script::{CLOSE, RENEW};
use crate::source::Source;
use crate::time::duration_ms;

/// Messages that one step of a close or a recovery returns at most.
pub(crate) const HAND_BACK_STEP: usize = 500;

pub(crate) struct RedisConsumer {
    source: Arc<Source>,
    lease: Duration,
}

impl RedisConsumer {
    pub(crate) fn new(source: Source, lease: Duration) -> Self {
        Self {
            source: Arc::new(source),
            lease,
        }
    }
}

#[async_trait]
impl Consumer for RedisConsumer {
    async fn fetch(&self, request: Fetch) -> Result<Vec<Delivery>> {
        self.source.fetch(request).await
    }

    async fn claim(&self, ids: &[TaskId]) -> Result<Vec<Delivery>> {
        self.source.claim(ids).await
    }

    async fn start(&self, tags: &[DeliveryTag]) -> Result<()> {
        self.source.start(tags).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>> {
        self.source.settle(&batch).await
    }

    async fn set_queues(&self, queues: Vec<QueueName>) -> Result<()> {
        self.source.set_queues(queues).await
    }

    fn last_revoked(&self) -> Option<u64> {
        Some(self.source.last_revoked.load(Ordering::Relaxed))
    }

    async fn renew(&self) -> Result<()> {
        let mut call = self.source.call(&RENEW, &[]);
        call.arg(duration_ms(self.lease));
        self.source.run_held(&RENEW, &call).await
    }

    async fn close(&self) -> Result<()> {
        let mut is_first = true;
        loop {
            let mut call = self.source.call(&CLOSE, &[]);
            call.arg(HAND_BACK_STEP).arg(u8::from(is_first));
            match CLOSE.run(&self.source.handle.link, &call).await? {
                Value::BulkString(text) if text == b"lost" => return Err(lease_lost()),
                left if reply::int(&left)? == 0 => return Ok(()),
                _ => is_first = false,
            }
        }
    }
}
