//! Facts and logs. They are read a page of [`PAGE`] at a time and expire by a time kept beside each, since
//! Redis' own expiry knows whole keys only; a sweep deletes what is over.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::Result;
use aipo_core::store::{Entry, Fence, StateStore};
use async_trait::async_trait;
use redis::{Cmd, Value};

use crate::handle::Handle;
use crate::reply;
use crate::script::{
    APPEND, CLAIM_FACT, ENTRIES, GET_FACTS, PUT_FACT, RELEASE_FACT, RENEW_FACT, SCAN_FACTS,
    SWEEP_FACTS, SWEEP_LOGS, SWEEP_MAILBOXES, Script,
};
use crate::time::duration_ms;

/// Facts that one step reads or deletes.
const PAGE: usize = 500;

pub(crate) struct RedisState(pub(crate) Arc<Handle>);

impl RedisState {
    fn call(&self, script: &Script) -> Cmd {
        let keys = &self.0.keys;
        let mut call = script.call(3);
        call.arg(keys.facts())
            .arg(keys.fact_names())
            .arg(keys.fact_expiries());
        call.arg(self.0.now());
        call
    }

    async fn run(&self, script: &Script, call: &Cmd) -> Result<Value> {
        script.run(&self.0.link, call).await
    }

    /// Runs a script that deletes up to [`PAGE`] things and says how many, until that is all.
    async fn sweep_by(&self, script: &Script, call: &Cmd) -> Result<u64> {
        let mut swept = 0;
        loop {
            let step = reply::count(&self.run(script, call).await?)?;
            swept += step;
            if step < PAGE as u64 {
                return Ok(swept);
            }
        }
    }
}

#[async_trait]
impl StateStore for RedisState {
    async fn put(&self, key: &str, value: Vec<u8>, ttl: Option<Duration>) -> Result<()> {
        let mut call = self.call(&PUT_FACT);
        call.arg(key).arg(value);
        match ttl {
            None => call.arg(""),
            Some(ttl) => call.arg(duration_ms(ttl)),
        };
        self.run(&PUT_FACT, &call).await.map(drop)
    }

    async fn claim(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<Option<Fence>> {
        let keys = &self.0.keys;
        let mut call = CLAIM_FACT.call(4);
        call.arg(keys.facts())
            .arg(keys.fact_names())
            .arg(keys.fact_expiries())
            .arg(keys.fence());
        call.arg(self.0.now())
            .arg(key)
            .arg(value)
            .arg(duration_ms(ttl));
        match self.run(&CLAIM_FACT, &call).await? {
            Value::Nil => Ok(None),
            number => Ok(Some(Fence(reply::count(&number)?))),
        }
    }

    async fn renew(&self, key: &str, fence: Fence, value: Vec<u8>, ttl: Duration) -> Result<bool> {
        let mut call = self.call(&RENEW_FACT);
        call.arg(key).arg(value).arg(duration_ms(ttl)).arg(fence.0);
        Ok(reply::int(&self.run(&RENEW_FACT, &call).await?)? == 1)
    }

    async fn release(&self, key: &str, fence: Fence) -> Result<bool> {
        let mut call = self.call(&RELEASE_FACT);
        call.arg(key).arg(fence.0);
        Ok(reply::int(&self.run(&RELEASE_FACT, &call).await?)? == 1)
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = self.call(&GET_FACTS);
        call.arg(keys);
        let values = reply::array(self.run(&GET_FACTS, &call).await?)?;
        values.into_iter().map(reply::bytes_or_nil).collect()
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let mut call = self.call(&RELEASE_FACT);
        call.arg(key).arg("");
        self.run(&RELEASE_FACT, &call).await.map(drop)
    }

    async fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        // Names are UTF-8, in which no byte is 0xff, so it stands behind all that begin with the prefix.
        let upper = match prefix {
            "" => b"+".to_vec(),
            _ => [b"(", prefix.as_bytes(), b"\xff"].concat(),
        };
        let mut lower = [b"[", prefix.as_bytes()].concat();
        let mut facts = Vec::new();
        loop {
            let mut call = self.call(&SCAN_FACTS);
            call.arg(&lower).arg(&upper).arg(PAGE);
            let mut page = reply::array(self.run(&SCAN_FACTS, &call).await?)?.into_iter();
            let last = page.next().map(reply::bytes_or_nil).transpose()?.flatten();
            while let (Some(name), Some(value)) = (page.next(), page.next()) {
                facts.push((reply::text(name)?, reply::bytes(value)?));
            }
            match last {
                Some(last) => lower = [b"(", &*last].concat(),
                None => return Ok(facts),
            }
        }
    }

    async fn append(&self, log: &str, values: Vec<Vec<u8>>, ttl: Duration) -> Result<u64> {
        let keys = &self.0.keys;
        let mut call = APPEND.call(3);
        call.arg(keys.log(log))
            .arg(keys.log_number(log))
            .arg(keys.log_expiries());
        call.arg(self.0.now()).arg(log).arg(duration_ms(ttl));
        call.arg(values);
        reply::count(&self.run(&APPEND, &call).await?)
    }

    async fn entries(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Entry>> {
        let key = self.0.keys.log(log);
        let mut after = after.to_string();
        let mut entries = Vec::new();
        while entries.len() < limit {
            let mut call = ENTRIES.call(1);
            call.arg(&key).arg(self.0.now()).arg(&after);
            call.arg(PAGE.min(limit - entries.len()));
            let mut page = reply::array(self.run(&ENTRIES, &call).await?)?.into_iter();
            let last = page.next().map(reply::bytes_or_nil).transpose()?.flatten();
            while let (Some(number), Some(value)) = (page.next(), page.next()) {
                entries.push(Entry {
                    number: reply::number(number)?,
                    value: reply::bytes(value)?,
                });
            }
            match last {
                Some(last) => after = String::from_utf8_lossy(&last).into_owned(),
                None => break,
            }
        }
        Ok(entries)
    }

    async fn sweep(&self) -> Result<u64> {
        let keys = &self.0.keys;
        let mut facts = self.call(&SWEEP_FACTS);
        facts.arg(PAGE);
        let mut logs = SWEEP_LOGS.call(1);
        logs.arg(keys.log_expiries()).arg(self.0.now());
        logs.arg(PAGE).arg(keys.log_prefix());
        let mut mailboxes = SWEEP_MAILBOXES.call(1);
        mailboxes.arg(keys.mailboxes()).arg(keys.prefix());
        mailboxes.arg(keys.sep()).arg(PAGE);
        Ok(self.sweep_by(&SWEEP_FACTS, &facts).await?
            + self.sweep_by(&SWEEP_LOGS, &logs).await?
            + self.sweep_by(&SWEEP_MAILBOXES, &mailboxes).await?)
    }
}
