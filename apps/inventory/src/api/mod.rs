//! The REST API. One file per resource; `openapi.json` is made from the handlers themselves.
//!
//! # Conventions
//! - JSON in and out, names in `snake_case`, moments RFC 3339 in UTC, amounts numbers in reais.
//! - What starts a task answers `202` with `{"status":"queued","task_id":…,"notification_id":…}`;
//!   bad input answers 4xx with the envelope of `error.rs`, which names the field, and starts
//!   nothing.
//! - Lists come in pages with an opaque cursor (`page.rs`).
//! - Who asks is said by the header `X-User`. The API believes it: signing users in is the job of
//!   the reverse proxy in front, which must set the header itself. That is why it listens on
//!   loopback by default.

mod dashboard;
mod error;
mod exports;
mod health;
mod imports;
mod notifications;
mod page;
mod products;
mod tasks;
mod user;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::catalog::Catalog;
use crate::jobs::Inventory;
use error::ApiError;

/// The largest file that an import accepts, by default: 64 MiB, some 600,000 lines.
pub const DEFAULT_MAX_UPLOAD: usize = 64 * 1024 * 1024;

/// The largest body of a request that is not an upload.
const MAX_BODY: usize = 64 * 1024;

/// What handlers work with.
#[derive(Debug, Clone)]
struct Api {
    inventory: Inventory,
    max_upload: usize,
}

impl Api {
    /// Runs work on the database on a thread that may block.
    async fn on_catalog<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Catalog) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let catalog = self.inventory.catalog.clone();
        tokio::task::spawn_blocking(move || work(&catalog))
            .await
            .map_err(ApiError::internal)?
    }
}

#[derive(OpenApi)]
#[openapi(info(
    title = "inventory",
    description = "An inventory whose long imports and exports run in the background.",
    license(name = "MIT OR Apache-2.0")
))]
struct Document;

fn documented() -> (Router<Api>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(exports::start))
        .routes(routes!(notifications::list))
        .routes(routes!(notifications::read))
        .routes(routes!(notifications::read_all))
        .routes(routes!(notifications::delete_completed))
        .routes(routes!(notifications::file))
        .routes(routes!(notifications::rejected))
        .routes(routes!(dashboard::metrics))
        .routes(routes!(products::list))
        .routes(routes!(tasks::status))
        .routes(routes!(health::health))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .routes(routes!(imports::start))
        .split_for_parts()
}

/// The API of an inventory; files of imports may have up to `max_upload` bytes.
pub fn router(inventory: Inventory, max_upload: usize) -> Router {
    let (router, document) = documented();
    let document = document
        .to_json()
        .expect("an OpenAPI document has text keys only");
    let document = axum::body::Bytes::from(document);
    router
        .route(
            "/openapi.json",
            axum::routing::get(move || {
                let document = document.clone();
                async move { ([("content-type", "application/json")], document) }
            }),
        )
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .with_state(Api {
            inventory,
            max_upload,
        })
}

/// The API's description, as it is served at `/openapi.json`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented().1
}
