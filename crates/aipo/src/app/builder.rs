//! How an app is put together.

use std::path::Path;
use std::sync::Arc;

use aipo_core::config::SettingsBuilder;
use aipo_core::control::LamportClock;
use aipo_core::{Clock, Error, ErrorKind, Result, Settings, Store};

use super::data::Data;
use super::registry::Registry;
use super::{App, Parts};
use crate::signals::Signals;
use crate::task::{Base, Task};

/// Collects what an app is made of. Mistakes are told by [`build`](Self::build), the first one first.
pub struct AppBuilder {
    name: String,
    settings: Result<SettingsBuilder>,
    registry: Result<Registry>,
    bases: Vec<Arc<dyn Base>>,
    data: Data,
    signals: Signals,
    clock: Clock,
    store: Option<Store>,
}

impl AppBuilder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            settings: Ok(SettingsBuilder::new()),
            registry: Ok(Registry::default()),
            bases: Vec::new(),
            data: Data::default(),
            signals: Signals::default(),
            clock: Clock::system(),
            store: None,
        }
    }

    /// Adds a task: `add::task()` for a `#[task]` function, a value for a type of your own.
    #[must_use]
    pub fn task(mut self, task: impl Task) -> Self {
        self.registry = self.registry.and_then(|mut registry| {
            registry.add(task)?;
            Ok(registry)
        });
        self
    }

    /// Where messages and results are kept: `sqlite://path`, `memory://`. The setting `broker_url`.
    #[must_use]
    pub fn broker(self, url: impl Into<String>) -> Self {
        let url = url.into();
        self.settings(|settings| settings.broker_url = url)
    }

    /// Changes settings in code; what is changed here wins over a file and the environment that
    /// were added before.
    #[must_use]
    pub fn settings(self, change: impl FnOnce(&mut Settings)) -> Self {
        self.layer(|layers| Ok(layers.with(change)))
    }

    /// Adds a layer of settings of one's own: `|layers| layers.toml("built in", TEXT)`.
    #[must_use]
    pub fn layer(mut self, add: impl FnOnce(SettingsBuilder) -> Result<SettingsBuilder>) -> Self {
        self.settings = self.settings.and_then(add);
        self
    }

    /// Adds the settings of a TOML file.
    #[must_use]
    pub fn config_file(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        self.layer(|layers| {
            let text = std::fs::read_to_string(path).map_err(|source| {
                let message = format!("the settings file {} can't be read", path.display());
                Error::new(ErrorKind::Config, message).caused_by(source)
            })?;
            layers.toml(&path.display().to_string(), &text)
        })
    }

    /// Adds the settings in the environment: `AIPO_BROKER_URL` and so on.
    #[must_use]
    pub fn env(self) -> Self {
        // Not `vars`, which panics when any variable, of whatever program, is not Unicode.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        });
        self.layer(|layers| layers.env(variables))
    }

    /// Gives tasks something to work with: `cx.data::<T>()`. One value of each type.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.data.insert(value);
        self
    }

    /// Adds behaviour that all tasks share.
    #[must_use]
    pub fn base(mut self, base: impl Base) -> Self {
        self.bases.push(Arc::new(base));
        self
    }

    /// Receives signals from the very start, see [`Signals::connect`].
    #[must_use]
    pub fn on_signal(self, receiver: impl Fn(&crate::Signal<'_>) + Send + Sync + 'static) -> Self {
        self.signals.connect(receiver);
        self
    }

    /// Uses this clock instead of the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Uses this store instead of the one that `broker_url` names.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// The settings that all layers come to, checked; nothing is connected.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a bad setting.
    pub fn into_settings(self) -> Result<Settings> {
        self.settings?.build()
    }

    /// Checks everything and connects to the store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a bad setting, two tasks of one name or an unknown URL; otherwise
    /// what the store answers.
    pub async fn build(self) -> Result<App> {
        let settings = self.settings?.build()?;
        let registry = self.registry?;
        let store = match self.store {
            Some(store) => store,
            None => connect(&settings, &self.clock).await?,
        };
        Ok(App(Arc::new(Parts {
            name: self.name,
            settings,
            clock: self.clock,
            store,
            registry,
            bases: self.bases,
            data: self.data,
            signals: self.signals,
            lamport: LamportClock::default(),
            origin: format!("gen{}@{}", std::process::id(), crate::host::name()),
        })))
    }
}

/// The store of `broker_url`, with the results of `result_backend` where that is another one.
async fn connect(settings: &Settings, clock: &Clock) -> Result<Store> {
    let store = crate::store::connect(&settings.broker_url, clock.clone()).await?;
    if settings.result_backend.is_empty() || settings.result_backend == settings.broker_url {
        return Ok(store);
    }
    let backend = crate::store::connect(&settings.result_backend, clock.clone()).await?;
    Ok(crate::store::with_results_of(store, backend))
}
