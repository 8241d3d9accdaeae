//! The names of all keys.
//!
//! Celery's own, which Python programs share:
//!
//! | key | type | content |
//! |---|---|---|
//! | `{queue}`, `{queue}` sep `{step}` | list | messages by priority step, the newest on the left |
//! | `_kombu.binding.{queue}`, `_kombu.binding_permanent.{queue}` | set | the queue's binding |
//! | `_kombu.binding.{exchange}` | set | the bindings of its mailboxes, `{routing key}` sep sep `{queue}` |
//! | `_kombu.binding_deadlines` | zset | exchanges of mailboxes, by the time when their bindings are over |
//! | `{routing key}.{exchange}` | list | a mailbox |
//! | `/{db}.{exchange}`, `/{db}.{exchange}/{routing key}` | channel | notices to everybody |
//! | `celery-task-meta-{id}` | string | a result; also the channel that tells of it |
//! | `celery-taskset-meta-{group}` | string | how the results of a chord are nested, or a saved group |
//! | `celery-taskset-meta-{group}.s`, `.t` | string | how many parts a chord has, and how many came to it later |
//! | `celery-taskset-meta-{group}.j`, `.d` | zset, set | its parts that are done, by place; which were counted |
//! | `celery-taskset-meta-{group}.c` | string | who goes on with a complete chord: a token of a Python worker's, `aipo`, or `done` |
//!
//! And aipo's, which nobody else knows:
//!
//! | key | type | content |
//! |---|---|---|
//! | `aipo:queues` | set | the queues that exist |
//! | `aipo:consumers` | zset | id of a consumer, by the end of its lease |
//! | `aipo:consumer:{id}` | hash | `name`, `steps`, `queue:{n}`, `list:{lane}`, `floor`; what it holds as `{lane}:{started}:{number}`, `started:{number}` for what was started later, `parked:{number}` for what was parked when it was claimed |
//! | `aipo:parked:{queue}` | zset | messages that are not due, by due time |
//! | `aipo:parked-number` | string | the number of the last parked message |
//! | `aipo:dead`, `aipo:dead:{queue}` | zset | ids of dead letters: all, and of one queue |
//! | `aipo:dead-id` | string | the id of the last dead letter |
//! | `aipo:letter:{id}` | hash | a dead letter |
//! | `aipo:facts`, `aipo:fact-names`, `aipo:fact-expiries` | hash, zset, zset | the state store |
//! | `aipo:fence` | string | the number of the last claim |
//! | `aipo:log:{name}` | zset | the entries of a log as `{expiry}:{number}:{value}`, by number |
//! | `aipo:log-number:{name}` | string | the number of the last entry of a log |
//! | `aipo:log-expiries` | zset | entries of all logs as `{number}:{name}`, by expiry |
//! | `aipo:chords` | zset | groups of complete chords that aipo workers go on with, by the time from which they can be taken |
//! | `aipo:chord:{group}` | string | what to do when a chord is complete |
//! | `aipo:mailboxes` | zset | open mailboxes as `{exchange}` sep `{routing key}`, by the time when they are over |
//! | `aipo:state:{result}` | string | the state of a result whose bytes do not tell it |
//! | `aipo:result-expiries`, `aipo:chord-expiries` | zset | only with a clock of the store's own |

use aipo_core::{QueueName, TaskId};

use crate::config::RedisOptions;

pub(crate) struct Keys {
    prefix: String,
    result_prefix: String,
    sep: String,
    /// In front of the exchange in the names of channels.
    channel_prefix: String,
    /// The priorities that have lists, rising from 0.
    pub(crate) steps: Vec<u8>,
}

macro_rules! fixed_keys {
    ($($name:ident = $key:literal;)+) => {$(
        pub(crate) fn $name(&self) -> String {
            format!("{}{}", self.prefix, $key)
        }
    )+};
}

impl Keys {
    pub(crate) fn new(options: &RedisOptions) -> Self {
        let prefix = options.global_keyprefix.clone();
        let mut result_prefix = options
            .result_keyprefix
            .clone()
            .unwrap_or_else(|| prefix.clone());
        if !result_prefix.is_empty() && !result_prefix.ends_with([':', '_', '-', '.']) {
            result_prefix.push('_');
        }
        let db = options.db.to_string();
        Self {
            channel_prefix: prefix.clone() + &options.fanout_prefix.replace("{db}", &db),
            prefix,
            result_prefix,
            sep: options.sep.clone(),
            steps: options.priority_steps.clone(),
        }
    }

    fixed_keys! {
        queues = "aipo:queues";
        consumers = "aipo:consumers";
        consumer_prefix = "aipo:consumer:";
        parked_number = "aipo:parked-number";
        dead = "aipo:dead";
        dead_id = "aipo:dead-id";
        letter_prefix = "aipo:letter:";
        facts = "aipo:facts";
        fact_names = "aipo:fact-names";
        fact_expiries = "aipo:fact-expiries";
        fence = "aipo:fence";
        log_prefix = "aipo:log:";
        log_expiries = "aipo:log-expiries";
        binding_deadlines = "_kombu.binding_deadlines";
        mailboxes = "aipo:mailboxes";
        note_prefix = "aipo:state:";
        result_expiries = "aipo:result-expiries";
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn sep(&self) -> &str {
        &self.sep
    }

    pub(crate) fn consumer(&self, id: &str) -> String {
        format!("{}aipo:consumer:{id}", self.prefix)
    }

    pub(crate) fn parked(&self, queue: &QueueName) -> String {
        format!("{}aipo:parked:{queue}", self.prefix)
    }

    pub(crate) fn dead_of(&self, queue: &QueueName) -> String {
        format!("{}aipo:dead:{queue}", self.prefix)
    }

    pub(crate) fn log(&self, name: &str) -> String {
        format!("{}aipo:log:{name}", self.prefix)
    }

    pub(crate) fn log_number(&self, name: &str) -> String {
        format!("{}aipo:log-number:{name}", self.prefix)
    }

    pub(crate) fn result(&self, id: &TaskId) -> String {
        format!("{}celery-task-meta-{id}", self.result_prefix)
    }

    /// In front of a group's name in the keys of Celery's backend.
    pub(crate) fn group_prefix(&self) -> String {
        format!("{}celery-taskset-meta-", self.result_prefix)
    }

    /// The list of a queue for one of the steps.
    pub(crate) fn list(&self, queue: &QueueName, step: u8) -> String {
        match step {
            0 => format!("{}{queue}", self.prefix),
            _ => format!("{}{queue}{}{step}", self.prefix, self.sep),
        }
    }

    /// All lists of a queue, the most urgent first.
    pub(crate) fn lists(&self, queue: &QueueName) -> impl Iterator<Item = String> {
        self.steps.iter().map(move |step| self.list(queue, *step))
    }

    /// The step that a priority counts as: the largest one that is not above it.
    pub(crate) fn step(&self, priority: u8) -> u8 {
        let reached = self.steps.iter().take_while(|step| **step <= priority);
        *reached
            .last()
            .expect("the options were checked: the first step is 0")
    }

    /// A queue's member in Celery's tables of bindings: routing key, pattern, queue.
    pub(crate) fn binding(&self, queue: &QueueName) -> String {
        format!("{queue}{sep}{sep}{queue}", sep = self.sep)
    }

    pub(crate) fn bindings(&self, queue: &QueueName) -> [String; 2] {
        ["_kombu.binding", "_kombu.binding_permanent"]
            .map(|table| format!("{}{table}.{queue}", self.prefix))
    }

    /// The table of bindings of an exchange whose queues come and go.
    pub(crate) fn exchange(&self, exchange: &str) -> String {
        format!("{}_kombu.binding.{exchange}", self.prefix)
    }

    /// The channel of what is told to everybody.
    pub(crate) fn channel(&self, exchange: &str, routing_key: &str) -> String {
        match routing_key {
            "" => format!("{}{exchange}", self.channel_prefix),
            _ => format!("{}{exchange}/{routing_key}", self.channel_prefix),
        }
    }
}

/// The message in a member of a zset of parked ones; number and step stand in front of it.
pub(crate) fn parked_message(member: &[u8]) -> &[u8] {
    member
        .splitn(3, |byte| *byte == b':')
        .nth(2)
        .unwrap_or_default()
}

/// The step in such a member.
pub(crate) fn parked_step(member: &[u8]) -> Option<u8> {
    let step = member.splitn(3, |byte| *byte == b':').nth(1)?;
    std::str::from_utf8(step).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(url: &str) -> Keys {
        Keys::new(&RedisOptions::from_url(url).expect(url))
    }

    #[test]
    fn keys_are_named_as_celery_names_them() {
        let keys = keys("redis://");
        let queue = QueueName::from("celery");

        let lists: Vec<String> = keys.lists(&queue).collect();
        let priorities = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255];

        assert_eq!(
            lists,
            [
                "celery",
                "celery\x06\x163",
                "celery\x06\x166",
                "celery\x06\x169"
            ]
        );
        assert_eq!(
            priorities.map(|priority| keys.step(priority)),
            [0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9]
        );
        assert_eq!(keys.binding(&queue), "celery\x06\x16\x06\x16celery");
        assert_eq!(
            keys.bindings(&queue),
            ["_kombu.binding.celery", "_kombu.binding_permanent.celery"]
        );
        assert_eq!(keys.result(&"a".into()), "celery-task-meta-a");
    }

    #[test]
    fn a_prefix_stands_in_front_of_everything() {
        let keys = keys("redis://?global_keyprefix=app&sep=:&priority_steps=0,9");
        let queue = QueueName::from("q");

        assert_eq!(keys.lists(&queue).collect::<Vec<_>>(), ["appq", "appq:9"]);
        assert_eq!(keys.bindings(&queue)[0], "app_kombu.binding.q");
        assert_eq!(keys.consumers(), "appaipo:consumers");
        assert_eq!(keys.result(&"a".into()), "app_celery-task-meta-a");
    }

    #[test]
    fn results_may_have_a_prefix_of_their_own() {
        for (prefix, key) in [
            ("", "celery-task-meta-a"),
            ("r", "r_celery-task-meta-a"),
            ("r.", "r.celery-task-meta-a"),
        ] {
            let keys = keys(&format!(
                "redis://?global_keyprefix=app:&result_keyprefix={prefix}"
            ));
            assert_eq!(keys.result(&"a".into()), key);
        }
    }
}
