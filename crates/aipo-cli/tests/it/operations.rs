//! What an operator does to a store with the binary alone.

use serde_json::json;

use crate::support::Place;

#[test]
fn a_task_is_sent_found_and_revoked() {
    let place = Place::new();
    let id = place.aipo(["call", "app.add", "--args", "[1, 2]"]).ok();
    let id = id.trim();

    let found = place.aipo(["result", id]).ok();
    assert_eq!(found, "state  PENDING\nplace  waits in queue celery\n");
    assert_eq!(
        place.aipo(["result", id, "--json"]).json()["status"],
        "PENDING"
    );

    assert_eq!(place.aipo(["revoke", id]).ok(), format!("{id} revoked\n"));
    let revoked = place.aipo(["result", id]).ended(3).stdout;
    assert!(revoked.contains("state  REVOKED"), "{revoked}");
    let queues = place.aipo(["queues", "--json"]).json();
    assert_eq!(queues[0]["ready"], 0);
}

#[test]
fn waiting_for_a_task_that_does_not_end_says_so() {
    let place = Place::new();
    let said = place.aipo(["call", "app.add", "--wait", "1ms"]).ended(4);
    assert!(said.stdout.contains("PENDING"), "{said:?}");
    assert!(said.stderr.contains("has not ended"), "{said:?}");
}

#[test]
fn queues_show_what_waits_where() {
    let place = Place::new();
    place.aipo(["call", "a", "--queue", "reports"]).ok();
    place
        .aipo(["call", "a", "--queue", "reports", "--countdown", "1h"])
        .ok();
    let parked = place
        .aipo(["call", "b", "--eta", "2100-01-01T00:00:00Z", "--json"])
        .json();

    assert_eq!(
        place.aipo(["queues"]).ok(),
        "QUEUE    READY  PARKED  IN FLIGHT  DEAD\n\
         celery       0       1          0     0\n\
         reports      1       1          0     0\n"
    );
    let id = parked["task_id"].as_str().expect("the id");
    assert_eq!(
        place.aipo(["result", id]).ok(),
        "state  PENDING\nplace  parked until 2100-01-01T00:00:00Z for queue celery\n"
    );
}

#[test]
fn purging_asks_or_is_forced_and_says_how_much() {
    let place = Place::new();
    for queue in ["celery", "reports", "reports", "mail"] {
        place.aipo(["call", "a", "--queue", queue]).ok();
    }
    let refused = place.aipo(["purge", "-Q", "reports"]).ended(1);
    assert!(
        refused
            .stderr
            .contains("--force deletes what waits in reports")
    );

    let purged = place
        .aipo(["purge", "-f", "-Q", "reports,mail", "-X", "mail"])
        .ok();
    assert_eq!(purged, "2 messages deleted from 1 queue\n");
    let purged = place.aipo(["purge", "-f", "--json"]).json();
    assert_eq!(purged, json!({ "celery": 1 }));
    assert_eq!(
        place.aipo(["purge", "-fQmail"]).ok(),
        "1 message deleted from 1 queue\n"
    );
}

#[test]
fn settings_come_in_layers() {
    let place = Place::new();
    place.write(
        "aipo.toml",
        "worker_concurrency = 3\ntask_default_queue = 'file'\n",
    );
    let setting = |args: &[&str], name: &str| {
        let all = place
            .aipo(args.iter().copied().chain(["settings", "--json"]))
            .json();
        let all = all.as_array().expect("a list").clone();
        let found = all.iter().find(|setting| setting["name"] == name);
        found.expect(name)["value"].clone()
    };
    assert_eq!(
        setting(&[], "broker_url"),
        "sqlite://test.db",
        "the environment counts"
    );
    let file = ["--config", "aipo.toml"];
    assert_eq!(setting(&file, "task_default_queue"), "file");
    let flags = [
        "--config",
        "aipo.toml",
        "-o",
        "worker_concurrency=5",
        "-b",
        "memory://",
    ];
    assert_eq!(setting(&flags, "worker_concurrency"), "5");
    assert_eq!(setting(&flags, "broker_url"), "memory://");
    let secret = ["--result-backend", "redis://ana:secret@host/0"];
    assert_eq!(setting(&secret, "result_backend"), "redis://ana:***@host/0");
    assert_eq!(place.files(), ["aipo.toml"], "no store is opened");
}

#[test]
fn the_reference_of_settings_is_the_same_everywhere() {
    let place = Place::new();
    let table = place.aipo(["settings", "--markdown"]).ok();
    assert!(table.starts_with("| setting | default | meaning |\n|---|---|---|\n| `broker_url` |"));
    assert!(
        table.contains("| `worker_concurrency` | `16 for each core` |"),
        "{table}"
    );
    assert_eq!(
        place
            .aipo(["settings", "--markdown", "-o", "worker_concurrency=4"])
            .ok(),
        table
    );
}

#[test]
fn completions_name_the_program() {
    let place = Place::new();
    for (shell, line) in [
        ("bash", "complete -F _aipo"),
        ("zsh", "#compdef aipo"),
        ("fish", "complete -c aipo"),
    ] {
        let script = place.aipo(["completions", shell]).ok();
        assert!(script.contains(line), "{shell}");
    }
}

#[test]
fn a_store_in_memory_is_said_to_be_alone() {
    let said = Place::new().aipo(["queues", "-b", "memory://"]).ended(0);
    assert!(said.stderr.contains("this process alone"), "{said:?}");
}
