//! Random workflows against an interpreter of their own: what each gives, how often each task runs, and that all ends.
//!
//! The interpreter is a recursive function over the workflow as it is written; it knows nothing of messages, ids and
//! chords. `AIPO_SEED` replays a run, `AIPO_WORKFLOWS` says how many workflows there are (default 300).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aipo::{App, Canvas, Context, ResultNode, TaskError, TaskResult, testing};
use serde_json::{Value, json};

/// Part of a workflow. Tasks are told apart by their labels.
#[derive(Debug, Clone)]
enum Spec {
    Task {
        label: u64,
        how: How,
        takes_nothing: bool,
        callback: Option<u64>,
        errback: Option<u64>,
    },
    Chain(Vec<Spec>),
    Group(Vec<Spec>),
    Chord(Vec<Spec>, Box<Spec>),
}

/// How a task ends.
#[derive(Debug, Clone)]
enum How {
    Well,
    Badly,
    AfterRetries(u32),
    As(Box<Spec>),
}

/// What comes of a workflow: of each task that is awaited.
#[derive(Debug, Clone, PartialEq)]
enum Out {
    One(Option<Value>),
    Many(Vec<Out>),
}

impl Out {
    /// All of it as one value, if nothing failed.
    fn whole(&self) -> Option<Value> {
        match self {
            Self::One(value) => value.clone(),
            Self::Many(members) => members.iter().map(Self::whole).collect(),
        }
    }
}

/// How often each label runs.
type Runs = BTreeMap<u64, u32>;

/// The value of a task: a number that depends on all that it was given.
fn digest(label: u64, args: &[Value]) -> Value {
    let text = format!("{label} {}", Value::from(args.to_vec()));
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 12).into()
}

// The interpreter.

/// `input` is `None` where nothing came before.
fn expect(spec: &Spec, input: Option<&Value>, runs: &mut Runs) -> Out {
    match spec {
        Spec::Task {
            label,
            how,
            takes_nothing,
            callback,
            errback,
        } => {
            *runs.entry(*label).or_default() += 1;
            let args: Vec<Value> = input
                .filter(|_| !takes_nothing)
                .cloned()
                .into_iter()
                .collect();
            let value = match how {
                How::Well => Some(digest(*label, &args)),
                How::AfterRetries(retries) => {
                    *runs.entry(*label).or_default() += retries;
                    Some(digest(*label, &args))
                }
                How::Badly => None,
                How::As(other) => expect(other, None, runs).whole(),
            };
            if let (Some(_), Some(callback)) = (&value, callback) {
                *runs.entry(*callback).or_default() += 1;
            }
            if let (None, Some(errback)) = (&value, errback) {
                *runs.entry(*errback).or_default() += 1;
            }
            Out::One(value)
        }
        Spec::Chain(steps) => {
            let mut out: Option<Out> = None;
            for step in steps {
                out = Some(match out {
                    None => expect(step, input, runs),
                    Some(before) => follow(step, before.whole(), runs),
                });
            }
            out.expect("a chain has steps")
        }
        Spec::Group(members) => Out::Many(
            members
                .iter()
                .map(|member| expect(member, input, runs))
                .collect(),
        ),
        Spec::Chord(header, body) => {
            let members = header
                .iter()
                .map(|member| expect(member, input, runs))
                .collect();
            follow(body, Out::Many(members).whole(), runs)
        }
    }
}

/// A step after another one, which gave a value or failed.
fn follow(step: &Spec, value: Option<Value>, runs: &mut Runs) -> Out {
    match value {
        Some(value) => expect(step, Some(&value), runs),
        None => failed(step),
    }
}

/// What is awaited of a step that never runs.
fn failed(step: &Spec) -> Out {
    match step {
        Spec::Task { .. } => Out::One(None),
        Spec::Chain(steps) => failed(steps.last().expect("a chain has steps")),
        Spec::Group(members) => Out::Many(members.iter().map(failed).collect()),
        Spec::Chord(_, body) => failed(body),
    }
}

// Random workflows.

struct Maker {
    random: fastrand::Rng,
    labels: u64,
}

impl Maker {
    fn label(&mut self) -> u64 {
        self.labels += 1;
        self.labels
    }

    fn spec(&mut self, depth: u32, quiet: bool) -> Spec {
        match self.random.u32(0..if depth == 0 { 1 } else { 7 }) {
            0..=2 => self.task(depth, quiet),
            3 | 4 => self.chain(depth, quiet),
            5 => Spec::Group(self.members(depth, quiet)),
            _ => {
                let body = self.body(depth);
                Spec::Chord(self.members(depth, quiet), Box::new(body))
            }
        }
    }

    /// `quiet`: nothing that is said of a failure, which is another matter for bodies of chords.
    fn task(&mut self, depth: u32, quiet: bool) -> Spec {
        let how = match self.random.u32(0..20) {
            0 => How::Badly,
            1 | 2 => How::AfterRetries(self.random.u32(1..3)),
            3 if depth > 0 => How::As(Box::new(self.spec(depth - 1, true))),
            _ => How::Well,
        };
        let linked = self.random.u32(0..5) == 0 && !matches!(how, How::As(_));
        Spec::Task {
            label: self.label(),
            how,
            takes_nothing: self.random.u32(0..8) == 0,
            callback: linked.then(|| self.label()),
            errback: (linked && !quiet).then(|| self.label()),
        }
    }

    fn chain(&mut self, depth: u32, quiet: bool) -> Spec {
        let count = self.random.usize(1..4);
        let mut steps: Vec<Spec> = Vec::new();
        for _ in 0..count {
            let follows_many = steps.last().is_some_and(ends_in_many);
            steps.push(self.spec(depth - 1, quiet || follows_many));
        }
        Spec::Chain(steps)
    }

    /// Members of a group are no groups: those are flattened. And there are several: one alone is no group.
    fn members(&mut self, depth: u32, quiet: bool) -> Vec<Spec> {
        let count = self.random.usize(2..4);
        (0..count)
            .map(|_| match self.spec(depth - 1, quiet) {
                Spec::Group(_) => self.task(0, quiet),
                Spec::Chain(steps) if matches!(&steps[..], [one] if ends_in_many(one)) => {
                    self.task(0, quiet)
                }
                member => member,
            })
            .collect()
    }

    fn body(&mut self, depth: u32) -> Spec {
        self.spec(depth - 1, true)
    }
}

fn ends_in_many(spec: &Spec) -> bool {
    match spec {
        Spec::Task { .. } => false,
        Spec::Chain(steps) => steps.last().is_some_and(ends_in_many),
        Spec::Group(_) => true,
        Spec::Chord(_, body) => ends_in_many(body),
    }
}

// The same for aipo.

fn canvas(spec: &Spec) -> Canvas {
    match spec {
        Spec::Task {
            label,
            how,
            takes_nothing,
            callback,
            errback,
        } => {
            let mut task = Canvas::task("work");
            task.immutable = *takes_nothing;
            task.kwargs.insert("label".to_owned(), (*label).into());
            let how = match how {
                How::Well => json!("well"),
                How::Badly => json!("badly"),
                How::AfterRetries(retries) => json!(retries),
                How::As(other) => canvas(other).to_value(),
            };
            task.kwargs.insert("how".to_owned(), how);
            let plain = |label: &u64| {
                let mut task = Canvas::task("work");
                task.kwargs.insert("label".to_owned(), (*label).into());
                task.kwargs.insert("how".to_owned(), "well".into());
                task.to_value()
            };
            if let Some(callback) = callback {
                task.link(&plain(callback));
            }
            if let Some(errback) = errback {
                task.link_error(&plain(errback));
            }
            task
        }
        Spec::Chain(steps) => Canvas::chain(steps.iter().map(canvas).collect()),
        Spec::Group(members) => Canvas::group(members.iter().map(canvas).collect()),
        Spec::Chord(header, body) => {
            Canvas::chord(header.iter().map(canvas).collect(), canvas(body))
        }
    }
}

#[derive(Default, Clone)]
struct Seen(Arc<Mutex<Runs>>);

#[aipo::task(name = "work", max_retries = 10, retry_delay = "1s")]
async fn work(
    cx: &Context,
    #[arg(rest)] args: Vec<Value>,
    #[arg(named)] label: u64,
    #[arg(named)] how: Value,
) -> TaskResult<Value> {
    // A kill may come meanwhile.
    tokio::time::sleep(Duration::from_millis(label % 7)).await;
    let seen = cx.data::<Seen>()?;
    *seen.0.lock().expect("no panic").entry(label).or_default() += 1;
    match &how {
        Value::String(how) if how == "badly" => Err(TaskError::fail("as told")),
        Value::Number(retries)
            if u64::from(cx.retries()) < retries.as_u64().unwrap_or_default() =>
        {
            Err(TaskError::retry())
        }
        Value::Object(_) => {
            let canvas = Canvas::from_value(&how).expect("a signature");
            Err(TaskError::replace(canvas))
        }
        _ => Ok(digest(label, &args)),
    }
}

async fn outcome(app: &App, node: &ResultNode, end: Duration) -> Result<Out, String> {
    if let Some(members) = &node.members {
        let mut outs = Vec::new();
        for member in members {
            outs.push(Box::pin(outcome(app, member, end)).await?);
        }
        return Ok(Out::Many(outs));
    }
    let handle = app.result::<Value>(node.id.as_str());
    match handle.get(end).await {
        Ok(value) => Ok(Out::One(Some(value))),
        Err(aipo::WaitError::Failed { .. }) => Ok(Out::One(None)),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs it, with workers that are killed now and then.
async fn check(app: &App, seen: &Seen, spec: &Spec, kills: &[u64]) -> Result<(), String> {
    seen.0.lock().expect("no panic").clear();
    let mut runs = Runs::new();
    let expected = expect(spec, None, &mut runs);
    let node = app
        .send_canvas(canvas(spec))
        .await
        .map_err(|error| error.to_string())?;
    let node = node.ok_or("it runs nothing")?;
    for kill in kills {
        let worker = app
            .worker()
            .start()
            .await
            .map_err(|error| error.to_string())?;
        tokio::time::sleep(Duration::from_millis(*kill)).await;
        worker.abort().await.map_err(|error| error.to_string())?;
    }
    let worker = app
        .worker()
        .start()
        .await
        .map_err(|error| error.to_string())?;
    let out = outcome(app, &node, Duration::from_secs(600)).await;
    // Callbacks are not awaited by anybody.
    tokio::time::sleep(Duration::from_secs(60)).await;
    worker.stop().await.map_err(|error| error.to_string())?;
    let out = out.map_err(|error| {
        let ran = seen.0.lock().expect("no panic").clone();
        format!("{error}; its tasks ran {ran:?} and should have run {runs:?}")
    })?;
    if out != expected {
        return Err(format!("it gave {out:?} instead of {expected:?}"));
    }
    let ran = seen.0.lock().expect("no panic").clone();
    let is_right = match kills.is_empty() {
        true => ran == runs,
        // A run that a kill interrupts comes again; nothing else runs, and nothing is left out.
        false => ran.keys().eq(runs.keys()) && runs.iter().all(|(label, runs)| ran[label] >= *runs),
    };
    if !is_right {
        return Err(format!("its tasks ran {ran:?} instead of {runs:?}"));
    }
    for queue in app
        .store()
        .broker
        .queues()
        .await
        .map_err(|error| error.to_string())?
    {
        if queue.ready + queue.parked + queue.in_flight + queue.dead > 0 {
            return Err(format!("it left {queue:?}"));
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn random_workflows_give_what_the_interpreter_says() {
    let variable = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = variable("AIPO_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("replay with AIPO_SEED={seed}");
    let mut maker = Maker {
        random: fastrand::Rng::with_seed(seed),
        labels: 0,
    };
    let seen = Seen::default();
    let app = App::builder("law").task(work::task()).data(seen.clone());
    let app = testing::build(app).await.expect("an app");
    for number in 0..variable("AIPO_WORKFLOWS").unwrap_or(300) {
        maker.labels = 0;
        let depth = maker.random.u32(1..=5);
        let spec = maker.spec(depth, false);
        let kills: Vec<u64> = match maker.random.bool() {
            true => Vec::new(),
            false => (0..maker.random.usize(1..4))
                .map(|_| maker.random.u64(1..20))
                .collect(),
        };
        if let Err(problem) = check(&app, &seen, &spec, &kills).await {
            panic!("workflow {number} of AIPO_SEED={seed}, kills {kills:?}:\n{spec:?}\n{problem}");
        }
    }
}
