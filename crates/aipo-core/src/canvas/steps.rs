//! The steps of a chain as they run.
//!
//! | written | runs as |
//! |---|---|
//! | a chain inside a chain | its steps |
//! | a group of one | that one |
//! | an empty group beside other steps | nothing |
//! | a group and then a step | a chord of the two |
//! | a chord whose body ends in a group, and then a step | a chord whose body goes on with that step |
//! | a chord whose body is a chain that begins with a task | a chord with that task, and then the rest |
//!
//! The last row keeps what a message carries linear: otherwise each member of the header had a copy of all that
//! follows.

use serde_json::{Map, Value};

use super::options::merge;
use super::signature::{Canvas, Kind, list};

/// The steps of a chain, the first one first. Callbacks of the chain itself are its last step's, its errbacks
/// every step's.
pub(super) fn steps(tasks: Vec<Canvas>) -> Vec<Canvas> {
    let mut spliced = Vec::with_capacity(tasks.len());
    splice(tasks, &mut spliced);
    let has_work = |step: &Canvas| !is_empty_group(step);
    if spliced.iter().any(has_work) {
        spliced.retain(has_work);
    } else {
        spliced.truncate(1);
    }
    // From the end, since what a group becomes depends on what follows it.
    let mut steps: Vec<Canvas> = Vec::with_capacity(spliced.len());
    while let Some(step) = spliced.pop() {
        match steps.pop() {
            Some(next) if ends_in_group(&step) => steps.push(join(step, next)),
            Some(next) => {
                steps.push(next);
                steps.push(step);
            }
            None => steps.push(step),
        }
    }
    steps.reverse();
    steps
}

/// Whether it gives several results.
fn ends_in_group(step: &Canvas) -> bool {
    match &step.kind {
        Kind::Task { .. } => false,
        Kind::Group(_) => true,
        Kind::Chain(tasks) => tasks.last().is_some_and(ends_in_group),
        Kind::Chord { body, .. } => ends_in_group(body),
    }
}

/// What ends in a group goes on with a step that takes all of its results.
fn join(step: Canvas, next: Canvas) -> Canvas {
    let id = awaited(&next);
    let mut joined = match step.kind {
        Kind::Chord { header, body } => Canvas {
            kind: Kind::Chord {
                header,
                body: Box::new(join(*body, next)),
            },
            ..step
        },
        Kind::Chain(_) => {
            let mut tasks = unchain(step);
            tasks.push(next);
            return Canvas::chain(tasks);
        }
        Kind::Group(_) | Kind::Task { .. } => Canvas::chord_of(step, next),
    };
    if let Some(id) = id {
        joined.set("task_id", id);
    }
    joined
}

/// The id under which the result of a frozen step is found.
pub(super) fn awaited(step: &Canvas) -> Option<String> {
    match &step.kind {
        Kind::Task { .. } | Kind::Group(_) => step.text("task_id").map(str::to_owned),
        Kind::Chain(tasks) => awaited(tasks.last()?),
        Kind::Chord { body, .. } => awaited(body),
    }
}

fn splice(tasks: Vec<Canvas>, steps: &mut Vec<Canvas>) {
    for task in tasks {
        match task.kind {
            Kind::Chain(_) => splice(unchain(task), steps),
            Kind::Group(members) if members.len() == 1 => {
                let rest = Canvas {
                    kind: Kind::Group(members),
                    ..task
                };
                splice(vec![only_member(rest)], steps);
            }
            Kind::Chord { header, body } => {
                let chord = Canvas {
                    kind: Kind::Chord { header, body },
                    ..task
                };
                let (chord, rest) = split(chord);
                steps.push(chord);
                splice(rest, steps);
            }
            kind => steps.push(Canvas { kind, ..task }),
        }
    }
}

/// The steps of a chain with what was linked to the chain, and arguments given to it.
pub(super) fn unchain(chain: Canvas) -> Vec<Canvas> {
    let Kind::Chain(mut tasks) = chain.kind else {
        return vec![chain];
    };
    if let Some(first) = tasks.first_mut()
        && !first.immutable
    {
        first.args.splice(0..0, chain.args);
        first.kwargs.extend(chain.kwargs);
    }
    if let Some(last) = tasks.last_mut() {
        for callback in list(chain.options.get("link")) {
            last.link(&callback);
        }
    }
    for errback in list(chain.options.get("link_error")) {
        tasks.iter_mut().for_each(|task| task.link_error(&errback));
    }
    tasks
}

fn only_member(group: Canvas) -> Canvas {
    let Kind::Group(members) = group.kind else {
        return group;
    };
    let mut members = members.into_iter();
    let mut only = members.next().expect("it was counted");
    if !only.immutable {
        only.args.splice(0..0, group.args);
        only.kwargs.extend(group.kwargs);
    }
    only
}

pub(super) fn is_empty_group(step: &Canvas) -> bool {
    matches!(&step.kind, Kind::Group(members) if members.iter().all(is_nothing))
}

/// Whether it runs no task at all.
pub(super) fn is_nothing(canvas: &Canvas) -> bool {
    match &canvas.kind {
        Kind::Task { .. } | Kind::Chord { .. } => false,
        Kind::Chain(tasks) | Kind::Group(tasks) => tasks.iter().all(is_nothing),
    }
}

/// A chord whose body is a chain that begins with a task: the chord with that task alone, and the rest.
fn split(chord: Canvas) -> (Canvas, Vec<Canvas>) {
    let Kind::Chord { header, body } = chord.kind else {
        return (chord, Vec::new());
    };
    let whole = |body| Canvas {
        kind: Kind::Chord { header, body },
        ..chord
    };
    if !is_chain_led_by_task(&body) {
        return (whole(body), Vec::new());
    }
    // The options of a chain are its last step's, apart from those that every first step needs.
    let leading: Map<String, Value> = ["root_id", "parent_id", "reply_to"]
        .iter()
        .filter_map(|name| {
            body.options
                .get(*name)
                .map(|value| ((*name).to_owned(), value.clone()))
        })
        .collect();
    let mut tasks = unchain(*body).into_iter();
    let mut first = tasks.next().expect("a task leads it");
    merge(&mut first.options, &leading);
    let mut chord = whole(Box::new(first));
    // It named the result of the whole body, which is the last step's now.
    let id = chord.options.remove("task_id");
    let mut rest: Vec<Canvas> = tasks.collect();
    match (rest.last_mut(), id) {
        (Some(last), Some(id)) if !last.options.contains_key("task_id") => last.set("task_id", id),
        (None, Some(id)) => chord.set("task_id", id),
        _ => {}
    }
    (chord, rest)
}

fn is_chain_led_by_task(body: &Canvas) -> bool {
    match &body.kind {
        Kind::Chain(tasks) => tasks
            .first()
            .is_some_and(|first| matches!(first.kind, Kind::Task { .. })),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(canvas: &Canvas) -> String {
        let all = |tasks: &[Canvas]| tasks.iter().map(told).collect::<Vec<_>>().join(" ");
        match &canvas.kind {
            Kind::Task { name, .. } => name.clone(),
            Kind::Chain(tasks) => format!("chain({})", all(tasks)),
            Kind::Group(tasks) => format!("group({})", all(tasks)),
            Kind::Chord { header, body } => format!("chord({} {})", told(header), told(body)),
        }
    }

    #[test]
    fn steps_run_as_the_table_says() {
        #[track_caller]
        fn check(tasks: Vec<Canvas>, expected: &str) {
            let steps = steps(tasks);
            assert_eq!(
                steps.iter().map(told).collect::<Vec<_>>().join(" | "),
                expected
            );
        }
        let t = Canvas::task;
        let pair = || Canvas::group(vec![t("a"), t("b")]);
        let none = || Canvas::group(vec![]);
        check(vec![t("a"), t("b")], "a | b");
        check(
            vec![
                Canvas::chain(vec![t("a"), Canvas::chain(vec![t("b")])]),
                t("c"),
            ],
            "a | b | c",
        );
        check(vec![pair(), t("c")], "chord(group(a b) c)");
        check(
            vec![t("x"), pair(), t("c"), t("d")],
            "x | chord(group(a b) c) | d",
        );
        check(vec![pair(), pair()], "chord(group(a b) group(a b))");
        check(
            vec![pair(), pair(), t("c")],
            "chord(group(a b) chord(group(a b) c))",
        );
        check(vec![t("x"), pair()], "x | group(a b)");
        let many = || Canvas::chord_of(pair(), pair());
        check(
            vec![many(), t("c")],
            "chord(group(a b) chord(group(a b) c))",
        );
        check(
            vec![Canvas::chord_of(pair(), many()), t("c"), t("d")],
            "chord(group(a b) chord(group(a b) chord(group(a b) c))) | d",
        );
        check(vec![Canvas::group(vec![t("a")]), t("c")], "a | c");
        check(vec![none(), t("c"), none()], "c");
        check(vec![pair(), none()], "group(a b)");
        check(vec![none(), none()], "group()");
        check(vec![none(), Canvas::chain(vec![])], "group()");
        let body = Canvas::chain(vec![t("a"), t("b"), t("c")]);
        check(
            vec![Canvas::chord(vec![t("h"), t("i")], body)],
            "chord(group(h i) a) | b | c",
        );
        check(vec![], "");
    }
}
