//! What a task says of its retry, and the message that comes of it.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::error::Failure;
use super::parameters::Parameters;
use crate::id::QueueName;
use crate::message::{Body, Kwargs, TaskMessage, TimeLimit, repr_kwargs, repr_tuple};
use crate::signature::When;

/// How a retry differs from the run that asks for it: the arguments of Celery's `Task.retry`. What is
/// not said stays as it was.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Retry {
    /// When it runs; the task's options decide when `None`. Celery's `countdown` and `eta`.
    pub when: Option<When>,
    /// Why, and what it fails with when there are no retries left. Celery's `exc`.
    pub failure: Option<Failure>,
    /// How many retries there are, instead of the task's own.
    pub max_retries: Option<u32>,
    /// Other positional arguments. Named ones stay, except those whose places are taken now.
    pub args: Option<Vec<Value>>,
    /// Other named arguments, instead of all the old ones. Positional ones stay, except that one which
    /// is named here is replaced.
    pub kwargs: Option<Map<String, Value>>,
    /// Until when it may start.
    pub expires: Expires,
    /// Another queue.
    pub queue: Option<QueueName>,
    /// Another priority.
    pub priority: Option<u8>,
    /// Another hard limit of its run time.
    pub time_limit: Option<Duration>,
    /// Another soft limit.
    pub soft_time_limit: Option<Duration>,
    /// Whether its result is not stored.
    pub ignore_result: Option<bool>,
    /// Headers of the application's own, beside those that it has.
    pub headers: Map<String, Value>,
}

/// Until when a retry may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expires {
    /// As before.
    #[default]
    Kept,
    /// For ever.
    Never,
    /// This long after the retry is sent, or until that moment.
    By(When),
}

/// What the next message is made from, beside the one before and what the task says.
#[derive(Debug, Clone, Copy)]
pub struct NextRun {
    /// The parameters of the task, which tell positional and named arguments apart.
    pub parameters: Parameters,
    /// Whether this run's result is ignored: a choice outlives the retry.
    pub ignore_result: bool,
    /// The moment of the send.
    pub now: Timestamp,
}

impl Retry {
    /// The message of the next run. The parent of a task that has none is the task itself.
    pub fn message(self, mut message: TaskMessage, next: &NextRun) -> TaskMessage {
        if self.args.is_some() || self.kwargs.is_some() {
            self.replace_arguments(&mut message, &next.parameters);
        }
        let headers = &mut message.headers;
        headers.retries = headers.retries.saturating_add(1);
        headers.eta = match self.when {
            // Celery sends what has not to wait without a time.
            None | Some(When::In(Duration::ZERO)) => None,
            Some(when) => Some(when.resolve(next.now).into()),
        };
        match self.expires {
            Expires::Kept => {}
            Expires::Never => headers.expires = None,
            Expires::By(when) => headers.expires = Some(when.resolve(next.now).into()),
        }
        let limits = TimeLimit::new(self.time_limit, self.soft_time_limit);
        headers.timelimit.0 = limits.0.or(headers.timelimit.0.take());
        headers.timelimit.1 = limits.1.or(headers.timelimit.1.take());
        headers.parent_id.get_or_insert_with(|| headers.id.clone());
        headers.ignore_result = Some(self.ignore_result.unwrap_or(next.ignore_result));
        // That one tells of the message before, not of this one.
        headers.custom.remove(REDELIVERED);
        headers.custom.extend(self.headers);

        let properties = &mut message.properties;
        let left = headers
            .expires
            .as_ref()
            .map(|at| at.timestamp().duration_since(next.now));
        properties.expiration = left.map(|left| left.as_millis().max(0).to_string());
        properties.priority = self.priority.unwrap_or(properties.priority);
        message
    }

    /// Puts the new arguments into the body. One that can't be read, which no task has run with, stays.
    fn replace_arguments(&self, message: &mut TaskMessage, parameters: &Parameters) {
        let Ok(Body(old_args, old_kwargs, embed)) = Body::parse(&message.body) else {
            return;
        };
        let new_args: Option<Vec<_>> = self
            .args
            .as_ref()
            .map(|args| args.iter().map(raw).collect());
        let new_kwargs: Option<Vec<_>> = self.kwargs.as_ref().map(|kwargs| {
            let named = kwargs.iter();
            named
                .map(|(name, value)| (name.as_str(), raw(value)))
                .collect()
        });

        let mut args: Vec<&RawValue> = match &new_args {
            Some(args) => args.iter().map(|value| &**value).collect(),
            None => old_args,
        };
        let mut kwargs: Vec<(Cow<'_, str>, &RawValue)> = match &new_kwargs {
            Some(kwargs) => kwargs
                .iter()
                .map(|(name, value)| (Cow::Borrowed(*name), &**value))
                .collect(),
            None => old_kwargs.0,
        };
        let given = args.len();
        let by_position = |name: &str| parameters.position(name).filter(|at| *at < given);
        match (&new_args, &new_kwargs) {
            (Some(_), None) => kwargs.retain(|(name, _)| by_position(name).is_none()),
            (None, Some(_)) => kwargs.retain(|(name, value)| match by_position(name) {
                Some(at) => {
                    args[at] = value;
                    false
                }
                None => true,
            }),
            _ => {}
        }

        let body = Body(args, Kwargs(kwargs), embed);
        let (args, kwargs) = body.values();
        message.headers.argsrepr = Some(repr_tuple(&args));
        message.headers.kwargsrepr = Some(repr_kwargs(&kwargs));
        message.body = body.encode();
    }
}

/// The header by which a transport tells that a message was delivered before.
pub const REDELIVERED: &str = "redelivered";

fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).expect("a value is JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::parameters::Parameter;
    use super::*;
    use crate::message::{Headers, Properties, WireTime};

    const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

    const fn parameter(name: &'static str) -> Parameter {
        Parameter {
            name,
            required: true,
        }
    }

    const NEXT: NextRun = NextRun {
        parameters: Parameters {
            positional: &[parameter("foo"), parameter("bar"), parameter("label")],
            ..Parameters::NONE
        },
        ignore_result: false,
        now: NOW,
    };

    fn message(body: Value) -> TaskMessage {
        let mut headers = Headers::new("app.tasks.t", "id".into());
        headers.expires = WireTime::parse("2026-01-01T01:00:00");
        headers.custom.insert("x-own".to_owned(), "kept".into());
        TaskMessage {
            headers,
            properties: Properties {
                priority: 3,
                reply_to: Some("sender".to_owned()),
                ..Properties::default()
            },
            body: body.to_string().into_bytes(),
            has_full_headers: true,
        }
    }

    fn next(retry: Retry) -> TaskMessage {
        let message = message(json!([[1, 2], {}, {}]));
        retry.message(message, &NEXT)
    }

    /// Old arguments, what a retry says of them, new arguments.
    #[track_caller]
    fn check(old: Value, args: Option<Value>, kwargs: Option<Value>, new: Value) {
        let retry = Retry {
            args: args.map(|args| serde_json::from_value(args).expect("a list")),
            kwargs: kwargs.map(|kwargs| serde_json::from_value(kwargs).expect("a map")),
            ..Retry::default()
        };
        let message = retry.message(message(old), &NEXT);
        let body: Value = serde_json::from_slice(&message.body).expect("JSON");
        assert_eq!(json!([body[0], body[1]]), new);
        let (args, kwargs) = Body::parse(&message.body).expect("a body").values();
        assert_eq!(message.headers.argsrepr, Some(repr_tuple(&args)));
        assert_eq!(message.headers.kwargsrepr, Some(repr_kwargs(&kwargs)));
    }

    #[test]
    fn new_arguments_take_the_places_of_old_ones() {
        let by_name = json!([[], {"foo": 1, "bar": 2, "label": "kept"}, {}]);
        check(
            by_name.clone(),
            Some(json!([2, 3])),
            None,
            json!([[2, 3], {"label": "kept"}]),
        );
        check(
            by_name,
            None,
            Some(json!({"foo": 5})),
            json!([[], {"foo": 5}]),
        );
        let by_position = json!([[1, 2], {"label": "old"}, {}]);
        check(
            by_position.clone(),
            None,
            Some(json!({"foo": 7})),
            json!([[7, 2], {}]),
        );
        check(
            by_position.clone(),
            None,
            Some(json!({"label": "new"})),
            json!([[1, 2], {"label": "new"}]),
        );
        check(
            by_position.clone(),
            Some(json!([])),
            None,
            json!([[], {"label": "old"}]),
        );
        check(
            by_position,
            Some(json!([9])),
            Some(json!({"bar": 8})),
            json!([[9], {"bar": 8}]),
        );
    }

    #[test]
    fn old_arguments_pass_as_they_came() {
        let big = "[[123456789012345678901234567890, 1], {}, {}]";
        let retry = Retry {
            kwargs: Some(Map::from_iter([("bar".to_owned(), 2.into())])),
            ..Retry::default()
        };
        let old = TaskMessage {
            body: big.into(),
            ..message(Value::Null)
        };
        let new = retry.message(old, &NEXT);
        let body = String::from_utf8(new.body).expect("JSON");
        assert!(
            body.starts_with("[[123456789012345678901234567890,2],{},"),
            "{body}"
        );
    }

    #[test]
    fn what_is_not_said_stays() {
        let old = message(json!([[1, 2], {}, {}]));
        let new = next(Retry::default());
        assert_eq!(new.body, old.body);
        assert_eq!(new.properties.priority, 3);
        assert_eq!(new.properties.reply_to.as_deref(), Some("sender"));
        assert_eq!(new.properties.expiration.as_deref(), Some("3600000"));
        let expected = Headers {
            retries: 1,
            parent_id: Some("id".into()),
            ignore_result: Some(false),
            ..old.headers
        };
        assert_eq!(new.headers, expected);
    }

    #[test]
    fn the_parent_of_a_task_that_has_one_stays() {
        let mut old = message(json!([[], {}, {}]));
        old.headers.parent_id = Some("parent".into());
        let new = Retry::default().message(old, &NEXT);
        assert_eq!(new.headers.parent_id, Some("parent".into()));
    }

    #[test]
    fn a_time_is_sent_only_where_there_is_something_to_wait_for() {
        let eta = |when| {
            let retry = Retry {
                when,
                ..Retry::default()
            };
            next(retry).headers.eta.map(|eta| eta.timestamp())
        };
        assert_eq!(eta(None), None);
        assert_eq!(eta(Some(When::In(Duration::ZERO))), None);
        let later = NOW + Duration::from_secs(5);
        assert_eq!(eta(Some(When::In(Duration::from_secs(5)))), Some(later));
        assert_eq!(eta(Some(When::At(later))), Some(later));
    }

    #[test]
    fn a_retry_changes_what_it_says() {
        let new = next(Retry {
            expires: Expires::Never,
            priority: Some(9),
            time_limit: Some(Duration::from_secs(8)),
            ignore_result: Some(true),
            headers: Map::from_iter([("x-more".to_owned(), 1.into())]),
            ..Retry::default()
        });
        assert_eq!(new.headers.expires, None);
        assert_eq!(new.properties.expiration, None);
        assert_eq!(new.properties.priority, 9);
        assert_eq!(new.headers.timelimit.0, Some(8.into()));
        assert_eq!(new.headers.ignore_result, Some(true));
        let custom = json!({"x-own": "kept", "x-more": 1});
        assert_eq!(Value::Object(new.headers.custom), custom);

        let by = Expires::By(When::In(Duration::from_secs(60)));
        let new = next(Retry {
            expires: by,
            ..Retry::default()
        });
        assert_eq!(new.properties.expiration.as_deref(), Some("60000"));
    }
}
