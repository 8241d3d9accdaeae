//! Runs other programs: what they say goes on to the terminal, and is kept where it is needed.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use crate::Result;

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .map_err(|error| format!("{} can't be started: {error}", told(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", told(command)).into())
    }
}

/// Runs a program to its end, and gives whether it succeeded and what it wrote to both outputs,
/// which is shown as well.
pub(crate) fn run_and_listen(command: &mut Command) -> Result<(bool, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{} can't be started: {error}", told(command)))?;
    let stdout = child.stdout.take().expect("the output is a pipe");
    let stderr = child.stderr.take().expect("the errors are a pipe");
    let heard = thread::scope(|scope| {
        let out = scope.spawn(|| pass_on(stdout, std::io::stdout()));
        let err = scope.spawn(|| pass_on(stderr, std::io::stderr()));
        [out, err].map(|side| side.join().expect("passing lines on does not panic"))
    });
    let status = child.wait()?;
    let [out, err] = heard;
    Ok((status.success(), out? + &err?))
}

/// Whether a program is there and answers this call with success.
pub(crate) fn answers(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as a person would type it.
pub(crate) fn told(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(name).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}

/// Copies lines as they come, and keeps them.
fn pass_on(from: impl Read, mut to: impl Write) -> std::io::Result<String> {
    let mut kept = String::new();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        kept.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(kept)
}
