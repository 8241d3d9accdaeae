//! Step 13 of a task's life: what follows from an outcome. Pure: facts in, decision out.
//!
//! Before it: the worker's `run` step, or its `gate` for a task that never ran. After it: the worker's
//! `settle` step carries the decision out.
//!
//! | outcome | stored | message |
//! |---|---|---|
//! | success | `SUCCESS` | done |
//! | failure, no retry | `FAILURE` | done |
//! | failure with retry, retry | `RETRY` | a new one with the same id, later |
//! | retry, none left | `FAILURE` | done |
//! | ignore | – | done |
//! | replace | – | done; what replaces it is sent |
//! | reject | `FAILURE` | dead letter |
//! | reject with requeue | – | the same once more, at the end of its queue; done when it was acknowledged before it ran |
//! | hard time limit | `FAILURE` | done |
//! | revoked, expired | `REVOKED` | done |
//! | unknown task, undecodable, worker lost too often | `FAILURE` | dead letter |
//! | not due yet, which no broker knew | – | parked until it is |
//! | interrupted | – | back to the front of its queue |

use std::fmt;

use serde_json::value::RawValue;

use super::again::Retry;
use super::error::Failure;
use super::options::Policy;
use super::outcome::Outcome;
use crate::canvas::Canvas;
use crate::message::{TimeLimit, Undecodable};
use crate::signature::When;
use crate::state::TaskState;
use crate::store::Verdict;

/// What a decision is made from, beside the outcome.
pub struct Facts<'a> {
    /// The name of the task, for messages.
    pub task: &'a str,
    /// Its id, for messages.
    pub id: &'a str,
    /// Its arguments, for messages.
    pub arguments: &'a dyn fmt::Display,
    /// How often it was retried already.
    pub retries: u32,
    /// The options that hold for this message.
    pub policy: &'a Policy,
    /// A random number from 0 up to 1, for jitter.
    pub random: f64,
}

/// What follows.
#[derive(Debug)]
pub struct Decision {
    /// The state that the task is in now; `None` where the delivery leaves no trace.
    pub state: Option<TaskState>,
    /// What that state tells.
    pub value: Stored,
    /// Whether state and value are stored.
    pub store: bool,
    /// Whether the task is sent again, with what it says of that; the time is always told.
    pub retry: Option<Box<Retry>>,
    /// Whether its message is sent anew, as it is.
    pub requeue: bool,
    /// What is put in its place.
    pub replace: Option<Box<Canvas>>,
    /// What becomes of the message.
    pub verdict: Verdict,
}

/// The value that goes with a state.
#[derive(Debug)]
pub enum Stored {
    /// Nothing.
    Nothing,
    /// The value returned, JSON.
    Value(Box<RawValue>),
    /// An exception.
    Exception(Failure),
    /// Nothing is stored, but this is told.
    Told(Failure),
}

/// Decides what follows from an outcome.
pub fn decide(outcome: Outcome, facts: &Facts<'_>) -> Decision {
    let policy = facts.policy;
    match outcome {
        Outcome::Success(value) => Decision {
            state: Some(TaskState::Success),
            value: Stored::Value(value),
            store: policy.store_result,
            retry: None,
            requeue: false,
            replace: None,
            verdict: Verdict::Ack,
        },
        Outcome::Failure { failure, retryable } => {
            if retryable && policy.retries.allow(facts.retries) {
                let retry = Retry {
                    failure: Some(failure),
                    ..Retry::default()
                };
                again(Box::new(retry), facts)
            } else {
                fail(failure, Verdict::Ack, policy)
            }
        }
        Outcome::Retry(mut retry) => {
            let max = retry.max_retries.or(policy.retries.max);
            if max.is_none_or(|max| facts.retries < max) {
                again(retry, facts)
            } else {
                let cause = retry.failure.take();
                fail(
                    cause.unwrap_or_else(|| no_retries_left(facts)),
                    Verdict::Ack,
                    policy,
                )
            }
        }
        Outcome::Replace(canvas) => Decision {
            replace: Some(canvas),
            ..silent(Verdict::Ack)
        },
        Outcome::Ignore => silent(Verdict::Ack),
        Outcome::Reject { requeue: true, .. } => Decision {
            // One that was acknowledged before it ran is not given back; Celery's neither.
            requeue: policy.acks_late,
            ..silent(Verdict::Ack)
        },
        Outcome::Reject {
            requeue: false,
            reason,
        } => {
            let args = vec![reason.clone().into(), false.into()];
            let failure = Failure::with_args("celery.exceptions", "Reject", args);
            fail(
                failure,
                Verdict::DeadLetter {
                    reason: format!("rejected: {reason}"),
                },
                policy,
            )
        }
        Outcome::TimeLimit(limit) => {
            let seconds = TimeLimit::new(Some(limit), None).0;
            let args = vec![seconds.into()];
            let failure = Failure::with_args("billiard.exceptions", "TimeLimitExceeded", args);
            fail(failure, Verdict::Ack, policy)
        }
        Outcome::Revoked { terminated } => {
            revoked(if terminated { "terminated" } else { "revoked" }, policy)
        }
        Outcome::NotDue { due } => silent(Verdict::Park { until: due }),
        Outcome::Expired => revoked("expired", policy),
        Outcome::NotRegistered => {
            let failure = Failure::new("celery.exceptions", "NotRegistered", facts.task);
            let reason = format!("task {:?} is not registered", facts.task);
            fail(failure, Verdict::DeadLetter { reason }, policy)
        }
        Outcome::Undecodable(reason) => {
            let name = match &reason {
                Undecodable::Disallowed(_) => "ContentDisallowed",
                Undecodable::Broken(_) => "DecodeError",
            };
            let failure = Failure::new("kombu.exceptions", name, reason.to_string());
            fail(
                failure,
                Verdict::DeadLetter {
                    reason: format!("undecodable: {reason}"),
                },
                policy,
            )
        }
        Outcome::WorkerLost { deliveries } => {
            let reason =
                format!("the worker was lost each time it was started ({deliveries} times)");
            let failure = Failure::new("billiard.exceptions", "WorkerLostError", reason.clone());
            fail(failure, Verdict::DeadLetter { reason }, policy)
        }
        Outcome::Interrupted => silent(Verdict::Release),
    }
}

fn again(mut retry: Box<Retry>, facts: &Facts<'_>) -> Decision {
    let policy = facts.policy;
    retry.when.get_or_insert_with(|| {
        let delay = policy.retries.delay_after(facts.retries, facts.random);
        When::In(delay)
    });
    let value = match retry.failure.take() {
        Some(cause) => Stored::Exception(cause),
        None => Stored::Told(Failure::new(
            "celery.exceptions",
            "Retry",
            "Task can be retried",
        )),
    };
    Decision {
        state: Some(TaskState::Retry),
        value,
        store: policy.store_errors,
        retry: Some(retry),
        requeue: false,
        replace: None,
        verdict: Verdict::Ack,
    }
}

fn fail(failure: Failure, verdict: Verdict, policy: &Policy) -> Decision {
    Decision {
        state: Some(TaskState::Failure),
        value: Stored::Exception(failure),
        store: policy.store_errors,
        retry: None,
        requeue: false,
        replace: None,
        verdict,
    }
}

fn revoked(why: &str, policy: &Policy) -> Decision {
    let failure = Failure::revoked(why);
    Decision {
        state: Some(TaskState::Revoked),
        value: Stored::Exception(failure),
        store: policy.store_errors,
        retry: None,
        requeue: false,
        replace: None,
        verdict: Verdict::Ack,
    }
}

fn silent(verdict: Verdict) -> Decision {
    Decision {
        state: None,
        value: Stored::Nothing,
        store: false,
        retry: None,
        requeue: false,
        replace: None,
        verdict,
    }
}

fn no_retries_left(facts: &Facts<'_>) -> Failure {
    let Facts {
        task,
        id,
        arguments,
        ..
    } = facts;
    let text = format!("Can't retry {task}[{id}] {arguments}");
    Failure::new("celery.exceptions", "MaxRetriesExceededError", text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Settings;
    use crate::message::Headers;
    use crate::task::{Retries, TaskOptions};

    fn policy(options: &TaskOptions) -> Policy {
        Policy::resolve(
            &Headers::new("t", "id".into()),
            options,
            &Settings::default(),
        )
    }

    fn boom() -> Failure {
        Failure::new("builtins", "ValueError", "boom")
    }

    fn fails(retryable: bool) -> Outcome {
        Outcome::Failure {
            failure: boom(),
            retryable,
        }
    }

    fn asks(countdown: Option<u64>, failure: Option<Failure>) -> Outcome {
        Outcome::Retry(Box::new(Retry {
            when: countdown.map(|seconds| When::In(Duration::from_secs(seconds))),
            failure,
            ..Retry::default()
        }))
    }

    fn value() -> Outcome {
        Outcome::Success(RawValue::from_string("5".to_owned()).expect("JSON"))
    }

    /// state, exception type, retry delay in seconds, verdict
    type Row = (
        Option<&'static str>,
        Option<String>,
        Option<u64>,
        &'static str,
    );

    fn row(decision: &Decision) -> Row {
        let state = decision.state.as_ref().map(|state| match state {
            TaskState::Success => "SUCCESS",
            TaskState::Failure => "FAILURE",
            TaskState::Retry => "RETRY",
            TaskState::Revoked => "REVOKED",
            other => panic!("{other} follows from no outcome"),
        });
        let exception = match &decision.value {
            Stored::Exception(failure) | Stored::Told(failure) => {
                Some(failure.exception.exc_type.clone())
            }
            _ => None,
        };
        let verdict = match decision.verdict {
            Verdict::Ack if decision.requeue => "requeue",
            Verdict::Ack => "ack",
            Verdict::Release => "release",
            Verdict::Park { .. } => "park",
            Verdict::DeadLetter { .. } => "dead",
        };
        (
            state,
            exception,
            decision.retry.as_ref().map(|retry| match retry.when {
                Some(When::In(delay)) => delay.as_secs(),
                other => panic!("{other:?} is no delay"),
            }),
            verdict,
        )
    }

    #[test]
    fn what_was_acknowledged_is_not_given_back() {
        for acks_late in [true, false] {
            let policy = policy(&TaskOptions {
                acks_late: Some(acks_late),
                ..TaskOptions::default()
            });
            let facts = Facts {
                task: "t",
                id: "id",
                arguments: &"args:() kwargs:{}",
                retries: 0,
                policy: &policy,
                random: 0.5,
            };
            let outcome = Outcome::Reject {
                requeue: true,
                reason: String::new(),
            };
            assert_eq!(decide(outcome, &facts).requeue, acks_late);
        }
    }

    #[test]
    fn what_follows_from_each_outcome() {
        #[track_caller]
        fn check(
            outcome: Outcome,
            retries: u32,
            state: Option<&'static str>,
            exception: Option<&str>,
            retry_in: Option<u64>,
            verdict: &'static str,
        ) {
            let policy = policy(&TaskOptions::default());
            let facts = Facts {
                task: "t",
                id: "id",
                arguments: &"args:() kwargs:{}",
                retries,
                policy: &policy,
                random: 0.5,
            };
            let decision = decide(outcome, &facts);
            let expected = (state, exception.map(str::to_owned), retry_in, verdict);
            assert_eq!(row(&decision), expected);
            assert_eq!(decision.store, state.is_some());
        }
        check(value(), 0, Some("SUCCESS"), None, None, "ack");
        check(
            fails(false),
            0,
            Some("FAILURE"),
            Some("ValueError"),
            None,
            "ack",
        );
        check(
            fails(true),
            0,
            Some("RETRY"),
            Some("ValueError"),
            Some(180),
            "ack",
        );
        check(
            fails(true),
            2,
            Some("RETRY"),
            Some("ValueError"),
            Some(180),
            "ack",
        );
        check(
            fails(true),
            3,
            Some("FAILURE"),
            Some("ValueError"),
            None,
            "ack",
        );
        check(
            asks(None, None),
            0,
            Some("RETRY"),
            Some("Retry"),
            Some(180),
            "ack",
        );
        check(
            asks(Some(7), Some(boom())),
            1,
            Some("RETRY"),
            Some("ValueError"),
            Some(7),
            "ack",
        );
        check(
            asks(Some(7), Some(boom())),
            3,
            Some("FAILURE"),
            Some("ValueError"),
            None,
            "ack",
        );
        check(
            asks(None, None),
            3,
            Some("FAILURE"),
            Some("MaxRetriesExceededError"),
            None,
            "ack",
        );
        let replace = Outcome::Replace(Box::new(Canvas::task("t")));
        check(replace, 0, None, None, None, "ack");
        check(Outcome::Ignore, 0, None, None, None, "ack");
        let reject = |requeue| Outcome::Reject {
            requeue,
            reason: "no".to_owned(),
        };
        check(reject(true), 0, None, None, None, "requeue");
        check(
            reject(false),
            0,
            Some("FAILURE"),
            Some("Reject"),
            None,
            "dead",
        );
        let limit = Outcome::TimeLimit(Duration::from_secs(9));
        check(
            limit,
            0,
            Some("FAILURE"),
            Some("TimeLimitExceeded"),
            None,
            "ack",
        );
        let revoked = Outcome::Revoked { terminated: false };
        check(
            revoked,
            0,
            Some("REVOKED"),
            Some("TaskRevokedError"),
            None,
            "ack",
        );
        check(
            Outcome::Expired,
            0,
            Some("REVOKED"),
            Some("TaskRevokedError"),
            None,
            "ack",
        );
        check(
            Outcome::NotRegistered,
            0,
            Some("FAILURE"),
            Some("NotRegistered"),
            None,
            "dead",
        );
        for (kind, exception) in [
            (Undecodable::Broken as fn(_) -> _, "DecodeError"),
            (Undecodable::Disallowed, "ContentDisallowed"),
        ] {
            let bytes = Outcome::Undecodable(kind("bytes".to_owned()));
            check(bytes, 0, Some("FAILURE"), Some(exception), None, "dead");
        }
        let not_due = Outcome::NotDue {
            due: jiff::Timestamp::UNIX_EPOCH,
        };
        check(not_due, 0, None, None, None, "park");
        let lost = Outcome::WorkerLost { deliveries: 4 };
        check(
            lost,
            0,
            Some("FAILURE"),
            Some("WorkerLostError"),
            None,
            "dead",
        );
        check(Outcome::Interrupted, 0, None, None, None, "release");
    }

    #[test]
    fn an_ignored_result_is_not_stored_unless_it_is_an_error_and_errors_are_wanted() {
        #[track_caller]
        fn check(even_if_ignored: bool, outcome: Outcome, stored: bool) {
            let policy = policy(&TaskOptions {
                ignore_result: Some(true),
                store_errors_even_if_ignored: Some(even_if_ignored),
                ..TaskOptions::default()
            });
            let facts = Facts {
                task: "t",
                id: "id",
                arguments: &"args:() kwargs:{}",
                retries: 0,
                policy: &policy,
                random: 0.5,
            };
            assert_eq!(decide(outcome, &facts).store, stored);
        }
        check(false, value(), false);
        check(true, value(), false);
        check(false, fails(false), false);
        check(true, fails(false), true);
    }

    #[test]
    fn a_retry_may_bring_its_own_limit() {
        let policy = policy(&TaskOptions::default());
        let state = |retries, max_retries| {
            let facts = Facts {
                task: "t",
                id: "id",
                arguments: &"args:(1,) kwargs:{}",
                retries,
                policy: &policy,
                random: 0.5,
            };
            let retry = Retry {
                max_retries: Some(max_retries),
                ..Retry::default()
            };
            let decision = decide(Outcome::Retry(Box::new(retry)), &facts);
            match decision.value {
                Stored::Exception(failure) => failure.exception.to_string(),
                other => format!("{other:?}"),
            }
        };
        assert_eq!(
            state(1, 1),
            "MaxRetriesExceededError: Can't retry t[id] args:(1,) kwargs:{}"
        );
        assert!(state(3, 4).starts_with("Told"), "beyond the task's own 3");
    }

    #[test]
    fn without_a_limit_retries_go_on() {
        let policy = policy(&TaskOptions {
            retries: Retries {
                max: None,
                ..Retries::default()
            },
            ..TaskOptions::default()
        });
        let facts = Facts {
            task: "t",
            id: "id",
            arguments: &"",
            retries: 1_000_000,
            policy: &policy,
            random: 0.5,
        };
        assert_eq!(decide(fails(true), &facts).state, Some(TaskState::Retry));
    }
}
