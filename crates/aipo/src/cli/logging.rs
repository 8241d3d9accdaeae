//! What is logged, and how: `--loglevel`, `--log-format`, `RUST_LOG`.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How much is logged, by Celery's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything, down to single steps.
    Debug,
    /// What is done.
    Info,
    /// What goes wrong and is tried again or made good.
    #[value(alias = "warn")]
    Warning,
    /// What fails.
    #[value(aliases = ["critical", "fatal"])]
    Error,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Info => Self::INFO,
            LogLevel::Warning => Self::WARN,
            LogLevel::Error => Self::ERROR,
        }
    }
}

/// Sends the log of this process to stderr, unless the program has set up a log of its own.
///
/// The flag decides, then `RUST_LOG`, then the default.
pub(super) fn start(flag: Option<LogLevel>, format: LogFormat, default: LogLevel) {
    let filter = match flag {
        Some(level) => EnvFilter::default().add_directive(LevelFilter::from(level).into()),
        None => EnvFilter::builder()
            .with_default_directive(LevelFilter::from(default).into())
            .from_env_lossy(),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let started = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the program has a log of its own");
    }
}
