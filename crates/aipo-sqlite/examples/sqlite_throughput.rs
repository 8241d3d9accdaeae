//! Measures the store through its contracts: `cargo run --release -p aipo-sqlite --example sqlite_throughput`.
//!
//! Arguments: `--messages 200000`, `--body 1000` (bytes), `--backlog 0` (messages of another queue that
//! wait meanwhile), `--synchronous normal`, `--dir` (a folder on the disk to measure; default: the
//! system's for temporary files). Prints one line for each figure, with the processor time that the whole
//! process took for each message where the system tells it (Linux): on a machine that others use as
//! well, that is the steadier figure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aipo_core::message::{Envelope, Properties};
use aipo_core::store::{
    Address, ConsumerOptions, Delivery, Fetch, Notice, Publish, ResultRecord, Settlement, Topic,
    Verdict,
};
use aipo_core::{QueueName, Result, Store, TaskId, TaskState};
use aipo_sqlite::{SqliteOptions, connect};
use tokio::time::Instant;

/// Callers at a time that publish one message a call.
const CALLERS: usize = 64;

struct Arguments {
    messages: usize,
    body: usize,
    backlog: usize,
    synchronous: String,
    dir: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = arguments();
    let folder = tempfile::tempdir_in(&arguments.dir).expect("a folder for the database");
    let path = folder.path().join("bench.db");
    let url = format!(
        "sqlite://{}?synchronous={}",
        path.display(),
        arguments.synchronous
    );
    let store = connect(SqliteOptions::from_url(&url)?).await?;

    if arguments.backlog > 0 {
        publish_bulk(&store, "backlog", arguments.backlog, arguments.body).await?;
    }
    let count = arguments.messages;
    let time = publish_bulk(&store, "celery", count, arguments.body).await?;
    report("bulk publish, 1,000 a call", count, time);
    let time = drain(&store, count, 64, 4).await?;
    report("fetch 64 + settle with result, 1 consumer", count, time);

    let each = count / 4 / CALLERS;
    let time = publish_single(&store, each, arguments.body).await?;
    report("publish one a call, 64 callers", each * CALLERS, time);
    let time = drain(&store, each * CALLERS, 1, 16).await?;
    report(
        "fetch 1 + settle with result, 16 at a time",
        each * CALLERS,
        time,
    );

    let mut wal = Largest::new(&path, "-wal");
    let time = both(&store, count, arguments.body, &mut wal).await?;
    report("publish 100 a call and drain at the same time", count, time);
    println!("{:<48} {:>10.1} MiB", "largest WAL meanwhile", wal.mib());

    round_trips(&store, 3_000, arguments.body).await?;
    let other = connect(SqliteOptions::from_url(&url)?).await?;
    round_trips_between(&store, &other, 3_000, arguments.body).await?;
    let (time, missed) = tell(&store, &other, count / 4, arguments.body).await?;
    report(
        "tell 100 a call, heard through another handle",
        count / 4,
        time,
    );
    println!("{:<48} {missed:>10}", "of which were missed");
    Ok(())
}

/// One file beside the database, and the most that it grew to.
struct Largest {
    path: PathBuf,
    bytes: u64,
}

impl Largest {
    fn new(database: &Path, suffix: &str) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        Self {
            path: name.into(),
            bytes: 0,
        }
    }

    fn look(&mut self) {
        if let Ok(metadata) = std::fs::metadata(&self.path) {
            self.bytes = self.bytes.max(metadata.len());
        }
    }

    fn mib(&self) -> f64 {
        self.bytes as f64 / f64::from(1 << 20)
    }
}

async fn publish_bulk(store: &Store, queue: &str, count: usize, body: usize) -> Result<Cost> {
    let start = Cost::now();
    let mut left = count;
    while left > 0 {
        let size = left.min(1_000);
        store
            .broker
            .publish((0..size).map(|_| message(queue, body)).collect())
            .await?;
        left -= size;
    }
    Ok(start.since())
}

async fn publish_single(store: &Store, each: usize, body: usize) -> Result<Cost> {
    let start = Cost::now();
    let tasks: Vec<_> = (0..CALLERS)
        .map(|_| {
            let broker = store.broker.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    broker.publish(vec![message("celery", body)]).await?;
                }
                Ok::<(), aipo_core::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics")?;
    }
    Ok(start.since())
}

/// One consumer; `lanes` tasks that each fetch `size` and settle them with their results.
async fn drain(store: &Store, count: usize, size: usize, lanes: usize) -> Result<Cost> {
    let start = Cost::now();
    let options = consumer_options();
    let consumer = std::sync::Arc::new(store.broker.consume(options).await?);
    let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let tasks: Vec<_> = (0..lanes)
        .map(|_| {
            let (consumer, done) = (consumer.clone(), done.clone());
            tokio::spawn(async move {
                let fetch = Fetch {
                    max: size,
                    started: size,
                    wait: Duration::from_millis(100),
                };
                while done.load(std::sync::atomic::Ordering::Relaxed) < count {
                    let taken = consumer.fetch(fetch).await?;
                    let ends: Vec<_> = taken.iter().map(end).collect();
                    done.fetch_add(ends.len(), std::sync::atomic::Ordering::Relaxed);
                    consumer.settle(ends).await?;
                }
                Ok::<(), aipo_core::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics")?;
    }
    consumer.close().await?;
    Ok(start.since())
}

async fn both(store: &Store, count: usize, body: usize, wal: &mut Largest) -> Result<Cost> {
    let start = Cost::now();
    let publisher = {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..count / 100 {
                let batch = (0..100).map(|_| message("celery", body)).collect();
                store.broker.publish(batch).await?;
            }
            Ok::<(), aipo_core::Error>(())
        })
    };
    let drainer = {
        let store = store.clone();
        tokio::spawn(async move { drain(&store, count / 100 * 100, 64, 4).await })
    };
    while !drainer.is_finished() {
        wal.look();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    publisher.await.expect("no task panics")?;
    drainer.await.expect("no task panics")?;
    Ok(start.since())
}

/// Publish, fetch, settle with result, wait for the result: one task at a time, in one process.
async fn round_trips(store: &Store, count: usize, body: usize) -> Result<()> {
    round_trips_through("round trip in one process", store, store, count, body).await
}

/// The same, with sender and worker on handles of their own, as in two processes.
async fn round_trips_between(
    sender: &Store,
    worker: &Store,
    count: usize,
    body: usize,
) -> Result<()> {
    round_trips_through(
        "round trip between two handles",
        sender,
        worker,
        count,
        body,
    )
    .await
}

async fn round_trips_through(
    name: &str,
    sender: &Store,
    worker: &Store,
    count: usize,
    body: usize,
) -> Result<()> {
    let consumer = worker.broker.consume(consumer_options()).await?;
    let serve = tokio::spawn(async move {
        let fetch = Fetch {
            max: 64,
            started: 64,
            wait: Duration::from_secs(10),
        };
        let mut done = 0;
        while done < count {
            let taken = consumer.fetch(fetch).await?;
            done += taken.len();
            consumer.settle(taken.iter().map(end).collect()).await?;
        }
        consumer.close().await
    });
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let message = message("celery", body);
        let id = message.id.clone();
        let start = Instant::now();
        sender.broker.publish(vec![message]).await?;
        sender
            .results
            .wait(&id, Duration::from_secs(10))
            .await?
            .expect("a result within 10 s");
        times.push(start.elapsed());
    }
    serve.await.expect("no task panics")?;
    times.sort_unstable();
    let ms = |quantile: f64| times[(count as f64 * quantile) as usize].as_secs_f64() * 1e3;
    println!(
        "{name:<48} p50 {:>6.3} ms  p99 {:>6.3} ms",
        ms(0.50),
        ms(0.99)
    );
    Ok(())
}

/// Events of tasks, told here and heard there; also how many were not heard.
async fn tell(here: &Store, there: &Store, count: usize, body: usize) -> Result<(Cost, usize)> {
    let start = Cost::now();
    let events = Topic::Everybody {
        exchange: "celeryev".to_owned(),
        pattern: "#".to_owned(),
    };
    let mut listener = there.bus.listen(vec![events]).await?;
    let hear = tokio::spawn(async move {
        for heard in 0.. {
            if listener.next().await?.envelope.body.is_empty() {
                return Ok(heard);
            }
        }
        unreachable!("no range is longer")
    });
    let notice = |body| Notice {
        to: Address::Everybody {
            exchange: "celeryev".to_owned(),
            routing_key: "task.succeeded".to_owned(),
        },
        envelope: Envelope {
            body: vec![b'x'; body],
            ..Envelope::default()
        },
    };
    for _ in 0..count / 100 {
        here.bus.tell(vec![notice(body); 100]).await?;
    }
    here.bus.tell(vec![notice(0)]).await?;
    let heard: Result<usize> = hear.await.expect("no task panics");
    Ok((start.since(), count / 100 * 100 - heard?))
}

fn message(queue: &str, body: usize) -> Publish {
    let id = TaskId::new();
    let headers = format!(
        r#"{{"lang":"py","task":"app.tasks.add","id":"{id}","root_id":"{id}","parent_id":null,"retries":0,"eta":null,"expires":null,"argsrepr":"(2, 2)","kwargsrepr":"{{}}","origin":"gen1@host"}}"#
    );
    Publish {
        queue: QueueName::from(queue),
        priority: 0,
        due: None,
        envelope: Envelope {
            headers: headers.into_bytes(),
            properties: Properties {
                correlation_id: Some(id.to_string()),
                reply_to: Some("6f3d1c4e-7b0a-4d0e-9a52-1f3f5a1d8c11".to_owned()),
                ..Properties::default()
            },
            body: vec![b'x'; body],
        },
        id,
    }
}

fn end(delivery: &Delivery) -> Settlement {
    let id = delivery
        .envelope
        .properties
        .correlation_id
        .as_deref()
        .expect("set by `message`");
    let meta = format!(
        r#"{{"status":"SUCCESS","result":4,"traceback":null,"children":[],"date_done":"2026-01-01T00:00:00+00:00","task_id":"{id}"}}"#
    );
    Settlement {
        tag: delivery.tag,
        verdict: Verdict::Ack,
        result: Some(ResultRecord {
            id: TaskId::from(id),
            state: TaskState::Success,
            meta: meta.into_bytes(),
            expires: Some(Duration::from_secs(86_400)),
        }),
        publish: Vec::new(),
        step: Default::default(),
    }
}

fn consumer_options() -> ConsumerOptions {
    ConsumerOptions {
        name: "throughput".to_owned(),
        queues: vec!["celery".into()],
        lease: Duration::from_secs(60),
    }
}

fn report(name: &str, count: usize, cost: Cost) {
    let rate = count as f64 / cost.time.as_secs_f64();
    let cpu = cost.cpu.as_secs_f64() * 1e6 / count as f64;
    println!("{name:<48} {rate:>10.0} /s {cpu:>8.1} us of processor each");
}

/// What something took.
struct Cost {
    time: Duration,
    /// Of all threads; zero where the system does not tell.
    cpu: Duration,
}

struct Start(Instant, Duration);

impl Cost {
    fn now() -> Start {
        Start(Instant::now(), processor_time().unwrap_or_default())
    }
}

impl Start {
    fn since(&self) -> Cost {
        let cpu = processor_time().unwrap_or_default().saturating_sub(self.1);
        Cost {
            time: self.0.elapsed(),
            cpu,
        }
    }
}

/// User and system time of this process, from `/proc`, in ticks of 10 ms.
fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        messages: 200_000,
        body: 1_000,
        backlog: 0,
        synchronous: "normal".to_owned(),
        dir: std::env::temp_dir(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(key) = given.next() {
        let value = given
            .next()
            .unwrap_or_else(|| panic!("{key} needs a value"));
        let number = || {
            value
                .parse()
                .unwrap_or_else(|_| panic!("{key} needs a number"))
        };
        match key.as_str() {
            "--messages" => arguments.messages = number(),
            "--body" => arguments.body = number(),
            "--backlog" => arguments.backlog = number(),
            "--synchronous" => arguments.synchronous = value,
            "--dir" => arguments.dir = value.into(),
            _ => panic!("unknown argument {key}"),
        }
    }
    arguments
}
