//! The law in real time, on every store: many workflows at once, and a crew whose workers are killed one after the other.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use aipo::{App, Clock, ResultNode};
use tokio::time::{Instant, sleep, timeout};

use super::crew::{self, LEASE, Site, Worker};
use super::interpreter::{Tally, expect};
use super::spec::{Maker, Spec};
use super::work::{Reader, Seen, canvas, revoke_the_unwanted};
use super::{Left, left, outcome, replay, seed, send, workflows};
use crate::stores::Place;

/// How many workflows there are by default.
const WORKFLOWS: u64 = 1000;
/// How many workers there are at a time.
const WORKERS: usize = 3;
/// How many are lost; then the rest is done in peace.
const LOSSES: usize = 150;
/// The longest time between two losses, in milliseconds.
const BETWEEN_LOSSES: u64 = 120;
/// One of so many is not killed but frozen until its lease has run out.
const FREEZES_ONE_OF: u32 = 15;
/// All that is awaited has ended by then, or never will.
const END: Duration = Duration::from_secs(180);
/// And so long after that all the rest.
const REST: Duration = Duration::from_secs(30);

/// How a worker is started that is to be killed.
type Start = fn(&Site) -> Worker;

mod memory {
    use super::*;

    #[tokio::test]
    async fn threads_that_are_killed() {
        let place = Place::memory();
        check(&place, Worker::in_threads, "trial::memory::threads").await;
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;

    #[tokio::test]
    async fn threads_that_are_killed() {
        let place = Place::sqlite();
        check(&place, Worker::in_threads, "trial::sqlite::threads").await;
    }

    #[tokio::test]
    async fn processes_that_are_killed() {
        let place = Place::sqlite();
        check(&place, Worker::in_a_process, "trial::sqlite::processes").await;
    }
}

#[cfg(feature = "redis")]
mod redis {
    use super::*;

    #[tokio::test]
    async fn threads_that_are_killed() {
        if let Some(place) = Place::redis() {
            check(&place, Worker::in_threads, "trial::redis::threads").await;
        }
    }

    #[tokio::test]
    async fn processes_that_are_killed() {
        if let Some(place) = Place::redis() {
            check(&place, Worker::in_a_process, "trial::redis::processes").await;
        }
    }
}

async fn check(place: &Place, start: Start, test: &str) {
    let (seed, count) = (seed(), workflows(WORKFLOWS));
    let replay = replay(seed, count, test);
    eprintln!("replay with {replay}");
    let folder = tempfile::tempdir().expect("a folder");
    let store = match place.url() {
        "" => crew::Place::Here(aipo::memory::store(Clock::system())),
        url => crew::Place::Url(url.to_owned()),
    };
    let site = Site {
        store,
        runs: folder.path().join("runs"),
    };
    let runs = site.runs.clone();
    let mut maker = Maker::new(seed, true);
    let specs: Vec<Spec> = (0..count).map(|_| maker.workflow()).collect();
    let mut crew = Crew {
        random: maker.random,
        workers: Vec::new(),
        frozen: Vec::new(),
        start,
        site,
    };
    let app = crew
        .site
        .app(Box::new(|| unreachable!("this one runs no tasks")))
        .build()
        .await
        .expect("an app");
    let mut nodes = Vec::new();
    for spec in &specs {
        nodes.push(send(&app, canvas(spec)).await.expect("sent"));
    }
    // With no worker up, so that nothing has started by then.
    revoke_the_unwanted(&app, &specs).await.expect("revoked");
    crew.workers = (0..WORKERS).map(|_| start(&crew.site)).collect();
    let problems = tokio::select! {
        problems = problems(&app, &runs, &specs, &nodes) => problems,
        () = crew.lose_workers() => unreachable!("it goes on for ever"),
    };
    crew.workers.into_iter().for_each(Worker::kill);
    assert!(problems.is_empty(), "{problems}replay with {replay}");
}

/// The workers, and who is next.
struct Crew {
    random: fastrand::Rng,
    workers: Vec<Worker>,
    /// Those that are frozen, and until when.
    frozen: Vec<(Instant, usize)>,
    start: Start,
    site: Site,
}

impl Crew {
    /// Kills or freezes one after the other. Others take the places of those and of such as a task has ended.
    async fn lose_workers(&mut self) {
        for _ in 0..LOSSES {
            self.pause().await;
            let unlucky = self.random.usize(..self.workers.len());
            if self.random.u32(..FREEZES_ONE_OF) == 0 {
                self.workers[unlucky].freeze();
                self.frozen.push((Instant::now() + LEASE * 2, unlucky));
            } else {
                self.replace(unlucky);
            }
        }
        loop {
            self.pause().await;
        }
    }

    /// Waits a little, and does what is to be done then.
    async fn pause(&mut self) {
        let pause = self.random.u64(..=BETWEEN_LOSSES);
        sleep(Duration::from_millis(pause)).await;
        let now = Instant::now();
        for (_, number) in self.frozen.extract_if(.., |(until, _)| *until <= now) {
            // Another one in its place does not mind.
            self.workers[number].thaw();
        }
        for number in 0..self.workers.len() {
            if self.workers[number].has_died() {
                self.replace(number);
            }
        }
    }

    fn replace(&mut self, number: usize) {
        let next = (self.start)(&self.site);
        std::mem::replace(&mut self.workers[number], next).kill();
    }
}

/// Waits for them all and says where they break the law.
async fn problems(app: &App, runs: &Path, specs: &[Spec], nodes: &[ResultNode]) -> String {
    let end = Instant::now() + END;
    let mut tally = Tally::default();
    let mut problems = String::new();
    for (number, (spec, node)) in specs.iter().zip(nodes).enumerate() {
        let rest = end.saturating_duration_since(Instant::now());
        let out = outcome(app, node, rest).await;
        let expected = Ok(expect(spec, None, &mut tally));
        if out != expected {
            problems +=
                &format!("workflow {number}:\n{spec:?}\ngave {out:?} instead of {expected:?}\n");
        }
    }
    // Nobody awaits callbacks. A chord among them may be complete with no message of it left.
    let all_done = async {
        while left(app).await.expect("what is left").undone > 0
            || Reader::open(runs).next().messages != tally.runs
        {
            sleep(Duration::from_millis(50)).await;
        }
    };
    // If they are never done, what follows says where.
    let _ = timeout(REST, all_done).await;
    let left = left(app).await.expect("what is left");
    let nothing = Left {
        undone: 0,
        dead: tally.dead,
        kept: 0,
    };
    if left != nothing {
        problems += &format!("{left:?} instead of {nothing:?}\n");
    }
    problems + &wrong_runs(&Reader::open(runs).next(), &tally)
}

fn wrong_runs(seen: &Seen, tally: &Tally) -> String {
    let messages: usize = seen.messages.values().sum();
    eprintln!("{messages} messages, {} runs beyond the first", seen.again);
    let mut problems = String::new();
    if !seen.twice.is_empty() {
        problems += &format!("deliveries ran twice: {:?}\n", seen.twice);
    }
    let labels = seen.messages.keys().chain(tally.runs.keys());
    for label in BTreeSet::from_iter(labels) {
        let (ran, expected) = (seen.messages.get(label), tally.runs.get(label));
        if ran != expected {
            problems += &format!("label {label}: {ran:?} messages instead of {expected:?}\n");
        }
    }
    problems
}
