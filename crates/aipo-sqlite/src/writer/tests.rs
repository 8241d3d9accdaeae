use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;

use aipo_core::store::{Fetch, Publish, Settled, Settlement, Verdict};
use aipo_core::{Clock, Store};
use jiff::Timestamp;
use rusqlite::Connection;

use super::thread::CHECKPOINT_PAGES;
use super::*;
use crate::batch::Place;
use crate::lock::WriteLock;
use crate::schema::{PAGE_SIZE, WAL_KEPT};
use crate::testing::{
    AN_HOUR, Bed, ack, consumer, counts, fetch, message, publish, still_waiting, within,
};

/// Waits for one message.
const ONE: Fetch = Fetch {
    max: 1,
    started: 1,
    wait: AN_HOUR,
};

async fn start(bed: &Bed) -> Writer {
    let shared = Shared {
        awaited: Arc::default(),
        doze: Arc::default(),
    };
    let files = Companions {
        lock: bed.folder.path().join("lock"),
        wake: bed.folder.path().join("wake"),
    };
    Writer::start(bed.options.clone(), files, shared)
        .await
        .expect("start")
}

/// A store, and the writer inside it.
async fn connect(bed: &Bed) -> (Store, Writer) {
    let handle = crate::connect_handle(bed.options.clone())
        .await
        .expect("connect");
    let writer = handle.writer.clone();
    (crate::store(handle, &bed.options.path), writer)
}

/// A message whose body has this many bytes.
fn sized(id: &str, size: usize) -> Publish {
    let mut message = message("q", id);
    message.envelope.body = vec![0; size];
    message
}

/// A clock that tells another millisecond each time: operations that are told the same one were in
/// the same transaction.
fn counting_clock() -> Clock {
    let ms = AtomicI64::new(1_000_000);
    Clock::from_fn(move || {
        Timestamp::from_millisecond(ms.fetch_add(1, Ordering::SeqCst)).expect("a small number")
    })
}

/// Keeps the thread busy until the sender is used or dropped, so that what comes meanwhile gathers.
fn hold_up(writer: &Writer) -> mpsc::Sender<()> {
    let (go_on, held_up) = channel();
    let (entered, is_in) = channel();
    let run = move |_: &mut Batch<'_>| {
        let _ = entered.send(());
        let _ = held_up.recv();
        Ok(Ok(()))
    };
    let call = Call {
        rows: 1,
        run,
        outcome: None,
        reply: None,
        _permit: None,
    };
    writer
        .send(Message::Work(Box::new(call)))
        .expect("the thread runs");
    is_in.recv().expect("the thread came to it");
    go_on
}

fn transaction(batch: &mut Batch<'_>) -> Outcome<i64> {
    Ok(Ok(batch.now_ms))
}

#[tokio::test]
async fn operations_that_wait_share_a_transaction() {
    let bed = Bed::with_clock(counting_clock());
    let writer = start(&bed).await;

    let mut seen = transactions_of_ten(&writer).await;

    seen.dedup();
    assert_eq!(seen.len(), 1, "one transaction for all");
}

#[tokio::test]
async fn a_transaction_takes_no_more_than_its_bound() {
    let mut bed = Bed::with_clock(counting_clock());
    bed.options.max_batch = 4;
    let writer = start(&bed).await;

    let seen = transactions_of_ten(&writer).await;

    let sizes: Vec<usize> = seen.chunk_by(|a, b| a == b).map(<[i64]>::len).collect();
    assert_eq!(sizes, [4, 4, 2]);
}

/// Ten operations that come while the thread is busy, and which transaction each was in.
async fn transactions_of_ten(writer: &Writer) -> Vec<i64> {
    let go_on = hold_up(writer);
    let calls = (0..10).map(|_| {
        let writer = writer.clone();
        tokio::spawn(async move { writer.call(Weight::SMALL, transaction).await })
    });
    let calls: Vec<_> = calls.collect();
    while_gathering().await;

    drop(go_on);

    let mut seen = Vec::new();
    for call in calls {
        seen.push(within(call).await.expect("no task panics").expect("call"));
    }
    seen
}

/// On a current-thread runtime the spawned calls run up to where they wait, and no further.
async fn while_gathering() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_sqlite_refuses_fails_alone() {
    let bed = Bed::new();
    let store = bed.connect().await;
    let writer = start(&bed).await;
    let go_on = hold_up(&writer);
    let queue = |name: &'static str| {
        move |batch: &mut Batch<'_>| Ok(Ok(batch.queue(&name.into()).map(drop)?))
    };
    let wrong = |batch: &mut Batch<'_>| {
        batch.queue(&"undone".into())?;
        batch
            .prepared("INSERT INTO queue (name) VALUES (NULL)")?
            .execute([])?;
        Ok(Ok(()))
    };
    let answers = async {
        tokio::join!(
            writer.call(Weight::SMALL, queue("before")),
            writer.call(Weight::SMALL, wrong),
            writer.call(Weight::SMALL, queue("after")),
        )
    };
    let mut answers = Box::pin(answers);
    still_waiting(&mut answers).await;

    drop(go_on);

    let (before, refused, after) = within(answers).await;
    before.expect("not at fault");
    after.expect("not at fault");
    assert_eq!(refused.expect_err("at fault").kind(), ErrorKind::Storage);
    let queues = store.broker.queues().await.expect("queues");
    let names: Vec<&str> = queues.iter().map(|stats| stats.queue.as_str()).collect();
    assert_eq!(names, ["after", "before"]);
}

/// It had taken a message by the time of the failure, which is undone with the rest.
#[tokio::test]
async fn a_fetch_beside_what_sqlite_refuses_is_served() {
    let bed = Bed::new();
    let (store, writer) = connect(&bed).await;
    publish(&store, [message("q", "dead"), message("q", "a")]).await;
    let consumer = consumer(&store, &["q"]).await;
    let given_up = within(consumer.fetch(ONE)).await.expect("fetch");
    let verdict = Verdict::DeadLetter {
        reason: "no".to_owned(),
    };
    let end = Settlement {
        verdict,
        ..ack(&given_up[0])
    };
    consumer.settle(vec![end]).await.expect("settle");
    let go_on = hold_up(&writer);
    // One more than can be counted, which SQLite refuses when the counts are written, at the end.
    let wrong = |batch: &mut Batch<'_>| {
        let queue = batch.queue(&"q".into())?;
        batch.count(queue, None, Some(Place::Dead), i64::MAX as usize);
        Ok(Ok(()))
    };
    let mut answers = Box::pin(async {
        tokio::join!(
            consumer.fetch(ONE),
            writer.call(Weight::SMALL, wrong),
            writer.call(Weight::SMALL, transaction)
        )
    });
    still_waiting(&mut answers).await;

    drop(go_on);

    let (taken, refused, _) = within(answers).await;
    assert_eq!(refused.expect_err("at fault").kind(), ErrorKind::Storage);
    let taken = taken.expect("fetch");
    assert_eq!(taken[0].deliveries, 1);
    let settled = consumer.settle(vec![ack(&taken[0])]).await.expect("settle");
    assert_eq!(settled, [Settled::Done]);
}

#[tokio::test]
async fn an_operation_that_answers_with_an_error_leaves_the_others_alone() {
    let bed = Bed::with_clock(counting_clock());
    let writer = start(&bed).await;
    let go_on = hold_up(&writer);
    let refuse = |_: &mut Batch<'_>| {
        Ok(Err::<(), _>(Error::new(
            ErrorKind::LeaseLost,
            "for its own reasons",
        )))
    };
    let answers = async {
        tokio::join!(
            writer.call(Weight::SMALL, transaction),
            writer.call(Weight::SMALL, refuse),
            writer.call(Weight::SMALL, transaction),
        )
    };
    let mut answers = Box::pin(answers);
    still_waiting(&mut answers).await;

    drop(go_on);

    let (one, refused, two) = within(answers).await;
    assert_eq!(
        one.expect("call"),
        two.expect("call"),
        "still one transaction"
    );
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::LeaseLost);
}

/// What frees room goes through where what takes room does not, also in the same moment.
#[tokio::test]
async fn on_a_full_disk_settling_goes_on() {
    const MIB: usize = 1 << 20;
    let bed = Bed::new();
    let (store, writer) = connect(&bed).await;
    publish(&store, [sized("a", MIB)]).await;
    let consumer = consumer(&store, &["q"]).await;
    let held = within(consumer.fetch(ONE)).await.expect("fetch");
    let fill_disk = |batch: &mut Batch<'_>| {
        let pages: u32 = batch
            .conn()
            .query_row("PRAGMA page_count", [], |row| row.get(0))?;
        batch.conn().pragma_update(None, "max_page_count", pages)?;
        Ok(Ok(()))
    };
    writer
        .call(Weight::SMALL, fill_disk)
        .await
        .expect("set the limit");
    let go_on = hold_up(&writer);
    let mut answers = Box::pin(async {
        tokio::join!(
            store.broker.publish(vec![sized("b", 3 * MIB)]),
            consumer.settle(vec![ack(&held[0])]),
        )
    });
    still_waiting(&mut answers).await;

    drop(go_on);

    let (published, settled) = within(answers).await;
    assert_eq!(
        published.expect_err("the disk is full").kind(),
        ErrorKind::Storage
    );
    assert_eq!(settled.expect("frees room"), [Settled::Done]);
    assert_eq!(counts(&store, "q").await, [0; 4]);
    publish(&store, [sized("c", MIB / 2)]).await;
}

/// Processes stand in line in the kernel instead of asking SQLite again and again.
#[tokio::test]
async fn who_writes_waits_for_the_file_lock() {
    let bed = Bed::new();
    let store = bed.connect().await;
    let lock = WriteLock::open(&bed.folder.path().join("test.db-lock")).expect("open");
    let turn = lock.wait().expect("lock");
    let mut sent = Box::pin(publish(&store, [message("q", "a")]));
    still_waiting(&mut sent).await;

    drop(turn);

    within(sent).await;
}

#[tokio::test]
async fn a_foreign_program_that_writes_is_waited_for() {
    let bed = Bed::new();
    let store = bed.connect().await;
    let foreign = Connection::open(&bed.options.path).expect("open");
    foreign.execute_batch("BEGIN IMMEDIATE").expect("begin");
    let mut sent = Box::pin(publish(&store, [message("q", "a")]));
    still_waiting(&mut sent).await;

    foreign.execute_batch("COMMIT").expect("commit");

    within(sent).await;
    assert_eq!(counts(&store, "q").await, [1, 0, 0, 0]);
}

/// Taken inside the transaction that the caller did not live to see the end of.
#[tokio::test]
async fn what_nobody_receives_is_ready_again() {
    let bed = Bed::new();
    let (store, writer) = connect(&bed).await;
    publish(&store, [message("q", "a"), message("q", "b")]).await;
    let (one, two) = (
        consumer(&store, &["q"]).await,
        consumer(&store, &["q"]).await,
    );
    let go_on = hold_up(&writer);
    let mut dropped = Box::pin(fetch(&*one, 2));
    still_waiting(&mut dropped).await;

    // The answer of the fetch is made now, and dropped with the future before anybody sees it.
    drop(go_on);
    writer.call(Weight::SMALL, transaction).await.expect("call");
    drop(dropped);

    assert_eq!(fetch(&*two, 2).await, ["a", "b"]);
}

#[tokio::test]
async fn a_close_ends_the_wait_of_its_own_fetch() {
    let bed = Bed::new();
    let store = bed.connect().await;
    let consumer = consumer(&store, &["q"]).await;
    let mut wait = consumer.fetch(ONE);
    still_waiting(&mut wait).await;

    consumer.close().await.expect("close");

    let error = within(wait).await.expect_err("the consumer is gone");
    assert_eq!(error.kind(), ErrorKind::LeaseLost);
}

#[tokio::test]
async fn the_wal_stays_bounded_under_constant_load() {
    const MESSAGES: usize = 100;
    const SIZE: usize = 1 << 20;
    let bed = Bed::new();
    let store = bed.connect().await;
    let consumer = consumer(&store, &["q"]).await;
    let wal = bed.folder.path().join("test.db-wal");
    let mut largest = 0;

    for number in 0..MESSAGES {
        publish(&store, [sized(&number.to_string(), SIZE)]).await;
        let taken = within(consumer.fetch(ONE)).await.expect("fetch");
        consumer.settle(vec![ack(&taken[0])]).await.expect("settle");
        largest = largest.max(std::fs::metadata(&wal).expect("the WAL is there").len());
    }

    // What a checkpoint is due at, the transaction that brought it there, and the frames' headers.
    let bound = CHECKPOINT_PAGES * u64::from(PAGE_SIZE) + 2 * SIZE as u64 + (1 << 20);
    assert!(largest < bound, "{largest} bytes in the WAL");
}

#[tokio::test]
async fn the_wal_shrinks_after_a_foreign_reader() {
    let bed = Bed::new();
    let store = bed.connect().await;
    let wal = bed.folder.path().join("test.db-wal");
    let fill = async || {
        for number in 0..40 {
            publish(&store, [sized(&number.to_string(), 1 << 20)]).await;
        }
        store.broker.purge(&"q".into()).await.expect("purge");
        std::fs::metadata(&wal).expect("the WAL is there").len()
    };
    let foreign = Connection::open(&bed.options.path).expect("open");
    foreign
        .execute_batch("BEGIN; SELECT count(*) FROM queue")
        .expect("read");
    let mut grown = 0;
    while grown < 100 << 20 {
        grown = fill().await;
    }

    drop(foreign);
    fill().await;

    assert!(
        fill().await <= u64::from(WAL_KEPT),
        "the WAL took {grown} bytes and keeps them"
    );
}

#[tokio::test]
async fn the_threads_end_with_the_last_handle() {
    /// Tells when the last clock of the store is gone.
    struct Tell(Option<oneshot::Sender<()>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.take().expect("dropped once").send(());
        }
    }
    let (sender, gone) = oneshot::channel();
    let tell = Tell(Some(sender));
    let bed = Bed::with_clock(Clock::from_fn(move || {
        let _ = &tell;
        Timestamp::UNIX_EPOCH
    }));
    let store = bed.connect().await;
    let consumer = consumer(&store, &["q"]).await;
    let mut wait = Box::pin(fetch(&*consumer, 1));
    still_waiting(&mut wait).await;
    // The options hold the clock as well.
    let Bed { folder, options } = bed;
    drop((wait, options));

    drop((store, consumer));

    within(gone).await.expect("told");
    drop(folder);
}
