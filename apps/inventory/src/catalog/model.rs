//! What the inventory knows: the five models, and a new row of each before it is saved.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The largest quantity of one product, sale or movement.
pub const MAX_QUANTITY: i64 = 1_000_000_000;

/// A kind of row, as users name it in an import or an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// What is kept in stock.
    Product,
    /// A group of products.
    Category,
    /// A product's maker.
    Brand,
    /// Units of a product that a customer bought.
    Sale,
    /// Units of a product that came in or went out without a sale.
    StockMovement,
}

impl Model {
    /// Every model, in the order a catalogue is built.
    pub const ALL: [Self; 5] = [
        Self::Product,
        Self::Category,
        Self::Brand,
        Self::Sale,
        Self::StockMovement,
    ];

    /// The name in the API, in files and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Category => "category",
            Self::Brand => "brand",
            Self::Sale => "sale",
            Self::StockMovement => "stock_movement",
        }
    }

    /// The plural in Portuguese, for titles and messages.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Product => "Produtos",
            Self::Category => "Categorias",
            Self::Brand => "Marcas",
            Self::Sale => "Vendas",
            Self::StockMovement => "Movimentações de estoque",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Model {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|model| model.name() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                format!("modelo desconhecido «{text}»; use {known}")
            })
    }
}

/// Whether a stock movement adds or removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovementKind {
    /// Adds to the stock.
    In,
    /// Removes from the stock.
    Out,
}

impl MovementKind {
    /// The name in the database and in exports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// A product to be created. Its category and brand are created with it when they are new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProduct {
    /// The code by which the business knows it; unique.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Free text; may be empty.
    pub description: String,
    /// The name of its category.
    pub category: String,
    /// The name of its brand, if it has one.
    pub brand: Option<String>,
    /// What a unit costs, in cents.
    pub cost_cents: i64,
    /// What a unit is sold for, in cents.
    pub price_cents: i64,
    /// Units in stock at the start; recorded as an incoming movement.
    pub quantity: i64,
}

/// A category or a brand to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNamed {
    /// Its name; unique without regard to case.
    pub name: String,
    /// Free text; may be empty.
    pub description: String,
}

/// A sale to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSale {
    /// The product's code.
    pub sku: String,
    /// Units sold.
    pub quantity: i64,
    /// Price of a unit in cents; the product's price when absent.
    pub unit_price_cents: Option<i64>,
    /// When it was sold; now when absent.
    pub sold_at: Option<Timestamp>,
}

/// A stock movement to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMovement {
    /// The product's code.
    pub sku: String,
    /// In or out.
    pub kind: MovementKind,
    /// Units moved.
    pub quantity: i64,
    /// Free text; may be empty.
    pub note: String,
    /// When it moved; now when absent.
    pub moved_at: Option<Timestamp>,
}

/// The import and the line a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The import's notification.
    pub import_id: i64,
    /// The line in the file, from 1.
    pub line: u64,
}

/// Why a row was not accepted: which field, what stood there, and the reason in Portuguese.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason} («{value}»)")]
pub struct Refusal {
    /// The field's name, as in the file's header.
    pub field: &'static str,
    /// What stood there.
    pub value: String,
    /// Why it was not accepted, in Portuguese.
    pub reason: String,
}

impl Refusal {
    /// A refusal of `value` in `field`.
    pub fn new(field: &'static str, value: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field,
            value: value.into(),
            reason: reason.into(),
        }
    }
}
