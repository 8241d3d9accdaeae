//! Typed workflows, on the memory store with virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aipo::{
    App, Canvas, Context, Flow, Group, QueueName, Related, Signature, TaskError, TaskId,
    TaskResult, TaskState, WaitError, chunks, group, map, starmap, testing,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

#[aipo::task]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[aipo::task]
async fn total(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

#[aipo::task]
async fn text(number: i64) -> String {
    format!("<{number}>")
}

#[aipo::task]
async fn fail(_number: i64) -> TaskResult<i64> {
    Err(TaskError::fail("as asked"))
}

#[aipo::task(queue = "elsewhere")]
async fn elsewhere(cx: &Context, number: i64) -> (String, i64) {
    (cx.queue().to_string(), number)
}

/// What was noted, in order.
#[derive(Default, Clone)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

#[aipo::task]
async fn note(cx: &Context, what: Value) -> TaskResult<()> {
    let notes = cx.data::<Notes>()?;
    notes.0.lock().expect("no panic").push(what.to_string());
    Ok(())
}

#[aipo::task]
async fn note_failure(cx: &Context, id: TaskId) -> TaskResult<()> {
    let notes = cx.data::<Notes>()?;
    notes
        .0
        .lock()
        .expect("no panic")
        .push(format!("{id} failed"));
    Ok(())
}

async fn place() -> (App, aipo::Worker, Notes) {
    let notes = Notes::default();
    let app = App::builder("test")
        .task(add::task())
        .task(total::task())
        .task(text::task())
        .task(fail::task())
        .task(elsewhere::task())
        .task(note::task())
        .task(note_failure::task())
        .data(notes.clone());
    let app = testing::build(app).await.expect("an app");
    let worker = app.worker().start().await.expect("a worker");
    (app, worker, notes)
}

#[track_caller]
fn is<T: PartialEq + std::fmt::Debug>(value: Result<T, WaitError>, expected: T) {
    assert_eq!(value.expect("a value"), expected);
}

#[tokio::test(start_paused = true)]
async fn each_step_takes_what_the_one_before_gives() {
    let (app, worker, _) = place().await;
    let flow = add::s(2, 2).then(add::p(4)).then(text::p());
    let handle = app.send(flow).await.expect("sent");
    is(handle.get(PATIENCE).await, "<8>".to_owned());

    // A call with all its arguments takes nothing.
    let flow = add::s(2, 2).then(add::s(5, 5)).then(add::p(1));
    let handle = app.send(flow).await.expect("sent");
    is(handle.get(PATIENCE).await, 11);

    // Steps put together beforehand are a step.
    let twice = add::p(1).then(add::p(1));
    let flow = add::s(0, 0).then(twice.clone()).then(twice);
    let handle = app.send(flow).await.expect("sent");
    is(handle.get(PATIENCE).await, 4);
    worker.stop().await.expect("stopped");
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_group_takes_all_of_it() {
    let (app, worker, _) = place().await;
    let three = || group((1..=3).map(|n| add::s(n, n)));
    let layers: Flow<String> = three()
        .then(group([total::p().then(add::p(100)), total::p().into()]))
        .then(total::p())
        .then(text::p());
    for (flow, expected) in [
        (three().then(total::p()), 12),
        // A group of one, and of none, gives a list all the same.
        (group([add::s(1, 2)]).then(total::p()), 3),
        (group(Vec::<Flow<i64>>::new()).then(total::p()), 0),
        (
            add::s(1, 1)
                .then(group(Vec::<Flow<i64, aipo::Takes<i64>>>::new()))
                .then(total::p()),
            0,
        ),
        (
            add::s(1, 1)
                .then(group([add::p(1), add::p(2)]))
                .then(total::p()),
            7,
        ),
        (three().then(add::s(20, 1)), 21),
        (add::s(1, 1).then(three()).then(total::p()), 12),
    ] {
        let told = format!("{flow:?}");
        let handle = app.send(flow).await.expect("sent");
        let value = handle.get(PATIENCE).await;
        assert_eq!(
            value.unwrap_or_else(|error| panic!("{error} of {told}")),
            expected,
            "{told}"
        );
    }
    let handle = app.send(layers).await.expect("sent");
    is(handle.get(PATIENCE).await, "<124>".to_owned());

    let nested = group([three().collect(), group([add::s(0, 0)]).collect()]);
    let handle = app.send(nested).await.expect("sent");
    is(handle.join(PATIENCE).await, vec![vec![2, 4, 6], vec![0]]);
    worker.stop().await.expect("stopped");
}

#[tokio::test(start_paused = true)]
async fn one_message_can_carry_many_items() {
    let (app, worker, _) = place().await;
    let sent = testing::Sent::by(&app);
    let handle = app.send(map(add::p(10), [1, 2, 3])).await.expect("sent");
    is(handle.get(PATIENCE).await, vec![11, 12, 13]);
    let flow = starmap((0..3).map(|n| add::s(n, n))).then(total::p());
    is(app.send(flow).await.expect("sent").get(PATIENCE).await, 6);
    is(
        app.send(starmap(Vec::<aipo::Call<i64>>::new()))
            .await
            .expect("sent")
            .get(PATIENCE)
            .await,
        vec![],
    );
    let handle = app
        .send(chunks((0..5).map(|n| add::s(n, 0)), 2))
        .await
        .expect("sent");
    is(
        handle.join(PATIENCE).await,
        vec![vec![0, 1], vec![2, 3], vec![4]],
    );
    let starmaps = sent
        .names()
        .iter()
        .filter(|name| *name == "celery.starmap")
        .count();
    assert_eq!(starmaps, 1 + 3);
    worker.stop().await.expect("stopped");
}

#[tokio::test(start_paused = true)]
async fn a_task_goes_where_its_options_say_wherever_it_stands() {
    let (app, worker, _) = place().await;
    let flow = add::s(1, 1).then(elsewhere::p());
    let handle = app.send(flow).await.expect("sent");
    is(handle.get(PATIENCE).await, ("elsewhere".to_owned(), 2));
    let handle = app.send(map(elsewhere::p(), [7])).await.expect("sent");
    is(
        handle.get(PATIENCE).await,
        vec![("elsewhere".to_owned(), 7)],
    );
    worker.stop().await.expect("stopped");
}

#[tokio::test(start_paused = true)]
async fn callbacks_and_errbacks_run_beside_what_follows() {
    let (app, worker, notes) = place().await;
    let value = |note: aipo::Call<(), aipo::Takes<Value>>| Flow::from(note).taking::<i64>();
    let flow = add::s(1, 1)
        .link(value(note::p()))
        .on_error(note_failure::p())
        .then(add::p(1));
    is(app.send(flow).await.expect("sent").get(PATIENCE).await, 3);
    app.send(
        fail::s(1)
            .task_id("bad")
            .on_error(note_failure::p())
            .then(add::p(1)),
    )
    .await
    .expect("sent")
    .get(PATIENCE)
    .await
    .expect_err("the first step failed");
    let members = group([add::s(1, 1), fail::s(1)]);
    let chord = members.then(total::p()).on_error(note_failure::p());
    let handle = app.send(chord).await.expect("sent");
    handle.get(PATIENCE).await.expect_err("a member failed");
    worker.stop().await.expect("stopped");
    let mut noted = notes.take();
    noted.sort();
    let mut expected = [
        "2".to_owned(),
        format!("{} failed", handle.id()),
        "bad failed".to_owned(),
    ];
    expected.sort();
    assert_eq!(noted, expected);
}

#[tokio::test(start_paused = true)]
async fn a_group_tells_how_far_it_is() {
    let (app, worker, _) = place().await;
    let members = [
        Flow::from(add::s(1, 1).countdown(Duration::from_secs(20))),
        fail::s(1).into(),
        add::s(3, 3).countdown(Duration::from_secs(10)).into(),
    ];
    let handle = app.send(group(members)).await.expect("sent");
    assert!(!handle.ready().await.expect("states"));
    let mut ended = Vec::new();
    let mut completions = handle.completions(PATIENCE);
    while let Some((index, value)) = completions.next().await {
        ended.push((index, value.ok()));
    }
    assert_eq!(ended, [(1, None), (2, Some(6)), (0, Some(2))]);
    assert!(handle.ready().await.expect("states"));
    assert!(handle.failed().await.expect("states"));
    assert!(!handle.successful().await.expect("states"));
    assert_eq!(handle.completed().await.expect("states"), 2);
    handle.join(PATIENCE).await.expect_err("one failed");

    handle.save().await.expect("saved");
    let again: aipo::GroupHandle<i64> = app
        .group(handle.id())
        .await
        .expect("read")
        .expect("a group");
    let ids = |group: &aipo::GroupHandle<i64>| -> Vec<TaskId> {
        group
            .members()
            .iter()
            .map(|member| member.id().clone())
            .collect()
    };
    assert_eq!(ids(&again), ids(&handle));
    handle.delete().await.expect("deleted");
    assert!(app.group::<i64>(handle.id()).await.expect("read").is_none());
    worker.stop().await.expect("stopped");
}

#[tokio::test(start_paused = true)]
async fn results_know_what_came_before_and_after() {
    let (app, worker, _) = place().await;
    let flow = add::s(1, 1)
        .then(group([add::p(1), add::p(2)]))
        .then(total::p());
    let handle = app.send(flow).await.expect("sent");
    is(handle.get(PATIENCE).await, 7);
    let Some(Related::Group(members)) = handle.parent() else {
        panic!("{:?} is no group", handle.parent())
    };
    assert_eq!(
        members.join(PATIENCE).await.expect("values"),
        [json!(3), json!(4)]
    );
    let Some(Related::Task(first)) = members.parent() else {
        panic!("{:?} is no task", members.parent())
    };
    assert_eq!(first.get(PATIENCE).await.expect("a value"), json!(2));
    let children = first.children().await.expect("children");
    assert_eq!(children.len(), 1);
    assert!(first.parent().is_none());
    worker.stop().await.expect("stopped");
}

#[tokio::test(start_paused = true)]
async fn all_of_a_workflow_has_one_root() {
    let (app, worker, _) = place().await;
    let sent = testing::Sent::by(&app);
    let members = || group([add::s(1, 1), add::s(2, 2)]);
    let handle = app.send(members().then(total::p())).await.expect("sent");
    handle.get(PATIENCE).await.expect("a value");
    app.send(members())
        .await
        .expect("sent")
        .join(PATIENCE)
        .await
        .expect("values");
    let roots: Vec<_> = sent
        .all()
        .into_iter()
        .map(|(_, headers)| headers.root_id)
        .collect();
    assert_eq!(roots.len(), 4, "{roots:?}");
    assert_eq!(roots[0], roots[1]);
    assert_eq!(roots[2], roots[3]);
    assert_ne!(roots[0], roots[2]);
    worker.stop().await.expect("stopped");
}

#[tokio::test(start_paused = true)]
async fn stamps_and_options_reach_the_tasks() {
    let app = testing::build(App::builder("test")).await.expect("an app");
    let sent = testing::Sent::by(&app);
    let options = aipo::CallOptions {
        queue: Some("slow".into()),
        ..Default::default()
    };
    let flow: Group<i64> = group([add::s(1, 1), add::s(2, 2).queue("own")]);
    app.send(flow.set(options).stamp("user", "ana"))
        .await
        .expect("sent");
    for (queue, headers) in sent.all() {
        assert_eq!(
            queue,
            QueueName::from("slow"),
            "a call's option wins over a signature's"
        );
        assert_eq!(headers.stamped_headers, Some(vec!["user".to_owned()]));
        assert_eq!(headers.stamps["user"], "ana");
    }
    assert_eq!(sent.names().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn tasks_by_name_stand_anywhere() {
    let (app, worker, _) = place().await;
    let name = <add as aipo::Task>::NAME;
    let flow = Flow::from(Canvas::from(
        Signature::new(name).args([1.into(), 2.into()]),
    ))
    .then(Signature::new(name).args([10.into()]))
    .returning::<i64>()
    .then(text::p());
    is(
        app.send(flow).await.expect("sent").get(PATIENCE).await,
        "<13>".to_owned(),
    );
    let group = Canvas::group(vec![Canvas::task(name)]);
    let error = app.send(group).await.expect_err("no single result");
    assert!(error.to_string().contains("`Group`"), "{error}");
    let error = app.send(Canvas::chain(vec![])).await.expect_err("nothing");
    assert!(error.to_string().contains("nothing"), "{error}");
    worker.stop().await.expect("stopped");
}

#[tokio::test(start_paused = true)]
async fn an_argument_that_is_no_json_is_told_at_the_send() {
    #[aipo::task]
    async fn odd(_of: std::collections::BTreeMap<(i64, i64), i64>) -> i64 {
        0
    }

    let app = testing::build(App::builder("test")).await.expect("an app");
    let bad = odd::s([((1, 1), 1)].into());
    let error = app.send(bad.then(add::p(1))).await.expect_err("no JSON");
    assert_eq!(error.kind(), aipo::ErrorKind::Codec);
    assert_eq!(
        app.result::<Value>("none").state().await.expect("a state"),
        None::<TaskState>
    );
}

#[tokio::test(start_paused = true)]
async fn a_workflow_is_cancelled_as_a_whole_with_no_worker_up() {
    let (app, worker, notes) = place().await;
    worker.stop().await.expect("stopped");
    let flow = add::s(1, 1)
        .then(group([add::p(1), add::p(2)]))
        .then(total::p())
        .then(text::p());
    let handle = app.send(flow).await.expect("sent");
    handle
        .revoke_tree(aipo::Revoke::Waiting)
        .await
        .expect("revoked");
    let error = handle.get(PATIENCE).await.expect_err("it was revoked");
    assert!(matches!(error, WaitError::Revoked { .. }), "{error}");

    // What is not in any queue yet never starts, what is sent later by those who run neither.
    let later = group([add::s(1, 1), add::s(2, 2)]).then(total::p());
    let later = later.then(note::p().taking_json());
    let handle = app.send(later).await.expect("sent");
    let again = app.result::<()>(handle.id());
    again
        .revoke_tree(aipo::Revoke::Waiting)
        .await
        .expect("revoked");
    let worker = app.worker().start().await.expect("a worker");
    again.get(PATIENCE).await.expect_err("it was revoked");
    worker.stop().await.expect("stopped");
    assert_eq!(notes.take(), Vec::<String>::new());
    for queue in app.store().broker.queues().await.expect("queues") {
        assert_eq!((queue.ready, queue.in_flight), (0, 0), "{queue:?}");
    }
}

/// A note of a number.
trait TakingJson {
    fn taking_json(self) -> Flow<(), aipo::Takes<i64>>;
}

impl TakingJson for aipo::Call<(), aipo::Takes<Value>> {
    fn taking_json(self) -> Flow<(), aipo::Takes<i64>> {
        Flow::from(self).taking()
    }
}

#[tokio::test(start_paused = true)]
async fn steps_of_a_revoked_workflow_that_come_later_are_dropped() {
    let (app, worker, _) = place().await;
    let flow = add::s(1, 1)
        .then(add::p(1).countdown(Duration::from_secs(3600)))
        .then(add::p(1));
    let handle = app.send(flow).await.expect("sent");
    let Some(Related::Task(second)) = handle.parent() else {
        panic!("{:?}", handle.parent())
    };
    while second.state().await.expect("a state") != Some(TaskState::Pending) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    handle
        .revoke_tree(aipo::Revoke::Waiting)
        .await
        .expect("revoked");
    let error = handle
        .get(Duration::from_secs(1))
        .await
        .expect_err("it was revoked");
    assert!(matches!(error, WaitError::Revoked { .. }), "{error}");
    let tree = app
        .workflow(handle.id())
        .await
        .expect("read")
        .expect("a workflow");
    let states: Vec<_> = tree
        .steps
        .iter()
        .map(|step| match step {
            aipo::WorkflowStep::Task(task) => (task.name.clone(), task.state.clone()),
            group => panic!("{group:?}"),
        })
        .collect();
    let name = Some(<add as aipo::Task>::NAME.to_owned());
    let expected = [TaskState::Success, TaskState::Revoked, TaskState::Revoked];
    assert_eq!(states, expected.map(|state| (name.clone(), Some(state))));
    worker.stop().await.expect("stopped");
}

/// As of one that Python sent.
#[tokio::test(start_paused = true)]
async fn a_workflow_without_a_tree_is_seen_from_its_results() {
    let (app, worker, _) = place().await;
    let flow = add::s(1, 1)
        .then(add::p(1))
        .then(group([add::p(1), add::p(2)]));
    let handle = app.send(flow).await.expect("sent");
    is(handle.join(PATIENCE).await, vec![4, 5]);
    let state = &app.store().state;
    for (key, _) in state.scan("workflow/").await.expect("facts") {
        state.delete(&key).await.expect("deleted");
    }
    let before = |related: &Related| match related {
        Related::Task(task) => task.parent(),
        Related::Group(group) => group.parent(),
    };
    let steps = std::iter::successors(handle.parent(), before);
    let first = steps.last().expect("what came first").id().to_owned();

    let tree = app.workflow(first.as_str()).await.expect("read");

    let shape = |step: &aipo::WorkflowStep| match step {
        aipo::WorkflowStep::Task(task) => {
            assert_eq!(task.state, Some(TaskState::Success));
            1
        }
        aipo::WorkflowStep::Group { members, .. } => members.len(),
    };
    let tree = tree.expect("a workflow");
    assert_eq!(tree.root, first.as_str().into());
    let steps: Vec<usize> = tree.steps.iter().map(shape).collect();
    assert_eq!(steps, [1, 1, 2]);
    assert_eq!(app.workflow("unknown").await.expect("read"), None);
    worker.stop().await.expect("stopped");
}

#[aipo::task]
async fn never_mind(_number: i64) -> TaskResult<i64> {
    Err(TaskError::ignore())
}

#[tokio::test(start_paused = true)]
async fn what_follows_an_ignored_task_ends() {
    let app = App::builder("test")
        .task(add::task())
        .task(never_mind::task());
    let app = testing::build(app).await.expect("an app");
    let worker = app.worker().start().await.expect("a worker");
    let flow = add::s(1, 1)
        .then(never_mind::p())
        .then(add::p(1))
        .then(add::p(1));

    let handle = app.send(flow).await.expect("sent");

    let error = handle.get(PATIENCE).await.expect_err("it never ran");
    assert!(matches!(error, WaitError::Revoked { .. }), "{error}");
    worker.stop().await.expect("stopped");
}
