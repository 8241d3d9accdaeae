//! Events: what workers, tasks and senders tell of themselves.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{TRANSIENT, body, envelope};
use crate::error::Result;
use crate::message::Envelope;
use crate::store::{Address, Notice};

/// The routing key of many task events told together.
pub const TASK_MULTI: &str = "task.multi";

/// How many task events are told together at most. Celery's buffer has 24.
pub const EVENTS_IN_A_NOTICE: usize = 100;

/// Something that happened, told by whom it happened to.
///
/// Wire: a JSON map. Celery's `utcoffset` is left out on purpose: its receivers shift the timestamp by
/// it, although that is absolute already, and leave an event without one alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What: `task-succeeded`, `worker-heartbeat`; `task-` and anything for a task's own.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who tells: a node name, or `gen{pid}@{host}` of a sender.
    pub hostname: String,
    /// When, in seconds since 1970.
    pub timestamp: f64,
    /// The process that tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its Lamport clock.
    #[serde(default)]
    pub clock: u64,
    /// What else there is to tell: `uuid`, the task's id, and what goes with the type.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Event {
    /// The id of the task that it is about.
    pub fn uuid(&self) -> Option<&str> {
        self.fields.get("uuid").and_then(Value::as_str)
    }

    /// Whether it is about a task.
    pub fn is_task(&self) -> bool {
        self.kind.starts_with("task-")
    }

    /// The key under which it is told: the type with dots.
    pub fn routing_key(&self) -> String {
        self.kind.replace('-', ".")
    }
}

/// One event, or many task events, on their way: one goes as a map under its own key, several as a list
/// under [`TASK_MULTI`].
pub fn events_notice(exchange: &str, events: &[Event]) -> Notice {
    let hostname = events.first().map(|event| event.hostname.as_str());
    let headers = json!({ "hostname": hostname });
    let (routing_key, envelope) = match events {
        [event] if !event.is_task() => (event.routing_key(), envelope(headers, event, TRANSIENT)),
        events => (TASK_MULTI.to_owned(), envelope(headers, &events, TRANSIENT)),
    };
    Notice {
        to: Address::Everybody {
            exchange: exchange.to_owned(),
            routing_key,
        },
        envelope,
    }
}

/// Understands one event or a list of them, whatever key they came under. What is no event in a list is
/// left out.
///
/// # Errors
/// [`ErrorKind::Codec`](crate::ErrorKind::Codec) when it is neither.
pub fn decode_events(envelope: &Envelope) -> Result<Vec<Event>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Told {
        One(Event),
        Many(Vec<Value>),
    }

    Ok(match body(envelope)? {
        Told::One(event) => vec![event],
        Told::Many(events) => events
            .into_iter()
            .filter_map(|event| serde_json::from_value(event).ok())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Celery 5.7 told it.
    const SUCCEEDED: &str = r#"{"hostname": "w1@h", "utcoffset": 0.0, "pid": 24418, "clock": 38, "uuid": "58a0b9c4",
        "result": "5", "runtime": 0.003708886000026723, "timestamp": 1795184953.321632, "type": "task-succeeded"}"#;
    const HEARTBEAT: &str = r#"{"hostname": "w1@h", "utcoffset": 0.0, "pid": 24418, "clock": 2, "freq": 2.0,
        "active": 0, "processed": 0, "loadavg": [2.34, 1.82, 0.84], "sw_ident": "py-celery", "sw_ver": "5.7.0",
        "sw_sys": "Linux", "timestamp": 1795184920.0207639, "type": "worker-heartbeat"}"#;

    fn told(body: &str) -> Envelope {
        Envelope {
            body: body.as_bytes().to_vec(),
            ..Envelope::default()
        }
    }

    #[test]
    fn events_of_celery_are_understood_one_by_one_and_in_lists() {
        let many = decode_events(&told(&format!("[{SUCCEEDED}, 7, {SUCCEEDED}]"))).expect("events");
        assert_eq!(many.len(), 2);
        assert_eq!(many[0].uuid(), Some("58a0b9c4"));
        assert_eq!((many[0].clock, many[0].pid), (38, Some(24418)));
        assert_eq!(many[0].fields["runtime"], 0.003_708_886_000_026_723);
        let one = decode_events(&told(HEARTBEAT)).expect("an event");
        assert_eq!(one[0].kind, "worker-heartbeat");
        assert_eq!(one[0].fields["loadavg"], json!([2.34, 1.82, 0.84]));
        for bad in ["", "7", "{}", "[", r#"{"type": "x"}"#] {
            assert!(decode_events(&told(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn task_events_go_as_a_list_and_others_alone() {
        let event = |text: &str| decode_events(&told(text)).expect("an event").remove(0);
        let key = |events: &[Event]| match events_notice("celeryev", events).to {
            Address::Everybody { routing_key, .. } => routing_key,
            other => panic!("{other:?} is not everybody"),
        };
        assert_eq!(key(&[event(HEARTBEAT)]), "worker.heartbeat");
        assert_eq!(key(&[event(SUCCEEDED)]), "task.multi");
        let events = [event(SUCCEEDED), event(SUCCEEDED)];
        let notice = events_notice("celeryev", &events);
        assert_eq!(decode_events(&notice.envelope).expect("events"), events);
        assert_eq!(notice.envelope.headers, br#"{"hostname":"w1@h"}"#);
        assert_eq!(notice.envelope.properties.delivery_mode, 1);
    }
}
