//! Results: one key per task, as Celery's own backend has it.
//!
//! Storing publishes the meta on the channel of the key's name, which is what a Python caller's `get` waits
//! on. Here a wait reads the key and is told by the server when it changes, see [`watch`](crate::watch), so it
//! is woken by whoever stores, however they do it.
//!
//! The server forgets a result by itself when its time is over. Only with a clock of the store's own, which
//! the server can't know, are expiries kept beside the results and looked at by every read.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::message::TaskMeta;
use aipo_core::store::{ResultBackend, ResultRecord};
use aipo_core::{Result, TaskId, TaskState};
use async_trait::async_trait;
use redis::{Cmd, cmd};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::handle::Handle;
use crate::json::object;
use crate::link::Link;
use crate::reply;
use crate::script::{GET_RESULTS, STORE_RESULTS};
use crate::time::{FOR_EVER_MS, duration_ms};

/// The longest wait; a caller that waits for longer does not notice that it ends one.
const MAX_WAIT: Duration = Duration::from_secs(86_400 * 365);

/// How large a compressed meta may come to for its state to be read, in bytes.
const MAX_META: usize = 1 << 30;

/// The pause before a wait tries a server again that did not answer.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(crate) struct RedisResults(pub(crate) Arc<Handle>);

#[async_trait]
impl ResultBackend for RedisResults {
    async fn store(&self, batch: Vec<ResultRecord>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let handle = &*self.0;
        let bytes = batch.iter().map(|record| record.meta.len() + 200).sum();
        let mut call = STORE_RESULTS.call_sized(0, batch.len() * 4 + 3, bytes);
        call.arg(handle.now())
            .arg(handle.keys.note_prefix())
            .arg(handle.clocked_expiries());
        for record in &batch {
            handle.write_result(&mut call, record);
        }
        STORE_RESULTS.run(&handle.link, &call).await.map(drop)
    }

    async fn get(&self, ids: &[TaskId]) -> Result<Vec<Option<Vec<u8>>>> {
        self.read(&self.0.link, ids).await
    }

    async fn wait(&self, id: &TaskId, timeout: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + timeout.min(MAX_WAIT);
        let watch = &self.0.watch;
        // First a place among the waiters, then the look: a result stored in between is told.
        let waiter = watch.register(vec![self.0.keys.result(id).into_bytes()]);
        loop {
            match self.ready(id).await {
                Ok(Some(meta)) => return Ok(Some(meta)),
                Ok(None) => {
                    if timeout_at(deadline, waiter.told()).await.is_err() {
                        return Ok(None);
                    }
                }
                // Whoever waits for a result waits for the server to come back as well; each look
                // waits for that as long as any call does.
                Err(error) if error.is_temporary() && Instant::now() < deadline => {
                    tracing::debug!(%error, "waiting for a result; trying again");
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn forget(&self, ids: &[TaskId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let keys = &self.0.keys;
        let mut forget = redis::pipe();
        let unlink = forget.cmd("UNLINK");
        for id in ids {
            let key = keys.result(id);
            unlink.arg(format!("{}{key}", keys.note_prefix())).arg(key);
        }
        self.0.link.transaction(forget.atomic()).await.map(drop)
    }

    async fn sweep(&self) -> Result<u64> {
        Ok(0)
    }
}

impl RedisResults {
    async fn read(&self, link: &Link, ids: &[TaskId]) -> Result<Vec<Option<Vec<u8>>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys = &self.0.keys;
        let ids = ids.iter().map(|id| keys.result(id));
        let answer = if self.0.clock.is_none() {
            let mut get = cmd("MGET");
            ids.for_each(|key| _ = get.arg(key));
            link.send(&get).await?
        } else {
            let mut call = GET_RESULTS.call(ids.len() + 1);
            call.arg(keys.result_expiries());
            ids.for_each(|key| _ = call.arg(key));
            call.arg(self.0.now());
            GET_RESULTS.run(link, &call).await?
        };
        reply::array(answer)?
            .into_iter()
            .map(reply::bytes_or_nil)
            .collect()
    }

    /// The meta of a task that has ended, read so that its next change is told.
    async fn ready(&self, id: &TaskId) -> Result<Option<Vec<u8>>> {
        let metas = self
            .read(&self.0.watch.link, std::slice::from_ref(id))
            .await?;
        let Some(meta) = metas.into_iter().next().flatten() else {
            return Ok(None);
        };
        let state = told_state(&meta).or_else(|| TaskMeta::state_of(&meta, MAX_META));
        let is_ready = match state {
            Some(state) => state.is_ready(),
            None => self.is_noted_ready(id).await?,
        };
        Ok(is_ready.then_some(meta))
    }

    async fn is_noted_ready(&self, id: &TaskId) -> Result<bool> {
        let keys = &self.0.keys;
        let note = format!("{}{}", keys.note_prefix(), keys.result(id));
        let state = reply::bytes_or_nil(self.0.link.send(cmd("GET").arg(note)).await?)?;
        let state = state.and_then(|state| String::from_utf8(state).ok());
        Ok(state.is_some_and(|state| TaskState::from(&*state).is_ready()))
    }
}

impl Handle {
    /// Adds what a script's `store_result` takes: key, meta, time to live, and the state if the meta does
    /// not tell it.
    pub(crate) fn write_result<'c>(&self, call: &'c mut Cmd, record: &ResultRecord) -> &'c mut Cmd {
        call.arg(self.keys.result(&record.id)).arg(&record.meta);
        self.write_expiry(call, record.expires);
        match told_state(&record.meta) {
            Some(state) if state == record.state => call.arg(""),
            _ => call.arg(record.state.as_str()),
        }
    }

    /// Adds a time to live in milliseconds, empty for ever.
    pub(crate) fn write_expiry(&self, call: &mut Cmd, expires: Option<Duration>) {
        match expires.map(duration_ms) {
            None | Some(FOR_EVER_MS) => call.arg(""),
            // The server takes no time to live of zero; what is over at once may as well be over soon.
            Some(0) if self.clock.is_none() => call.arg(1),
            Some(ms) => call.arg(ms),
        };
    }

    /// The key where expiries are kept, if the server can't be left to them.
    pub(crate) fn clocked_expiries(&self) -> String {
        match self.clock {
            None => String::new(),
            Some(_) => self.keys.result_expiries(),
        }
    }
}

/// The state that a meta in JSON tells of itself; that of others is noted beside them.
fn told_state(meta: &[u8]) -> Option<TaskState> {
    #[derive(Deserialize)]
    struct Status {
        status: TaskState,
    }

    // As aipo writes metas; the rest need not be read for this.
    if let Some(rest) = meta.strip_prefix(b"{\"status\":\"")
        && let Some(end) = memchr::memchr2(b'"', b'\\', rest)
        && rest[end] == b'"'
    {
        return std::str::from_utf8(&rest[..end]).ok().map(TaskState::from);
    }
    object::<Status>(meta).map(|meta| meta.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meta_tells_its_state() {
        #[track_caller]
        fn check(meta: &str, state: Option<&str>) {
            assert_eq!(
                told_state(meta.as_bytes()),
                state.map(TaskState::from),
                "{meta}"
            );
        }
        check(r#"{"status":"SUCCESS","result":4}"#, Some("SUCCESS"));
        check(r#"{"status": "FAILURE", "result": null}"#, Some("FAILURE"));
        check(r#"{"result": 1, "status": "PROGRESS"}"#, Some("PROGRESS"));
        check(r#"{"status":"A\"B"}"#, Some("A\"B"));
        check(r#"{"result": 1}"#, None);
        check(r#"{"status": 1}"#, None);
        check(r#"["SUCCESS"]"#, None);
        check("first", None);
        check("", None);
    }
}
