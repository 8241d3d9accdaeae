//! The figures of the dashboard: computed by SQL, kept in the app's state store for all processes.
//!
//! Six entries, each JSON under its own key, so that a Python program can read the one it wants.
//! They live for twice the period at which they are renewed: one missed renewal does not empty the
//! dashboard.

use std::time::Duration;

use aipo::App;
use jiff::{Timestamp, ToSpan};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::{self, Catalog};
use crate::locale::{BUSINESS_OFFSET, business_date};

/// How long an entry lives: twice the five minutes between two renewals.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(600);

/// Days that the daily figures cover, today among them.
pub const DAYS: i64 = 30;

/// Groups listed by the figures that count products; the largest come first.
const MAX_GROUPS: i64 = 100;

/// The keys of the entries, in the order of [`Metrics`]' fields.
pub const KEYS: [&str; 6] = [
    "metrics:product",
    "metrics:sales",
    "metrics:daily_sales",
    "metrics:daily_sales_quantity",
    "metrics:products_by_category",
    "metrics:products_by_brand",
];

/// All figures of the dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Metrics {
    /// Of all products.
    pub product: ProductMetrics,
    /// Of all sales.
    pub sales: SalesMetrics,
    /// Revenue of each of the last 30 days, oldest first.
    pub daily_sales: Vec<DailySales>,
    /// Sales and units of each of the last 30 days, oldest first.
    pub daily_sales_quantity: Vec<DailyQuantity>,
    /// Products of the 100 largest categories.
    pub products_by_category: Vec<GroupCount>,
    /// Products of the 100 largest brands.
    pub products_by_brand: Vec<GroupCount>,
}

/// Figures of all products.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProductMetrics {
    /// How many there are.
    pub count: u64,
    /// What the stock has cost, in reais.
    pub stock_value: f64,
}

/// Figures of all sales.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SalesMetrics {
    /// How many there are.
    pub count: u64,
    /// What they brought in, in reais.
    pub revenue: f64,
}

/// Revenue of a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DailySales {
    /// The day in Brasília, such as `2026-01-31`.
    pub date: String,
    /// In reais.
    pub revenue: f64,
}

/// Sales of a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DailyQuantity {
    /// The day in Brasília, such as `2026-01-31`.
    pub date: String,
    /// How many sales.
    pub sales: u64,
    /// How many units in them.
    pub units: u64,
}

/// How many products a category or brand has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GroupCount {
    /// The name of the category or brand.
    pub name: String,
    /// Its products.
    pub products: u64,
}

/// Computes the figures as of `now`, all from one moment of the database.
///
/// # Errors
/// [`catalog::Error::Sqlite`].
pub fn compute(connection: &mut Connection, now: Timestamp) -> Result<Metrics, catalog::Error> {
    let snapshot = connection.transaction()?;
    let (daily_sales, daily_sales_quantity) = daily(&snapshot, now)?;
    Ok(Metrics {
        // Totals are floating point on purpose: sums of whole numbers could overflow, and up to 15
        // digits of cents are exact.
        product: snapshot.query_row(
            "SELECT count(*), total(quantity * cost_cents) FROM product",
            [],
            |row| Ok(ProductMetrics { count: count(row.get(0)?), stock_value: reais(row.get(1)?) }),
        )?,
        sales: snapshot.query_row(
            "SELECT count(*), total(quantity * unit_price_cents) FROM sale",
            [],
            |row| Ok(SalesMetrics { count: count(row.get(0)?), revenue: reais(row.get(1)?) }),
        )?,
        daily_sales,
        daily_sales_quantity,
        products_by_category: groups(
            &snapshot,
            "SELECT g.name, count(*) AS products FROM product p JOIN category g ON g.id = p.category_id
             GROUP BY g.id ORDER BY products DESC, g.name LIMIT ?1",
        )?,
        products_by_brand: groups(
            &snapshot,
            "SELECT g.name, count(*) AS products FROM product p JOIN brand g ON g.id = p.brand_id
             GROUP BY g.id ORDER BY products DESC, g.name LIMIT ?1",
        )?,
    })
}

/// Computes the figures and stores them for all processes.
///
/// # Errors
/// When the database or the state store fails.
pub async fn refresh(app: &App, catalog: &Catalog) -> Result<Metrics, RefreshError> {
    let computing = catalog.clone();
    let metrics =
        tokio::task::spawn_blocking(move || compute(&mut *computing.connect()?, computing.now()))
            .await??;
    for (key, value) in KEYS.into_iter().zip(metrics.entries()?) {
        app.store()
            .state
            .put(key, value, Some(TIME_TO_LIVE))
            .await?;
    }
    Ok(metrics)
}

/// The stored figures; `None` unless all six entries are there.
///
/// # Errors
/// What the state store answers.
pub async fn cached(app: &App) -> aipo::Result<Option<Metrics>> {
    let entries = app.store().state.get(&KEYS.map(str::to_owned)).await?;
    let entries: Option<Vec<Vec<u8>>> = entries.into_iter().collect();
    // What cannot be read was written by another version, and counts as absent.
    Ok(entries.and_then(|entries| Metrics::from_entries(&entries)))
}

/// Why the figures could not be renewed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The database failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The state store failed.
    #[error(transparent)]
    Store(#[from] aipo::Error),
    /// A figure is no number that JSON has.
    #[error("the figures cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The computation panicked, or the program is stopping.
    #[error("the computation did not end")]
    Aborted(#[from] tokio::task::JoinError),
}

impl Metrics {
    /// The values of the entries, in the order of [`KEYS`].
    fn entries(&self) -> Result<[Vec<u8>; 6], serde_json::Error> {
        Ok([
            serde_json::to_vec(&self.product)?,
            serde_json::to_vec(&self.sales)?,
            serde_json::to_vec(&self.daily_sales)?,
            serde_json::to_vec(&self.daily_sales_quantity)?,
            serde_json::to_vec(&self.products_by_category)?,
            serde_json::to_vec(&self.products_by_brand)?,
        ])
    }

    fn from_entries(entries: &[Vec<u8>]) -> Option<Self> {
        let [
            product,
            sales,
            daily_sales,
            daily_sales_quantity,
            by_category,
            by_brand,
        ] = entries
        else {
            return None;
        };
        Some(Self {
            product: serde_json::from_slice(product).ok()?,
            sales: serde_json::from_slice(sales).ok()?,
            daily_sales: serde_json::from_slice(daily_sales).ok()?,
            daily_sales_quantity: serde_json::from_slice(daily_sales_quantity).ok()?,
            products_by_category: serde_json::from_slice(by_category).ok()?,
            products_by_brand: serde_json::from_slice(by_brand).ok()?,
        })
    }
}

/// One element a day, those without sales among them.
fn daily(
    connection: &Connection,
    now: Timestamp,
) -> Result<(Vec<DailySales>, Vec<DailyQuantity>), catalog::Error> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let offset_ms = i64::from(BUSINESS_OFFSET.seconds()) * 1000;
    let today = (now.as_millisecond() + offset_ms).div_euclid(DAY_MS);
    let first = today - (DAYS - 1);
    let mut sums = vec![(0_u64, 0_u64, 0.0); DAYS as usize];
    let mut statement = connection.prepare(
        "SELECT (sold_at_ms + ?1) / ?2 AS day, count(*), sum(quantity),
                total(quantity * unit_price_cents)
         FROM sale WHERE sold_at_ms >= ?3 * ?2 - ?1 AND sold_at_ms < ?4 * ?2 - ?1
         GROUP BY day",
    )?;
    let mut rows = statement.query((offset_ms, DAY_MS, first, today + 1))?;
    while let Some(row) = rows.next()? {
        let day: i64 = row.get(0)?;
        if let Some(sum) = sums.get_mut((day - first).unsigned_abs() as usize) {
            *sum = (count(row.get(1)?), count(row.get(2)?), reais(row.get(3)?));
        }
    }
    let today = business_date(now);
    Ok((0..)
        .zip(sums)
        .map(|(index, (sales, units, revenue))| {
            let date = today.saturating_sub((DAYS - 1 - index).days()).to_string();
            (
                DailySales {
                    date: date.clone(),
                    revenue,
                },
                DailyQuantity { date, sales, units },
            )
        })
        .unzip())
}

fn groups(connection: &Connection, sql: &str) -> Result<Vec<GroupCount>, catalog::Error> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([MAX_GROUPS], |row| {
        Ok(GroupCount {
            name: row.get(0)?,
            products: count(row.get(1)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn count(value: i64) -> u64 {
    value.unsigned_abs()
}

/// Cents as reais, to the cent.
fn reais(cents: f64) -> f64 {
    cents.round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::save::{self, SaveError};
    use crate::catalog::{NewProduct, NewSale};

    fn product(sku: &str, category: &str, brand: Option<&str>, quantity: i64) -> NewProduct {
        NewProduct {
            sku: sku.to_owned(),
            name: sku.to_owned(),
            description: String::new(),
            category: category.to_owned(),
            brand: brand.map(str::to_owned),
            cost_cents: 150,
            price_cents: 299,
            quantity,
        }
    }

    #[test]
    fn the_figures_are_those_of_the_stored_rows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let catalog = Catalog::open(&folder.path().join("inventory.db")).expect("opens");
        // 22:30 on 31 January in Brasília.
        let now: Timestamp = "2026-02-01T01:30:00Z".parse().expect("a valid moment");
        catalog
            .write(|transaction| {
                for new in [
                    product("A", "Um", Some("X"), 10),
                    product("B", "Um", None, 3),
                    product("C", "Dois", Some("X"), 0),
                ] {
                    save::product(transaction, &new, None, now)?;
                }
                for (sold_at, quantity) in [
                    ("2026-02-01T01:00:00Z", 2),
                    ("2026-01-31T03:00:00Z", 1),
                    ("2026-01-31T02:59:59Z", 4),
                    ("2026-01-02T03:00:00Z", 1),
                    ("2026-01-02T02:59:59Z", 1),
                ] {
                    let sold_at = Some(sold_at.parse().expect("a valid moment"));
                    let sku = "A".to_owned();
                    let sale = NewSale {
                        sku,
                        quantity,
                        unit_price_cents: None,
                        sold_at,
                    };
                    save::sale(transaction, &sale, now)?;
                }
                Ok::<_, SaveError>(())
            })
            .expect("saved");

        let metrics = compute(&mut catalog.connect().expect("connects"), now).expect("computes");

        assert_eq!(
            metrics.product,
            ProductMetrics {
                count: 3,
                stock_value: 6.0
            }
        );
        assert_eq!(
            metrics.sales,
            SalesMetrics {
                count: 5,
                revenue: 26.91
            }
        );
        let days = &metrics.daily_sales;
        assert_eq!((days.len(), days[0].date.as_str()), (30, "2026-01-02"));
        assert_eq!(
            days[29],
            DailySales {
                date: "2026-01-31".to_owned(),
                revenue: 8.97
            }
        );
        assert_eq!(
            days[28],
            DailySales {
                date: "2026-01-30".to_owned(),
                revenue: 11.96
            }
        );
        assert_eq!(
            days[0].revenue, 2.99,
            "what was sold before the first day is left out"
        );
        let units = &metrics.daily_sales_quantity[29];
        assert_eq!((units.sales, units.units), (2, 3));
        let group = |name: &str, products| GroupCount {
            name: name.to_owned(),
            products,
        };
        assert_eq!(
            metrics.products_by_category,
            [group("Um", 2), group("Dois", 1)]
        );
        assert_eq!(metrics.products_by_brand, [group("X", 2)]);
        let entries = metrics.entries().expect("JSON");
        assert_eq!(Metrics::from_entries(&entries), Some(metrics));
    }
}
