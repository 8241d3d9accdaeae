//! `GET /products/`: what is in stock.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, ErrorBody};
use super::page::{Page, PageParams, PageRequest};
use super::user::User;
use crate::catalog::products::{self, Product};

/// A product.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProductBody {
    id: i64,
    sku: String,
    name: String,
    category: String,
    brand: Option<String>,
    /// In reais.
    cost_price: f64,
    /// In reais.
    price: f64,
    /// Units in stock.
    quantity: i64,
}

impl From<Product> for ProductBody {
    fn from(product: Product) -> Self {
        Self {
            id: product.id,
            sku: product.sku,
            name: product.name,
            category: product.category,
            brand: product.brand,
            cost_price: product.cost_cents as f64 / 100.0,
            price: product.price_cents as f64 / 100.0,
            quantity: product.quantity,
        }
    }
}

/// The products, in the order in which they came
#[utoipa::path(
    get,
    path = "/products/",
    tag = "catalog",
    params(User, PageParams),
    responses(
        (status = 200, body = Page<ProductBody>),
        (status = 401, description = "No user", body = ErrorBody),
        (status = 422, description = "A parameter cannot be used", body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    _user: User,
    page: PageRequest,
) -> Result<Json<Page<ProductBody>>, ApiError> {
    let rows = api
        .on_catalog(move |catalog| {
            let after = page.cursor.unwrap_or_default();
            Ok(products::list(
                &*catalog.connect()?,
                after,
                page.lookahead(),
            )?)
        })
        .await?;
    Ok(Json(page.page(
        rows,
        |product| product.id,
        ProductBody::from,
    )))
}
