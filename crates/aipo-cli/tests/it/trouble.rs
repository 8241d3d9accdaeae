//! Tasks and messages that do their worst, in a worker process of their own.

use std::pin::pin;
use std::time::Duration;

use aipo::{App, Signature, WaitError};
use serde_json::{Value, json};

use crate::support::Place;

const LONG: Duration = Duration::from_secs(60);

async fn sender(place: &Place) -> App {
    let app = App::builder("tests").broker(place.url());
    app.build().await.expect("an app on the place's store")
}

async fn send(app: &App, task: &str, args: impl IntoIterator<Item = Value>) -> aipo::Handle<Value> {
    let signature = Signature::new(task).args(args);
    app.send(signature).await.expect("sent")
}

#[track_caller]
fn failed(result: Result<Value, WaitError>) -> String {
    match result {
        Err(WaitError::Failed { exception, .. }) => exception.to_string(),
        other => panic!("{other:?} is no failure"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ends_its_process_is_given_up_and_takes_nobody_with_it() {
    let place = Place::new();
    let app = sender(&place).await;
    let overflow = send(&app, "trouble.overflow", []).await;
    let mut bystanders = Vec::new();
    for n in 0..8 {
        bystanders.push(send(&app, "trouble.bystander", [n.into()]).await);
    }

    let mut given_up = pin!(overflow.get(LONG));
    let (told, worker) = loop {
        // Started anew each time it dies, as a supervisor does.
        let mut worker = tokio::task::block_in_place(|| place.worker_of("trouble", &[]));
        tokio::select! {
            told = &mut given_up => break (failed(told), worker),
            () = worker.silent() => assert_eq!(worker.ended(), None, "a signal ended it"),
        }
    };
    assert!(
        told.starts_with("WorkerLostError: the worker was lost each time it was started"),
        "{told}"
    );
    for (n, bystander) in bystanders.iter().enumerate() {
        assert_eq!(bystander.get(LONG).await.expect("a value"), json!(n));
    }
    let dead = app
        .store()
        .broker
        .dead_letters(None, 10)
        .await
        .expect("dead letters");
    assert_eq!(
        dead.iter()
            .map(|letter| &letter.task_id)
            .collect::<Vec<_>>(),
        [overflow.id()]
    );
    worker.stop();
}

#[tokio::test]
async fn a_plain_function_that_never_ends_does_not_keep_the_worker_from_working_or_stopping() {
    let place = Place::new();
    let app = sender(&place).await;
    let worker = place.worker_of("trouble", &["-c", "1"]);
    let spin = send(&app, "trouble.spin", []).await;
    assert_eq!(failed(spin.get(LONG).await), "TimeLimitExceeded: 0.5");
    let after = send(&app, "trouble.bystander", [7.into()]).await;
    assert_eq!(after.get(LONG).await.expect("a value"), json!(7));
    worker.stop();
}

#[tokio::test]
async fn large_and_deep_arguments_and_huge_results_end_clearly() {
    let place = Place::new();
    let app = sender(&place).await;
    let worker = place.worker_of("trouble", &["-o", "result_max_size=20000000"]);

    let large = json!("x".repeat(10 * 1024 * 1024));
    let echo = send(&app, "trouble.echo", [large.clone()]).await;
    assert_eq!(echo.get(LONG).await.expect("a value"), large);

    let mut deep = json!(0);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let echo = send(&app, "trouble.echo", [deep.clone()]).await;
    assert_eq!(echo.get(LONG).await.expect("a value"), deep);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let told = failed(send(&app, "trouble.echo", [deep]).await.get(LONG).await);
    assert!(
        told.starts_with("TypeError: echo() argument 'value': recursion limit exceeded"),
        "{told}"
    );

    let huge = send(&app, "trouble.huge", [30_000_000.into()]).await;
    assert_eq!(
        failed(huge.get(LONG).await),
        "EncodeError: the result has 30000002 bytes, more than result_max_size, 20000000"
    );
    worker.stop();
}
