//! The broker's side: what senders, recoverers and operators ask for.

use std::sync::Arc;

use aipo_core::store::{
    Broker, Consumer, ConsumerOptions, DeadLetter, Location, Parked, Publish, QueueStats,
};
use aipo_core::{QueueName, Result, TaskId};
use async_trait::async_trait;

use super::consumer::MemoryConsumer;
use super::{Data, Shared};

pub(super) struct MemoryBroker(pub(super) Arc<Shared>);

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, messages: Vec<Publish>) -> Result<()> {
        let now = self.0.clock.now();
        self.0.lock().publish(messages, now);
        Ok(())
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        let (number, turns) = self.0.lock().queues.consume(options, self.0.clock.now());
        Ok(Box::new(MemoryConsumer::new(self.0.clone(), number, turns)))
    }

    async fn recover(&self) -> Result<usize> {
        let mut data = self.0.lock();
        let returned = data.queues.recover(self.0.clock.now());
        data.wake_fetches(&returned);
        Ok(returned.len())
    }

    async fn queues(&self) -> Result<Vec<QueueStats>> {
        Ok(self.0.lock().queues.stats(self.0.clock.now()))
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64> {
        Ok(self.0.lock().queues.purge(queue))
    }

    async fn locate(&self, ids: &[TaskId]) -> Result<Vec<Option<Location>>> {
        let now = self.0.clock.now();
        let data = self.0.lock();
        Ok(ids.iter().map(|id| data.queues.locate(id, now)).collect())
    }

    async fn parked(&self, queues: &[QueueName], limit: usize) -> Result<Vec<Parked>> {
        let now = self.0.clock.now();
        Ok(self.0.lock().queues.parked(queues, limit, now))
    }

    async fn dead_letters(
        &self,
        queue: Option<&QueueName>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        Ok(self.0.lock().queues.dead_letters(queue, limit))
    }

    async fn redrive(&self, ids: &[u64]) -> Result<usize> {
        let mut data = self.0.lock();
        let returned = data.queues.redrive(ids);
        data.wake_fetches(&returned);
        Ok(returned.len())
    }

    async fn discard(&self, ids: &[u64]) -> Result<usize> {
        Ok(self.0.lock().queues.discard(ids))
    }
}

impl Data {
    /// Publishes, and wakes who waits: also for a parked message, which may become due before
    /// what the wait was set for.
    pub(super) fn publish(&mut self, messages: Vec<Publish>, now: jiff::Timestamp) {
        for message in messages {
            let queue = message.queue.clone();
            self.queues.publish(message, now);
            self.fetches.wake(&queue);
        }
    }
}
