//! Queues from outside: sending to them, looking at them, and what workers do for all.

use std::collections::BTreeSet;
use std::sync::Arc;

use aipo_core::store::{
    Broker, Consumer, ConsumerOptions, DeadLetter, Location, Parked, Publish, QueueStats,
};
use aipo_core::{QueueName, Result, TaskId};
use async_trait::async_trait;
use redis::Value;

use crate::consumer::{HAND_BACK_STEP, RedisConsumer};
use crate::error::unexpected;
use crate::handle::Handle;
use crate::keys;
use crate::reply;
use crate::script::{
    CONSUME, DEAD_LETTERS, DISCARD, PARKED, PURGE, QUEUES, RECOVER, REDRIVE, Script,
};
use crate::source::{Lanes, Source};
use crate::time::{duration_ms, from_ms};
use crate::wire;

/// Dead letters that one step reads or moves.
const LETTERS_STEP: usize = 200;

pub(crate) struct RedisBroker(pub(crate) Arc<Handle>);

#[async_trait]
impl Broker for RedisBroker {
    async fn publish(&self, messages: Vec<Publish>) -> Result<()> {
        self.0.publish(&messages).await
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        let ConsumerOptions {
            name,
            queues,
            lease,
        } = options;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let lanes = Lanes::default().taking(&self.0.keys, queues)?;
        let source = Source::new(self.0.clone(), id, lanes);
        let mut call = source.queues_call(&CONSUME, 0, &source.lanes().known);
        call.arg(duration_ms(lease)).arg(name);
        CONSUME.run(&self.0.link, &call).await?;
        Ok(Box::new(RedisConsumer::new(source, lease)))
    }

    async fn recover(&self) -> Result<usize> {
        let keys = &self.0.keys;
        let mut recovered = 0;
        loop {
            let mut call = RECOVER.call(1);
            call.arg(keys.consumers()).arg(self.0.now());
            call.arg(HAND_BACK_STEP).arg(keys.consumer_prefix());
            let answer = reply::array(RECOVER.run(&self.0.link, &call).await?)?;
            let [returned, more] = &*answer else {
                return Err(unexpected(&Value::Array(answer)));
            };
            recovered += usize::try_from(reply::count(returned)?).unwrap_or(usize::MAX);
            if reply::int(more)? == 0 {
                return Ok(recovered);
            }
        }
    }

    async fn queues(&self) -> Result<Vec<QueueStats>> {
        let keys = &self.0.keys;
        let mut call = QUEUES.call(2);
        call.arg(keys.queues())
            .arg(keys.consumers())
            .arg(self.0.now());
        call.arg(keys.prefix()).arg(keys.sep());
        keys.steps.iter().for_each(|step| _ = call.arg(*step));
        let answer = reply::array(QUEUES.run(&self.0.link, &call).await?)?;
        let mut items = answer.into_iter();
        let mut stats = Vec::new();
        while let Some(name) = items.next() {
            let mut number = || {
                items
                    .next()
                    .map_or(Err(unexpected(&Value::Nil)), |n| reply::count(&n))
            };
            stats.push(QueueStats {
                ready: number()?,
                parked: number()?,
                in_flight: number()?,
                dead: number()?,
                queue: reply::text(name)?.into(),
            });
        }
        stats.sort_by(|a, b| a.queue.cmp(&b.queue));
        Ok(stats)
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64> {
        let keys = &self.0.keys;
        let mut call = PURGE.call(1 + keys.steps.len());
        call.arg(keys.parked(queue));
        keys.lists(queue).for_each(|list| _ = call.arg(list));
        reply::count(&PURGE.run(&self.0.link, &call).await?)
    }

    async fn locate(&self, ids: &[TaskId]) -> Result<Vec<Option<Location>>> {
        self.0.locate(ids).await
    }

    async fn parked(&self, queues: &[QueueName], limit: usize) -> Result<Vec<Parked>> {
        let keys = &self.0.keys;
        // A queue that is named twice is still one.
        let queues: BTreeSet<&QueueName> = queues.iter().collect();
        let mut call = PARKED.call(queues.len());
        for queue in &queues {
            call.arg(keys.parked(queue));
        }
        call.arg(self.0.now())
            .arg(i64::try_from(limit).unwrap_or(i64::MAX));
        let answer = reply::array(PARKED.run(&self.0.link, &call).await?)?;
        let mut found = Vec::new();
        for (queue, members) in queues.into_iter().zip(answer) {
            let mut members = reply::array(members)?.into_iter();
            while let (Some(member), Some(due)) = (members.next(), members.next()) {
                let member = reply::bytes(member)?;
                let due_ms: f64 = reply::number(due)?;
                found.push(Parked {
                    queue: queue.clone(),
                    due: from_ms(due_ms as i64),
                    envelope: wire::decode(keys::parked_message(&member)).envelope,
                });
            }
        }
        found.sort_by_key(|parked| parked.due);
        found.truncate(limit);
        Ok(found)
    }

    async fn dead_letters(
        &self,
        queue: Option<&QueueName>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let keys = &self.0.keys;
        let key = queue.map_or_else(|| keys.dead(), |queue| keys.dead_of(queue));
        let mut letters: Vec<DeadLetter> = Vec::new();
        while letters.len() < limit {
            let step = LETTERS_STEP.min(limit - letters.len());
            let below = letters
                .last()
                .map_or("+inf".to_owned(), |letter| letter.id.to_string());
            let mut call = DEAD_LETTERS.call(1);
            call.arg(&key)
                .arg(below)
                .arg(step)
                .arg(keys.letter_prefix());
            let answer = reply::array(DEAD_LETTERS.run(&self.0.link, &call).await?)?;
            let before = letters.len();
            let mut fields = answer.into_iter();
            while fields.len() > 0 {
                letters.push(letter(&mut fields)?);
            }
            if letters.len() - before < step {
                break;
            }
        }
        Ok(letters)
    }

    async fn redrive(&self, ids: &[u64]) -> Result<usize> {
        self.for_each_letter(&REDRIVE, ids).await
    }

    async fn discard(&self, ids: &[u64]) -> Result<usize> {
        self.for_each_letter(&DISCARD, ids).await
    }
}

impl RedisBroker {
    /// Does something to dead letters, and says to how many.
    async fn for_each_letter(&self, script: &Script, ids: &[u64]) -> Result<usize> {
        let keys = &self.0.keys;
        let mut done = 0;
        for step in ids.chunks(LETTERS_STEP) {
            let mut call = script.call(1);
            call.arg(keys.dead()).arg(keys.prefix()).arg(step);
            let found = reply::count(&script.run(&self.0.link, &call).await?)?;
            done += usize::try_from(found).unwrap_or(usize::MAX);
        }
        Ok(done)
    }
}

/// One dead letter, out of the fields that the script tells of it.
fn letter(fields: &mut impl Iterator<Item = Value>) -> Result<DeadLetter> {
    let mut field = || fields.next().ok_or_else(|| unexpected(&Value::Nil));
    let id = reply::number(field()?)?;
    let (queue, reason) = (reply::text(field()?)?, reply::text(field()?)?);
    let (died_ms, deliveries) = (reply::number(field()?)?, reply::number(field()?)?);
    let message = wire::decode(&reply::bytes(field()?)?);
    Ok(DeadLetter {
        id,
        queue: queue.into(),
        task_id: message.id,
        reason,
        died: from_ms(died_ms),
        deliveries,
        envelope: message.envelope,
    })
}
