//! Commands with answers of a type.

use std::collections::BTreeMap;
use std::time::Duration;

use aipo_core::Result;
use aipo_core::TaskId;
use aipo_core::control::{ScheduledTask, TaskInfo};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Answers, Control};

/// What a worker says of a command: what it does, or why it does not.
pub type Said = Result<String, String>;

impl Control {
    /// The nodes that are there; a name that comes twice belongs to two workers.
    ///
    /// # Errors
    /// What the store answers; so for all commands here.
    pub async fn ping(&self) -> Result<Vec<String>> {
        let mut replies = self.open("ping", Value::Null).await?;
        let mut nodes = Vec::new();
        while let Some(reply) = replies.next().await? {
            nodes.push(reply.node);
        }
        nodes.sort();
        Ok(nodes)
    }

    /// The tasks that run.
    pub async fn active(&self) -> Result<Answers<Vec<TaskInfo>>> {
        self.read("active", Value::Null).await
    }

    /// The tasks that wait in a worker for a free slot.
    pub async fn reserved(&self) -> Result<Answers<Vec<TaskInfo>>> {
        self.read("reserved", Value::Null).await
    }

    /// The tasks that wait for their time. aipo keeps them in the store, so every worker of a queue tells the same.
    pub async fn scheduled(&self) -> Result<Answers<Vec<ScheduledTask>>> {
        self.read("scheduled", Value::Null).await
    }

    /// The names of the tasks that the workers know.
    pub async fn registered(&self) -> Result<Answers<Vec<String>>> {
        let mut answers: Answers<Vec<String>> = self.read("registered", Value::Null).await?;
        for name in answers.values_mut().flatten() {
            // Options may follow in brackets.
            if let Some(end) = name.find(" [") {
                name.truncate(end);
            }
        }
        Ok(answers)
    }

    /// The tasks that are revoked by their id.
    pub async fn revoked(&self) -> Result<Answers<Vec<TaskId>>> {
        self.read("revoked", Value::Null).await
    }

    /// Process, pool, counts and more; see the table in `docs/control.md`.
    pub async fn stats(&self) -> Result<Answers<Map<String, Value>>> {
        self.read("stats", Value::Null).await
    }

    /// Where these tasks are, as far as workers know: `active`, `reserved` or `scheduled`.
    pub async fn query_task(
        &self,
        ids: &[TaskId],
    ) -> Result<Answers<BTreeMap<TaskId, (String, TaskInfo)>>> {
        self.read("query_task", json!({ "ids": ids })).await
    }

    /// Limits how often a task may start in each worker: `"10/m"`; `"0"` is no limit.
    pub async fn rate_limit(&self, task: &str, limit: &str) -> Result<Answers<Said>> {
        let arguments = json!({ "task_name": task, "rate_limit": limit });
        self.order("rate_limit", arguments).await
    }

    /// Limits how long a task may run.
    pub async fn time_limit(
        &self,
        task: &str,
        soft: Option<Duration>,
        hard: Option<Duration>,
    ) -> Result<Answers<Said>> {
        let secs = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64());
        let arguments = json!({ "task_name": task, "soft": secs(soft), "hard": secs(hard) });
        self.order("time_limit", arguments).await
    }

    /// Lets workers take from one more queue.
    pub async fn add_consumer(&self, queue: &str) -> Result<Answers<Said>> {
        self.order("add_consumer", json!({ "queue": queue })).await
    }

    /// Lets workers take from a queue no more.
    pub async fn cancel_consumer(&self, queue: &str) -> Result<Answers<Said>> {
        self.order("cancel_consumer", json!({ "queue": queue }))
            .await
    }

    /// Lets workers run so many more tasks at the same time.
    pub async fn pool_grow(&self, by: usize) -> Result<Answers<Said>> {
        self.order("pool_grow", json!({ "n": by })).await
    }

    /// Lets workers run so many fewer tasks at the same time, but at least one.
    pub async fn pool_shrink(&self, by: usize) -> Result<Answers<Said>> {
        self.order("pool_shrink", json!({ "n": by })).await
    }

    /// Lets workers tell what happens to their tasks.
    pub async fn enable_events(&self) -> Result<Answers<Said>> {
        self.order("enable_events", Value::Null).await
    }

    /// Lets workers tell it no more.
    pub async fn disable_events(&self) -> Result<Answers<Said>> {
        self.order("disable_events", Value::Null).await
    }

    /// Stops workers warm. They don't answer.
    pub async fn shutdown(&self) -> Result<()> {
        self.tell("shutdown", Value::Null).await
    }

    /// Asks for what has a type of its own. Who answers something else is left out, with a line in the log.
    async fn read<T: DeserializeOwned>(
        &self,
        method: &str,
        arguments: Value,
    ) -> Result<Answers<T>> {
        let mut answers = Answers::new();
        for (node, value) in self.ask(method, arguments).await? {
            match T::deserialize(&value) {
                Ok(answer) => _ = answers.insert(node, answer),
                Err(error) => {
                    tracing::warn!(node, method, %error, %value, "an answer is not understood");
                }
            }
        }
        Ok(answers)
    }

    /// Gives a command that is answered with `ok` or `error`.
    async fn order(&self, method: &str, arguments: Value) -> Result<Answers<Said>> {
        let said = |value: Value| match (value.get("ok"), value.get("error")) {
            (Some(text), _) => Ok(plain(text)),
            (None, Some(text)) => Err(plain(text)),
            (None, None) => Err(value.to_string()),
        };
        let answers = self.ask(method, arguments).await?;
        Ok(answers
            .into_iter()
            .map(|(node, value)| (node, said(value)))
            .collect())
    }
}

fn plain(text: &Value) -> String {
    text.as_str()
        .map_or_else(|| text.to_string(), str::to_owned)
}
