//! Chords, counted in the keys of Celery's own backend: a Python program opens them, and workers of both kinds
//! share the parts of one.
//!
//! | who counts the last part | what follows |
//! |---|---|
//! | a Python worker | it claims the chord for some seconds and goes on by itself |
//! | a script of aipo's | the chord is aipo's for good, and stands in a list until a worker has finished it |
//!
//! So a chord whose last part an aipo worker counts is not lost, whoever dies. The rules are in
//! `scripts/shared/chord.lua`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aipo_core::message::ExceptionInfo;
use aipo_core::store::{Chords, Complete, Done, Part, Publish, Step};
use aipo_core::{GroupId, Result, TaskId, TaskState};
use async_trait::async_trait;
use redis::{Cmd, Value, cmd};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::error::unexpected;
use crate::handle::Handle;
use crate::publish::Outgoing;
use crate::reply;
use crate::script::{ADVANCE, SAVE_GROUP, SAVED_GROUP, TAKE_COMPLETE};
use crate::time::duration_ms;

/// More than any worker takes at once, and a number that every script can count.
const MAX_TAKEN: usize = 1 << 20;

pub(crate) struct RedisChords(pub(crate) Arc<Handle>);

#[async_trait]
impl Chords for RedisChords {
    async fn advance(&self, step: Step, publish: Vec<Publish>) -> Result<()> {
        self.run(None, &step, &publish).await.map(drop)
    }

    async fn take_complete(&self, limit: usize, claim: Duration) -> Result<Vec<Complete>> {
        let mut call = self.place(TAKE_COMPLETE.call(0));
        call.arg(limit.min(MAX_TAKEN)).arg(duration_ms(claim));
        let taken = reply::array(TAKE_COMPLETE.run(&self.0.link, &call).await?)?;
        taken.into_iter().map(complete).collect()
    }

    async fn finish(&self, group: &GroupId, step: Step, publish: Vec<Publish>) -> Result<bool> {
        self.run(Some(group), &step, &publish).await
    }

    async fn save_group(
        &self,
        group: &GroupId,
        meta: Vec<u8>,
        expires: Option<Duration>,
    ) -> Result<()> {
        let mut call = self.place(SAVE_GROUP.call_sized(0, 7, meta.len() + 200));
        call.arg(group.as_str()).arg(meta);
        self.0.write_expiry(&mut call, expires);
        SAVE_GROUP.run(&self.0.link, &call).await.map(drop)
    }

    async fn saved_group(&self, group: &GroupId) -> Result<Option<Vec<u8>>> {
        let mut call = self.place(SAVED_GROUP.call(0));
        call.arg(group.as_str());
        reply::bytes_or_nil(SAVED_GROUP.run(&self.0.link, &call).await?)
    }

    async fn delete_group(&self, group: &GroupId) -> Result<()> {
        let key = format!("{}{group}", self.0.keys.group_prefix());
        self.0.link.send(cmd("UNLINK").arg(key)).await.map(drop)
    }
}

impl RedisChords {
    /// Adds what a script needs to know to get at a chord.
    fn place(&self, mut call: Cmd) -> Cmd {
        let handle = &*self.0;
        call.arg(handle.now())
            .arg(handle.keys.prefix())
            .arg(handle.keys.group_prefix())
            .arg(handle.clock.as_ref().map_or("", |_| "1"));
        call
    }

    /// Does a step, and says whether it did: not when `finished` is no complete chord.
    async fn run(
        &self,
        finished: Option<&GroupId>,
        step: &Step,
        publish: &[Publish],
    ) -> Result<bool> {
        let handle = &*self.0;
        let keys = &handle.keys;
        let messages: Vec<Outgoing> = publish.iter().map(|one| handle.outgoing(one)).collect();
        let bytes = step_size(step) + messages.iter().map(Outgoing::size).sum::<usize>();
        let mut call = ADVANCE.call_sized(1, messages.len() * 6 + step.parts.len() * 6 + 16, bytes);
        call.arg(keys.parked_number());
        call.arg(handle.now())
            .arg(keys.prefix())
            .arg(keys.sep())
            .arg(keys.note_prefix())
            .arg(handle.clocked_expiries())
            .arg(keys.group_prefix());
        match finished {
            Some(group) => call.arg("1").arg(group.as_str()),
            None => call.arg("0").arg(""),
        };
        handle.write_step(&mut call, step);
        let mut declares = Vec::new();
        handle.write_messages(&mut call, &messages, &mut declares);
        let done = reply::int(&ADVANCE.run(&handle.link, &call).await?)? == 1;
        if done {
            for queue in declares {
                handle.declared.insert(queue.clone());
            }
        }
        Ok(done)
    }
}

impl Handle {
    /// Adds what a script's `take_step` takes.
    pub(crate) fn write_step(&self, call: &mut Cmd, step: &Step) {
        let Step {
            results,
            opens,
            grows,
            parts,
            keeps,
            drops,
        } = step;
        call.arg(results.len());
        for record in results {
            self.write_result(call, record);
        }
        call.arg(opens.len());
        for chord in opens {
            call.arg(chord.group.as_str())
                .arg(chord.size)
                .arg(chord.structure.as_deref().unwrap_or_default());
            self.write_expiry(call, chord.expires);
        }
        call.arg(grows.len());
        for group in grows {
            call.arg(group.as_str());
        }
        call.arg(parts.len());
        for part in parts {
            let place = part
                .index
                .map_or_else(|| "+inf".to_owned(), |index| index.to_string());
            call.arg(part.group.as_str())
                .arg(format!("{}:{place}", part.id))
                .arg(place)
                .arg(member(part))
                .arg(&part.then);
            self.write_expiry(call, part.expires);
        }
        call.arg(keeps.len());
        for fact in keeps {
            call.arg(&fact.key).arg(&fact.value);
            match fact.ttl {
                None => call.arg(""),
                Some(ttl) => call.arg(duration_ms(ttl)),
            };
        }
        call.arg(drops.len()).arg(drops);
    }
}

/// About as many bytes as a step has in a call.
pub(crate) fn step_size(step: &Step) -> usize {
    let results = step.results.iter().map(|result| result.meta.len() + 200);
    let opens = step.opens.iter().map(|chord| {
        let structure = chord.structure.as_ref().map_or(0, Vec::len);
        structure + 100
    });
    let parts = step
        .parts
        .iter()
        .map(|part| part.value.len() + part.then.len() + 200);
    let keeps = step.keeps.iter();
    let keeps = keeps.map(|fact| fact.key.len() + fact.value.len() + 20);
    let contents = results.chain(opens).chain(parts).chain(keeps);
    contents.sum::<usize>() + (step.grows.len() + step.drops.len()) * 50
}

/// A part as Celery keeps it, written as Python writes it: where workers older than Celery 5.7 count as well, only
/// equal members are counted once.
fn member(part: &Part) -> String {
    let mut member = String::with_capacity(part.value.len() + 80);
    let (id, state) = (
        serde_json::Value::from(part.id.as_str()),
        serde_json::Value::from(part.state.as_str()),
    );
    write!(member, "[1, {id}, {state}, {}]", part.value).expect("a String takes any text");
    member
}

/// A part as a worker of either kind wrote it, its value digit by digit.
fn done(member: &[u8]) -> Done {
    let read = serde_json::from_slice::<(IgnoredAny, TaskId, TaskState, &RawValue)>(member);
    match read {
        Ok((_, id, state, value)) => Done {
            id,
            state,
            value: value.get().to_owned(),
        },
        // Python workers may write another format than JSON. The chord fails, with the reason, rather than never to
        // end.
        Err(error) => {
            let exception = ExceptionInfo {
                exc_type: "DecodeError".to_owned(),
                exc_message: vec![format!("a part of the chord is no JSON: {error}")].into(),
                exc_module: Some("kombu.exceptions".to_owned()),
            };
            Done {
                id: "".into(),
                state: TaskState::Failure,
                value: serde_json::to_string(&exception)
                    .expect("an exception is text and values, which JSON can hold"),
            }
        }
    }
}

fn complete(told: Value) -> Result<Complete> {
    let fields: [Value; 4] = reply::array(told)?
        .try_into()
        .map_err(|fields| unexpected(&Value::Array(fields)))?;
    let [group, then, structure, parts] = fields;
    let parts = reply::array(parts)?.into_iter();
    let parts = parts.map(|part| reply::bytes(part).map(|member| done(&member)));
    Ok(Complete {
        group: reply::text(group)?.into(),
        parts: parts.collect::<Result<_>>()?,
        structure: reply::bytes_or_nil(structure)?,
        then: reply::bytes(then)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_digit_by_digit_whoever_wrote_it() {
        let long = r#"{"pi": 3.14159265358979323846264338327950288, "n": 123456789012345678901}"#;
        let part = Part {
            group: "g".into(),
            index: Some(3),
            id: "a\"b".into(),
            state: TaskState::Success,
            value: long.to_owned(),
            then: Vec::new(),
            expires: None,
        };
        assert_eq!(member(&part), format!(r#"[1, "a\"b", "SUCCESS", {long}]"#));

        let spaced = format!(r#" [ 1,"a\"b","SUCCESS" ,{long} ] "#);
        for text in [member(&part), spaced] {
            let done = done(text.as_bytes());
            assert_eq!((&done.id, &done.state), (&part.id, &part.state));
            assert_eq!(done.value, long);
        }
    }

    #[test]
    fn a_part_that_is_no_json_is_a_failure_that_says_so() {
        for bytes in [&b"\x80\x04pickle"[..], b"[1, \"id\", \"SUCCESS\"]", b""] {
            let done = done(bytes);
            assert_eq!(done.state, TaskState::Failure);
            assert!(done.value.contains("no JSON"), "{}", done.value);
        }
    }
}
