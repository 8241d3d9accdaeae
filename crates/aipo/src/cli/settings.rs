//! `settings`: every setting with its value, its default and what it means.

use aipo_core::config::{SETTINGS, reference};
use aipo_core::url::redact;
use serde_json::{Value, json};

use super::output;
use super::problem::{Exit, Problem};
use crate::{AppBuilder, Setting, Settings};

/// Flags of `settings`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the reference table of all settings, as Markdown, without the values in use
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Write JSON
    #[arg(short, long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        if self.markdown {
            output::print(&reference())?;
            return Ok(Exit::Done);
        }
        let settings = app.into_settings()?;
        if self.json {
            let all: Vec<Value> = SETTINGS
                .iter()
                .map(|setting| {
                    json!({
                        "name": setting.name,
                        "value": value(setting, &settings),
                        "default": setting.default(),
                        "doc": setting.doc.trim(),
                    })
                })
                .collect();
            output::print_json(&all)?;
            return Ok(Exit::Done);
        }
        output::print(
            &SETTINGS
                .iter()
                .map(|setting| entry(setting, &settings))
                .collect::<String>(),
        )?;
        Ok(Exit::Done)
    }
}

/// A setting on three lines: its value, what it means, its default.
fn entry(setting: &Setting, settings: &Settings) -> String {
    format!(
        "{} = {}\n    {}\n    Default: {}\n",
        setting.name,
        or_none(value(setting, settings)),
        setting.doc.trim().replace('`', ""),
        or_none(setting.default()),
    )
}

fn value(setting: &Setting, settings: &Settings) -> String {
    redact(&settings.get(setting.name).unwrap_or_default())
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "(none)".to_owned()
    } else {
        text
    }
}
