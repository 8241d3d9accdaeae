//! Every help text and every error message, word for word.

use std::path::Path;

use crate::support::{Place, Said};

/// Compares with a file in `tests/golden`.
#[track_caller]
fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("AIPO_BLESS").is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{} differs; AIPO_BLESS=1 writes it anew. It is now:\n{text}",
        path.display()
    );
}

const COMMANDS: &[&str] = &[
    "",
    "worker",
    "beat",
    "call",
    "result",
    "workflow",
    "workflow show",
    "queues",
    "queues dead",
    "queues redrive",
    "queues discard",
    "tasks",
    "purge",
    "revoke",
    "inspect",
    "control",
    "status",
    "events",
    "settings",
    "bench",
    "bench enqueue",
    "bench drain",
    "bench roundtrip",
    "bench parked",
    "bench workflow",
    "completions",
];

#[test]
fn every_command_explains_itself() {
    let place = Place::new();
    for command in COMMANDS {
        let args = command.split_whitespace().chain(["--help"]);
        let said = place.aipo(args).ended(0);
        assert_eq!(said.stderr, "");
        let name = match *command {
            "" => "help.txt".to_owned(),
            command => format!("help-{}.txt", command.replace(' ', "-")),
        };
        compare(&name, &said.stdout);
    }
    assert_eq!(place.files(), Vec::<String>::new(), "help opens no store");
}

#[test]
fn no_command_is_missing_here() {
    let help = Place::new().aipo(["--help"]).ok();
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next());
    for command in listed.filter(|command| *command != "help") {
        assert!(COMMANDS.contains(&command), "{command} has no golden help");
    }
}

/// Command lines that are refused, with what is in the folder's `bad.toml`.
const MISTAKES: &[&[&str]] = &[
    &[],
    &["wrker"],
    &["worker"],
    &["worker", "-c", "0"],
    &["beat"],
    &["call"],
    &["call", "add", "--args", "1, 2"],
    &["call", "add", "--kwargs", "[]"],
    &["call", "add", "--countdown", "soon"],
    &["call", "add", "--eta", "tomorrow"],
    &["call", "add", "--expires", "never"],
    &[
        "call",
        "add",
        "--countdown",
        "5",
        "--eta",
        "2030-01-31T09:00:00Z",
    ],
    &["call", "add", "--priority", "10"],
    &["result", "no-such-task"],
    &["result", "no-such-task", "--wait", "0s"],
    &["workflow", "show"],
    &["workflow", "show", "no-such-workflow"],
    &["queues", "dead", "--show", "7"],
    &["queues", "redrive"],
    &["queues", "redrive", "7"],
    &["queues", "redrive", "7", "--all"],
    &["queues", "discard", "7", "8"],
    &["queues", "discard", "-Q", "money"],
    &["purge"],
    &["purge", "-Q", "celery", "-X", "celery"],
    &["revoke"],
    &["inspect"],
    &["inspect", "ping"],
    &["inspect", "pong"],
    &["inspect", "query_task"],
    &["control"],
    &["control", "pool_grow", "many"],
    &["status", "-t", "soon"],
    &["settings", "-o", "worker_concurency=4"],
    &["settings", "-o", "worker_concurrency=many"],
    &["settings", "-o", "worker_concurrency"],
    &["settings", "-o", "task_max_deliveries=0"],
    &["settings", "--config", "missing.toml"],
    &["settings", "--config", "bad.toml"],
    &["settings", "--loglevel", "loud"],
    &["queues", "--broker", "postgres://localhost"],
    &["queues", "--broker", "nonsense"],
    &["queues", "--broker", "sqlite://t.db?journal=off"],
    &["bench"],
    &["bench", "drain", "-n", "0"],
    &["bench", "drain", "--store", "amqp://localhost"],
    &["completions", "tcsh"],
];

#[test]
fn every_mistake_is_told_with_what_to_do() {
    let place = Place::new();
    place.write("bad.toml", "colour = 'green'\n");
    let mut text = String::new();
    for args in MISTAKES {
        let Said {
            code,
            stdout,
            stderr,
        } = place.aipo(*args);
        assert_ne!(code, 0, "{args:?} is no mistake");
        let line = args.join(" ");
        text.push_str(&format!("$ aipo {line}\n{stdout}{stderr}=> {code}\n\n"));
    }
    compare("mistakes.txt", &text);
}

#[test]
fn a_misspelt_variable_is_told() {
    let place = Place::new();
    let mut aipo = place.program(env!("CARGO_BIN_EXE_aipo").into());
    let output = aipo
        .arg("settings")
        .env("AIPO_BROKER_URI", "memory://")
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    compare(
        "misspelt-variable.txt",
        &String::from_utf8_lossy(&output.stderr),
    );
}
