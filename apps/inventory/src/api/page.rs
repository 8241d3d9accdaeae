//! Lists in pages.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// A part of a list, and where the next one begins.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// At most `limit` items.
    pub(super) items: Vec<T>,
    /// To be given as `cursor` for the next page; absent after the last one.
    pub(super) next_cursor: Option<String>,
}

/// Which page is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageRequest {
    /// The id of the last item of the page before; `None` for the first page.
    pub(super) cursor: Option<i64>,
    pub(super) limit: usize,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items in a page, from 1 to 200; 50 by default.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
}

impl PageRequest {
    /// How many items to read: one more than asked for tells whether there is another page.
    pub(super) fn lookahead(self) -> usize {
        self.limit + 1
    }

    /// Makes a page of what was read with [`lookahead`](Self::lookahead).
    pub(super) fn page<R, T>(
        self,
        mut rows: Vec<R>,
        id: impl Fn(&R) -> i64,
        item: impl Fn(R) -> T,
    ) -> Page<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next_cursor = rows.last().filter(|_| more).map(|row| id(row).to_string());
        Page {
            items: rows.into_iter().map(item).collect(),
            next_cursor,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PageRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(params) = Query::<PageParams>::from_request_parts(parts, state)
            .await
            .map_err(|error| ApiError::field("cursor", "invalid_query", error.body_text()))?;
        let cursor = match params.cursor.as_deref().map(str::parse) {
            None => None,
            Some(Ok(cursor)) => Some(cursor),
            Some(Err(_)) => {
                let message = "use o next_cursor da página anterior";
                return Err(ApiError::field("cursor", "invalid_cursor", message));
            }
        };
        let limit = match params.limit.as_deref().map(str::parse) {
            None => DEFAULT_LIMIT,
            Some(Ok(limit)) if (1..=MAX_LIMIT).contains(&limit) => limit,
            Some(_) => {
                let message = format!("use um número de 1 a {MAX_LIMIT}");
                return Err(ApiError::field("limit", "invalid_limit", message));
            }
        };
        Ok(Self { cursor, limit })
    }
}
