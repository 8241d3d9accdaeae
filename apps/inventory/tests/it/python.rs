//! A Python program beside a real worker process, on Redis.
//!
//! With `AIPO_PYTHON` naming an interpreter that has Celery (`interop/requirements.txt`); without, the test
//! says so and passes.

use std::process::Command;

use crate::crash::Shop;
use crate::redis::Redis;

#[tokio::test(flavor = "multi_thread")]
async fn plain_celery_starts_jobs_and_reads_their_results() {
    let Some(python) = std::env::var_os("AIPO_PYTHON") else {
        println!("not run: AIPO_PYTHON names no interpreter that has Celery");
        return;
    };
    let Some(redis) = Redis::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::on(folder, redis.url()).await;
    let worker = shop.worker();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/inventory.py");
    let output = Command::new(python)
        .args([script, "--broker", &redis.url(), "--folder"])
        .arg(shop.folder.path())
        .output()
        .expect("the interpreter can be run");
    drop(worker);

    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (told(&output.stdout), told(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
}
