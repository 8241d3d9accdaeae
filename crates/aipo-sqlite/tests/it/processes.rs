//! Several processes on one file, some of which are killed.
//!
//! A child is this very test binary, told to run the one test below that is otherwise ignored. It
//! writes a line for each call that was answered, so the parent knows what it must find.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aipo_core::message::Envelope;
use aipo_core::store::{
    Address, ConsumerOptions, Fetch, Location, Notice, Publish, ResultRecord, Settlement, Topic,
    Verdict,
};
use aipo_core::{Store, TaskId, TaskState};
use aipo_sqlite::SqliteOptions;
use tokio::task::JoinSet;

use crate::sound::assert_sound;

const ROLE: &str = "AIPO_SQLITE_TEST_ROLE";
const DATABASE: &str = "AIPO_SQLITE_TEST_DATABASE";

/// Longer than any right answer takes; only ends a test that would hang.
const GUARD: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child process of the other tests here"]
async fn child() {
    let path = std::env::var(DATABASE).expect("set by the parent");
    let store = connect(Path::new(&path)).await;
    match std::env::var(ROLE).expect("set by the parent").as_str() {
        "publish" => publish_until_killed(store).await,
        "work" => work_until_killed(store).await,
        "tell" => tell_until_killed(store).await,
        role => panic!("no role {role}"),
    }
}

/// Eight callers that send one message after the other.
async fn publish_until_killed(store: Store) {
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let broker = store.broker.clone();
        callers.spawn(async move {
            loop {
                let message = message("q");
                let id = message.id.clone();
                broker.publish(vec![message]).await.expect("publish");
                println!("done {id}");
            }
        });
    }
    let ended = callers.join_next().await;
    panic!("a caller ended: {ended:?}");
}

/// Four callers that settle one message after the other, each with a result and a follow-up.
async fn work_until_killed(store: Store) {
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        callers.spawn(async move {
            let consumer = store
                .broker
                .consume(worker("child"))
                .await
                .expect("consume");
            loop {
                let fetch = Fetch {
                    max: 3,
                    started: 3,
                    wait: GUARD,
                };
                for delivery in consumer.fetch(fetch).await.expect("fetch") {
                    let id = String::from_utf8(delivery.envelope.body).expect("the task's id");
                    let result = ResultRecord {
                        id: id.as_str().into(),
                        state: TaskState::Success,
                        meta: b"{}".to_vec(),
                        expires: None,
                    };
                    let follow_up = Publish {
                        id: format!("next-{id}").into(),
                        ..message("next")
                    };
                    let end = Settlement {
                        tag: delivery.tag,
                        verdict: Verdict::Ack,
                        result: Some(result),
                        publish: vec![follow_up],
                        step: Default::default(),
                    };
                    consumer.settle(vec![end]).await.expect("settle");
                    println!("done {id}");
                }
            }
        });
    }
    let ended = callers.join_next().await;
    panic!("a caller ended: {ended:?}");
}

/// Tells 1, 2, 3 and so on.
async fn tell_until_killed(store: Store) {
    let to = Address::Everybody {
        exchange: "events".to_owned(),
        routing_key: "number".to_owned(),
    };
    for number in 1_u64.. {
        let envelope = Envelope {
            body: number.to_string().into_bytes(),
            ..Envelope::default()
        };
        let to = to.clone();
        let told = store.bus.tell(vec![Notice { to, envelope }]).await;
        told.expect("tell");
    }
}

#[tokio::test]
async fn what_a_killed_sender_was_answered_for_is_there() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("test.db");
    let store = connect(&path).await;

    let done = kill_after("publish", &path, 500);

    let found = store.broker.locate(&done).await.expect("locate");
    let ready = Some(Location::Ready { queue: "q".into() });
    assert!(
        found.iter().all(|location| *location == ready),
        "{} were answered",
        done.len()
    );
    // The dead process holds no lock.
    store
        .broker
        .publish(vec![message("q")])
        .await
        .expect("publish");
    drop(store);
    assert_sound(&path);
}

#[tokio::test]
async fn a_settlement_of_a_killed_worker_is_whole_or_not_there() {
    const MESSAGES: usize = 5_000;
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("test.db");
    let store = connect(&path).await;
    let messages: Vec<Publish> = (0..MESSAGES).map(|_| message("q")).collect();
    let sent: Vec<TaskId> = messages.iter().map(|message| message.id.clone()).collect();
    store.broker.publish(messages).await.expect("publish");

    let done = kill_after("work", &path, 300);

    let follow_ups: Vec<TaskId> = sent.iter().map(|id| format!("next-{id}").into()).collect();
    let here = store.broker.locate(&sent).await.expect("locate");
    let next = store.broker.locate(&follow_ups).await.expect("locate");
    let results = store.results.get(&sent).await.expect("get");
    let mut settled = Vec::new();
    for (index, id) in sent.iter().enumerate() {
        match (&here[index], &next[index], &results[index]) {
            (None, Some(Location::Ready { .. }), Some(_)) => settled.push(id),
            (Some(Location::Ready { .. } | Location::InFlight { .. }), None, None) => {}
            half => panic!("{id} is settled in part: {half:?}"),
        }
    }
    for id in &done {
        assert!(settled.contains(&id), "{id} was answered for");
    }
    drop(store);
    assert_sound(&path);
}

/// Messages that a process publishes are fetched by another while both run.
#[tokio::test]
async fn processes_share_one_line() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("test.db");
    let store = connect(&path).await;
    let consumer = store
        .broker
        .consume(worker("parent"))
        .await
        .expect("consume");
    let mut child = spawn("publish", &path, Stdio::null());

    let mut fetched = 0;
    while fetched < 2_000 {
        let fetch = Fetch {
            max: 100,
            started: 100,
            wait: GUARD,
        };
        let taken = tokio::time::timeout(GUARD, consumer.fetch(fetch))
            .await
            .expect("in time");
        fetched += taken.expect("fetch").len();
    }

    child.kill().expect("kill");
    child.wait().expect("wait");
    drop((consumer, store));
    assert_sound(&path);
}

/// What a process tells is heard by another from the moment it listens, with no gaps.
#[tokio::test]
async fn processes_hear_each_other() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("test.db");
    let store = connect(&path).await;
    let mut child = spawn("tell", &path, Stdio::null());
    let topic = Topic::Everybody {
        exchange: "events".to_owned(),
        pattern: "#".to_owned(),
    };

    for _ in 0..3 {
        let mut listener = store.bus.listen(vec![topic.clone()]).await.expect("listen");
        let mut heard: Vec<u64> = Vec::new();
        while heard.len() < 500 {
            let notice = tokio::time::timeout(GUARD, listener.next())
                .await
                .expect("in time");
            let body = notice.expect("next").envelope.body;
            let number = String::from_utf8(body).expect("text").parse();
            heard.push(number.expect("a number"));
        }
        let expected: Vec<u64> = (heard[0]..).take(heard.len()).collect();
        assert_eq!(heard, expected);
    }

    child.kill().expect("kill");
    child.wait().expect("wait");
    drop(store);
    assert_sound(&path);
}

/// Kills the child with SIGKILL when it was answered `answers` times, and says for what it was.
fn kill_after(role: &str, path: &Path, answers: usize) -> Vec<TaskId> {
    let mut child = spawn(role, path, Stdio::piped());
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut done = Vec::new();
    while done.len() < answers {
        let line = lines.next().expect("the child goes on").expect("a line");
        done.extend(line.strip_prefix("done ").map(TaskId::from));
    }
    child.kill().expect("kill");
    child.wait().expect("wait");
    // What it wrote before the end; the last line may be cut off.
    let rest = lines.map_while(Result::ok);
    done.extend(rest.filter_map(|line| {
        line.strip_prefix("done ")
            .filter(|id| id.len() == 36)
            .map(TaskId::from)
    }));
    done
}

fn spawn(role: &str, path: &Path, stdout: Stdio) -> Child {
    Command::new(std::env::current_exe().expect("the test binary"))
        .args(["--ignored", "--exact", "processes::child", "--nocapture"])
        .env(ROLE, role)
        .env(DATABASE, path)
        .stdout(stdout)
        .spawn()
        .expect("spawn")
}

async fn connect(path: &Path) -> Store {
    aipo_sqlite::connect(SqliteOptions::new(path))
        .await
        .expect("connect")
}

fn worker(name: &str) -> ConsumerOptions {
    ConsumerOptions {
        name: name.to_owned(),
        queues: vec!["q".into()],
        lease: GUARD,
    }
}

fn message(queue: &str) -> Publish {
    let id = TaskId::new();
    let envelope = Envelope {
        body: id.as_str().as_bytes().to_vec(),
        ..Envelope::default()
    };
    Publish {
        queue: queue.into(),
        id,
        priority: 0,
        due: None,
        envelope,
    }
}
