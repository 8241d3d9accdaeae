//! Measures a store through its contracts, without tasks:
//! `cargo run --release -p aipo --features redis --example store_throughput -- --url redis://127.0.0.1:6379/0`.
//!
//! The URL is that of a Redis database or of an SQLite file, for example
//! `sqlite:///var/tmp/bench.db?synchronous=full`. Its queue `celery` is emptied and results stay behind, so let it be
//! one for the purpose. Further arguments: `--messages 200000`, `--body 1000` (bytes), `--lanes 4` (fetches at a
//! time), `--fetch 256` (messages of one fetch), `--backlog 0` (messages of another queue that wait meanwhile).
//!
//! Prints one line for each figure; with rates, what a message cost in processor time: here, which for SQLite is
//! all of it, and in a Redis without a password. That says more on a machine that does other things as well.
//! `?` where it cannot be had.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aipo_core::message::{Envelope, Properties};
use aipo_core::store::{
    Address, Consumer, ConsumerOptions, Delivery, Fetch, Notice, Publish, ResultRecord, Settlement,
    Topic, Verdict,
};
use aipo_core::{Clock, Error, QueueName, Result, Store, TaskId, TaskState};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The queue of the messages that are measured.
const QUEUE: &str = "celery";

/// Callers at a time that publish one message a call.
const CALLERS: usize = 64;

/// Messages of one call when sending in bulk.
const BULK: usize = 1_000;

/// Messages, or notices, of one call when somebody receives them meanwhile.
const BATCH: usize = 100;

/// Longer than any answer takes.
const LONG: Duration = Duration::from_secs(10);

struct Arguments {
    url: String,
    messages: usize,
    body: usize,
    lanes: usize,
    fetch: usize,
    backlog: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments {
        url,
        messages,
        body,
        lanes,
        fetch,
        backlog,
    } = arguments();
    let store = aipo::connect(&url, Clock::system()).await?;
    let other = aipo::connect(&url, Clock::system()).await?;
    store.broker.purge(&QueueName::from(QUEUE)).await?;
    publish(&store, "backlog", backlog, BULK, body).await?;

    for with_result in [true, false] {
        let meter = Meter::start(&url);
        publish(&store, QUEUE, messages, BULK, body).await?;
        meter.report("publish 1,000 a call, one after another", messages);
        let what = if with_result { "with" } else { "without" };
        let name = format!("fetch and settle {what} results, {lanes} at a time");
        let meter = Meter::start(&url);
        drain(&store, messages, lanes, fetch, with_result).await?;
        meter.report(&name, messages);
    }

    let alone = messages / 10;
    let meter = Meter::start(&url);
    publish(&store, QUEUE, alone, 1, body).await?;
    meter.report("publish one a call, one after another", alone);
    let each = messages / 4 / CALLERS;
    let meter = Meter::start(&url);
    publish_together(&store, each, body).await?;
    meter.report("publish one a call, 64 callers", each * CALLERS);
    let count = alone + each * CALLERS;
    let meter = Meter::start(&url);
    drain(&store, count, 16, 1, true).await?;
    meter.report("fetch 1 and settle with result, 16 at a time", count);

    let meter = Meter::start(&url);
    tokio::try_join!(
        publish(&store, QUEUE, messages, BATCH, body),
        drain(&store, messages, lanes, fetch, true),
    )?;
    meter.report("publish 100 a call and drain at the same time", messages);

    round_trips("round trip through one handle", &store, &store, body).await?;
    round_trips("round trip between two handles", &store, &other, body).await?;

    let count = messages / 4;
    let meter = Meter::start(&url);
    let missed = tell(&store, &other, count, body).await?;
    meter.report("tell 100 a call, heard through another handle", count);
    println!("{:<48} {missed:>10}", "of which were missed");
    Ok(())
}

async fn publish(
    store: &Store,
    queue: &str,
    count: usize,
    batch: usize,
    body: usize,
) -> Result<()> {
    let mut left = count;
    while left > 0 {
        let size = left.min(batch);
        let messages = (0..size).map(|_| message(queue, body)).collect();
        store.broker.publish(messages).await?;
        left -= size;
    }
    Ok(())
}

/// `each` messages of every one of [`CALLERS`].
async fn publish_together(store: &Store, each: usize, body: usize) -> Result<()> {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let store = store.clone();
        callers.spawn(async move { publish(&store, QUEUE, each, 1, body).await });
    }
    all(callers).await
}

/// One consumer; `lanes` tasks that each fetch at most `max`, and settle them.
async fn drain(
    store: &Store,
    count: usize,
    lanes: usize,
    max: usize,
    with_result: bool,
) -> Result<()> {
    let consumer: Arc<dyn Consumer> = store.broker.consume(consumer_options()).await?.into();
    let done = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for _ in 0..lanes {
        let (consumer, done) = (consumer.clone(), done.clone());
        running.spawn(async move {
            while done.load(Ordering::Relaxed) < count {
                // So short, since what one lane waits for another may have taken.
                let request = at_most(max, Duration::from_millis(50));
                let taken = consumer.fetch(request).await?;
                let ends: Vec<_> = taken.iter().map(|taken| end(taken, with_result)).collect();
                done.fetch_add(ends.len(), Ordering::Relaxed);
                consumer.settle(ends).await?;
            }
            Ok(())
        });
    }
    all(running).await?;
    consumer.close().await
}

async fn all(mut tasks: JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task panics")?;
    }
    Ok(())
}

/// Publish, fetch, settle with result, wait for the result: one task at a time.
async fn round_trips(name: &str, sender: &Store, worker: &Store, body: usize) -> Result<()> {
    const COUNT: usize = 3_000;
    let consumer = worker.broker.consume(consumer_options()).await?;
    let serve = tokio::spawn(async move {
        let mut done = 0;
        while done < COUNT {
            let taken = consumer.fetch(at_most(64, LONG)).await?;
            done += taken.len();
            let ends = taken.iter().map(|taken| end(taken, true)).collect();
            consumer.settle(ends).await?;
        }
        consumer.close().await
    });
    let mut times = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let message = message(QUEUE, body);
        let id = message.id.clone();
        let start = Instant::now();
        sender.broker.publish(vec![message]).await?;
        let result = sender.results.wait(&id, LONG).await?;
        result.expect("a result within 10 s");
        times.push(start.elapsed());
    }
    serve.await.expect("no task panics")?;
    times.sort_unstable();
    let [p50, p99] = [50, 99].map(|percent| times[COUNT * percent / 100].as_secs_f64() * 1e3);
    println!("{name:<48} p50 {p50:>6.3} ms  p99 {p99:>6.3} ms");
    Ok(())
}

/// Events of tasks, told here and heard there. Gives how many were not heard.
async fn tell(here: &Store, there: &Store, count: usize, body: usize) -> Result<usize> {
    let events = Topic::Everybody {
        exchange: "celeryev".to_owned(),
        pattern: "#".to_owned(),
    };
    let mut listener = there.bus.listen(vec![events]).await?;
    let hear = tokio::spawn(async move {
        let mut heard = 0;
        while !listener.next().await?.envelope.body.is_empty() {
            heard += 1;
        }
        Ok::<usize, Error>(heard)
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
    let mut left = count;
    while left > 0 {
        let size = left.min(BATCH);
        here.bus.tell(vec![notice(body); size]).await?;
        left -= size;
    }
    // The last one is empty.
    here.bus.tell(vec![notice(0)]).await?;
    Ok(count - hear.await.expect("no task panics")?)
}

fn message(queue: &str, body: usize) -> Publish {
    let id = TaskId::new();
    let headers = format!(
        r#"{{"lang":"rs","task":"app.tasks.add","id":"{id}","shadow":null,"eta":null,"expires":null,"group":null,"group_index":null,"retries":0,"timelimit":[null,null],"root_id":"{id}","parent_id":null,"argsrepr":"(2, 2)","kwargsrepr":"{{}}","origin":"gen1@host","ignore_result":null,"replaced_task_nesting":0,"stamped_headers":null,"stamps":{{}}}}"#
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

fn end(delivery: &Delivery, with_result: bool) -> Settlement {
    let id = delivery.envelope.properties.correlation_id.as_deref();
    let id = id.expect("set by `message`");
    let result = with_result.then(|| {
        let meta = format!(
            r#"{{"status":"SUCCESS","result":4,"traceback":null,"children":[],"date_done":"2026-01-01T00:00:00.000000+00:00","task_id":"{id}"}}"#
        );
        ResultRecord {
            id: TaskId::from(id),
            state: TaskState::Success,
            meta: meta.into_bytes(),
            expires: Some(Duration::from_secs(86_400)),
        }
    });
    Settlement {
        tag: delivery.tag,
        verdict: Verdict::Ack,
        result,
        publish: Vec::new(),
        step: Default::default(),
    }
}

fn consumer_options() -> ConsumerOptions {
    ConsumerOptions {
        name: "throughput".to_owned(),
        queues: vec![QUEUE.into()],
        lease: Duration::from_secs(60),
    }
}

fn at_most(max: usize, wait: Duration) -> Fetch {
    Fetch {
        max,
        started: max,
        wait,
    }
}

/// Measures one part.
struct Meter<'a> {
    url: &'a str,
    cpu: [Option<f64>; 2],
    start: Instant,
}

impl<'a> Meter<'a> {
    fn start(url: &'a str) -> Self {
        Self {
            url,
            cpu: [own_cpu(), redis_cpu(url)],
            start: Instant::now(),
        }
    }

    fn report(self, name: &str, count: usize) {
        let rate = count as f64 / self.start.elapsed().as_secs_f64();
        let after = [own_cpu(), redis_cpu(self.url)];
        let [own, redis] = [0, 1].map(|index| {
            let seconds = after[index].zip(self.cpu[index]);
            seconds.map_or("?".to_owned(), |(after, before)| {
                format!("{:.1}", (after - before) * 1e6 / count as f64)
            })
        });
        print!("{name:<48} {rate:>10.0} /s  {own:>6} us here");
        if self.url.starts_with("redis") {
            print!("  {redis:>6} us in redis");
        }
        println!();
    }
}

/// Processor time of this process in seconds.
fn own_cpu() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    // Linux tells them in hundredths of a second.
    Some((ticks()? + ticks()?) / 100.0)
}

/// Processor time of the server in seconds.
fn redis_cpu(url: &str) -> Option<f64> {
    let address = url.strip_prefix("redis://")?.split(['/', '?']).next()?;
    let mut server = TcpStream::connect(address).ok()?;
    server.write_all(b"INFO cpu\r\nQUIT\r\n").ok()?;
    let mut info = String::new();
    server.read_to_string(&mut info).ok()?;
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name));
        value?.parse::<f64>().ok()
    };
    Some(field("used_cpu_user:")? + field("used_cpu_sys:")?)
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        url: String::new(),
        messages: 200_000,
        body: 1_000,
        lanes: 4,
        fetch: 256,
        backlog: 0,
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
            "--backlog" => arguments.backlog = number(),
            _ => panic!("unknown argument {key}"),
        }
    }
    assert!(!arguments.url.is_empty(), "--url is missing");
    arguments
}
