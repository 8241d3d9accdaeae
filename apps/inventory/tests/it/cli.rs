//! The program's command line, as a process.

use std::process::{Command, Output};

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
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = inventory(folder.path(), &["demo", "--rows", "120"]);
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
