//! `POST /export/`: queues an export.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, ErrorBody};
use super::imports::QueuedBody;
use super::user::User;
use crate::catalog::Model;
use crate::export::Format;
use crate::jobs::NewJob;

/// What to export.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body for OpenAPI; the handler reads field by field"
)]
pub(super) struct ExportBody {
    model: Model,
    format: Format,
}

/// Export a model to a file
#[utoipa::path(
    post,
    path = "/export/",
    tag = "jobs",
    params(User),
    request_body = ExportBody,
    responses(
        (status = 202, description = "Queued", body = QueuedBody),
        (status = 400, description = "No JSON object", body = ErrorBody),
        (status = 401, description = "No user", body = ErrorBody),
        (status = 422, description = "A field cannot be used", body = ErrorBody),
        (status = 503, description = "The task cannot be queued at the moment", body = ErrorBody),
    )
)]
pub(super) async fn start(
    State(api): State<Api>,
    user: User,
    body: Bytes,
) -> Result<(StatusCode, Json<QueuedBody>), ApiError> {
    let job = read(&body)?;
    let queued = api.inventory.start(&user.0, job).await?;
    Ok((StatusCode::ACCEPTED, Json(queued.into())))
}

/// Reads the body by hand, because a deserializer's error does not name the field.
fn read(body: &[u8]) -> Result<NewJob, ApiError> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(|_| {
        let message = "envie um objeto JSON com os campos model e format";
        ApiError::new(StatusCode::BAD_REQUEST, "not_an_object", message)
    })?;
    let model = take(&mut fields, "model", "unknown_model")?;
    let format = take(&mut fields, "format", "unknown_format")?;
    match fields.keys().next() {
        None => Ok(NewJob::Export { model, format }),
        Some(name) => {
            let message = "campo desconhecido; use model e format";
            Err(ApiError::field(name, "unknown_field", message))
        }
    }
}

fn take<T: std::str::FromStr<Err = String>>(
    fields: &mut Map<String, Value>,
    name: &str,
    unknown: &'static str,
) -> Result<T, ApiError> {
    match fields.remove(name) {
        None => Err(ApiError::field(
            name,
            "missing_field",
            format!("informe o campo {name}"),
        )),
        Some(Value::String(text)) => text
            .parse()
            .map_err(|message: String| ApiError::field(name, unknown, message)),
        Some(_) => Err(ApiError::field(
            name,
            "invalid_field",
            format!("o campo {name} tem de ser um texto"),
        )),
    }
}
