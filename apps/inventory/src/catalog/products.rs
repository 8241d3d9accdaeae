//! Reads products, with the names of what they refer to.

use rusqlite::Connection;

use super::Error;

/// A product in stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its number; later products have larger ones.
    pub id: i64,
    /// The code by which the business knows it.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// The name of its category.
    pub category: String,
    /// The name of its brand, if it has one.
    pub brand: Option<String>,
    /// What a unit costs, in cents.
    pub cost_cents: i64,
    /// What a unit is sold for, in cents.
    pub price_cents: i64,
    /// Units in stock.
    pub quantity: i64,
}

/// Products in the order of their ids: at most `limit`, after the id `after`.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn list(connection: &Connection, after: i64, limit: usize) -> Result<Vec<Product>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT p.id, p.sku, p.name, c.name, b.name, p.cost_cents, p.price_cents, p.quantity
         FROM product p JOIN category c ON c.id = p.category_id
                        LEFT JOIN brand b ON b.id = p.brand_id
         WHERE p.id > ?1 ORDER BY p.id LIMIT ?2",
    )?;
    let rows = statement.query_map((after, limit as i64), |row| {
        Ok(Product {
            id: row.get(0)?,
            sku: row.get(1)?,
            name: row.get(2)?,
            category: row.get(3)?,
            brand: row.get(4)?,
            cost_cents: row.get(5)?,
            price_cents: row.get(6)?,
            quantity: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
