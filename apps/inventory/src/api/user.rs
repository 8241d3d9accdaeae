//! Who asks: the header `X-User`.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use utoipa::IntoParams;

use super::error::ApiError;

const HEADER: &str = "X-User";
const MAX_CHARS: usize = 80;

/// The user on whose behalf a request is made.
#[derive(Debug, Clone, IntoParams)]
#[into_params(names("X-User"), parameter_in = Header)]
pub(super) struct User(
    /// Who asks
    pub(super) String,
);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(HEADER) else {
            return Err(refused(
                "missing_user",
                "informe o usuário no cabeçalho X-User",
            ));
        };
        let name = value.to_str().map(str::trim).unwrap_or_default();
        let plain = (1..=MAX_CHARS).contains(&name.chars().count())
            && name.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if plain {
            Ok(Self(name.to_owned()))
        } else {
            Err(refused(
                "invalid_user",
                "o usuário tem de ter de 1 a 80 caracteres ASCII",
            ))
        }
    }
}

fn refused(code: &'static str, message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, message).on(HEADER)
}
