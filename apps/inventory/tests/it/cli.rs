//! The program's command line, as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

use crate::redis::Redis;

fn inventory(folder: &std::path::Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_inventory"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_demonstration_checks_itself_and_ends_well() {
    demonstrate(&["demo", "--rows", "120"]);
}

#[test]
fn another_broker_is_one_flag() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let url = redis.url();
    demonstrate(&["demo", "--rows", "120", "--broker", &url]);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let queues = inventory(folder.path(), &["queues", "--broker", &url]);
    assert!(text(&queues.stdout).contains("celery"), "it was on Redis");
}

fn demonstrate(args: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = inventory(folder.path(), args);
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", text(&output.stderr));
    for part in [
        "120 linhas, 25 com problema",
        "25 linhas rejeitadas",
        "95 produtos",
        "tudo conferido",
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    let left = std::fs::read_dir(folder.path()).expect("reads").count();
    assert_eq!(
        left, 0,
        "a demonstration leaves nothing in the current folder"
    );
}

#[test]
fn a_flag_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (args, part) in [
        (&["serve", "--listen", "0.0.0.0:0"][..], "--behind-proxy"),
        (
            &["serve", "--database", "postgres://h/d"],
            "postgres:// ainda não é aceito",
        ),
        (&["demo", "--rows", "0"], "--rows"),
    ] {
        let output = inventory(folder.path(), args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = inventory(
        folder.path(),
        &["serve", "--database", "sem/pasta/inventory.db"],
    );
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("sem/pasta/inventory.db"), "{stderr}");
}

#[test]
fn looking_at_the_tasks_creates_no_database() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = inventory(folder.path(), &["queues"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!folder.path().join("inventory.db").exists());
}

#[cfg(unix)]
#[test]
fn the_program_serves_and_works_until_it_is_asked_to_stop() {
    for command in ["all", "serve"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut program = Command::new(env!("CARGO_BIN_EXE_inventory"))
            .args([command, "--listen", "127.0.0.1:0"])
            .current_dir(folder.path())
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut log = BufReader::new(program.stderr.take().expect("piped")).lines();
        let address = log
            .by_ref()
            .map(|line| line.expect("text"))
            .find_map(|line| Some(line.split_once("address=")?.1.to_owned()))
            .expect("it says where it listens");

        let mut stream = TcpStream::connect(address.trim()).expect("it listens");
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert!(answer.contains("\"status\":\"healthy\""), "{answer}");

        let asked = Command::new("kill")
            .args(["-TERM", &program.id().to_string()])
            .status();
        assert!(asked.expect("kill runs").success());
        // Read to the end, so that the program never waits for somebody to take its log.
        let rest: Vec<String> = log.map(|line| line.expect("text")).collect();
        let status = program.wait().expect("it ends");
        assert!(status.success(), "{command}: {status}: {rest:?}");
    }
}
