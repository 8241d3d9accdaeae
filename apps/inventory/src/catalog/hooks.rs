//! What happens after a row is saved (Django's `post_save` signal).
//!
//! A hook runs in the transaction that saves the row: when it refuses, the row is not saved either.
//! Only [`save`](super::save) dispatches. A bulk `INSERT` would change tables without any hook
//! running, which is why imports save row by row.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::save::SaveError;
use super::{MAX_QUANTITY, MovementKind, Refusal, to_ms};
use crate::locale::format_count;

/// A row that has just been saved.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Saved {
    /// A new product, still without stock.
    Product {
        /// The product's id.
        id: i64,
    },
    /// A new category.
    Category {
        /// The category's id.
        id: i64,
    },
    /// A new brand.
    Brand {
        /// The brand's id.
        id: i64,
    },
    /// A new sale.
    Sale {
        /// The product sold.
        product_id: i64,
        /// Units sold.
        quantity: i64,
    },
    /// A new stock movement.
    StockMovement {
        /// The product moved.
        product_id: i64,
        /// In or out.
        kind: MovementKind,
        /// Units moved.
        quantity: i64,
    },
}

type Hook = fn(&Connection, Saved, Timestamp) -> Result<(), SaveError>;

/// Everything that listens, in the order it is called.
const HOOKS: [Hook; 1] = [change_quantity];

/// Tells every hook that a row was saved.
pub(super) fn on_saved(
    connection: &Connection,
    saved: Saved,
    now: Timestamp,
) -> Result<(), SaveError> {
    HOOKS
        .iter()
        .try_for_each(|hook| hook(connection, saved, now))
}

/// Keeps `product.quantity` equal to what came in less what went out.
fn change_quantity(connection: &Connection, saved: Saved, now: Timestamp) -> Result<(), SaveError> {
    let (product_id, change) = match saved {
        Saved::Sale {
            product_id,
            quantity,
        }
        | Saved::StockMovement {
            product_id,
            kind: MovementKind::Out,
            quantity,
        } => (product_id, -quantity),
        Saved::StockMovement {
            product_id,
            kind: MovementKind::In,
            quantity,
        } => (product_id, quantity),
        Saved::Product { .. } | Saved::Category { .. } | Saved::Brand { .. } => return Ok(()),
    };
    let changed = connection
        .prepare_cached(
            "UPDATE product SET quantity = quantity + ?2, updated_at_ms = ?3
             WHERE id = ?1 AND quantity + ?2 BETWEEN 0 AND ?4",
        )?
        .execute((product_id, change, to_ms(now), MAX_QUANTITY))?;
    if changed == 1 {
        return Ok(());
    }
    let in_stock: i64 = connection
        .prepare_cached("SELECT quantity FROM product WHERE id = ?1")?
        .query_row([product_id], |row| row.get(0))
        .optional()?
        .unwrap_or_default();
    let in_stock = format_count(in_stock.unsigned_abs());
    let reason = if change < 0 {
        format!("estoque insuficiente: há {in_stock}")
    } else {
        let max = format_count(MAX_QUANTITY.unsigned_abs());
        format!("o estoque, hoje {in_stock}, passaria do máximo de {max}")
    };
    Err(Refusal::new("quantity", change.abs().to_string(), reason).into())
}
