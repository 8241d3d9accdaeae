//! Measures the store through its contracts:
//! `cargo run --release -p aipo-redis --example redis_throughput -- --url redis://127.0.0.1:6379/0`.
//!
//! The queue `celery` is emptied; let it be a database for the purpose. Further arguments: `--messages 200000`,
//! `--body 1000` (bytes), `--lanes 4` (fetches at a time). Prints one line for each figure.

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

/// Messages of one call when sending in bulk, and of one fetch when draining.
const BULK: usize = 1_000;
const FETCH: usize = 256;

struct Arguments {
    url: String,
    messages: usize,
    body: usize,
    lanes: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = arguments();
    let Arguments {
        messages,
        body,
        lanes,
        ..
    } = arguments;
    let store = open(&arguments.url).await?;
    store.broker.purge(&QueueName::from("celery")).await?;

    for with_result in [true, false] {
        let time = publish_bulk(&store, messages, body).await?;
        report("publish 1,000 a call, one after another", messages, time);
        let time = drain(&store, messages, lanes, with_result).await?;
        let what = if with_result { "with" } else { "without" };
        report(
            &format!("fetch and settle {what} results, {lanes} at a time"),
            messages,
            time,
        );
    }

    let time = publish_single(&store, messages / 10, 1, body).await?;
    report("publish one a call, one after another", messages / 10, time);
    let each = messages / CALLERS;
    let time = publish_single(&store, each, CALLERS, body).await?;
    report("publish one a call, 64 callers", each * CALLERS, time);
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

async fn publish_bulk(store: &Store, count: usize, body: usize) -> Result<Duration> {
    let start = Instant::now();
    let mut left = count;
    while left > 0 {
        let size = left.min(BULK);
        store
            .broker
            .publish((0..size).map(|_| message(body)).collect())
            .await?;
        left -= size;
    }
    Ok(start.elapsed())
}

async fn publish_single(
    store: &Store,
    each: usize,
    callers: usize,
    body: usize,
) -> Result<Duration> {
    let start = Instant::now();
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
    Ok(start.elapsed())
}

/// One consumer; `lanes` tasks that each fetch and settle.
async fn drain(store: &Store, count: usize, lanes: usize, with_result: bool) -> Result<Duration> {
    let start = Instant::now();
    let consumer: Arc<dyn Consumer> = store.broker.consume(consumer_options()).await?.into();
    let done = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..lanes)
        .map(|_| {
            let (consumer, done) = (consumer.clone(), done.clone());
            tokio::spawn(async move {
                let fetch = Fetch {
                    max: FETCH,
                    started: FETCH,
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
    consumer.close().await?;
    Ok(start.elapsed())
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

fn report(name: &str, count: usize, time: Duration) {
    println!("{name:<48} {:>10.0} /s", count as f64 / time.as_secs_f64());
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        url: "redis://127.0.0.1:6379/0".to_owned(),
        messages: 200_000,
        body: 1_000,
        lanes: 4,
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
            _ => panic!("unknown argument {key}"),
        }
    }
    arguments
}
