//! `GET /dashboard/metrics`: the figures of the dashboard.

use axum::Json;
use axum::extract::State;

use super::Api;
use super::error::{ApiError, ErrorBody};
use super::user::User;
use crate::metrics::{self, Metrics};

/// The figures of the dashboard
///
/// From the cache, which lives ten minutes; when it is empty they are computed now and cached.
#[utoipa::path(
    get,
    path = "/dashboard/metrics",
    tag = "dashboard",
    params(User),
    responses(
        (status = 200, body = Metrics),
        (status = 401, description = "No user", body = ErrorBody),
    )
)]
pub(super) async fn metrics(
    State(api): State<Api>,
    _user: User,
) -> Result<Json<Metrics>, ApiError> {
    let inventory = &api.inventory;
    match metrics::cached(&inventory.app).await? {
        Some(metrics) => Ok(Json(metrics)),
        None => Ok(Json(
            metrics::refresh(&inventory.app, &inventory.catalog).await?,
        )),
    }
}
