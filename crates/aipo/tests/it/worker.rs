//! What a worker does with tasks that behave in all the ways that tasks do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aipo::testing::{self, Sent};
use aipo::{
    App, AppBuilder, Base, Context, Failure, Handle, Revoke, Signal, Signature, TaskError,
    TaskResult, TaskState, WaitError,
};
use aipo_conformance::fault::Faults;
use tokio::sync::{Semaphore, mpsc};

/// Long enough for anything under a virtual clock.
const ENOUGH: Duration = Duration::from_secs(1_000_000);

async fn app(builder: AppBuilder) -> App {
    testing::build(builder).await.expect("a good app")
}

/// An app with a running worker.
async fn working(builder: AppBuilder) -> App {
    let app = app(builder).await;
    app.worker().start().await.expect("a worker");
    app
}

async fn state<T>(handle: &Handle<T>) -> Option<TaskState> {
    handle.state().await.expect("the memory store answers")
}

async fn value<T: serde::de::DeserializeOwned>(handle: &Handle<T>) -> T {
    handle.get(ENOUGH).await.expect("a value")
}

async fn failure<T: serde::de::DeserializeOwned + std::fmt::Debug>(handle: &Handle<T>) -> String {
    match handle.get(ENOUGH).await {
        Err(WaitError::Failed { exception, .. }) => exception.to_string(),
        other => panic!("{other:?} is no failure"),
    }
}

#[aipo::task(name = "add")]
async fn add(x: i64, #[arg(default = 5)] y: i64) -> TaskResult<i64> {
    Ok(x + y)
}

#[tokio::test(start_paused = true)]
async fn a_task_goes_from_send_to_result() {
    let app = working(App::builder("t").task(add::task())).await;
    let handle = app.send(add::s(2, 3)).await.expect("sent");
    assert_eq!(value(&handle).await, 5);
    assert_eq!(state(&handle).await, Some(TaskState::Success));
}

#[aipo::task(name = "elsewhere", queue = "mails")]
async fn elsewhere() {}

#[tokio::test(start_paused = true)]
async fn a_worker_takes_from_every_queue_that_its_tasks_go_to() {
    let builder = App::builder("t").task(add::task()).task(elsewhere::task());
    let app = working(builder.settings(|settings| {
        settings.task_routes.insert("a*".to_owned(), "sums".into());
    }))
    .await;
    assert_eq!(
        app.queues(),
        ["celery".into(), "sums".into(), "mails".into()]
    );
    let sum = app.send(add::s(1, 1)).await.expect("sent");
    let mail = app.send(elsewhere::s()).await.expect("sent");
    assert_eq!(value(&sum).await, 2);
    value(&mail).await;
}

#[tokio::test(start_paused = true)]
async fn arguments_come_by_position_by_name_and_by_default() {
    let app = working(App::builder("t").task(add::task())).await;
    for signature in [
        Signature::new("add").args([1.into(), 2.into()]),
        Signature::new("add").args([1.into()]).kwarg("y", 2),
        Signature::new("add").kwarg("y", 2).kwarg("x", 1),
    ] {
        let handle = app.send(signature).await.expect("sent");
        assert_eq!(value(&handle).await, 3);
    }
    let handle = app
        .send(Signature::new("add").args([1.into()]))
        .await
        .expect("sent");
    assert_eq!(value(&handle).await, 6);
}

#[tokio::test(start_paused = true)]
async fn arguments_that_do_not_fit_are_a_type_error() {
    let app = working(App::builder("t").task(add::task())).await;
    let handle = app
        .send(Signature::new("add").args(["a".into()]))
        .await
        .expect("sent");
    assert_eq!(
        failure(&handle).await,
        "TypeError: add() argument 'x': invalid type: string \"a\", expected i64 at line 1 column 3"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_task_fails_and_is_kept() {
    let app = working(App::builder("t")).await;
    let handle = app.send(Signature::new("nobody")).await.expect("sent");
    assert_eq!(failure(&handle).await, "NotRegistered: nobody");
    let dead = app
        .store()
        .broker
        .dead_letters(None, 10)
        .await
        .expect("dead letters");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].reason, "task \"nobody\" is not registered");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_no_message_is_kept_with_its_bytes_and_the_worker_goes_on() {
    use aipo_core::message::{Envelope, Properties};
    use aipo_core::store::Publish;

    let app = working(App::builder("t").task(add::task())).await;
    let good = serde_json::to_vec(&aipo::Headers::new("add", "bad-body".into())).expect("headers");
    let bad = [
        (
            "bad-headers",
            b"{\"task\": \"ad".to_vec(),
            b"[[1], {}, {}]".to_vec(),
        ),
        ("bad-body", good, b"[[1], ".to_vec()),
    ];
    for (id, headers, body) in bad {
        let properties = Properties {
            correlation_id: Some(id.to_owned()),
            ..Properties::default()
        };
        let envelope = Envelope {
            headers,
            properties,
            body,
        };
        let publish = Publish {
            queue: "celery".into(),
            id: id.into(),
            priority: 0,
            due: None,
            envelope,
        };
        app.store()
            .broker
            .publish(vec![publish.clone()])
            .await
            .expect("published");
        let told = failure(&app.result::<i64>(id)).await;
        assert!(told.starts_with("DecodeError: "), "{told}");
        let dead = app
            .store()
            .broker
            .dead_letters(None, 1)
            .await
            .expect("dead letters");
        assert!(
            dead[0].reason.starts_with("undecodable: "),
            "{}",
            dead[0].reason
        );
        assert_eq!(dead[0].envelope, publish.envelope);
    }
    let handle = app.send(add::s(2, 2)).await.expect("sent");
    assert_eq!(value(&handle).await, 4);
}

#[aipo::task(name = "flaky", max_retries = 2, retry_delay = "60s", autoretry_for = any)]
async fn flaky(cx: &Context, fail_until: u32) -> TaskResult<u32> {
    if cx.retries() < fail_until {
        return Err(TaskError::fail(format!("attempt {}", cx.retries())));
    }
    Ok(cx.retries())
}

#[tokio::test(start_paused = true)]
async fn a_failed_task_is_retried_after_its_delay_until_it_works() {
    let app = working(App::builder("t").task(flaky::task())).await;
    let begin = tokio::time::Instant::now();
    let handle = app.send(flaky::s(2)).await.expect("sent");
    assert_eq!(value(&handle).await, 2);
    let took = begin.elapsed();
    assert!((120..122).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn retries_end() {
    let app = working(App::builder("t").task(flaky::task())).await;
    let handle = app.send(flaky::s(9)).await.expect("sent");
    assert_eq!(failure(&handle).await, "RuntimeError: attempt 2");
}

#[aipo::task(name = "answers", max_retries = 1)]
async fn answers(cx: &Context, how: String) -> TaskResult<String> {
    match how.as_str() {
        "retry" if cx.retries() == 0 => Err(TaskError::retry()
            .after(Duration::from_secs(7))
            .because(TaskError::fail("not yet"))),
        "ignore" => Err(TaskError::ignore()),
        "reject" => Err(TaskError::reject("not for me")),
        "requeue" if cx.data::<AtomicUsize>()?.fetch_add(1, Ordering::SeqCst) == 0 => {
            Err(TaskError::requeue())
        }
        "panic" => panic!("on purpose"),
        "sources" => Err("x".parse::<u8>().map(|_| ()).expect_err("no number").into()),
        "huge" => Ok("x".repeat(2000)),
        how => Ok(how.to_owned()),
    }
}

#[aipo::task(name = "ten_times")]
async fn ten_times(cx: &Context) -> TaskResult<usize> {
    let given_back = cx.data::<AtomicUsize>()?.fetch_add(1, Ordering::SeqCst);
    assert_eq!((cx.deliveries(), cx.redelivered()), (1, given_back > 0));
    match given_back {
        10 => Ok(given_back),
        _ => Err(TaskError::requeue()),
    }
}

/// It is no suspect for it either: others go on beside it.
#[tokio::test(start_paused = true)]
async fn a_task_may_give_its_message_back_as_often_as_it_likes() {
    let (gate, mut starts) = gate();
    let builder = gated_app(&gate).task(ten_times::task());
    let app = working(builder.data(AtomicUsize::new(0))).await;
    let beside = app.send(gated::s(1)).await.expect("sent");
    starts.recv().await.expect("started");
    let began = tokio::time::Instant::now();

    let handle = app.send(ten_times::s()).await.expect("sent");

    assert_eq!(handle.get(ENOUGH).await.expect("a value"), 10);
    assert!(began.elapsed() < app.settings().worker_lease.0);
    gate.open.add_permits(1);
    beside.get(ENOUGH).await.expect("it ran all the time");
}

#[aipo::task(name = "early_requeue", acks_late = false)]
async fn early_requeue(cx: &Context) -> TaskResult<()> {
    cx.data::<Gate>()?.started.send(0)?;
    Err(TaskError::requeue())
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_can_not_be_given_back() {
    let (gate, mut starts) = gate();
    let app = app(gated_app(&gate).task(early_requeue::task())).await;
    let worker = app.worker().start().await.expect("a worker");
    app.send(early_requeue::s()).await.expect("sent");
    starts.recv().await.expect("started");

    worker.stop().await.expect("stopped");

    let left = app.store().broker.queues().await.expect("queues");
    assert!(left.iter().all(|queue| queue.ready == 0), "{left:?}");
    assert!(starts.try_recv().is_err(), "it ran once");
}

#[tokio::test(start_paused = true)]
async fn a_task_may_answer_in_many_ways() {
    let builder = App::builder("t")
        .task(answers::task())
        .data(AtomicUsize::new(0));
    let app = working(builder.settings(|settings| settings.result_max_size = 1000)).await;
    let send = async |how: &str| app.send(answers::s(how.to_owned())).await.expect("sent");
    assert_eq!(value(&send("retry").await).await, "retry");
    assert_eq!(value(&send("requeue").await).await, "requeue");
    for (how, told) in [
        ("reject", "Reject: not for me, false"),
        ("panic", "RuntimeError: the task panicked: on purpose"),
        ("sources", "ParseIntError: invalid digit found in string"),
        (
            "huge",
            "EncodeError: the result has 2002 bytes, more than result_max_size, 1000",
        ),
    ] {
        assert_eq!(failure(&send(how).await).await, told);
    }
    let ignored = send("ignore").await;
    assert!(
        ignored
            .wait(Duration::from_secs(60))
            .await
            .expect("answered")
            .is_none()
    );
    assert_eq!(state(&ignored).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_is_said_to_be_unknown() {
    let app = app(App::builder("t").task(add::task())).await;
    assert_eq!(state(&app.result::<i64>("never-sent")).await, None);
    let sent = app.send(add::s(1, 1)).await.expect("sent");
    assert_eq!(state(&sent).await, Some(TaskState::Pending));
}

#[aipo::task(name = "slow", soft_time_limit = "5s", time_limit = "9s")]
async fn slow(cx: &Context, how: String) -> TaskResult<String> {
    match how.as_str() {
        "heed" => {
            cx.soft_limit().await;
            return Ok("cleaned up".to_owned());
        }
        "look" => assert!(!cx.soft_limit_reached()),
        _ => {}
    }
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn time_limits_first_warn_then_end() {
    let app = working(App::builder("t").task(slow::task())).await;
    let send = async |how: &str| app.send(slow::s(how.to_owned())).await.expect("sent");
    let heeding = send("heed").await;
    assert_eq!(value(&heeding).await, "cleaned up");
    let looked = send("look").await;
    assert_eq!(failure(&looked).await, "TimeLimitExceeded: 9");
    let ignoring = send("ignore").await;
    assert_eq!(failure(&ignoring).await, "SoftTimeLimitExceeded");
}

#[aipo::task(name = "parent")]
async fn parent(cx: &Context, depth: u32) -> TaskResult<u32> {
    if depth == 0 {
        return Ok(0);
    }
    Ok(cx.send(parent::s(depth - 1)).await?.get(ENOUGH).await? + 1)
}

#[tokio::test(start_paused = true)]
async fn tasks_that_wait_for_each_other_do_not_block_a_worker_with_one_slot() {
    let app = app(App::builder("t").task(parent::task())).await;
    app.worker().concurrency(1).start().await.expect("a worker");
    let handles = app
        .send_all((0..4).map(|_| parent::s(5)))
        .await
        .expect("sent");
    for handle in handles {
        assert_eq!(value(&handle).await, 5);
    }
}

#[aipo::task(name = "blocking_parent")]
fn blocking_parent(cx: &Context, x: i64) -> TaskResult<i64> {
    let runtime = tokio::runtime::Handle::current();
    let child = runtime.block_on(cx.send(add::s(x, 1)))?;
    Ok(child.get_blocking(ENOUGH)?)
}

#[tokio::test]
async fn a_plain_function_runs_on_a_thread_where_it_may_block() {
    let app = app(App::builder("t")
        .task(add::task())
        .task(blocking_parent::task()))
    .await;
    app.worker().concurrency(1).start().await.expect("a worker");
    let handle = app.send(blocking_parent::s(4)).await.expect("sent");
    assert_eq!(value(&handle).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_child_knows_its_parent_and_root() {
    let app = app(App::builder("t").task(parent::task())).await;
    let sent = Sent::by(&app);
    app.worker().start().await.expect("a worker");
    let root = app.send(parent::s(2)).await.expect("sent");
    value(&root).await;
    let ids: Vec<_> = sent.all().into_iter().map(|(_, headers)| headers).collect();
    assert_eq!(ids.len(), 3);
    assert!(
        ids.iter()
            .all(|headers| headers.root_id.as_ref() == Some(root.id()))
    );
    assert_eq!(ids[0].parent_id, None);
    assert_eq!(ids[2].parent_id.as_ref(), Some(&ids[1].id));
    let meta = root.meta().await.expect("answered").expect("stored");
    assert_eq!(
        meta.children,
        Some(vec![serde_json::json!([[ids[1].id, null], null])])
    );
}

#[tokio::test(start_paused = true)]
async fn an_eta_is_kept_and_an_expired_task_is_not_run() {
    let app = working(App::builder("t").task(add::task())).await;
    let begin = tokio::time::Instant::now();
    let later = app
        .send(add::s(1, 1).countdown(Duration::from_secs(3600)))
        .await
        .expect("sent");
    value(&later).await;
    assert_eq!(begin.elapsed().as_secs(), 3600);
    let call = add::s(1, 1)
        .countdown(Duration::from_secs(60))
        .expires(Duration::from_secs(30));
    let expired = app.send(call).await.expect("sent");
    match expired.get(ENOUGH).await {
        Err(WaitError::Revoked { reason, .. }) => assert_eq!(reason, "expired"),
        other => panic!("{other:?}"),
    }
}

/// A task that says when it has started and ends when it may.
#[derive(Clone)]
struct Gate {
    started: mpsc::UnboundedSender<u32>,
    open: Arc<Semaphore>,
}

#[aipo::task(name = "gated")]
async fn gated(cx: &Context, n: u32) -> TaskResult<u32> {
    let gate = cx.data::<Gate>()?;
    gate.started.send(n)?;
    gate.open.acquire().await?.forget();
    Ok(n)
}

#[aipo::task(name = "gated_early", acks_late = false)]
async fn gated_early(cx: &Context, n: u32) -> TaskResult<u32> {
    gated(cx, n).await
}

fn gate() -> (Gate, mpsc::UnboundedReceiver<u32>) {
    let (started, starts) = mpsc::unbounded_channel();
    (
        Gate {
            started,
            open: Arc::new(Semaphore::new(0)),
        },
        starts,
    )
}

fn gated_app(gate: &Gate) -> AppBuilder {
    App::builder("t")
        .data(gate.clone())
        .task(gated::task())
        .task(gated_early::task())
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_is_revoked_with_no_worker_up() {
    let app = app(App::builder("t").task(add::task())).await;
    let handle = app.send(add::s(1, 1)).await.expect("sent");
    handle.revoke().await.expect("revoked");
    assert_eq!(state(&handle).await, Some(TaskState::Revoked));
    app.worker().start().await.expect("a worker");
    let other = app.send(add::s(1, 1)).await.expect("sent");
    value(&other).await;
    assert_eq!(state(&handle).await, Some(TaskState::Revoked));
}

#[tokio::test(start_paused = true)]
async fn a_running_task_is_ended_by_a_revoke_that_says_so() {
    let (gate, mut starts) = gate();
    let app = working(gated_app(&gate)).await;
    let handle = app.send(gated::s(1)).await.expect("sent");
    starts.recv().await.expect("started");
    app.revoke(&[handle.id().clone()], Revoke::Running)
        .await
        .expect("revoked");
    match handle.get(ENOUGH).await {
        Err(WaitError::Revoked { reason, .. }) => assert_eq!(reason, "terminated"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_warm_stop_finishes_what_runs_and_hands_back_the_rest() {
    let (gate, mut starts) = gate();
    let app = app(gated_app(&gate).settings(|s| s.worker_prefetch_multiplier = 4)).await;
    let handles = app.send_all((0..4).map(gated::s)).await.expect("sent");
    let worker = app.worker().concurrency(1).start().await.expect("a worker");
    assert_eq!(starts.recv().await, Some(0));
    let stopping = tokio::spawn(worker.stop());
    tokio::task::yield_now().await;
    gate.open.add_permits(1);
    stopping.await.expect("no panic").expect("stopped");
    assert_eq!(value(&handles[0]).await, 0);
    let queues = app.store().broker.queues().await.expect("queues");
    assert_eq!((queues[0].ready, queues[0].in_flight), (3, 0));

    gate.open.add_permits(3);
    app.worker().concurrency(1).start().await.expect("a worker");
    for n in 1..4 {
        assert_eq!(starts.recv().await, Some(n), "in their old order");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_stops_although_its_store_is_away() {
    let (gate, mut starts) = gate();
    let clock = aipo::Clock::tokio(testing::START);
    let faults = Faults::new(1);
    let store = faults.wrap(&aipo::memory::store(clock.clone()));
    let app = gated_app(&gate).clock(clock).store(store).build();
    let app = app.await.expect("an app");
    app.send(gated::s(1)).await.expect("sent");
    let worker = app.worker().start().await.expect("a worker");
    starts.recv().await.expect("started");

    faults.set_down(true);
    gate.open.add_permits(1);
    // It may say that it could not sign off.
    let _ = tokio::time::timeout(ENOUGH, worker.stop())
        .await
        .expect("it stops");

    faults.set_down(false);
    app.worker().start().await.expect("a worker");
    assert_eq!(starts.recv().await, Some(1), "what it held runs again");
}

#[tokio::test(start_paused = true)]
async fn a_worker_stops_although_its_store_is_away_when_it_is_to_count_a_start() {
    let (gate, mut starts) = gate();
    let clock = aipo::Clock::tokio(testing::START);
    let store = aipo::memory::store(clock.clone());
    let faults = Faults::new(1);
    let faulty = gated_app(&gate).clock(clock.clone());
    let faulty = faulty.store(faults.wrap(&store)).build();
    let faulty = faulty.await.expect("an app");
    let whole = App::builder("t").clock(clock).store(store).build();
    let whole = whole.await.expect("an app");
    faulty.send(gated::s(1)).await.expect("sent");
    let lease = start_and_die(&whole, 1).await;
    let worker = faulty.worker().start().await.expect("a worker");
    tokio::time::sleep(lease / 2).await;

    // The worker waits already, so what was started before still comes to it, uncounted.
    faults.set_down(true);
    bring_back(&whole, 1, lease).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _ = tokio::time::timeout(Duration::from_secs(60), worker.stop())
        .await
        .expect("it stops");

    faults.set_down(false);
    faulty.worker().start().await.expect("a worker");
    assert_eq!(starts.recv().await, Some(1), "what it held runs");
}

#[tokio::test(start_paused = true)]
async fn a_cold_stop_hands_back_what_runs() {
    let (gate, mut starts) = gate();
    let app = app(gated_app(&gate)).await;
    let handle = app.send(gated::s(1)).await.expect("sent");
    let worker = app.worker().start().await.expect("a worker");
    starts.recv().await.expect("started");
    worker.abort().await.expect("stopped");
    assert_eq!(state(&handle).await, Some(TaskState::Pending));
    gate.open.add_permits(1);
    app.worker().start().await.expect("a worker");
    assert_eq!(value(&handle).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_early_ack_comes_before_the_task_runs() {
    let (gate, mut starts) = gate();
    let app = working(gated_app(&gate)).await;
    let handle = app.send(gated_early::s(1)).await.expect("sent");
    starts.recv().await.expect("started");
    let queues = app.store().broker.queues().await.expect("queues");
    assert_eq!(queues[0].in_flight, 0);
    gate.open.add_permits(1);
    assert_eq!(value(&handle).await, 1);
}

#[tokio::test(start_paused = true)]
async fn prefetched_messages_all_run_one_after_the_other() {
    let builder = App::builder("t").task(add::task());
    let app = app(builder.settings(|settings| settings.worker_prefetch_multiplier = 8)).await;
    let handles = app
        .send_all((0..100).map(|n| add::s(n, 0)))
        .await
        .expect("sent");
    app.worker().concurrency(2).start().await.expect("a worker");
    for (n, handle) in handles.iter().enumerate() {
        assert_eq!(value(handle).await, n as i64);
    }
}

#[aipo::task(name = "at_most_twice", max_deliveries = 2)]
async fn at_most_twice() {}

#[tokio::test(start_paused = true)]
async fn a_message_that_may_be_started_twice_is_given_up_after_two_crashes() {
    let app = app(App::builder("t").task(at_most_twice::task())).await;
    let handle = app.send(at_most_twice::s()).await.expect("sent");
    for _ in 0..2 {
        crash(&app, 1).await;
    }
    app.worker().start().await.expect("a worker");
    assert_eq!(
        failure(&handle).await,
        "WorkerLostError: the worker was lost each time it was started (2 times)"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_is_given_up_for_the_company_it_was_in() {
    let app = app(App::builder("t").task(add::task())).await;
    let handles = app
        .send_all((0..3).map(|n| add::s(n, 0)))
        .await
        .expect("sent");
    for _ in 0..9 {
        crash(&app, 3).await;
    }
    app.worker().start().await.expect("a worker");
    for (n, handle) in handles.iter().enumerate() {
        assert_eq!(value(handle).await, n as i64);
    }
}

/// A worker that runs a suspect alone, and two apps on the store: one that `Faults` can cut off from it, and one
/// that it can't.
async fn alone(gate: &Gate, starts: &mut mpsc::UnboundedReceiver<u32>) -> (App, App, Faults) {
    let clock = aipo::Clock::tokio(testing::START);
    let store = aipo::memory::store(clock.clone());
    let faults = Faults::new(1);
    let open = |store| gated_app(gate).clock(clock.clone()).store(store).build();
    let near = open(faults.wrap(&store)).await.expect("an app");
    let far = open(store).await.expect("an app");
    far.send(gated::s(1)).await.expect("sent");
    crash(&far, 1).await;
    crash(&far, 1).await;
    near.worker().start().await.expect("a worker");
    assert_eq!(starts.recv().await, Some(1));
    (near, far, faults)
}

#[tokio::test(start_paused = true)]
async fn who_was_alone_when_its_worker_was_lost_is_given_up() {
    let (gate, mut starts) = gate();
    let (_near, far, faults) = alone(&gate, &mut starts).await;
    faults.set_down(true);
    far.worker().start().await.expect("a worker");
    let letter = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let dead = far.store().broker.dead_letters(None, 1).await;
        if let Some(letter) = dead.expect("dead letters").pop() {
            break letter;
        }
    };
    assert_eq!(
        letter.reason,
        "the worker was lost each time it was started (3 times)"
    );
    assert!(starts.try_recv().is_err(), "it is not started again");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_loses_its_lease_and_lives_gives_nobody_up() {
    let (gate, mut starts) = gate();
    let (_near, far, faults) = alone(&gate, &mut starts).await;
    let lease = far.settings().worker_lease.0;
    for _ in 0..5 {
        faults.set_down(true);
        tokio::time::sleep(lease * 3).await;
        faults.set_down(false);
        let again = tokio::time::timeout(lease * 10, starts.recv()).await;
        assert_eq!(again, Ok(Some(1)), "it is started again");
    }
    gate.open.add_permits(1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let queues = far.store().broker.queues().await.expect("queues");
    let left = &queues[0];
    assert_eq!((left.ready, left.in_flight, left.dead), (0, 0, 0));
}

/// Starts what is ready and ends without a word, as a worker that is killed; and others notice.
async fn crash(app: &App, messages: usize) {
    let lease = start_and_die(app, messages).await;
    bring_back(app, messages, lease).await;
}

/// Gives the lease of the one that died.
async fn start_and_die(app: &App, messages: usize) -> Duration {
    use aipo_core::store::{ConsumerOptions, Fetch};

    let lease = Duration::from_secs(1);
    let options = ConsumerOptions {
        name: "doomed".into(),
        queues: vec!["celery".into()],
        lease,
    };
    let broker = &app.store().broker;
    let consumer = broker.consume(options).await.expect("a consumer");
    let fetch = Fetch {
        max: messages,
        started: 0,
        wait: ENOUGH,
    };
    let fetched = consumer.fetch(fetch).await.expect("fetched");
    assert_eq!(fetched.len(), messages);
    let tags: Vec<_> = fetched.iter().map(|delivery| delivery.tag).collect();
    consumer.start(&tags).await.expect("counted");
    drop(consumer);
    lease
}

async fn bring_back(app: &App, messages: usize, lease: Duration) {
    tokio::time::advance(lease * 2).await;
    let recovered = app.store().broker.recover().await;
    assert_eq!(recovered.expect("recovered"), messages);
}

#[tokio::test(start_paused = true)]
async fn what_was_running_at_two_crashes_is_alone_for_a_lease_period() {
    let (gate, mut starts) = gate();
    let app = app(gated_app(&gate)).await;
    let handles = app.send_all((0..2).map(gated::s)).await.expect("sent");
    crash(&app, 2).await;
    crash(&app, 2).await;
    let fresh = app.send(gated::s(9)).await.expect("sent");
    app.worker().start().await.expect("a worker");

    // What was fetched with them had started before it was known.
    assert_eq!(starts.recv().await, Some(9));
    gate.open.add_permits(1);
    assert_eq!(starts.recv().await, Some(0));
    assert_eq!(value(&fresh).await, 9);
    let late = app.send(gated::s(10)).await.expect("sent");
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(starts.try_recv().is_err(), "nothing starts beside it");

    // It is no longer waited for: the next one starts without being alone.
    assert_eq!(starts.recv().await, Some(1));
    assert_eq!(starts.recv().await, Some(10));
    gate.open.add_permits(3);
    for handle in handles.iter().chain([&late]) {
        value(handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_a_suspect_stops_warm_and_hands_back_the_others() {
    let (gate, mut starts) = gate();
    let app = app(gated_app(&gate)).await;
    let handles = app.send_all((0..3).map(gated::s)).await.expect("sent");
    crash(&app, 3).await;
    crash(&app, 3).await;
    let worker = app.worker().start().await.expect("a worker");
    assert_eq!(starts.recv().await, Some(0));
    let stopping = tokio::spawn(worker.stop());
    tokio::task::yield_now().await;
    gate.open.add_permits(1);
    stopping.await.expect("no panic").expect("stopped");
    assert_eq!(value(&handles[0]).await, 0);
    let queues = app.store().broker.queues().await.expect("queues");
    assert_eq!((queues[0].ready, queues[0].in_flight), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn suspects_that_wait_for_each_other_do_not_wait_for_ever() {
    let app = app(App::builder("t").task(parent::task())).await;
    let handles = app
        .send_all((0..2).map(|_| parent::s(1)))
        .await
        .expect("sent");
    crash(&app, 2).await;
    crash(&app, 2).await;
    app.worker().start().await.expect("a worker");
    for handle in handles {
        assert_eq!(value(&handle).await, 1);
    }
}

/// Notes what it is told.
struct Noting(mpsc::UnboundedSender<String>);

#[async_trait::async_trait]
impl Base for Noting {
    async fn before_start(&self, cx: &Context) -> TaskResult<()> {
        self.0.send(format!("before {}", cx.name()))?;
        Ok(())
    }

    async fn on_success(&self, _cx: &Context, value: &serde_json::value::RawValue) {
        self.0.send(format!("success {value}")).expect("listening");
    }

    async fn on_failure(&self, _cx: &Context, failure: &Failure) {
        self.0
            .send(format!("failure {}", failure.exception))
            .expect("listening");
    }

    async fn on_retry(&self, _cx: &Context, failure: &Failure) {
        self.0
            .send(format!("retry {}", failure.exception))
            .expect("listening");
    }

    async fn after_return(&self, _cx: &Context, state: Option<&TaskState>) {
        self.0
            .send(format!("after {}", state.expect("a state")))
            .expect("listening");
    }
}

#[tokio::test(start_paused = true)]
async fn a_base_is_told_of_every_task_that_shares_it() {
    let (notes, mut noted) = mpsc::unbounded_channel();
    let app = working(App::builder("t").base(Noting(notes)).task(flaky::task())).await;
    app.send(flaky::s(1))
        .await
        .expect("sent")
        .get(ENOUGH)
        .await
        .expect("a value");
    let mut told = Vec::new();
    while let Ok(note) = noted.try_recv() {
        told.push(note);
    }
    let expected = [
        "before flaky",
        "retry RuntimeError: attempt 0",
        "after RETRY",
        "before flaky",
        "success 1",
        "after SUCCESS",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn signals_tell_the_story_of_a_task() {
    let (notes, mut noted) = mpsc::unbounded_channel();
    let builder = App::builder("t")
        .task(flaky::task())
        .on_signal(move |signal| {
            let name = format!("{signal:?}");
            let name = name.split([' ', '(']).next().unwrap_or_default().to_owned();
            notes.send(name).expect("listening");
        });
    let app = app(builder).await;
    let worker = app.worker().start().await.expect("a worker");
    let mut told = vec![noted.recv().await.expect("the worker is ready")];
    app.send(flaky::s(1))
        .await
        .expect("sent")
        .get(ENOUGH)
        .await
        .expect("a value");
    worker.stop().await.expect("stopped");
    while let Ok(note) = noted.try_recv() {
        told.push(note);
    }
    let expected = [
        "WorkerReady",
        "BeforeTaskPublish",
        "AfterTaskPublish",
        "TaskReceived",
        "TaskPrerun",
        "TaskPostrun",
        "TaskRetry",
        "TaskReceived",
        "TaskPrerun",
        "TaskPostrun",
        "TaskSuccess",
        "WorkerShutdown",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_panics_disturbs_nothing() {
    let builder = App::builder("t").task(add::task());
    let app = working(builder.on_signal(|signal| {
        assert!(!matches!(signal, Signal::TaskPrerun { .. }), "on purpose");
    }))
    .await;
    let handle = app.send(add::s(1, 1)).await.expect("sent");
    assert_eq!(value(&handle).await, 2);
}

#[aipo::task(name = "progressing")]
async fn progressing(cx: &Context) -> TaskResult<()> {
    cx.progress(serde_json::json!({ "done": 1, "of": 2 }))
        .await?;
    cx.data::<Gate>()?.started.send(0)?;
    cx.data::<Gate>()?.open.acquire().await?.forget();
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn progress_can_be_seen_while_a_task_runs() {
    let (gate, mut starts) = gate();
    let app = working(gated_app(&gate).task(progressing::task())).await;
    let handle = app.send(progressing::s()).await.expect("sent");
    starts.recv().await.expect("started");
    let meta = handle.meta().await.expect("answered").expect("stored");
    assert_eq!(meta.status, TaskState::Custom("PROGRESS".into()));
    assert_eq!(meta.result.get(), r#"{"done":1,"of":2}"#);
    gate.open.add_permits(1);
    value(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_is_refused_where_it_is_sent() {
    let builder = App::builder("t").task(answers::task());
    let app = app(builder.settings(|settings| settings.task_max_message_size = 1000)).await;
    let error = app
        .send(answers::s("x".repeat(2000)))
        .await
        .expect_err("too large");
    assert_eq!(error.kind(), aipo::ErrorKind::TooLarge);
    assert_eq!(app.store().broker.queues().await.expect("queues"), []);
}

#[tokio::test(start_paused = true)]
async fn a_worker_can_be_stopped_before_it_has_done_anything() {
    let app = app(App::builder("t").task(add::task())).await;
    app.worker()
        .start()
        .await
        .expect("a worker")
        .stop()
        .await
        .expect("stopped");
}
