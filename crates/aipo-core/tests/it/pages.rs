//! The pages of `docs/` that are made from this crate. `cargo xtask docs` writes them.

use std::fs;
use std::path::Path;

use aipo_core::config::reference;

#[test]
fn the_page_of_settings_is_up_to_date() {
    let page = format!(
        "\
# Settings

<!-- Made from `crates/aipo-core/src/config/settings.rs` by `cargo xtask docs`; change it there. -->

Layers, where the later one wins: the default; what the program sets; a TOML file; the environment (`AIPO_` and the name
in capitals: `AIPO_BROKER_URL`); flags. That is the order of the command set; a program of your own adds layers in the
order in which it calls `AppBuilder`. A task's own options and a call's options come after all of them. A name that does
not exist is an error in every layer.

Durations are texts such as `500ms`, `90s`, `5m`, `1h`, `1d`, or numbers of seconds. Names are Celery's where the row
says so, and then the meaning is Celery's.

{}",
        reference()
    );
    check("settings.md", &page);
}

/// Compares a page with the one in `docs/`, or writes it there when `AIPO_BLESS` is set.
#[track_caller]
fn check(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if std::env::var_os("AIPO_BLESS").is_some() {
        fs::write(&path, page).expect("the page can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/{name} is out of date: run `cargo xtask docs`"
    );
}
