//! Real worker processes, killed with SIGKILL in the middle of their work.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aipo::App;
use inventory::catalog::notifications::{self, Status, TaskNotification};
use inventory::catalog::{Catalog, Model};
use inventory::export::Format;
use inventory::jobs::{Inventory, NewJob};
use inventory::media::Media;
use inventory::tasks::{self, JobReport};
use tempfile::TempDir;

use crate::redis::Redis;
use crate::shop::catalogue;

const PATIENCE: Duration = Duration::from_secs(120);

/// An inventory on files that worker processes share with the test.
pub(crate) struct Shop {
    inventory: Inventory,
    broker: String,
    pub(crate) folder: TempDir,
}

/// A worker process; killed when it is dropped, whatever becomes of the test.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // `kill` is SIGKILL; it only fails for a process that has ended, which is as good.
        let _ = self.0.kill();
        self.0.wait().expect("a killed process can be waited for");
    }
}

impl Shop {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let broker = folder.path().join("inventory-tasks.db");
        let broker = format!("sqlite://{}", broker.display());
        Self::on(folder, broker).await
    }

    pub(crate) async fn on(folder: TempDir, broker: String) -> Self {
        let catalog = Catalog::open(&folder.path().join("inventory.db")).expect("opens");
        let media = Media::open(&folder.path().join("inventory-media")).expect("opens");
        let builder = App::builder("inventory").broker(&broker);
        let app = tasks::register(builder, &catalog, &media);
        let app = app.build().await.expect("builds");
        Self {
            inventory: Inventory {
                app,
                catalog,
                media,
            },
            broker,
            folder,
        }
    }

    pub(crate) fn worker(&self) -> Process {
        let process = Command::new(env!("CARGO_BIN_EXE_inventory"))
            // A short lease, so that a death is noticed soon.
            .args(["worker", "--option", "worker_lease=1s"])
            .args(["--broker", &self.broker])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        Process(process)
    }

    fn job(&self, id: i64) -> TaskNotification {
        let connection = self.inventory.catalog.connect().expect("connects");
        notifications::get(&connection, id)
            .expect("reads")
            .expect("exists")
    }

    /// Waits until a job of another process has dealt with so many records. Only its database
    /// tells.
    async fn reaches(&self, id: i64, done: u64) {
        let reached = async {
            while self.job(id).progress.done < done {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached)
            .await
            .expect("the job gets on");
    }

    fn number(&self, sql: &str) -> i64 {
        let connection = self.inventory.catalog.connect().expect("connects");
        connection
            .query_row(sql, [], |row| row.get(0))
            .expect("one number")
    }

    fn upload(&self, text: &str) -> NewJob {
        let file = Media::upload_path(uuid::Uuid::new_v4());
        write(&self.inventory.media.path(&file), text);
        NewJob::Import {
            model: Model::Product,
            file,
            file_name: None,
        }
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_worker_is_killed_twice_imports_each_line_exactly_once() {
    import_though_workers_are_killed(&Shop::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_too_an_import_whose_worker_is_killed_twice_imports_each_line_exactly_once() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    import_though_workers_are_killed(&Shop::on(folder, redis.url()).await).await;
}

async fn import_though_workers_are_killed(shop: &Shop) {
    const LINES: u64 = 6_000;
    // One line that is rejected: it must be recorded once, too.
    let text = catalogue(LINES).replace("Produto 2000;", ";");
    let job = shop.upload(&text);
    let queued = shop.inventory.start("ana", job).await.expect("started");

    for third in [LINES / 3, 2 * LINES / 3] {
        let worker = shop.worker();
        shop.reaches(queued.notification_id, third).await;
        drop(worker);
        let job = shop.job(queued.notification_id);
        assert_eq!(job.status, Status::Processing, "killed in the middle");
        assert!(job.progress.done < LINES, "killed in the middle");
        let rows = shop.number("SELECT count(*) FROM product").unsigned_abs();
        assert_eq!(
            rows + job.progress.rejected,
            job.progress.done,
            "rows and cursor agree"
        );
    }
    let worker = shop.worker();
    let handle = shop.inventory.app.result::<JobReport>(queued.task_id);
    let report = handle.get(PATIENCE).await.expect("imported");
    drop(worker);

    assert_eq!((report.records, report.rejected), (LINES - 1, 1));
    let job = shop.job(queued.notification_id);
    assert_eq!((job.status, job.progress.done), (Status::Completed, LINES));
    let lines = LINES as i64;
    assert_eq!(shop.number("SELECT count(*) FROM product"), lines - 1);
    assert_eq!(
        shop.number("SELECT count(DISTINCT import_line) FROM product"),
        lines - 1
    );
    assert_eq!(
        shop.number("SELECT count(*) FROM stock_movement"),
        lines - 1,
        "each hook ran once"
    );
    assert_eq!(
        shop.number("SELECT sum(quantity) FROM product"),
        lines * (lines + 1) / 2 - 2000
    );
    assert_eq!(shop.number("SELECT count(*) FROM import_rejection"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_worker_is_killed_is_done_by_the_next_one() {
    let shop = Shop::new().await;
    let first = shop.worker();
    let import = shop.upload(&catalogue(1_200));
    let import = shop.inventory.start("ana", import).await.expect("started");
    let handle = shop.inventory.app.result::<JobReport>(import.task_id);
    handle.get(PATIENCE).await.expect("imported");

    let job = NewJob::Export {
        model: Model::Product,
        format: Format::Pdf,
    };
    let export = shop.inventory.start("ana", job).await.expect("started");
    // The first page of rows is read, and being typeset.
    shop.reaches(export.notification_id, 500).await;
    drop(first);
    assert_eq!(shop.job(export.notification_id).status, Status::Processing);

    let second = shop.worker();
    let handle = shop.inventory.app.result::<JobReport>(export.task_id);
    assert_eq!(handle.get(PATIENCE).await.expect("exported").records, 1_200);
    drop(second);
    let job = shop.job(export.notification_id);
    let file = std::fs::read(shop.inventory.media.path(&job.file.expect("a file"))).expect("reads");
    assert!(file.starts_with(b"%PDF-1.7") && file.ends_with(b"%%EOF\n"));
}
