//! `GET /health`: whether the API can work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;

/// Whether the API can work.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthBody {
    /// `healthy` when everything is, else `unhealthy`.
    #[schema(example = "healthy")]
    status: &'static str,
    /// Whether the database answers.
    database: bool,
    /// Whether the broker answers.
    broker: bool,
}

/// Whether the API can work; needs no user
#[utoipa::path(
    get,
    path = "/health",
    tag = "operation",
    responses(
        (status = 200, description = "It can", body = HealthBody),
        (status = 503, description = "Something does not answer", body = HealthBody),
    )
)]
pub(super) async fn health(State(api): State<Api>) -> (StatusCode, Json<HealthBody>) {
    let database = api
        .on_catalog(|catalog| Ok(catalog.connect()?.query_row("SELECT 1", [], |_| Ok(()))?))
        .await
        .is_ok();
    let state = &api.inventory.app.store().state;
    let broker = match state.get(&["inventory:health".to_owned()]).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, "the broker does not answer");
            false
        }
    };
    let healthy = database && broker;
    let status = if healthy { "healthy" } else { "unhealthy" };
    let code = if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        code,
        Json(HealthBody {
            status,
            database,
            broker,
        }),
    )
}
