//! Measures the store through its contracts:
//! `cargo run --release -p aipo-redis --example redis_throughput -- --url redis://127.0.0.1:6379/0`.
//!
//! The queue `celery` is emptied; let it be a database for the purpose. Further arguments: `--messages 200000`,
//! `--body 1000` (bytes), `--lanes 4` (fetches at a time), `--fetch 256` (messages of one fetch). Prints one line for each figure; with rates, what a
//! message cost in processor time, here (where there is `/proc`) and in the server, which says more on a machine
//! that does other things as well.

#![expect(clippy::disallowed_methods, reason = "measures wall time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aipo_core::message::{Envelope, Properties};
use aipo_core::store::{
    Consumer, ConsumerOptions, Delivery, Fetch, Publish, ResultRecord, Settlement, Verdict,
};
use aipo_core::{Error, QueueName, Result, Store, TaskId, TaskState};
use aipo_redis::{RedisOptions, connect};

/// Callers at a time that publish one message a call.
const CALLERS: usize = 64;

/// Messages of one call when sending in bulk.
const BULK: usize = 1_000;

struct Arguments {
    url: String,
    messages: usize,
    body: usize,
    lanes: usize,
    fetch: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = arguments();
    let Arguments {
        messages,
        body,
        lanes,
        fetch,
        ..
    } = arguments;
    let store = open(&arguments.url).await?;
    store.broker.purge(&QueueName::from("celery")).await?;

    for with_result in [true, false] {
        let name = "publish 1,000 a call, one after another";
        let meter = Meter::start(&arguments.url, name, messages);
        publish_bulk(&store, messages, body).await?;
        meter.report();
        let what = if with_result { "with" } else { "without" };
        let name = format!("fetch and settle {what} results, {lanes} at a time");
        let meter = Meter::start(&arguments.url, &name, messages);
        drain(&store, messages, lanes, fetch, with_result).await?;
        meter.report();
    }

    let name = "publish one a call, one after another";
    let meter = Meter::start(&arguments.url, name, messages / 10);
    publish_single(&store, messages / 10, 1, body).await?;
    meter.report();
    let each = messages / CALLERS;
    let name = "publish one a call, 64 callers";
    let meter = Meter::start(&arguments.url, name, each * CALLERS);
    publish_single(&store, each, CALLERS, body).await?;
    meter.report();
    store.broker.purge(&QueueName::from("celery")).await?;

    round_trips("round trip in one process", &store, &store, 3_000, body).await?;
    let other = open(&arguments.url).await?;
    round_trips(
        "round trip between two handles",
        &store,
        &other,
        3_000,
        body,
    )
    .await
}

async fn open(url: &str) -> Result<Store> {
    connect(RedisOptions::from_url(url)?).await
}

async fn publish_bulk(store: &Store, count: usize, body: usize) -> Result<()> {
    let mut left = count;
    while left > 0 {
        let size = left.min(BULK);
        store
            .broker
            .publish((0..size).map(|_| message(body)).collect())
            .await?;
        left -= size;
    }
    Ok(())
}

async fn publish_single(store: &Store, each: usize, callers: usize, body: usize) -> Result<()> {
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let broker = store.broker.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    broker.publish(vec![message(body)]).await?;
                }
                Ok::<(), Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics")?;
    }
    Ok(())
}

/// One consumer; `lanes` tasks that each fetch and settle.
async fn drain(
    store: &Store,
    count: usize,
    lanes: usize,
    max: usize,
    with_result: bool,
) -> Result<()> {
    let consumer: Arc<dyn Consumer> = store.broker.consume(consumer_options()).await?.into();
    let done = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..lanes)
        .map(|_| {
            let (consumer, done) = (consumer.clone(), done.clone());
            tokio::spawn(async move {
                let fetch = Fetch {
                    max,
                    started: max,
                    wait: Duration::from_millis(50),
                };
                while done.load(Ordering::Relaxed) < count {
                    let taken = consumer.fetch(fetch).await?;
                    let ends: Vec<_> = taken.iter().map(|taken| end(taken, with_result)).collect();
                    done.fetch_add(ends.len(), Ordering::Relaxed);
                    consumer.settle(ends).await?;
                }
                Ok::<(), Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics")?;
    }
    consumer.close().await
}

/// Publish, fetch, settle with result, wait for the result: one task at a time.
async fn round_trips(
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
            consumer
                .settle(taken.iter().map(|taken| end(taken, true)).collect())
                .await?;
        }
        consumer.close().await
    });
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let message = message(body);
        let id = message.id.clone();
        let start = Instant::now();
        sender.broker.publish(vec![message]).await?;
        let result = sender.results.wait(&id, Duration::from_secs(10)).await?;
        result.expect("a result within 10 s");
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

fn message(body: usize) -> Publish {
    let id = TaskId::new();
    let headers = format!(
        r#"{{"lang":"rs","task":"app.tasks.add","id":"{id}","shadow":null,"eta":null,"expires":null,"group":null,"group_index":null,"retries":0,"timelimit":[null,null],"root_id":"{id}","parent_id":null,"argsrepr":"(2, 2)","kwargsrepr":"{{}}","origin":"gen1@host","ignore_result":null,"replaced_task_nesting":0,"stamped_headers":null,"stamps":{{}}}}"#
    );
    Publish {
        queue: "celery".into(),
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

fn end(delivery: &Delivery, with_result: bool) -> Settlement {
    let id = delivery
        .envelope
        .properties
        .correlation_id
        .as_deref()
        .expect("set by `message`");
    let record = || {
        ResultRecord {
        id: TaskId::from(id),
        state: TaskState::Success,
        meta: format!(
            r#"{{"status":"SUCCESS","result":4,"traceback":null,"children":[],"date_done":"2026-01-01T00:00:00.000000+00:00","task_id":"{id}"}}"#
        )
        .into_bytes(),
        expires: Some(Duration::from_secs(86_400)),
    }
    };
    Settlement {
        tag: delivery.tag,
        verdict: Verdict::Ack,
        result: with_result.then(record),
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

/// Measures one part.
struct Meter {
    server: redis::Connection,
    name: String,
    count: usize,
    start: Instant,
    cpu: [Option<f64>; 2],
}

impl Meter {
    fn start(url: &str, name: &str, count: usize) -> Self {
        let client = redis::Client::open(url).expect("a valid URL");
        let mut server = client.get_connection().expect("connect");
        Self {
            cpu: [own_cpu(), server_cpu(&mut server)],
            server,
            name: name.to_owned(),
            count,
            start: Instant::now(),
        }
    }

    fn report(mut self) {
        let rate = self.count as f64 / self.start.elapsed().as_secs_f64();
        let after = [own_cpu(), server_cpu(&mut self.server)];
        let [own, server] = [0, 1].map(|index| {
            let seconds = after[index].zip(self.cpu[index]);
            seconds.map_or("?".to_owned(), |(after, before)| {
                format!("{:.1}", (after - before) * 1e6 / self.count as f64)
            })
        });
        let name = self.name;
        println!("{name:<48} {rate:>10.0} /s  {own:>6} us here  {server:>6} us in redis");
    }
}

/// Processor time of this process in seconds.
fn own_cpu() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    // Linux tells them in hundredths of a second.
    Some((ticks()? + ticks()?) / 100.0)
}

fn server_cpu(server: &mut redis::Connection) -> Option<f64> {
    let info: String = redis::cmd("INFO").arg("cpu").query(server).ok()?;
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name));
        value?.parse::<f64>().ok()
    };
    Some(field("used_cpu_user:")? + field("used_cpu_sys:")?)
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        url: "redis://127.0.0.1:6379/0".to_owned(),
        messages: 200_000,
        body: 1_000,
        lanes: 4,
        fetch: 256,
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
            "--url" => arguments.url = value,
            "--messages" => arguments.messages = number(),
            "--body" => arguments.body = number(),
            "--lanes" => arguments.lanes = number(),
            "--fetch" => arguments.fetch = number(),
            _ => panic!("unknown argument {key}"),
        }
    }
    arguments
}
