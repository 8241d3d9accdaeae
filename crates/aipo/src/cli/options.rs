//! The flags in front of every command: settings and the log.

use std::path::PathBuf;

use super::logging::{self, LogFormat, LogLevel};
use super::values;
use crate::AppBuilder;

/// Flags for settings and the log, for `#[command(flatten)]` in a program's own command line. They may
/// stand before or after the command.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings and log")]
pub struct Options {
    /// Take settings from this TOML file
    #[arg(
        long,
        value_name = "FILE",
        env = "AIPO_CONFIG",
        hide_env_values = true,
        global = true
    )]
    config: Option<PathBuf>,
    /// Where messages wait; the setting broker_url
    #[arg(short, long, value_name = "URL", global = true)]
    broker: Option<String>,
    /// Where results are kept, if not with the broker; the setting result_backend
    #[arg(long, value_name = "URL", global = true)]
    result_backend: Option<String>,
    /// Change any setting; may be given several times
    #[arg(short = 'o', long = "option", value_name = "SETTING=VALUE", value_parser = values::assignment, global = true)]
    settings: Vec<(String, String)>,
    /// How much is logged: debug, info, warning or error; RUST_LOG otherwise
    #[arg(
        short = 'l',
        long = "loglevel",
        value_name = "LEVEL",
        value_enum,
        ignore_case = true,
        hide_possible_values = true,
        global = true
    )]
    log_level: Option<LogLevel>,
    /// How the log looks: text, or json with one object a line
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        global = true
    )]
    log_format: LogFormat,
}

impl Options {
    /// Adds the layers of settings that come from outside: the file of `--config`, then the
    /// environment, then the flags. Mistakes are told when the app is built.
    #[must_use]
    pub fn apply(&self, mut app: AppBuilder) -> AppBuilder {
        if let Some(path) = &self.config {
            app = app.config_file(path);
        }
        app = app.env();
        let broker = self
            .broker
            .as_ref()
            .map(|url| ("--broker", "broker_url", url));
        let backend = self
            .result_backend
            .as_ref()
            .map(|url| ("--result-backend", "result_backend", url));
        let settings = self
            .settings
            .iter()
            .map(|(name, value)| ("-o", name.as_str(), value));
        for (flag, name, value) in broker.into_iter().chain(backend).chain(settings) {
            app = app.layer(|layers| layers.set(flag, name, value));
        }
        app
    }

    /// Sends the log to stderr, as the flags and `RUST_LOG` say, at `default` when they don't. A
    /// program that has set up a log of its own keeps it.
    pub fn start_logging(&self, default: LogLevel) {
        logging::start(self.log_level, self.log_format, default);
    }
}
