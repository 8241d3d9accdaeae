//! A worker with the tasks of Celery's own integration tests, which run against it in place of a Python
//! worker. Everything it does goes through aipo's public API.
//!
//! | file | tasks |
//! |---|---|
//! | `plain` | compute, fail, sleep |
//! | `redis` | leave a trace in Redis |
//! | `request` | look at their request |
//! | `retrying` | ask to be run again |
//! | `replacing` | put other tasks in their place |
//! | `sending` | send others |
//! | `signatures` | return and read signatures |
//! | `redelivery` | give their message back |
//!
//! `python` has the operators of Python, `exceptions` its exceptions, `call` its signatures, `env` what the
//! environment says.

#![expect(
    clippy::disallowed_names,
    reason = "parameters are named as in Celery's tests, which pass them by name"
)]

mod call;
mod env;
mod exceptions;
mod plain;
mod python;
mod redelivery;
mod redis;
mod replacing;
mod request;
mod retrying;
mod sending;
mod signatures;

use std::error::Error;
use std::time::Duration;

use aipo::{App, Seconds};
use tracing_subscriber::EnvFilter;

use env::Env;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(log)
        .with_writer(std::io::stderr)
        .init();

    let env = Env::read()?;
    let app = App::builder("conformance")
        .settings(|settings| {
            settings.broker_url = env.broker_url;
            settings.result_backend = env.result_backend;
            settings.result_extended = env.result_extended;
            settings.result_expires = Seconds(Duration::from_secs(24 * 60 * 60));
            settings.task_acks_late = false;
            settings.worker_prefetch_multiplier = 4;
        })
        .data(redis::Redis::open(&env.redis_url)?);
    let app = plain::register(app);
    let app = redis::register(app);
    let app = request::register(app);
    let app = retrying::register(app);
    let app = replacing::register(app);
    let app = sending::register(app);
    let app = signatures::register(app);
    let app = redelivery::register(app);
    app.build()
        .await?
        .worker()
        .name(env.hostname)
        .queues(env.queues)
        .concurrency(env.concurrency)
        .run()
        .await?;
    Ok(())
}
