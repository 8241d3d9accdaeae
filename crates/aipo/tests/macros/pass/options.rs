//! Every option, and what it comes to.

#![deny(warnings, missing_docs)]

use std::num::ParseIntError;
use std::time::Duration;
use std::{fmt, io};

use aipo::{Base, Task, TaskOptions};
use aipo_core::task::{ErrorFilter, ErrorType, Retries};

const QUEUE: &str = "reports";

struct Audit {
    log: &'static str,
}

impl Base for Audit {}

#[aipo::task(
    name = "app.reports.build",
    queue = QUEUE,
    priority = 3,
    max_retries = 5,
    retry_delay = "90s",
    retry_backoff = "500ms",
    retry_backoff_max = "10m",
    retry_jitter = false,
    autoretry_for(io::Error, ParseIntError),
    dont_autoretry_for(fmt::Error),
    time_limit = "1h",
    soft_time_limit = "55m",
    rate_limit = "100/m",
    expires = "2d",
    acks_late = true,
    ignore_result = true,
    store_errors_even_if_ignored,
    track_started = false,
    errback_takes_request = true,
    max_deliveries = 5,
    base = Audit { log: "reports" },
)]
async fn build() {}

#[aipo::task(max_retries = none, autoretry_for = any, queue = "slow")]
async fn for_ever() {}

fn main() {
    let expected = TaskOptions {
        queue: Some("reports".into()),
        priority: Some(3),
        retries: Retries {
            max: Some(5),
            delay: Duration::from_secs(90),
            backoff: Some(Duration::from_millis(500)),
            backoff_max: Duration::from_secs(600),
            jitter: false,
        },
        autoretry_for: ErrorFilter::Types(vec![
            ErrorType::of::<io::Error>(),
            ErrorType::of::<ParseIntError>(),
        ]),
        dont_autoretry_for: ErrorFilter::Types(vec![ErrorType::of::<fmt::Error>()]),
        time_limit: Some(Duration::from_secs(60 * 60)),
        soft_time_limit: Some(Duration::from_secs(55 * 60)),
        rate_limit: "100/m".parse().ok(),
        expires: Some(Duration::from_secs(2 * 24 * 60 * 60)),
        acks_late: Some(true),
        ignore_result: Some(true),
        store_errors_even_if_ignored: Some(true),
        track_started: Some(false),
        max_deliveries: Some(5),
        errback_takes_request: true,
    };
    assert_eq!(build::options(), expected);
    assert_eq!(build::NAME, "app.reports.build");
    assert!(build::task().base().is_some());
    assert_eq!(Audit { log: "reports" }.log, "reports");

    let options = for_ever::options();
    assert_eq!(options.retries.max, None);
    assert_eq!(options.autoretry_for, ErrorFilter::Any);
    assert_eq!(options.queue, Some("slow".into()));
}
