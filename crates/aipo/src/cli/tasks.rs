//! `tasks`: what can be called.

use std::collections::BTreeMap;

use aipo_core::duration::format_duration;
use aipo_core::task::{Retries, TaskOptions};
use serde_json::{Value, json};

use super::output::{self, Table};
use super::problem::{Exit, Problem};
use crate::{App, AppBuilder};

/// Flags of `tasks`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// List what the running workers know, instead of what this program does
    #[arg(long)]
    workers: bool,
    /// Write JSON
    #[arg(short, long)]
    json: bool,
}

impl Args {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let app = app.build().await?;
        if self.workers || app.tasks().is_empty() {
            self.of_workers(&app).await
        } else {
            self.of_program(&app)
        }
    }

    fn of_program(&self, app: &App) -> Result<Exit, Problem> {
        let tasks = app
            .tasks()
            .into_iter()
            .filter_map(|name| Some((name, app.task_options(name)?)));
        if self.json {
            let tasks: Vec<Value> = tasks
                .map(|(name, options)| to_json(name, options))
                .collect();
            output::print_json(&tasks)?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(&["TASK", "QUEUE", "PRIORITY", "RETRIES", "LIMITS", "OTHER"]);
        for (name, options) in tasks {
            let priority = options.priority.map(|priority| priority.to_string());
            table.row([
                name.to_owned(),
                options
                    .queue
                    .as_ref()
                    .map_or("-".to_owned(), ToString::to_string),
                priority.unwrap_or_else(|| "-".to_owned()),
                retries(options),
                limits(options),
                other(options),
            ]);
        }
        output::print(&table.render())?;
        Ok(Exit::Done)
    }

    async fn of_workers(&self, app: &App) -> Result<Exit, Problem> {
        let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (worker, tasks) in app.control().registered().await? {
            for task in tasks {
                known.entry(task).or_default().push(worker.clone());
            }
        }
        if self.json {
            let tasks: Vec<Value> = known
                .iter()
                .map(|(name, workers)| json!({ "name": name, "workers": workers }))
                .collect();
            output::print_json(&tasks)?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(&["TASK", "WORKERS"]);
        for (name, workers) in &known {
            table.row([name.clone(), workers.join(", ")]);
        }
        output::print(&table.render())?;
        if known.is_empty() {
            eprintln!("note: this program has no tasks, and no worker is running");
        }
        Ok(Exit::Done)
    }
}

/// Only what the task says itself; what is missing is left to the settings.
fn to_json(name: &str, options: &TaskOptions) -> Value {
    let Retries {
        max,
        delay,
        backoff,
        backoff_max,
        jitter,
    } = options.retries;
    let secs = |limit: Option<std::time::Duration>| limit.map(|limit| limit.as_secs_f64());
    json!({
        "name": name,
        "queue": options.queue,
        "priority": options.priority,
        "max_retries": max,
        "retry_delay_secs": delay.as_secs_f64(),
        "retry_backoff_secs": secs(backoff),
        "retry_backoff_max_secs": backoff_max.as_secs_f64(),
        "retry_jitter": jitter,
        "autoretry_for": format!("{:?}", options.autoretry_for),
        "dont_autoretry_for": format!("{:?}", options.dont_autoretry_for),
        "time_limit_secs": secs(options.time_limit),
        "soft_time_limit_secs": secs(options.soft_time_limit),
        "expires_secs": secs(options.expires),
        "acks_late": options.acks_late,
        "ignore_result": options.ignore_result,
        "store_errors_even_if_ignored": options.store_errors_even_if_ignored,
        "track_started": options.track_started,
        "max_deliveries": options.max_deliveries,
    })
}

/// `3 × 60s`, `any number × 1s doubling to 10m`.
fn retries(options: &TaskOptions) -> String {
    let retries = options.retries;
    let number = match retries.max {
        Some(0) => return "none".to_owned(),
        Some(max) => max.to_string(),
        None => "any number".to_owned(),
    };
    let delay = match retries.backoff {
        Some(first) => format!(
            "{} doubling to {}",
            format_duration(first),
            format_duration(retries.backoff_max)
        ),
        None => format_duration(retries.delay),
    };
    format!("{number} x {delay}")
}

fn limits(options: &TaskOptions) -> String {
    let limits = [
        ("hard", options.time_limit),
        ("soft", options.soft_time_limit),
        ("expires", options.expires),
    ];
    let told = limits
        .into_iter()
        .filter_map(|(name, limit)| Some(format!("{name} {}", format_duration(limit?))));
    or_dash(told.collect())
}

fn other(options: &TaskOptions) -> String {
    let flags = [
        ("acks_late", options.acks_late),
        ("ignore_result", options.ignore_result),
        (
            "store_errors_even_if_ignored",
            options.store_errors_even_if_ignored,
        ),
        ("track_started", options.track_started),
    ];
    let flags = flags
        .into_iter()
        .filter_map(|(name, flag)| Some(format!("{name}={}", flag?)));
    let deliveries = options
        .max_deliveries
        .map(|max| format!("max_deliveries={max}"));
    or_dash(flags.chain(deliveries).collect())
}

fn or_dash(parts: Vec<String>) -> String {
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(", ")
    }
}
