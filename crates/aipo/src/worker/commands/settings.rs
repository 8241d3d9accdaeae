//! `conf` and `report`: how the worker is set up, secrets left out.

use aipo_core::Settings;
use aipo_core::config::SETTINGS;
use aipo_core::url::redact;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Arguments, ok, truth};
use crate::worker::Shared;

/// A setting with one of these in its name is not shown. Celery's list.
const HIDDEN: [&str; 7] = [
    "API",
    "TOKEN",
    "KEY",
    "SECRET",
    "PASS",
    "SIGNATURE",
    "DATABASE",
];
const MASK: &str = "********";

#[derive(Deserialize)]
struct Conf {
    #[serde(default)]
    with_defaults: Value,
}

/// The settings that are not at their default, or all, and what Celery's users look for and is the same for every aipo
/// worker.
pub(super) fn conf(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Conf { with_defaults } = arguments.read()?;
    let all = truth(&with_defaults);
    let settings = shared.app.settings();
    let default = Settings::default();
    let mut conf = fixed();
    for setting in SETTINGS {
        let name = setting.name;
        let value = settings.get(name).unwrap_or_default();
        let is_asked = all || ["broker_url", "result_backend"].contains(&name);
        if is_asked || default.get(name).as_ref() != Some(&value) {
            conf.insert(name.to_owned(), shown(name, &value));
        }
    }
    Ok(Value::Object(conf))
}

/// Settings of Celery's that have one value here.
fn fixed() -> Map<String, Value> {
    let fixed = json!({
        "accept_content": ["json"],
        "broker_heartbeat": null,
        "deprecated_settings": [],
        "enable_utc": true,
        "include": [],
        "timezone": "UTC",
        "worker_hijack_root_logger": false,
        "worker_log_color": null,
    });
    match fixed {
        Value::Object(fixed) => fixed,
        _ => Map::new(),
    }
}

fn shown(name: &str, text: &str) -> Value {
    let upper = name.to_ascii_uppercase();
    if HIDDEN.iter().any(|part| upper.contains(part)) {
        return MASK.into();
    }
    match text {
        "" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        _ => match text.parse::<u64>() {
            Ok(number) => number.into(),
            Err(_) => redact(text).into(),
        },
    }
}

/// What a person wants to know first when something is wrong.
pub(super) fn report(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    arguments.only(&[])?;
    let settings = shared.app.settings();
    let results = match settings.result_backend.as_str() {
        "" => "with the broker".to_owned(),
        url => redact(url),
    };
    let changed: String = SETTINGS
        .iter()
        .filter_map(|setting| {
            let value = settings.get(setting.name)?;
            let is_default = Settings::default().get(setting.name).as_ref() == Some(&value);
            (!is_default).then(|| format!("{}: {}\n", setting.name, shown(setting.name, &value)))
        })
        .collect();
    ok(format!(
        "\nsoftware -> celery:protocol of 5.7 aipo:{version}\n\
         platform -> system:{os} arch:{arch}\n\
         app      -> {app}\n\
         settings -> transport:{broker} results:{results}\n\n{changed}",
        version = env!("CARGO_PKG_VERSION"),
        os = std::env::consts::OS,
        arch = std::env::consts::ARCH,
        app = shared.app.name(),
        broker = shared.app.store().url,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("security_key_password", "x"), MASK);
        assert_eq!(
            shown("broker_url", "redis://ana:secret@h/0"),
            "redis://ana:***@h/0"
        );
        assert_eq!(shown("worker_concurrency", "4"), 4);
        assert_eq!(shown("task_acks_late", "true"), true);
        assert_eq!(shown("result_backend", ""), Value::Null);
    }
}
