//! What the test harness says in the environment.

use std::env::var;
use std::error::Error;

/// Where things are and how the worker is called.
pub(crate) struct Env {
    /// `AIPO_BROKER_URL`.
    pub(crate) broker_url: String,
    /// `AIPO_RESULT_BACKEND`.
    pub(crate) result_backend: String,
    /// `AIPO_QUEUES`, with commas between them.
    pub(crate) queues: Vec<String>,
    /// `AIPO_CONCURRENCY`.
    pub(crate) concurrency: usize,
    /// `AIPO_HOSTNAME`, the node name.
    pub(crate) hostname: String,
    /// `AIPO_RESULT_EXTENDED`, which is `1`.
    pub(crate) result_extended: bool,
    /// `REDIS_HOST` and `REDIS_PORT`, where tasks leave traces.
    pub(crate) redis_url: String,
}

impl Env {
    /// Reads the environment; what is missing has the value that a test by hand wants.
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        let or = |name: &str, default: &str| var(name).unwrap_or_else(|_| default.to_owned());
        let redis = format!(
            "redis://{}:{}/0",
            or("REDIS_HOST", "127.0.0.1"),
            or("REDIS_PORT", "6379")
        );
        Ok(Self {
            broker_url: or("AIPO_BROKER_URL", &redis),
            result_backend: or("AIPO_RESULT_BACKEND", ""),
            queues: or("AIPO_QUEUES", "celery")
                .split(',')
                .map(str::to_owned)
                .collect(),
            concurrency: or("AIPO_CONCURRENCY", "1")
                .parse()
                .map_err(|error| format!("AIPO_CONCURRENCY: {error}"))?,
            hostname: or("AIPO_HOSTNAME", "conformance@%h"),
            result_extended: or("AIPO_RESULT_EXTENDED", "1") == "1",
            redis_url: redis,
        })
    }
}
