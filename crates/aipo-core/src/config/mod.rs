//! Settings, in layers: defaults, a TOML file, the environment, the builder. A task's own options
//! and a call's options come after them.
//!
//! All settings are declared in `settings.rs`, by Celery's names where Celery has one.

mod layers;
mod reference;
mod settings;

pub use layers::SettingsBuilder;
pub use reference::reference;
pub use settings::{SETTINGS, Seconds, Setting, Settings};
