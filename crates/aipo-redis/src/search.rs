//! Looking for the messages of a task.
//!
//! A list can't be asked for an id, so what waits is searched, a page at a time, at most [`MAX_SEARCH`] messages
//! in one call. Beyond that the answer is an error and not a wrong "it is not there". What consumers
//! hold is bounded by what they fetched, and dead letters count as waiting ones do.

use aipo_core::store::Location;
use aipo_core::{Error, ErrorKind, QueueName, Result, TaskId};
use redis::{Value, cmd};

use crate::error::unexpected;
use crate::handle::Handle;
use crate::keys;
use crate::reply;
use crate::script::{SEARCH, SEARCH_DEAD, SEARCH_HELD};
use crate::time::from_ms;
use crate::wire;

/// Messages that one call looks at before it gives up.
pub(crate) const MAX_SEARCH: u64 = 100_000;

/// Messages that one step looks at; the server does nothing else meanwhile.
const PAGE: i64 = 500;

/// A message that waits.
struct Waiting {
    id: TaskId,
    queue: QueueName,
    /// When it becomes ready, of one that was parked.
    due_ms: Option<i64>,
    /// The key it lies under, and what it is there.
    key: String,
    member: Vec<u8>,
}

/// A search for the messages of some tasks.
struct Search<'a> {
    handle: &'a Handle,
    ids: &'a [TaskId],
    /// What a message of one of them contains.
    texts: Vec<String>,
    /// Messages that may still be looked at.
    left: u64,
}

impl Handle {
    pub(crate) async fn locate(&self, ids: &[TaskId]) -> Result<Vec<Option<Location>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let now_ms = self.present_ms().await?;
        let mut search = Search::new(self, ids);
        // In the order in which a message moves, so that one on the move is not missed; and the dead at
        // last, since whoever asks wants to know whether the task can still run.
        let mut found: Vec<(TaskId, Location)> = Vec::new();
        found.extend(search.waiting().await?.into_iter().map(|message| {
            let Waiting {
                id, queue, due_ms, ..
            } = message;
            let location = match due_ms.filter(|due_ms| *due_ms > now_ms) {
                Some(due_ms) => Location::Parked {
                    queue,
                    due: from_ms(due_ms),
                },
                None => Location::Ready { queue },
            };
            (id, location)
        }));
        found.extend(search.held().await?);
        found.extend(search.dead().await?);
        let of = |id: &TaskId| found.iter().find(|(found, _)| found == id);
        Ok(ids
            .iter()
            .map(|id| of(id).map(|(_, location)| location.clone()))
            .collect())
    }

    pub(crate) async fn cancel(&self, ids: &[TaskId]) -> Result<Vec<bool>> {
        let mut cancelled = vec![false; ids.len()];
        if ids.is_empty() {
            return Ok(cancelled);
        }
        for message in Search::new(self, ids).waiting().await? {
            let mut remove = match message.due_ms {
                Some(_) => cmd("ZREM").arg(message.key).to_owned(),
                None => cmd("LREM").arg(message.key).arg(1).to_owned(),
            };
            // None when somebody took it since.
            let removed = reply::count(&self.link.send(remove.arg(message.member)).await?)?;
            let place = ids.iter().position(|id| *id == message.id);
            if let (Some(place), 1..) = (place, removed) {
                cancelled[place] = true;
            }
        }
        Ok(cancelled)
    }

    async fn present_ms(&self) -> Result<i64> {
        if self.clock.is_some() {
            return self.now().parse().map_err(|_| unexpected(&Value::Nil));
        }
        let time = reply::array(self.link.send(&cmd("TIME")).await?)?;
        let mut parts = time.into_iter().map(reply::number::<i64>);
        match (parts.next(), parts.next()) {
            (Some(seconds), Some(micros)) => Ok(seconds? * 1_000 + micros? / 1_000),
            _ => Err(unexpected(&Value::Array(Vec::new()))),
        }
    }
}

impl<'a> Search<'a> {
    fn new(handle: &'a Handle, ids: &'a [TaskId]) -> Self {
        let mut texts: Vec<String> = ids.iter().flat_map(|id| written(id.as_str())).collect();
        texts.sort();
        texts.dedup();
        Self {
            handle,
            ids,
            texts,
            left: MAX_SEARCH,
        }
    }

    /// What waits in all queues: ready, or parked.
    async fn waiting(&mut self) -> Result<Vec<Waiting>> {
        let keys = &self.handle.keys;
        let queues = self
            .handle
            .link
            .send(cmd("SMEMBERS").arg(keys.queues()))
            .await?;
        let queues = match queues {
            Value::Set(queues) | Value::Array(queues) => queues,
            other => return Err(unexpected(&other)),
        };
        let mut found = Vec::new();
        for queue in queues {
            let queue = QueueName::from(reply::text(queue)?);
            for list in keys.lists(&queue) {
                self.in_list(&queue, list, &mut found).await?;
            }
            self.in_parked(&queue, &mut found).await?;
        }
        Ok(found)
    }

    /// From the newest on, so that what comes meanwhile moves messages towards the pages to come and
    /// not past them.
    async fn in_list(
        &mut self,
        queue: &QueueName,
        key: String,
        found: &mut Vec<Waiting>,
    ) -> Result<()> {
        for page in 0.. {
            let bounds = [page * PAGE, (page + 1) * PAGE - 1];
            let (looked_at, members) = self.page("LRANGE", &key, bounds).await?;
            for member in members {
                let member = reply::bytes(member)?;
                if let Some(id) = self.wanted(&member) {
                    let (queue, key) = (queue.clone(), key.clone());
                    found.push(Waiting {
                        id,
                        queue,
                        due_ms: None,
                        key,
                        member,
                    });
                }
            }
            if looked_at < PAGE as u64 {
                break;
            }
        }
        Ok(())
    }

    /// From the last one due on, so that what is made ready meanwhile moves nothing.
    async fn in_parked(&mut self, queue: &QueueName, found: &mut Vec<Waiting>) -> Result<()> {
        let key = self.handle.keys.parked(queue);
        for page in 0.. {
            let bounds = [-(page + 1) * PAGE, -page * PAGE - 1];
            let (looked_at, members) = self.page("ZRANGE", &key, bounds).await?;
            let mut members = members.into_iter();
            while let (Some(member), Some(score)) = (members.next(), members.next()) {
                let member = reply::bytes(member)?;
                let due_ms: f64 = reply::number(score)?;
                if let Some(id) = self.wanted(keys::parked_message(&member)) {
                    let due_ms = Some(due_ms as i64);
                    found.push(Waiting {
                        id,
                        queue: queue.clone(),
                        due_ms,
                        key: key.clone(),
                        member,
                    });
                }
            }
            if looked_at < PAGE as u64 {
                break;
            }
        }
        Ok(())
    }

    async fn page(
        &mut self,
        range: &str,
        key: &str,
        [first, last]: [i64; 2],
    ) -> Result<(u64, Vec<Value>)> {
        let mut call = SEARCH.call(1);
        call.arg(key)
            .arg(range)
            .arg(first)
            .arg(last)
            .arg(&self.texts);
        let mut answer = reply::array(SEARCH.run(&self.handle.link, &call).await?)?;
        if answer.is_empty() {
            return Err(unexpected(&Value::Array(answer)));
        }
        let members = answer.split_off(1);
        let looked_at = reply::count(&answer[0])?;
        self.look_at(looked_at)?;
        Ok((looked_at, members))
    }

    async fn held(&self) -> Result<Vec<(TaskId, Location)>> {
        let keys = &self.handle.keys;
        let mut call = SEARCH_HELD.call(1);
        call.arg(keys.consumers())
            .arg(keys.consumer_prefix())
            .arg(&self.texts);
        let mut answer =
            reply::array(SEARCH_HELD.run(&self.handle.link, &call).await?)?.into_iter();
        let mut found = Vec::new();
        while let (Some(name), Some(queue), Some(raw)) =
            (answer.next(), answer.next(), answer.next())
        {
            if let Some(id) = self.wanted(&reply::bytes(raw)?) {
                let (consumer, queue) = (reply::text(name)?, reply::text(queue)?.into());
                found.push((id, Location::InFlight { queue, consumer }));
            }
        }
        Ok(found)
    }

    async fn dead(&mut self) -> Result<Vec<(TaskId, Location)>> {
        let keys = &self.handle.keys;
        let mut below = "+inf".to_owned();
        let mut found = Vec::new();
        loop {
            let mut call = SEARCH_DEAD.call(1);
            call.arg(keys.dead())
                .arg(&below)
                .arg(PAGE)
                .arg(keys.letter_prefix())
                .arg(&self.texts);
            let answer = reply::array(SEARCH_DEAD.run(&self.handle.link, &call).await?)?;
            let mut answer = answer.into_iter();
            below = answer.next().map_or(Ok(String::new()), reply::text)?;
            if below.is_empty() {
                return Ok(found);
            }
            while let (Some(queue), Some(raw)) = (answer.next(), answer.next()) {
                if let Some(id) = self.wanted(&reply::bytes(raw)?) {
                    found.push((
                        id,
                        Location::Dead {
                            queue: reply::text(queue)?.into(),
                        },
                    ));
                }
            }
            self.look_at(PAGE as u64)?;
        }
    }

    /// The task of a message, if it is one of those that are looked for.
    fn wanted(&self, raw: &[u8]) -> Option<TaskId> {
        let id = wire::decode(raw).id;
        self.ids.contains(&id).then_some(id)
    }

    fn look_at(&mut self, messages: u64) -> Result<()> {
        self.left = self.left.checked_sub(messages).ok_or_else(|| {
            let message = "too many messages wait to look for one of them";
            Error::new(ErrorKind::TooLarge, message).with("limit", MAX_SEARCH)
        })?;
        Ok(())
    }
}

/// An id as it can stand in a message: as aipo writes text in JSON, and as Python does.
fn written(id: &str) -> [String; 2] {
    let plain = serde_json::Value::from(id).to_string();
    let mut escaped = String::with_capacity(plain.len());
    for char in plain.chars() {
        if (' '..='~').contains(&char) {
            escaped.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    [plain, escaped]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_looked_for_as_it_is_written() {
        for (id, plain, escaped) in [
            ("a-1", r#""a-1""#, r#""a-1""#),
            ("a\"\\\n", r#""a\"\\\n""#, r#""a\"\\\n""#),
            ("\u{e9}", "\"\u{e9}\"", r#""\u00e9""#),
            ("\u{1f331}", "\"\u{1f331}\"", r#""\ud83c\udf31""#),
        ] {
            assert_eq!(written(id), [plain, escaped], "{id}");
        }
    }
}
