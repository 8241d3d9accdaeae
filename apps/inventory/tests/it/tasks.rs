//! The tasks, as other programs may send them.

use std::time::Duration;

use aipo::{App, Revoke, Signature, TaskId, WaitError};
use inventory::catalog::Model;
use inventory::catalog::notifications::{self, Status, TaskNotification};
use inventory::export::Format;
use inventory::jobs::NewJob;
use inventory::media::Media;
use inventory::metrics;
use inventory::tasks::{JobReport, export_data_async, import_data_async};
use serde_json::json;

use crate::shop::{Shop, catalogue};

const PATIENCE: Duration = Duration::from_secs(60);

fn export(format: Format) -> NewJob {
    NewJob::Export {
        model: Model::Product,
        format,
    }
}

impl Shop {
    fn job(&self, id: i64) -> TaskNotification {
        let connection = self.inventory.catalog.connect().expect("connects");
        notifications::get(&connection, id)
            .expect("reads")
            .expect("exists")
    }

    /// By a program that shares the queue and knows nothing of notifications, such as `aipo revoke`.
    async fn revoke_from_elsewhere(&self, task: &TaskId) {
        let store = self.inventory.app.store().clone();
        let other = App::builder("other")
            .store(store)
            .build()
            .await
            .expect("an app");
        let tasks = std::slice::from_ref(task);
        other.revoke(tasks, Revoke::Waiting).await.expect("revoked");
    }

    /// An import whose file is put into the media folder without being looked at.
    async fn import_of(&self, text: &[u8]) -> inventory::jobs::Queued {
        let file = Media::upload_path(uuid::Uuid::new_v4());
        std::fs::write(self.inventory.media.path(&file), text).expect("written");
        let job = NewJob::Import {
            model: Model::Product,
            file,
            file_name: None,
        };
        self.inventory.start("ana", job).await.expect("started")
    }
}

#[tokio::test]
async fn the_tasks_have_the_names_and_retries_their_callers_know() {
    let shop = Shop::new().await;
    let app = &shop.inventory.app;
    let names = [
        "app.tasks.export_data_async",
        "app.tasks.import_data_async",
        "app.tasks.update_dashboard_metrics_cache",
    ];
    assert_eq!(app.tasks(), names);
    for name in names {
        let retries = app.task_options(name).expect("registered").retries;
        assert_eq!(
            (retries.max, retries.delay),
            (Some(3), Duration::from_secs(60)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_export_finds_its_notification_by_its_own_id_or_by_the_one_given() {
    let shop = Shop::new().await;
    let by_own_id = shop
        .inventory
        .start("ana", export(Format::Csv))
        .await
        .expect("started");
    assert_eq!(shop.sent.all()[0].1.argsrepr.as_deref(), Some("(None,)"));
    let given = shop
        .inventory
        .start("ana", export(Format::Csv))
        .await
        .expect("started");
    let call = Signature::new("app.tasks.export_data_async")
        .kwarg("notification_id", given.notification_id);
    shop.revoke_from_elsewhere(&given.task_id).await;
    let other_program = shop.inventory.app.send(call).await.expect("sent");

    let worker = shop.worker().await;
    let report = other_program.get(PATIENCE).await.expect("exported");
    assert_eq!(
        report,
        json!({ "notification_id": given.notification_id, "records": 0, "rejected": 0 })
    );
    assert_eq!(
        shop.job(given.notification_id).task_id,
        other_program.id().as_str()
    );
    let own = shop.inventory.app.result::<JobReport>(by_own_id.task_id);
    let own = own.get(PATIENCE).await.expect("exported");
    assert_eq!(own.notification_id, by_own_id.notification_id);
    worker.stop().await.expect("stops");
}

#[tokio::test]
async fn an_export_without_a_notification_fails() {
    let shop = Shop::new().await;
    let worker = shop.worker().await;
    let handle = shop
        .inventory
        .app
        .send(export_data_async::s(None))
        .await
        .expect("sent");
    let error = handle.get(PATIENCE).await.expect_err("fails");
    assert!(
        matches!(&error, WaitError::Failed { .. }) && error.to_string().contains("no notification"),
        "{error}"
    );
    worker.stop().await.expect("stops");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_at_once_and_its_user_is_told_why() {
    let shop = Shop::new().await;
    let worker = shop.worker().await;
    for (text, reason) in [
        (b"".as_slice(), "o arquivo está vazio"),
        (b"a;b\n1;2\n", "cabeçalho errado"),
        (
            b"sku;nome;categoria;custo;preco\nA;Pe\xe7a;C;1;2\n",
            "não está em UTF-8",
        ),
    ] {
        let queued = shop.import_of(text).await;
        let handle = shop.inventory.app.result::<JobReport>(queued.task_id);
        let error = handle.get(PATIENCE).await.expect_err("fails");
        assert!(matches!(&error, WaitError::Failed { .. }), "{error}");
        let job = shop.job(queued.notification_id);
        assert_eq!(job.status, Status::Failed);
        let message = job.error_message.expect("a message");
        assert!(message.contains(reason), "{message}");
    }
    // The next one is not disturbed.
    let queued = shop.import_of(catalogue(2).as_bytes()).await;
    let handle = shop.inventory.app.result::<JobReport>(queued.task_id);
    assert_eq!(handle.get(PATIENCE).await.expect("imported").records, 2);
    worker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_retried_three_times_a_minute_apart_and_then_told() {
    let shop = Shop::new().await;
    // The media folder's place is taken by a file: every attempt to write fails.
    let exports = shop.inventory.media.path("partial");
    std::fs::remove_dir(&exports).expect("removed");
    std::fs::write(&exports, "").expect("written");
    let queued = shop
        .inventory
        .start("ana", export(Format::Json))
        .await
        .expect("started");
    let worker = shop.worker().await;
    let before = tokio::time::Instant::now();
    let handle = shop.inventory.app.result::<JobReport>(queued.task_id);
    let error = handle
        .get(Duration::from_secs(600))
        .await
        .expect_err("fails");
    assert!(matches!(&error, WaitError::Failed { .. }), "{error}");
    let took = before.elapsed();
    assert!((180..200).contains(&took.as_secs()), "{took:?}");
    let job = shop.job(queued.notification_id);
    assert_eq!(job.status, Status::Failed);
    let message = job.error_message.expect("a message");
    assert!(
        message.contains("falha interna: cannot write the export"),
        "{message}"
    );
    worker.stop().await.expect("stops");
}

#[tokio::test]
async fn what_a_crash_left_behind_is_mended() {
    let shop = Shop::new().await;
    let revoked = shop
        .inventory
        .start("ana", export(Format::Csv))
        .await
        .expect("started");
    shop.revoke_from_elsewhere(&revoked.task_id).await;
    let waiting = shop
        .inventory
        .start("ana", export(Format::Csv))
        .await
        .expect("started");
    // Announced an hour ago by a process that died before it sent the task.
    let unsent = {
        let catalog = &shop.inventory.catalog;
        let new = notifications::NewNotification {
            task_id: "never-sent",
            user: "ana",
            kind: notifications::Kind::Export,
            model: Model::Product,
            format: Some("csv"),
            file: None,
            file_name: None,
        };
        let an_hour_ago = catalog.now() - jiff::SignedDuration::from_hours(1);
        notifications::create(&catalog.connect().expect("connects"), &new, an_hour_ago)
            .expect("created")
    };

    let orphan = shop.inventory.media.path("uploads/orphan.csv");
    let fresh = shop.inventory.media.path("uploads/fresh.csv");
    for file in [&orphan, &fresh] {
        std::fs::write(file, "sku\n").expect("written");
    }
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    let file = std::fs::File::options()
        .write(true)
        .open(&orphan)
        .expect("opens");
    file.set_modified(long_ago).expect("dated back");

    // The user of one that is revoked here is told at once.
    let told = shop.inventory.start("ana", export(Format::Csv)).await;
    let told = told.expect("started");
    let tasks = std::slice::from_ref(&told.task_id);
    let revoked_here = shop.inventory.app.revoke(tasks, Revoke::Waiting).await;
    revoked_here.expect("revoked");
    assert_eq!(shop.job(told.notification_id).status, Status::Failed);

    assert_eq!(shop.inventory.mend().await.expect("mends"), 3);
    assert!(!orphan.exists() && fresh.exists());
    assert_eq!(shop.job(revoked.notification_id).status, Status::Failed);
    assert_eq!(shop.job(waiting.notification_id).status, Status::Pending);
    let worker = shop.worker().await;
    let sent = shop.inventory.app.result::<JobReport>("never-sent");
    assert_eq!(
        sent.get(PATIENCE).await.expect("exported").notification_id,
        unsent
    );
    assert_eq!(shop.inventory.mend().await.expect("mends"), 0);
    worker.stop().await.expect("stops");
}

#[tokio::test]
async fn an_import_that_is_sent_twice_imports_each_line_once() {
    let shop = Shop::new().await;
    let queued = shop.import_of(catalogue(300).as_bytes()).await;
    let again = import_data_async::s(queued.notification_id);
    let again = shop
        .inventory
        .app
        .send(again.task_id(queued.task_id.clone()))
        .await
        .expect("sent");
    let worker = shop.worker().await;
    again.get(PATIENCE).await.expect("imported");
    worker.stop().await.expect("stops");
    assert_eq!(shop.number("SELECT count(*) FROM product"), 300);
    assert_eq!(shop.number("SELECT count(*) FROM stock_movement"), 300);
    assert_eq!(shop.job(queued.notification_id).status, Status::Completed);
}

#[tokio::test]
async fn the_six_entries_of_the_dashboard_can_be_read_by_anyone() {
    let shop = Shop::new().await;
    metrics::refresh(&shop.inventory.app, &shop.inventory.catalog)
        .await
        .expect("renewed");
    let keys = metrics::KEYS.map(str::to_owned);
    let entries = shop
        .inventory
        .app
        .store()
        .state
        .get(&keys)
        .await
        .expect("reads");
    let product: serde_json::Value =
        serde_json::from_slice(entries[0].as_deref().expect("there")).expect("JSON");
    assert_eq!(product, json!({ "count": 0, "stock_value": 0.0 }));
    assert!(entries.iter().all(Option::is_some));
}

#[tokio::test(start_paused = true)]
async fn the_entries_of_the_dashboard_live_for_ten_minutes() {
    let shop = Shop::new().await;
    let app = &shop.inventory.app;
    metrics::refresh(app, &shop.inventory.catalog)
        .await
        .expect("renewed");
    tokio::time::advance(metrics::TIME_TO_LIVE - Duration::from_secs(1)).await;
    assert!(metrics::cached(app).await.expect("reads").is_some());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(metrics::cached(app).await.expect("reads").is_none());
}
