//! `GET /tasks/{id}`: how a task stands with the broker.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, ErrorBody};
use super::user::User;
use crate::catalog::notifications;
use crate::tasks::JobReport;

/// How a task stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskBody {
    task_id: String,
    /// Celery's name of the state; `PROGRESS` while it runs. `UNKNOWN` when its result has expired.
    #[schema(example = "SUCCESS")]
    status: String,
    /// What the state tells: the result, the progress, or the exception.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    /// The job that it does.
    notification_id: i64,
}

/// How a task stands
#[utoipa::path(
    get,
    path = "/tasks/{id}",
    tag = "jobs",
    params(User, ("id" = String, Path)),
    responses(
        (status = 200, body = TaskBody),
        (status = 401, description = "No user", body = ErrorBody),
        (status = 404, description = "The user has no such task", body = ErrorBody),
    )
)]
pub(super) async fn status(
    State(api): State<Api>,
    User(user): User,
    Path(id): Path<String>,
) -> Result<Json<TaskBody>, ApiError> {
    let task_id = id.clone();
    let job = api
        .on_catalog(move |catalog| {
            notifications::of_task(&*catalog.connect()?, &task_id)?
                .filter(|job| job.user == user)
                .ok_or_else(|| ApiError::not_found("tarefa"))
        })
        .await?;
    let handle = api.inventory.app.result::<JobReport>(id.as_str());
    let (status, result) = match handle.meta().await? {
        Some(meta) => {
            let value = serde_json::from_str(meta.result.get()).map_err(ApiError::internal)?;
            (meta.status.to_string(), Some(value))
        }
        None => match handle.state().await? {
            Some(state) => (state.to_string(), None),
            None => ("UNKNOWN".to_owned(), None),
        },
    };
    Ok(Json(TaskBody {
        task_id: id,
        status,
        result,
        notification_id: job.id,
    }))
}
