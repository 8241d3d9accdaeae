//! `POST /import/`: takes a file and queues its import.

use axum::Json;
use axum::extract::FromRequest;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{DefaultBodyLimit, Multipart, Request, State};
use axum::http::StatusCode;
use serde::Serialize;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Api;
use super::error::{ApiError, ErrorBody};
use super::user::User;
use crate::catalog::Model;
use crate::import::Layout;
use crate::jobs::{NewJob, Queued};
use crate::media::{Media, Partial};

/// Characters of a file's name that are kept.
const MAX_NAME_CHARS: usize = 120;

/// A task that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueuedBody {
    #[schema(example = "queued")]
    status: &'static str,
    /// The task that does the job.
    task_id: String,
    /// Where its user sees how it stands.
    notification_id: i64,
}

impl From<Queued> for QueuedBody {
    fn from(queued: Queued) -> Self {
        Self {
            status: "queued",
            task_id: queued.task_id.to_string(),
            notification_id: queued.notification_id,
        }
    }
}

/// The form of an upload.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the form for OpenAPI; the handler reads it as a stream"
)]
pub(super) struct ImportForm {
    /// A CSV file in UTF-8, separated by `;`, `,` or tabs, with a header.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// What the lines are; products by default.
    model: Option<Model>,
}

/// Import a CSV file
///
/// The file is looked at as a whole before it is accepted: a wrong header, another encoding than
/// UTF-8 or an unclosed quote is told at once, and nothing is imported.
#[utoipa::path(
    post,
    path = "/import/",
    tag = "jobs",
    params(User),
    request_body(content = ImportForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "Queued", body = QueuedBody),
        (status = 400, description = "No multipart form", body = ErrorBody),
        (status = 401, description = "No user", body = ErrorBody),
        (status = 413, description = "The file is too large", body = ErrorBody),
        (status = 422, description = "The file or a field cannot be used", body = ErrorBody),
        (status = 503, description = "The task cannot be queued at the moment", body = ErrorBody),
    )
)]
pub(super) async fn start(
    State(api): State<Api>,
    user: User,
    mut request: Request,
) -> Result<(StatusCode, Json<QueuedBody>), ApiError> {
    // The limit is the program's, not the router's: it is known only here.
    DefaultBodyLimit::max(api.max_upload).apply(&mut request);
    let form = Multipart::from_request(request, &api)
        .await
        .map_err(not_a_form)?;
    let media = api.inventory.media.clone();
    let upload = read_form(&media, form, api.max_upload).await?;

    let model = upload.model;
    let path = upload.partial.path().to_owned();
    tokio::task::spawn_blocking(move || Layout::inspect(&path, model))
        .await
        .map_err(ApiError::internal)??;
    let file = Media::upload_path(Uuid::new_v4());
    upload.partial.finish(&file).map_err(ApiError::internal)?;
    let job = NewJob::Import {
        model,
        file,
        file_name: upload.file_name,
    };
    let queued = api.inventory.start(&user.0, job).await?;
    Ok((StatusCode::ACCEPTED, Json(queued.into())))
}

/// A form that was read, its file not yet in its place.
struct Upload<'a> {
    partial: Partial<'a>,
    file_name: Option<String>,
    model: Model,
}

async fn read_form(
    media: &Media,
    mut form: Multipart,
    max_upload: usize,
) -> Result<Upload<'_>, ApiError> {
    let broken = |error| broken_form(&error, max_upload);
    let mut file = None;
    let mut model = None;
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name() {
            Some("file") if file.is_none() => {
                let file_name = field.file_name().and_then(shown_name);
                file = Some((store(media, field, max_upload).await?, file_name));
            }
            Some("model") if model.is_none() => {
                let text = field.text().await.map_err(broken)?;
                let parsed = text.parse().map_err(|message: String| {
                    ApiError::field("model", "unknown_model", message)
                })?;
                model = Some(parsed);
            }
            name => {
                let name = name.unwrap_or_default().to_owned();
                let message = "campo desconhecido ou repetido; use file e model";
                return Err(ApiError::field(name, "unknown_field", message));
            }
        }
    }
    let (partial, file_name) = file
        .ok_or_else(|| ApiError::field("file", "missing_field", "envie o arquivo no campo file"))?;
    Ok(Upload {
        partial,
        file_name,
        model: model.unwrap_or(Model::Product),
    })
}

/// Writes a field to a partial file, chunk by chunk.
async fn store<'a>(
    media: &'a Media,
    mut field: Field<'_>,
    max_upload: usize,
) -> Result<Partial<'a>, ApiError> {
    let partial = media.partial("csv");
    let mut file = File::create(partial.path())
        .await
        .map_err(ApiError::internal)?;
    while let Some(chunk) = field
        .chunk()
        .await
        .map_err(|error| broken_form(&error, max_upload))?
    {
        file.write_all(&chunk).await.map_err(ApiError::internal)?;
    }
    file.flush().await.map_err(ApiError::internal)?;
    Ok(partial)
}

/// The user's name for the file, without folders and control characters.
fn shown_name(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME_CHARS)
        .collect();
    (!name.trim().is_empty()).then_some(name)
}

fn not_a_form(rejection: MultipartRejection) -> ApiError {
    let message = "envie um formulário multipart/form-data com o campo file";
    ApiError::new(rejection.status(), "not_a_form", message).on("file")
}

fn broken_form(error: &MultipartError, max_upload: usize) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!("o envio passa do máximo de {} KiB", max_upload / 1024);
        return ApiError::new(error.status(), "file_too_large", message).on("file");
    }
    let message = "o formulário está incompleto ou malformado";
    ApiError::new(error.status(), "broken_form", message).on("file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_kept_without_what_could_do_harm() {
        for (name, shown) in [
            ("produtos.csv", Some("produtos.csv")),
            ("C:\\dados\\maio.csv", Some("maio.csv")),
            ("../../etc/passwd", Some("passwd")),
            ("a\r\nb.csv", Some("ab.csv")),
            ("", None),
            ("pasta/", None),
        ] {
            assert_eq!(shown_name(name).as_deref(), shown, "{name:?}");
        }
    }
}
