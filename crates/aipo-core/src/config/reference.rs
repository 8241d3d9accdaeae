//! The reference table of all settings, for `docs/settings.md`.

use super::settings::SETTINGS;

/// All settings as a Markdown table: name, default, meaning. The same on every machine.
pub fn reference() -> String {
    let mut table = String::from("| setting | default | meaning |\n|---|---|---|\n");
    for setting in SETTINGS {
        let default = match setting.default() {
            empty if empty.is_empty() => "–".to_owned(),
            text => format!("`{text}`"),
        };
        let doc = setting.doc.trim().replace('|', "\\|");
        table.push_str(&format!("| `{}` | {default} | {doc} |\n", setting.name));
    }
    table
}
