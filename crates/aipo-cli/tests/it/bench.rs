//! `bench` with small numbers: the figures are there, the checks hold, nothing is left behind.

use serde_json::Value;

use crate::support::{Place, Worker};

/// Runs a scenario with `--json` on a temporary file, and looks for anything left over.
#[track_caller]
fn bench(args: &[&str]) -> Value {
    let place = Place::new();
    let all = ["bench"].iter().chain(args).chain(&["--json"]);
    let report = place.aipo(all).json();
    assert_eq!(
        place.files(),
        Vec::<String>::new(),
        "the temporary file is deleted"
    );
    assert_eq!(report["bench"], args[0]);
    report
}

#[track_caller]
fn assert_positive(report: &Value, figures: &[&str]) {
    for figure in figures {
        let value = report.pointer(figure).and_then(Value::as_f64);
        assert!(
            value.is_some_and(|value| value > 0.0),
            "{figure} in {report:#}"
        );
    }
}

#[test]
fn enqueue_sends_in_three_ways() {
    let report = bench(&[
        "enqueue",
        "-n",
        "50",
        "--producers",
        "3",
        "--payload",
        "100",
    ]);
    assert_positive(
        &report,
        &["/single/per_s", "/concurrent/per_s", "/bulk/per_s"],
    );
    for way in ["single", "concurrent", "bulk"] {
        assert_eq!(report["verified"][way], 50);
    }
}

#[test]
fn drain_runs_every_task_once_and_stores_every_result() {
    let report = bench(&["drain", "-n", "2100", "-c", "7"]);
    assert_positive(&report, &["/drain/per_s", "/drain/elapsed_ms"]);
    assert_eq!(report["concurrency"], 7);
    let verified = &report["verified"];
    for (check, expected) in [
        ("ran", 2100),
        ("missing", 0),
        ("double", 0),
        ("results", 2100),
    ] {
        assert_eq!(verified[check], expected, "{check}");
    }
}

#[test]
fn drain_without_results_stores_none() {
    let report = bench(&["drain", "-n", "40", "--no-results"]);
    assert_eq!(
        (&report["verified"]["ran"], &report["verified"]["results"]),
        (&40.into(), &0.into())
    );
}

#[test]
fn a_result_that_is_missing_is_a_failure() {
    // Results that are gone before they can be counted: what a store that loses them looks like.
    let args = ["bench", "drain", "-n", "3000", "-o", "result_expires=1ms"];
    let said = Place::new().aipo(args).ended(1);
    assert!(
        said.stderr
            .contains("error: the store did not keep its promise: results is ")
    );
    assert!(
        said.stdout.contains("per_s"),
        "the figures are shown all the same"
    );
}

#[test]
fn roundtrip_tells_percentiles() {
    let report = bench(&["roundtrip", "-n", "20"]);
    assert_positive(&report, &["/roundtrip/p50_ms", "/roundtrip/p99_ms"]);
    assert_eq!(report["verified"]["results"], 20);
}

#[test]
fn parked_tasks_stay_and_due_ones_get_through() {
    let report = bench(&["parked", "-n", "1500", "--due", "30", "--idle", "10ms"]);
    assert_positive(&report, &["/park/per_s", "/due/per_s"]);
    let verified = &report["verified"];
    for (check, expected) in [("parked", 1500), ("ran", 30), ("parked_after", 1500)] {
        assert_eq!(verified[check], expected, "{check}");
    }
}

#[test]
fn a_named_store_is_left_as_it_was() {
    let place = Place::new();
    place.aipo(["call", "a"]).ok();
    let before = place.aipo(["queues", "--json"]).json();
    let said = place
        .aipo(["bench", "drain", "-n", "40", "--store", "sqlite://test.db"])
        .ok();
    assert!(
        said.contains("verified: ran 40, missing 0, double 0"),
        "{said}"
    );
    let after = place.aipo(["queues", "--json"]).json();
    let nothing = |stats: &&Value| {
        ["ready", "parked", "in_flight", "dead"]
            .iter()
            .all(|count| stats[count] == 0)
    };
    let left: Vec<&Value> = after
        .as_array()
        .expect("a list")
        .iter()
        .filter(|stats| !nothing(stats))
        .collect();
    assert_eq!(
        left,
        before
            .as_array()
            .expect("a list")
            .iter()
            .collect::<Vec<_>>()
    );
}

#[test]
fn memory_needs_no_file() {
    let report = bench(&["drain", "-n", "40", "--store", "memory://"]);
    assert_eq!(report["store"], "memory://");
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    let place = Place::new();
    let mut parked = place.program(env!("CARGO_BIN_EXE_aipo").into());
    parked.args([
        "bench",
        "parked",
        "-n",
        "10",
        "--idle",
        "1h",
        "--loglevel",
        "info",
    ]);
    let running = Worker::start(&mut parked);
    assert_eq!(running.signal("-INT"), Some(130));
    assert_eq!(place.files(), Vec::<String>::new());
}
