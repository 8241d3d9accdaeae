//! Looking for the messages of some tasks, and taking them.
//!
//! A list can't be asked for an id, so what waits is searched, a page at a time, at most [`MAX_SEARCH`] messages
//! in one call. Beyond that the answer is an error and not a wrong "it is not there". What consumers
//! hold is bounded by what they fetched, and dead letters count as waiting ones do.
//!
//! What a page finds is claimed by the next script, message by message as it was found; what somebody took in between is
//! not there any more. So a claim holds no more in memory than it answers, whatever waits.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use aipo_core::store::{Delivery, Location};
use aipo_core::{Error, ErrorKind, QueueName, Result, TaskId};
use redis::{Value, cmd};

use crate::error::{lease_lost, unexpected};
use crate::handle::Handle;
use crate::keys;
use crate::reply;
use crate::script::{CLAIM, SEARCH, SEARCH_DEAD, SEARCH_HELD};
use crate::source::{Hold, Source};
use crate::time::from_ms;
use crate::wire::{self, Decoded};

/// Messages that one call looks at before it gives up.
pub(crate) const MAX_SEARCH: u64 = 100_000;

/// Messages that one step looks at; the server does nothing else meanwhile.
const PAGE: u64 = 500;

/// Messages, and bytes of theirs, after which a claim takes no more.
const MAX_CLAIM: usize = 500;
const MAX_CLAIM_BYTES: usize = 16 * 1024 * 1024;

/// Where messages wait: a list of a queue, or what is parked for it.
#[derive(Clone)]
struct Line {
    queue: QueueName,
    key: String,
    /// Of a list, its place among the steps.
    step: Option<usize>,
}

/// A message that waits.
struct Waiting {
    message: Decoded,
    /// Its place among the steps.
    step: usize,
    /// When it becomes ready, of one that was parked.
    due_ms: Option<i64>,
    /// What it is in its line.
    member: Vec<u8>,
}

/// A search for the messages of some tasks.
struct Search<'a> {
    handle: &'a Handle,
    ids: HashSet<&'a TaskId>,
    /// What a message of one of them contains.
    texts: Vec<String>,
    /// Messages that may still be looked at.
    left: u64,
    /// What is still to be looked at; the last line comes first.
    lines: Vec<Line>,
    /// How many messages of that line were passed.
    passed: u64,
}

impl Handle {
    pub(crate) async fn locate(&self, ids: &[TaskId]) -> Result<Vec<Option<Location>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let now_ms = self.present_ms().await?;
        let mut search = Search::begin(self, ids).await?;
        // In the order in which a message moves, so that one on the move is not missed; and the dead at
        // last, since whoever asks wants to know whether the task can still run.
        let mut found: HashMap<TaskId, Location> = HashMap::new();
        while let Some((line, page)) = search.page().await? {
            for waiting in page {
                let queue = line.queue.clone();
                let location = match waiting.due_ms.filter(|due_ms| *due_ms > now_ms) {
                    Some(due_ms) => Location::Parked {
                        queue,
                        due: from_ms(due_ms),
                    },
                    None => Location::Ready { queue },
                };
                found.entry(waiting.message.id).or_insert(location);
            }
        }
        let later = [search.held().await?, search.dead().await?];
        for (id, location) in later.into_iter().flatten() {
            found.entry(id).or_insert(location);
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
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

impl Source {
    pub(crate) async fn claim(&self, ids: &[TaskId]) -> Result<Vec<Delivery>> {
        // Looks at the lease, so that the answer of a consumer that is none any more is not "nothing waits".
        self.start(&[]).await?;
        let mut search = Search::begin(&self.handle, ids).await?;
        let mut claimed = Vec::new();
        let mut bytes = 0;
        loop {
            let (line, page) = match search.page().await {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(claimed),
                // What was found is something; whoever wants more asks again, and is told then.
                Err(error) if error.kind() == ErrorKind::TooLarge && !claimed.is_empty() => {
                    return Ok(claimed);
                }
                Err(error) => return Err(error),
            };
            bytes += page.iter().map(|one| one.member.len()).sum::<usize>();
            let before = claimed.len();
            self.claim_page(&line, page, &mut claimed).await?;
            search.has_taken((claimed.len() - before) as u64);
            if claimed.len() >= MAX_CLAIM || bytes >= MAX_CLAIM_BYTES {
                return Ok(claimed);
            }
        }
    }

    /// Takes what was found in one line, as far as it is still there.
    async fn claim_page(
        &self,
        line: &Line,
        page: Vec<Waiting>,
        claimed: &mut Vec<Delivery>,
    ) -> Result<()> {
        if page.is_empty() {
            return Ok(());
        }
        let steps = self.handle.keys.steps.len();
        let place = self.place_of(&line.queue).await?;
        let first = self.next.fetch_add(page.len() as u64, Ordering::Relaxed);
        let hold = |number: u64, waiting: &Waiting| Hold {
            lane: u16::try_from(place * steps + waiting.step)
                .expect("the lanes of a consumer are counted when a queue is added"),
            started: false,
            number,
        };
        let bytes = page.iter().map(|one| one.member.len()).sum();
        let mut call = self.call_sized(&CLAIM, &[&line.key], 3 * page.len() + 1, bytes);
        call.arg(first);
        for waiting in &page {
            call.arg(hold(0, waiting).lane);
            match waiting.due_ms {
                Some(due_ms) => call.arg(due_ms),
                None => call.arg(""),
            };
            call.arg(&waiting.member);
        }
        let told = reply::bytes(CLAIM.run(&self.handle.link, &call).await?)?;
        if told == b"lost" {
            return Err(lease_lost());
        }
        if told.len() != page.len() {
            return Err(unexpected(&Value::BulkString(told)));
        }
        for ((number, waiting), told) in (first..).zip(page).zip(told) {
            if told == b'1' {
                claimed.push(Delivery {
                    tag: hold(number, &waiting).into(),
                    queue: line.queue.clone(),
                    deliveries: waiting.message.deliveries,
                    started: false,
                    envelope: waiting.message.envelope,
                });
            }
        }
        Ok(())
    }
}

impl<'a> Search<'a> {
    async fn begin(handle: &'a Handle, ids: &'a [TaskId]) -> Result<Self> {
        let mut texts: Vec<String> = ids.iter().flat_map(|id| written(id.as_str())).collect();
        texts.sort();
        texts.dedup();
        let keys = &handle.keys;
        let queues = match handle.link.send(cmd("SMEMBERS").arg(keys.queues())).await? {
            Value::Set(queues) | Value::Array(queues) => queues,
            other => return Err(unexpected(&other)),
        };
        let mut lines = Vec::new();
        for queue in queues {
            let queue = QueueName::from(reply::text(queue)?);
            let line = |key, step| Line {
                queue: queue.clone(),
                key,
                step,
            };
            let lists = keys.lists(&queue).enumerate();
            lines.extend(lists.map(|(step, key)| line(key, Some(step))));
            // The last one comes first: what is parked moves to the lists.
            lines.push(line(keys.parked(&queue), None));
        }
        Ok(Self {
            handle,
            ids: ids.iter().collect(),
            texts,
            left: MAX_SEARCH,
            lines,
            passed: 0,
        })
    }

    /// What the next page has of these tasks, and in which line; `None` when all was looked at.
    ///
    /// From the newest on, and of what is parked from the last one due on, so that what comes or goes meanwhile
    /// moves messages towards the pages to come and not past them.
    async fn page(&mut self) -> Result<Option<(Line, Vec<Waiting>)>> {
        let Some(line) = self.lines.last() else {
            return Ok(None);
        };
        let range = match line.step {
            Some(_) => "LRANGE",
            None => "ZREVRANGE",
        };
        let mut call = SEARCH.call(1);
        call.arg(&line.key).arg(range);
        call.arg(self.passed).arg(self.passed + PAGE - 1);
        call.arg(&self.texts);
        let mut answer = reply::array(SEARCH.run(&self.handle.link, &call).await?)?.into_iter();
        let (Some(looked_at), Some(more)) = (answer.next(), answer.next()) else {
            return Err(unexpected(&Value::Nil));
        };
        let mut page = Vec::new();
        while let Some(member) = answer.next() {
            let member = reply::bytes(member)?;
            let due_ms = match line.step {
                Some(_) => None,
                None => {
                    let score = answer.next().ok_or_else(|| unexpected(&Value::Nil))?;
                    Some(reply::number::<f64>(score)? as i64)
                }
            };
            let (step, raw) = match line.step {
                Some(step) => (step, &*member),
                None => self.parked(&member),
            };
            if let Some(message) = self.wanted(raw) {
                page.push(Waiting {
                    message,
                    step,
                    due_ms,
                    member,
                });
            }
        }
        let line = line.clone();
        let looked_at = reply::count(&looked_at)?;
        if reply::int(&more)? == 1 {
            self.passed += looked_at;
        } else {
            self.lines.pop();
            self.passed = 0;
        }
        self.look_at(looked_at)?;
        Ok(Some((line, page)))
    }

    /// Of the last page so many are not in their line any more.
    fn has_taken(&mut self, messages: u64) {
        // Nothing was passed yet of a line that has just begun.
        self.passed = self.passed.saturating_sub(messages);
    }

    /// The place among the steps and the message in a member of parked ones. A step that is no more goes to the first.
    fn parked<'m>(&self, member: &'m [u8]) -> (usize, &'m [u8]) {
        let step = keys::parked_step(member);
        let mut steps = self.handle.keys.steps.iter();
        let place = steps.position(|known| Some(*known) == step);
        (place.unwrap_or_default(), keys::parked_message(member))
    }

    async fn held(&self) -> Result<Vec<(TaskId, Location)>> {
        let keys = &self.handle.keys;
        let mut call = SEARCH_HELD.call(1);
        call.arg(keys.consumers()).arg(keys.consumer_prefix());
        call.arg(&self.texts);
        let mut answer =
            reply::array(SEARCH_HELD.run(&self.handle.link, &call).await?)?.into_iter();
        let mut found = Vec::new();
        while let (Some(name), Some(queue), Some(raw)) =
            (answer.next(), answer.next(), answer.next())
        {
            if let Some(message) = self.wanted(&reply::bytes(raw)?) {
                let (consumer, queue) = (reply::text(name)?, reply::text(queue)?.into());
                found.push((message.id, Location::InFlight { queue, consumer }));
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
                if let Some(message) = self.wanted(&reply::bytes(raw)?) {
                    let queue = reply::text(queue)?.into();
                    found.push((message.id, Location::Dead { queue }));
                }
            }
            self.look_at(PAGE)?;
        }
    }

    /// A message, if it is of one of the tasks that are looked for.
    fn wanted(&self, raw: &[u8]) -> Option<Decoded> {
        let message = wire::decode(raw);
        self.ids.contains(&message.id).then_some(message)
    }

    fn look_at(&mut self, messages: u64) -> Result<()> {
        self.left = self.left.checked_sub(messages).ok_or_else(|| {
            let message = "too many messages wait to look for one of them";
            Error::new(ErrorKind::TooLarge, message).with("limit", MAX_SEARCH)
        })?;
        Ok(())
    }
}

/// An id as it can stand in a message, as aipo writes text in JSON and as Python does; up to the first quote in it.
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
    [plain, escaped].map(|mut text| {
        if let Some(quote) = text[1..].find('"') {
            text.truncate(quote + 2);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_looked_for_as_it_is_written() {
        for (id, plain, escaped) in [
            ("a-1", r#""a-1""#, r#""a-1""#),
            ("a\\\n", r#""a\\\n""#, r#""a\\\n""#),
            ("a\"b", r#""a\""#, r#""a\""#),
            ("\u{e9}", "\"\u{e9}\"", r#""\u00e9""#),
            ("\u{1f331}", "\"\u{1f331}\"", r#""\ud83c\udf31""#),
            ("", r#""""#, r#""""#),
        ] {
            assert_eq!(written(id), [plain, escaped], "{id}");
        }
    }
}
