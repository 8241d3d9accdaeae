//! The law in virtual time: one workflow after the other in memory, each with troubles of its own.

use std::path::Path;
use std::time::Duration;

use aipo::{App, AppBuilder, Worker, testing};
use aipo_conformance::fault::{Faults, Rates};
use tokio::time::sleep;

use super::interpreter::{Tally, expect};
use super::spec::{Maker, Spec};
use super::work::{self, Reader, canvas, revoke_the_unwanted};
use super::{Left, left, outcome, replay, seed, send, workflows};

/// How many workflows there are by default.
const WORKFLOWS: u64 = 300;
/// Calls of the store that fail while there are faults.
const RATES: Rates = Rates {
    before: 3,
    cut: 3,
    after: 3,
};

/// What happens while a workflow runs.
#[derive(Debug)]
struct Troubles {
    /// Workers that come one after the other, before one that may stay.
    losses: Vec<Loss>,
    /// Whether calls of the store fail at random, by this seed.
    faults: Option<u64>,
    /// Whether workers keep what comes later apart from their messages.
    keeps_apart: bool,
}

#[derive(Debug)]
struct Loss {
    after: Duration,
    how: Losing,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Losing {
    /// It stops cold, and hands back what it has.
    Stop,
    /// No call of it reaches the store any more, as if it was killed.
    CutOff,
}

impl Troubles {
    fn random(random: &mut fastrand::Rng) -> Self {
        let count = match random.bool() {
            true => 0,
            false => random.usize(1..4),
        };
        let losses = (0..count).map(|_| Loss {
            after: Duration::from_millis(random.u64(1..20)),
            how: random
                .choice([Losing::Stop, Losing::CutOff])
                .expect("one of two"),
        });
        Self {
            losses: losses.collect(),
            keeps_apart: random.bool(),
            faults: (random.u32(0..3) == 0).then(|| random.u64(..)),
        }
    }

    fn has(&self, how: Losing) -> bool {
        self.losses.iter().any(|loss| loss.how == how)
    }
}

/// A place with a store in memory, which apps reach through faults of their own.
struct Site {
    /// An app without faults.
    app: App,
    folder: tempfile::TempDir,
}

impl Site {
    async fn worker(&self, faults: &Faults, keeps_apart: bool) -> Result<Worker, String> {
        let app = app(&self.folder.path().join("runs"), keeps_apart);
        let app = app
            .clock(self.app.clock().clone())
            .store(faults.wrap(self.app.store()));
        let app = app.build().await.map_err(|error| error.to_string())?;
        loop {
            match app.worker().start().await {
                Ok(worker) => return Ok(worker),
                // One of the faults; whoever starts workers tries again.
                Err(error) if error.is_temporary() => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Runs it, and says where it breaks the law.
    async fn check(
        &self,
        runs: &mut Reader,
        spec: &Spec,
        troubles: &Troubles,
        dead: u64,
    ) -> Result<u64, String> {
        let mut tally = Tally::default();
        let expected = expect(spec, None, &mut tally);
        let app = &self.app;
        let node = send(app, canvas(spec)).await?;
        revoke_the_unwanted(app, std::slice::from_ref(spec))
            .await
            .map_err(|error| error.to_string())?;
        let faults = || {
            let faults = Faults::new(troubles.faults.unwrap_or_default());
            if troubles.faults.is_some() {
                faults.set_rates(RATES);
            }
            faults
        };
        for loss in &troubles.losses {
            let faults = faults();
            let worker = self.worker(&faults, troubles.keeps_apart).await?;
            sleep(loss.after).await;
            faults.set_down(loss.how == Losing::CutOff);
            // One that is cut off can't say goodbye.
            if let Err(error) = worker.abort().await
                && loss.how == Losing::Stop
                && !error.is_temporary()
            {
                return Err(error.to_string());
            }
        }
        let faults = faults();
        let worker = self.worker(&faults, troubles.keeps_apart).await?;
        let out = outcome(app, &node, Duration::from_secs(600)).await;
        // Callbacks are not awaited by anybody.
        sleep(Duration::from_secs(120)).await;
        faults.set_rates(Rates::default());
        worker.stop().await.map_err(|error| error.to_string())?;
        let seen = runs.next();
        let out = out.map_err(|error| {
            format!(
                "{error}; its tasks ran {:?} and should have run {:?}",
                seen.messages, tally.runs
            )
        })?;
        if out != expected {
            return Err(format!("it gave {out:?} instead of {expected:?}"));
        }
        if seen.messages != tally.runs {
            return Err(format!(
                "its tasks ran {:?} instead of {:?}",
                seen.messages, tally.runs
            ));
        }
        // What is handed back by a cold stop is as if it had not been delivered.
        if !seen.twice.is_empty() && !troubles.has(Losing::Stop) {
            return Err(format!("deliveries ran twice: {:?}", seen.twice));
        }
        let dead = dead + tally.dead;
        let nothing = Left {
            undone: 0,
            dead,
            kept: 0,
        };
        match left(app).await.map_err(|error| error.to_string())? {
            left if left == nothing => Ok(dead),
            left => Err(format!("{left:?} instead of {nothing:?}")),
        }
    }
}

fn app(runs: &Path, keeps_apart: bool) -> AppBuilder {
    let death = Box::new(|| unreachable!("no task is deadly here"));
    work::app(runs, death, keeps_apart)
}

#[tokio::test(start_paused = true)]
async fn random_workflows_give_what_the_interpreter_says() {
    let (seed, count) = (seed(), workflows(WORKFLOWS));
    let replay = replay(seed, count, "unhurried");
    eprintln!("replay with {replay}");
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path().join("runs");
    let site = Site {
        app: testing::build(app(&runs, false)).await.expect("an app"),
        folder,
    };
    let mut runs = Reader::open(&runs);
    let mut maker = Maker::new(seed, false);
    let mut dead = 0;
    for number in 0..count {
        let spec = maker.workflow();
        let troubles = Troubles::random(&mut maker.random);
        match site.check(&mut runs, &spec, &troubles, dead).await {
            Ok(letters) => dead = letters,
            Err(problem) => panic!(
                "workflow {number}, {troubles:?}:\n{spec:?}\n{problem}\nreplay with {replay}"
            ),
        }
    }
}
