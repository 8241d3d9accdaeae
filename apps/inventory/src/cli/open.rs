//! Opens what a command works with: the database, the media folder, the app.

use std::path::Path;

use aipo::{App, AppBuilder};

use super::Place;
use super::problem::Problem;
use crate::catalog::Catalog;
use crate::jobs::Inventory;
use crate::media::Media;
use crate::tasks;

/// The broker's file when nothing else is said. Not the database's file: task traffic and business
/// rows need not wait for each other's writes, and are not backed up alike.
const DEFAULT_BROKER: &str = "sqlite://inventory-tasks.db";

/// Tasks at a time when nothing else is said. Each is heavy on disk and, as a PDF, on memory.
const DEFAULT_CONCURRENCY: usize = 4;

/// The app with its name and defaults, but no tasks.
pub(super) fn named() -> AppBuilder {
    App::builder("inventory").settings(|settings| {
        DEFAULT_BROKER.clone_into(&mut settings.broker_url);
        settings.worker_concurrency = DEFAULT_CONCURRENCY;
    })
}

/// The app with its tasks and what they work with, not yet connected.
pub(super) fn app(place: &Place, options: &aipo::cli::Options) -> Result<AppBuilder, Problem> {
    let (catalog, media) = data(place)?;
    Ok(options.apply(tasks::register(named(), &catalog, &media)))
}

/// Everything, connected.
pub(super) async fn inventory(
    place: &Place,
    options: &aipo::cli::Options,
) -> Result<Inventory, Problem> {
    inventory_on(place, options, DEFAULT_BROKER).await
}

/// Everything, connected; on this broker unless the options name another.
pub(super) async fn inventory_on(
    place: &Place,
    options: &aipo::cli::Options,
    broker: &str,
) -> Result<Inventory, Problem> {
    let (catalog, media) = data(place)?;
    let app = options.apply(tasks::register(named().broker(broker), &catalog, &media));
    let app = app
        .build()
        .await
        .map_err(Problem::failed("o broker não abre"))?;
    Ok(Inventory {
        app,
        catalog,
        media,
    })
}

fn data(place: &Place) -> Result<(Catalog, Media), Problem> {
    let catalog = Catalog::open(database_path(&place.database)?).map_err(Problem::failed(
        format!("o banco de dados {} não abre", place.database),
    ))?;
    let media = Media::open(&place.media).map_err(Problem::failed(format!(
        "a pasta {} não abre",
        place.media.display()
    )))?;
    Ok((catalog, media))
}

/// The file of a database URL; a plain path is one too.
fn database_path(url: &str) -> Result<&Path, Problem> {
    let path = match url.split_once("://") {
        None => url,
        Some(("sqlite", path)) => path,
        Some((scheme, _)) => {
            return Err(Problem::usage(format!(
                "--database: {scheme}:// ainda não é aceito; use sqlite://caminho"
            )));
        }
    };
    if path.is_empty() {
        return Err(Problem::usage(
            "--database: falta o caminho em sqlite://caminho",
        ));
    }
    Ok(Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_path_with_or_without_its_scheme() {
        for (url, path) in [
            ("sqlite://a.db", "a.db"),
            ("sqlite:///x/a.db", "/x/a.db"),
            ("b.db", "b.db"),
        ] {
            assert_eq!(database_path(url).expect(url), Path::new(path));
        }
    }

    #[test]
    fn another_database_is_refused_by_name() {
        for (url, part) in [
            ("postgres://u:segredo@h/d", "postgres://"),
            ("sqlite://", "caminho"),
        ] {
            let problem = database_path(url).expect_err(url).to_string();
            assert!(
                problem.contains(part) && !problem.contains("segredo"),
                "{problem}"
            );
        }
    }
}
