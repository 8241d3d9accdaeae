//! The diagram in `docs/task-states.md` shows every change of state that the code allows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use aipo_core::Settings;
use aipo_core::message::{Headers, Undecodable};
use aipo_core::store::Verdict;
use aipo_core::task::{Facts, Failure, Outcome, Policy, TaskOptions, decide};
use serde_json::value::RawValue;

/// What can become of a task that a worker has not started.
fn before_the_start() -> Vec<Outcome> {
    vec![
        Outcome::Revoked { terminated: false },
        Outcome::Expired,
        Outcome::NotRegistered,
        Outcome::Undecodable(Undecodable::Broken("bytes".to_owned())),
        Outcome::NotDue {
            due: jiff::Timestamp::UNIX_EPOCH,
        },
        Outcome::WorkerLost { deliveries: 3 },
        Outcome::Interrupted,
    ]
}

/// What can become of one that runs.
fn after_the_start() -> Vec<Outcome> {
    let failure = || Failure::new("builtins", "ValueError", "boom");
    vec![
        Outcome::Success(RawValue::NULL.to_owned()),
        Outcome::Failure {
            failure: failure(),
            retryable: false,
        },
        Outcome::Failure {
            failure: failure(),
            retryable: true,
        },
        Outcome::Retry(Box::default()),
        Outcome::Ignore,
        Outcome::Reject {
            requeue: false,
            reason: String::new(),
        },
        Outcome::Reject {
            requeue: true,
            reason: String::new(),
        },
        Outcome::TimeLimit(Duration::from_secs(1)),
        Outcome::Revoked { terminated: true },
        Outcome::Interrupted,
    ]
}

#[test]
fn every_change_of_state_is_in_the_diagram() {
    let headers = Headers::new("t", "id".into());
    let policy = Policy::resolve(&headers, &TaskOptions::default(), &Settings::default());
    let facts = Facts {
        task: "t",
        id: "id",
        arguments: &"",
        retries: 0,
        policy: &policy,
        random: 0.5,
    };
    let drawn = diagram();
    let mut missing = BTreeSet::new();
    // A task that runs is `RECEIVED` or, with `task_track_started`, `STARTED`.
    let runs = after_the_start()
        .into_iter()
        .zip(["RECEIVED"].iter().cycle());
    let tracked = after_the_start()
        .into_iter()
        .zip(["STARTED"].iter().cycle());
    let refused = before_the_start()
        .into_iter()
        .zip(["RECEIVED"].iter().cycle());
    for (outcome, from) in runs.chain(tracked).chain(refused) {
        let decision = decide(outcome, &facts);
        let to = match (&decision.state, decision.verdict) {
            (Some(state), _) => state.to_string(),
            (None, _) if decision.requeue => "PENDING".to_owned(),
            (None, Verdict::Release | Verdict::Park { .. }) => "PENDING".to_owned(),
            // Ignored: it is over, and nothing is stored.
            (None, _) => "[*]".to_owned(),
        };
        if !drawn.contains(&((*from).to_owned(), to.clone())) {
            missing.insert(format!("{from} --> {to}"));
        }
    }
    assert!(
        missing.is_empty(),
        "not in docs/task-states.md: {missing:?}"
    );
}

/// The arrows of the diagram.
fn diagram() -> BTreeSet<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/task-states.md");
    let page = fs::read_to_string(path).expect("the page is there");
    let arrow = |line: &str| {
        let (from, rest) = line.split_once(" --> ")?;
        let to = rest.split(':').next().unwrap_or(rest);
        Some((from.trim().to_owned(), to.trim().to_owned()))
    };
    page.lines().filter_map(arrow).collect()
}
