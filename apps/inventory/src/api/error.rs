//! What a request is answered when it is not granted.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog;
use crate::import::FileError;
use crate::jobs::StartError;
use crate::metrics::RefreshError;

/// The envelope of every error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    pub(super) error: ErrorDetail,
}

/// What was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ErrorDetail {
    /// A stable name for programs.
    #[schema(example = "missing_columns")]
    pub(super) code: &'static str,
    /// The field, header or parameter that was wrong, if one was.
    #[schema(example = "file")]
    pub(super) field: Option<String>,
    /// For people, in Portuguese.
    pub(super) message: String,
}

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    detail: ErrorDetail,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            detail: ErrorDetail {
                code,
                field: None,
                message: message.into(),
            },
        }
    }

    /// 422: this field's value cannot be used.
    pub(super) fn field(
        field: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message).on(field)
    }

    /// The same error, about this field.
    pub(super) fn on(mut self, field: impl Into<String>) -> Self {
        self.detail.field = Some(field.into());
        self
    }

    /// 404: there is no such thing, or it is somebody else's.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("{what}: não encontrado"),
        )
    }

    /// 500, with the cause in the log only: it is for the operator, not for the user.
    pub(super) fn internal(error: impl std::error::Error + 'static) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "erro interno; tente de novo mais tarde",
        )
    }

    /// 503: what is needed is away for the moment.
    fn unavailable(error: impl std::error::Error + 'static) -> Self {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a request could not be served"
        );
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "indisponível no momento; tente de novo",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorBody { error: self.detail })).into_response()
    }
}

impl From<catalog::Error> for ApiError {
    fn from(error: catalog::Error) -> Self {
        if error.is_temporary() {
            Self::unavailable(error)
        } else {
            Self::internal(error)
        }
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        catalog::Error::from(error).into()
    }
}

impl From<aipo::Error> for ApiError {
    fn from(error: aipo::Error) -> Self {
        if error.is_temporary() {
            Self::unavailable(error)
        } else {
            Self::internal(error)
        }
    }
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Catalog(error) => error.into(),
            error => Self::unavailable(error),
        }
    }
}

impl From<RefreshError> for ApiError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Catalog(error) => error.into(),
            RefreshError::Store(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

/// A file that cannot be imported, as an error of the field `file`.
impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Io(error) => Self::internal(error),
            error => Self::field("file", error.code(), error.to_string()),
        }
    }
}

pub(super) async fn no_such_path() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no_such_path",
        "esse endereço não existe; veja /openapi.json",
    )
}

pub(super) async fn no_such_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_such_method",
        "esse método não existe aqui; veja /openapi.json",
    )
}
