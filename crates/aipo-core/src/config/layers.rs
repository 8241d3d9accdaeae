//! How settings come together: later layers win, and every layer's names are checked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use toml::Value;

use super::settings::{SETTINGS, Seconds, Settings};
use crate::duration::format_duration;
use crate::error::{Error, ErrorKind, Result};
use crate::id::QueueName;
use crate::message::{Accept, Compression, Serializer};
use crate::store::MAX_PRIORITY;
use crate::task::RateLimit;

/// The prefix of settings in the environment: `AIPO_BROKER_URL` sets `broker_url`.
const ENV_PREFIX: &str = "AIPO_";

/// Collects settings layer by layer.
#[derive(Debug, Clone, Default)]
pub struct SettingsBuilder {
    settings: Settings,
}

impl SettingsBuilder {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the settings of a TOML document; `name` is told in errors.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is no TOML, or a setting is unknown or of a wrong type.
    pub fn toml(mut self, name: &str, text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(|source: toml::de::Error| {
            config_error(format!("{name} is not TOML: {}", source.message()))
        })?;
        for (key, value) in table {
            self.apply(&key, Given::Toml(value), name)?;
        }
        Ok(self)
    }

    /// Adds the settings among environment variables: those that begin with `AIPO_` and name a
    /// setting. Other `AIPO_` variables belong to other programs and are left alone, unless they
    /// are so near a setting's name that they are surely meant for it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when a value is of a wrong type or a name is misspelt.
    pub fn env(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        for (variable, text) in variables {
            let Some(name) = variable.strip_prefix(ENV_PREFIX) else {
                continue;
            };
            let name = name.to_ascii_lowercase();
            if is_setting(&name) {
                self.apply(&name, Given::Text(text), &variable)?;
            } else if let Some(near) = nearest(&name) {
                let meant = format!("{ENV_PREFIX}{}", near.to_ascii_uppercase());
                return Err(config_error(format!(
                    "{variable} is no setting; did you mean {meant}?"
                )));
            }
        }
        Ok(self)
    }

    /// Sets one setting, as text; `origin` is told in errors.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the setting is unknown or of another type.
    pub fn set(mut self, origin: &str, name: &str, value: &str) -> Result<Self> {
        self.apply(name, Given::Text(value.to_owned()), origin)?;
        Ok(self)
    }

    /// Changes settings in code.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The settings, checked against each other.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] that names the settings which contradict each other or are out of range.
    pub fn build(self) -> Result<Settings> {
        let settings = self.settings;
        let refuse = |what: &str| Err(config_error(what.to_owned()));
        if settings.worker_concurrency == 0 {
            return refuse("worker_concurrency is 0, but a worker needs at least one slot");
        }
        if settings.worker_prefetch_multiplier == 0 {
            return refuse(
                "worker_prefetch_multiplier is 0, but a slot holds at least one message",
            );
        }
        if settings.task_max_deliveries == 0 {
            return refuse("task_max_deliveries is 0, but a task must be delivered to run");
        }
        if settings.accept_content == Accept::from_iter([]) {
            return refuse("accept_content is empty, but a worker must read something");
        }
        if settings.task_default_priority > MAX_PRIORITY {
            return refuse("task_default_priority is above 9");
        }
        if settings.worker_lease.0 < Duration::from_millis(100) {
            return refuse("worker_lease is shorter than 100ms, too short to renew in time");
        }
        if let (Some(soft), Some(hard)) = (settings.task_soft_time_limit, settings.task_time_limit)
            && soft >= hard
        {
            return refuse("task_soft_time_limit is not below task_time_limit, so it never comes");
        }
        Ok(settings)
    }

    fn apply(&mut self, name: &str, given: Given, origin: &str) -> Result<()> {
        if !is_setting(name) {
            let hint = match nearest(name) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => String::new(),
            };
            return Err(config_error(format!(
                "{origin}: there is no setting `{name}`{hint}"
            )));
        }
        self.settings
            .set(name, given)
            .map_err(|problem| config_error(format!("{origin}: setting `{name}`: {problem}")))
    }
}

fn config_error(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn is_setting(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name == name)
}

/// The setting whose name is within two changes of this one.
fn nearest(name: &str) -> Option<&'static str> {
    SETTINGS
        .iter()
        .map(|setting| (edit_distance(name, setting.name), setting.name))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, name)| name)
}

/// How many letters must be added, taken away or changed (Levenshtein).
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j + 1] + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

/// A value on its way into a setting.
pub(super) enum Given {
    /// From a TOML file.
    Toml(Value),
    /// From the environment or a flag.
    Text(String),
}

impl Given {
    pub(super) fn read<T: Readable>(self) -> Result<T, String> {
        match self {
            Self::Toml(value) => T::from_toml(value),
            Self::Text(text) => T::from_text(&text),
        }
    }
}

/// A type that settings have.
pub(super) trait Readable: Sized {
    fn from_toml(value: Value) -> Result<Self, String>;
    fn from_text(text: &str) -> Result<Self, String>;
    /// Text from which `from_text` makes the same value.
    fn text(&self) -> String;
}

macro_rules! readable_by_serde_and_from_str {
    ($($type:ty),+) => {$(
        impl Readable for $type {
            fn from_toml(value: Value) -> Result<Self, String> {
                Self::deserialize(value).map_err(|error| error.message().to_owned())
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error| format!("{text:?}: {error}"))
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

readable_by_serde_and_from_str!(bool, u8, u32, usize, String);

impl Readable for QueueName {
    fn from_toml(value: Value) -> Result<Self, String> {
        String::from_toml(value).map(Self::from)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

macro_rules! readable_by_from_str {
    ($($type:ty),+) => {$(
        impl Readable for $type {
            fn from_toml(value: Value) -> Result<Self, String> {
                Self::from_text(&String::from_toml(value)?)
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.parse()
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }

        /// None is the empty text.
        impl Readable for Option<$type> {
            fn from_toml(value: Value) -> Result<Self, String> {
                Self::from_text(&String::from_toml(value)?)
            }

            fn from_text(text: &str) -> Result<Self, String> {
                Some(text)
                    .filter(|text| !text.is_empty())
                    .map(str::parse)
                    .transpose()
            }

            fn text(&self) -> String {
                self.as_ref().map(ToString::to_string).unwrap_or_default()
            }
        }
    )+};
}

readable_by_from_str!(Serializer, Compression);

impl Readable for Accept {
    fn from_toml(value: Value) -> Result<Self, String> {
        let names =
            Vec::<String>::deserialize(value).map_err(|error| error.message().to_owned())?;
        names.iter().map(|name| name.parse()).collect()
    }

    /// `json,msgpack`
    fn from_text(text: &str) -> Result<Self, String> {
        let names = text.split(',').filter(|name| !name.trim().is_empty());
        names.map(|name| name.trim().parse()).collect()
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Readable for Seconds {
    fn from_toml(value: Value) -> Result<Self, String> {
        Self::deserialize(value).map_err(|error| error.message().to_owned())
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Self::from_toml(Value::String(text.to_owned()))
    }

    fn text(&self) -> String {
        format_duration(self.0)
    }
}

impl Readable for Option<Duration> {
    fn from_toml(value: Value) -> Result<Self, String> {
        Seconds::from_toml(value).map(Seconds::non_zero)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(None)
        } else {
            Seconds::from_text(text).map(Seconds::non_zero)
        }
    }

    fn text(&self) -> String {
        self.map(format_duration).unwrap_or_default()
    }
}

impl Readable for Option<RateLimit> {
    /// `"10/m"`, or a number a second.
    fn from_toml(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Self::from_text(&text),
            Value::Integer(number) => Self::from_text(&number.to_string()),
            Value::Float(number) => Self::from_text(&number.to_string()),
            other => Err(format!("a {} is no rate", other.type_str())),
        }
    }

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(None)
        } else {
            RateLimit::parse(text)
        }
    }

    fn text(&self) -> String {
        self.map(|limit| limit.to_string()).unwrap_or_default()
    }
}

impl Readable for BTreeMap<String, QueueName> {
    fn from_toml(value: Value) -> Result<Self, String> {
        Self::deserialize(value).map_err(|error| error.message().to_owned())
    }

    /// `pattern=queue,pattern=queue`
    fn from_text(text: &str) -> Result<Self, String> {
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        pairs
            .map(|pair| match pair.split_once('=') {
                Some((pattern, queue)) => Ok((pattern.trim().to_owned(), queue.trim().into())),
                None => Err(format!("{pair:?} is not `pattern=queue`")),
            })
            .collect()
    }

    fn text(&self) -> String {
        let pairs: Vec<String> = self
            .iter()
            .map(|(pattern, queue)| format!("{pattern}={queue}"))
            .collect();
        pairs.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Result<Settings> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        SettingsBuilder::new().env(pairs)?.build()
    }

    #[test]
    fn later_layers_win() {
        let settings = SettingsBuilder::new()
            .toml(
                "aipo.toml",
                "worker_concurrency = 3\nresult_expires = \"5m\"",
            )
            .and_then(|layers| layers.env([("AIPO_WORKER_CONCURRENCY".into(), "4".into())]))
            .map(|layers| layers.with(|settings| settings.task_acks_late = false))
            .and_then(SettingsBuilder::build)
            .expect("good settings");
        assert_eq!(settings.worker_concurrency, 4);
        assert_eq!(settings.result_expires, Seconds(Duration::from_secs(300)));
        assert!(!settings.task_acks_late);
    }

    #[test]
    fn every_type_reads_from_text() {
        let settings = env(&[
            ("AIPO_TASK_ROUTES", "app.*=slow, x=fast"),
            ("AIPO_TASK_TIME_LIMIT", "90"),
            ("AIPO_TASK_DEFAULT_QUEUE", "q"),
            ("AIPO_TASK_IGNORE_RESULT", "true"),
            ("AIPO_TASK_DEFAULT_RATE_LIMIT", "5"),
            ("AIPO_SOMETHING_ELSE", "untouched"),
            ("HOME", "/"),
        ])
        .expect("good settings");
        assert_eq!(settings.task_routes["app.*"], QueueName::from("slow"));
        assert_eq!(settings.task_time_limit, Some(Duration::from_secs(90)));
        assert_eq!(settings.task_default_queue, QueueName::from("q"));
        assert!(settings.task_ignore_result);
        assert_eq!(settings.task_default_rate_limit, "5/s".parse().ok());
    }

    #[test]
    fn formats_have_all_of_kombus_names() {
        let settings = SettingsBuilder::new()
            .toml(
                "aipo.toml",
                "accept_content = ['application/x-msgpack', 'json']\ntask_compression = 'gzip'",
            )
            .and_then(|layers| layers.set("test", "result_compression", "lzma"))
            .and_then(SettingsBuilder::build)
            .expect("good settings");
        assert!(settings.accept_content.allows(Serializer::Msgpack));
        assert!(!settings.accept_content.allows(Serializer::Yaml));
        assert_eq!(settings.task_compression, Some(Compression::Zlib));
        assert_eq!(settings.result_compression, Some(Compression::Xz));
    }

    #[test]
    fn every_setting_tells_its_value_as_the_text_that_sets_it() {
        let mut settings = Settings {
            broker_url: "memory://".to_owned(),
            task_time_limit: Some(Duration::from_millis(1500)),
            task_default_rate_limit: "10/m".parse().ok(),
            worker_lease: Seconds(Duration::from_secs(90)),
            accept_content: Accept::from_iter([Serializer::Json, Serializer::Yaml]),
            task_serializer: Serializer::Msgpack,
            task_compression: Some(Compression::Zstd),
            ..Settings::default()
        };
        settings
            .task_routes
            .insert("app.*".to_owned(), "slow".into());
        settings.task_routes.insert("x".to_owned(), "fast".into());

        let mut copy = SettingsBuilder::new();
        for setting in SETTINGS {
            let text = settings.get(setting.name).expect(setting.name);
            copy = copy.set("test", setting.name, &text).expect(setting.name);
        }
        assert_eq!(copy.build().expect("good settings"), settings);
        assert_eq!(settings.get("colour"), None);
    }

    #[test]
    fn errors_name_the_setting() {
        #[track_caller]
        fn check(result: Result<Settings>, message: &str) {
            let error = result.expect_err("a bad setting");
            assert_eq!(error.kind(), ErrorKind::Config);
            assert_eq!(error.to_string(), message);
        }
        let toml = |text| SettingsBuilder::new().toml("aipo.toml", text)?.build();
        check(
            toml("task_defualt_queue = 'x'"),
            "aipo.toml: there is no setting `task_defualt_queue`; did you mean `task_default_queue`?",
        );
        check(
            toml("colour = 'x'"),
            "aipo.toml: there is no setting `colour`",
        );
        check(
            toml("worker_concurrency = 'many'"),
            "aipo.toml: setting `worker_concurrency`: invalid type: string \"many\", expected usize",
        );
        check(
            env(&[("AIPO_WORKER_LEASE", "soon")]),
            "AIPO_WORKER_LEASE: setting `worker_lease`: invalid value: string \"soon\", expected a \
             duration such as \"60s\" or a number of seconds",
        );
        check(
            toml("accept_content = ['json', 'pickle']"),
            "aipo.toml: setting `accept_content`: pickle runs code when it is read, so it is neither \
             accepted nor written; there are json, msgpack and yaml",
        );
        check(
            env(&[("AIPO_TASK_SERIALIZER", "application/xml")]),
            "AIPO_TASK_SERIALIZER: setting `task_serializer`: there is no serializer \
             \"application/xml\"; there are json, msgpack and yaml",
        );
        check(
            env(&[("AIPO_RESULT_COMPRESSION", "brotli")]),
            "AIPO_RESULT_COMPRESSION: setting `result_compression`: compression \"brotli\" is not \
             supported; there are zlib (gzip), bzip2, xz (lzma) and zstd",
        );
        check(
            toml("accept_content = []"),
            "accept_content is empty, but a worker must read something",
        );
        check(
            env(&[("AIPO_BROKER_URI", "x")]),
            "AIPO_BROKER_URI is no setting; did you mean AIPO_BROKER_URL?",
        );
        check(
            toml("task_time_limit = 5\ntask_soft_time_limit = 5"),
            "task_soft_time_limit is not below task_time_limit, so it never comes",
        );
    }
}
