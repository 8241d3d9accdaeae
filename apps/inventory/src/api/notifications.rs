//! `/notifications/…`: a user's jobs, their files and what was rejected.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use tokio::fs::File;
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, ErrorBody};
use super::page::{Page, PageParams, PageRequest};
use super::user::User;
use crate::catalog::Model;
use crate::catalog::imports::{self, Rejection};
use crate::catalog::notifications::{self, Kind, Progress, Status, TaskNotification};

/// A job, as its user sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationBody {
    id: i64,
    task_id: String,
    kind: Kind,
    model: Model,
    /// Of an export.
    format: Option<String>,
    status: Status,
    /// Why it failed, in Portuguese.
    error_message: Option<String>,
    /// Rows imported or exported so far.
    record_count: u64,
    progress: Progress,
    /// Where the file can be had, once there is one.
    file: Option<String>,
    file_name: Option<String>,
    is_read: bool,
    created_at: String,
    updated_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
}

impl From<TaskNotification> for NotificationBody {
    fn from(job: TaskNotification) -> Self {
        Self {
            file: has_file(&job).then(|| format!("/notifications/{}/file", job.id)),
            id: job.id,
            task_id: job.task_id,
            kind: job.kind,
            model: job.model,
            format: job.format,
            status: job.status,
            error_message: job.error_message,
            record_count: job.record_count,
            progress: job.progress,
            file_name: job.file_name,
            is_read: job.is_read,
            created_at: job.created_at.to_string(),
            updated_at: job.updated_at.to_string(),
            started_at: job.started_at.map(|moment| moment.to_string()),
            finished_at: job.finished_at.map(|moment| moment.to_string()),
        }
    }
}

/// An export's file is there when it has completed; an import's from the start.
fn has_file(job: &TaskNotification) -> bool {
    job.file.is_some() && (job.kind == Kind::Import || job.status == Status::Completed)
}

/// One thing that was wrong with one line of an import.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RejectionBody {
    /// In the file, from 1.
    line: u64,
    /// `linha` when the line as a whole was wrong.
    field: String,
    /// What stood there, shortened.
    value: String,
    /// In Portuguese.
    reason: String,
}

/// How many notifications were changed or deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountBody {
    count: usize,
}

/// The user's jobs, newest first
#[utoipa::path(
    get,
    path = "/notifications/",
    tag = "notifications",
    params(User, PageParams),
    responses(
        (status = 200, body = Page<NotificationBody>),
        (status = 401, description = "No user", body = ErrorBody),
        (status = 422, description = "A parameter cannot be used", body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    User(user): User,
    page: PageRequest,
) -> Result<Json<Page<NotificationBody>>, ApiError> {
    let rows = api
        .on_catalog(move |catalog| {
            let connection = catalog.connect()?;
            Ok(notifications::list(
                &connection,
                &user,
                page.cursor,
                page.lookahead(),
            )?)
        })
        .await?;
    Ok(Json(page.page(rows, |job| job.id, NotificationBody::from)))
}

/// Mark a notification as read
#[utoipa::path(
    post,
    path = "/notifications/{id}/read",
    tag = "notifications",
    params(User, ("id" = i64, Path)),
    responses(
        (status = 204, description = "Marked"),
        (status = 401, description = "No user", body = ErrorBody),
        (status = 404, description = "The user has no such notification", body = ErrorBody),
    )
)]
pub(super) async fn read(
    State(api): State<Api>,
    User(user): User,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = parse_id(&id)?;
    let marked = api
        .on_catalog(move |catalog| Ok(notifications::mark_read(&*catalog.connect()?, &user, id)?))
        .await?;
    if marked {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("notificação"))
    }
}

/// Mark all of the user's notifications as read
#[utoipa::path(
    post,
    path = "/notifications/read-all",
    tag = "notifications",
    params(User),
    responses(
        (status = 200, description = "How many were unread", body = CountBody),
        (status = 401, description = "No user", body = ErrorBody),
    )
)]
pub(super) async fn read_all(
    State(api): State<Api>,
    User(user): User,
) -> Result<Json<CountBody>, ApiError> {
    let count = api
        .on_catalog(move |catalog| Ok(notifications::mark_all_read(&*catalog.connect()?, &user)?))
        .await?;
    Ok(Json(CountBody { count }))
}

/// Delete the user's completed and read notifications, with their files
#[utoipa::path(
    delete,
    path = "/notifications/completed",
    tag = "notifications",
    params(User),
    responses(
        (status = 200, description = "How many were deleted", body = CountBody),
        (status = 401, description = "No user", body = ErrorBody),
    )
)]
pub(super) async fn delete_completed(
    State(api): State<Api>,
    User(user): User,
) -> Result<Json<CountBody>, ApiError> {
    let media = api.inventory.media.clone();
    let count = api
        .on_catalog(move |catalog| {
            // Rows first: a file that nobody refers to is harmless, a row without its file is not.
            let (count, files) = notifications::delete_completed(&*catalog.connect()?, &user)?;
            for file in files {
                if let Err(error) = media.delete(&file) {
                    tracing::warn!(file, %error, "a file was left behind");
                }
            }
            Ok(count)
        })
        .await?;
    Ok(Json(CountBody { count }))
}

/// The file of a job
#[utoipa::path(
    get,
    path = "/notifications/{id}/file",
    tag = "notifications",
    params(User, ("id" = i64, Path)),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream"),
        (status = 401, description = "No user", body = ErrorBody),
        (status = 404, description = "The user has no such notification", body = ErrorBody),
        (status = 409, description = "The job has not completed", body = ErrorBody),
        (status = 410, description = "The file is gone", body = ErrorBody),
    )
)]
pub(super) async fn file(
    State(api): State<Api>,
    User(user): User,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = find(&api, user, &id).await?;
    let Some(relative) = job.file.as_deref().filter(|_| has_file(&job)) else {
        let message = "o arquivo só existe depois que a tarefa é concluída";
        return Err(ApiError::new(StatusCode::CONFLICT, "not_ready", message));
    };
    let file = match File::open(api.inventory.media.path(relative)).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ApiError::new(
                StatusCode::GONE,
                "file_gone",
                "o arquivo não existe mais",
            ));
        }
        Err(error) => return Err(ApiError::internal(error)),
    };
    let length = file.metadata().await.map_err(ApiError::internal)?.len();
    let mut response = Response::new(Body::from_stream(ReaderStream::new(file)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(relative)),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CONTENT_DISPOSITION, disposition(&job));
    Ok(response)
}

/// What an import rejected, in the order of the file
#[utoipa::path(
    get,
    path = "/notifications/{id}/rejected",
    tag = "notifications",
    params(User, ("id" = i64, Path), PageParams),
    responses(
        (status = 200, body = Page<RejectionBody>),
        (status = 401, description = "No user", body = ErrorBody),
        (status = 404, description = "The user has no such notification", body = ErrorBody),
        (status = 422, description = "A parameter cannot be used", body = ErrorBody),
    )
)]
pub(super) async fn rejected(
    State(api): State<Api>,
    User(user): User,
    Path(id): Path<String>,
    page: PageRequest,
) -> Result<Json<Page<RejectionBody>>, ApiError> {
    let job = find(&api, user, &id).await?;
    let rows = api
        .on_catalog(move |catalog| {
            let connection = catalog.connect()?;
            let after = page.cursor.unwrap_or_default();
            Ok(imports::rejections(
                &connection,
                job.id,
                after,
                page.lookahead(),
            )?)
        })
        .await?;
    Ok(Json(page.page(rows, |row| row.id, RejectionBody::from)))
}

impl From<Rejection> for RejectionBody {
    fn from(rejection: Rejection) -> Self {
        Self {
            line: rejection.line,
            field: rejection.field,
            value: rejection.value,
            reason: rejection.reason,
        }
    }
}

async fn find(api: &Api, user: String, id: &str) -> Result<TaskNotification, ApiError> {
    let id = parse_id(id)?;
    api.on_catalog(move |catalog| {
        notifications::get(&*catalog.connect()?, id)?
            .filter(|job| job.user == user)
            .ok_or_else(|| ApiError::not_found("notificação"))
    })
    .await
}

fn parse_id(text: &str) -> Result<i64, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("notificação"))
}

fn content_type(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("csv") => "text/csv; charset=utf-8",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("pdf") => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// Always a download, under a name that is safe in a header; other characters of the user's own
/// name become `_`.
fn disposition(job: &TaskNotification) -> HeaderValue {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') {
            c
        } else {
            '_'
        }
    };
    let name: String = job
        .file_name
        .as_deref()
        .unwrap_or("arquivo")
        .chars()
        .map(safe)
        .collect();
    HeaderValue::try_from(format!("attachment; filename=\"{name}\""))
        .expect("letters, digits and a few signs are valid in a header")
}
