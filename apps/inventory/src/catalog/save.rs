//! Saves one row and tells the [hooks](super::hooks).
//!
//! Each function expects to run inside a transaction ([`super::write_on`]); when it returns an
//! error, the caller rolls back what it has done so far (a savepoint suffices).

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::hooks::{Saved, on_saved};
use super::{
    Error, MovementKind, NewMovement, NewNamed, NewProduct, NewSale, Origin, Refusal, to_ms,
};

/// Why a row was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The row contradicts what is stored.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed.
    #[error(transparent)]
    Catalog(#[from] Error),
}

impl From<rusqlite::Error> for SaveError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Catalog(error.into())
    }
}

/// Saves a product, with its category and brand when they are new, and its first stock as a
/// movement.
///
/// # Errors
/// [`SaveError::Refused`] when the SKU is taken.
pub fn product(
    connection: &Connection,
    new: &NewProduct,
    origin: Option<Origin>,
    now: Timestamp,
) -> Result<i64, SaveError> {
    refuse_taken_sku(connection, &new.sku, origin)?;
    let category_id = CATEGORY.find_or_create(connection, &new.category, now)?;
    let brand_id = match &new.brand {
        Some(name) => Some(BRAND.find_or_create(connection, name, now)?),
        None => None,
    };
    connection
        .prepare_cached(
            "INSERT INTO product (sku, name, description, category_id, brand_id, cost_cents,
                                  price_cents, import_id, import_line, created_at_ms, updated_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)",
        )?
        .execute((
            &new.sku,
            &new.name,
            &new.description,
            category_id,
            brand_id,
            new.cost_cents,
            new.price_cents,
            origin.map(|origin| origin.import_id),
            origin.map(|origin| origin.line.cast_signed()),
            to_ms(now),
        ))?;
    let id = connection.last_insert_rowid();
    on_saved(connection, Saved::Product { id }, now)?;
    if new.quantity > 0 {
        insert_movement(
            connection,
            id,
            MovementKind::In,
            new.quantity,
            "saldo inicial",
            now,
            now,
        )?;
    }
    Ok(id)
}

/// Saves a category.
///
/// # Errors
/// [`SaveError::Refused`] when the name is taken.
pub fn category(connection: &Connection, new: &NewNamed, now: Timestamp) -> Result<i64, SaveError> {
    CATEGORY.create(connection, new, now)
}

/// Saves a brand.
///
/// # Errors
/// [`SaveError::Refused`] when the name is taken.
pub fn brand(connection: &Connection, new: &NewNamed, now: Timestamp) -> Result<i64, SaveError> {
    BRAND.create(connection, new, now)
}

/// Saves a sale; the hook takes its units out of the stock.
///
/// # Errors
/// [`SaveError::Refused`] when the product is unknown or its stock does not suffice.
pub fn sale(connection: &Connection, new: &NewSale, now: Timestamp) -> Result<i64, SaveError> {
    let (product_id, price_cents) = product_by_sku(connection, &new.sku)?;
    connection
        .prepare_cached(
            "INSERT INTO sale (product_id, quantity, unit_price_cents, sold_at_ms, created_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            product_id,
            new.quantity,
            new.unit_price_cents.unwrap_or(price_cents),
            to_ms(new.sold_at.unwrap_or(now)),
            to_ms(now),
        ))?;
    let id = connection.last_insert_rowid();
    on_saved(
        connection,
        Saved::Sale {
            product_id,
            quantity: new.quantity,
        },
        now,
    )?;
    Ok(id)
}

/// Saves a stock movement; the hook changes the stock.
///
/// # Errors
/// [`SaveError::Refused`] when the product is unknown or its stock does not suffice.
pub fn movement(
    connection: &Connection,
    new: &NewMovement,
    now: Timestamp,
) -> Result<i64, SaveError> {
    let (product_id, _) = product_by_sku(connection, &new.sku)?;
    let moved_at = new.moved_at.unwrap_or(now);
    insert_movement(
        connection,
        product_id,
        new.kind,
        new.quantity,
        &new.note,
        moved_at,
        now,
    )
}

fn insert_movement(
    connection: &Connection,
    product_id: i64,
    kind: MovementKind,
    quantity: i64,
    note: &str,
    moved_at: Timestamp,
    now: Timestamp,
) -> Result<i64, SaveError> {
    connection
        .prepare_cached(
            "INSERT INTO stock_movement (product_id, kind, quantity, note, moved_at_ms, created_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((product_id, kind.name(), quantity, note, to_ms(moved_at), to_ms(now)))?;
    let id = connection.last_insert_rowid();
    on_saved(
        connection,
        Saved::StockMovement {
            product_id,
            kind,
            quantity,
        },
        now,
    )?;
    Ok(id)
}

/// The reason tells a repetition inside one file from a product that was there before.
fn refuse_taken_sku(
    connection: &Connection,
    sku: &str,
    origin: Option<Origin>,
) -> Result<(), SaveError> {
    let taken: Option<(Option<i64>, Option<i64>)> = connection
        .prepare_cached("SELECT import_id, import_line FROM product WHERE sku = ?1")?
        .query_row([sku], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((import_id, import_line)) = taken else {
        return Ok(());
    };
    let same_file = origin.is_some_and(|origin| import_id == Some(origin.import_id));
    let reason = match import_line {
        Some(line) if same_file => format!("SKU repetido: já usado na linha {line} deste arquivo"),
        _ => "SKU já cadastrado".to_owned(),
    };
    Err(Refusal::new("sku", sku, reason).into())
}

fn product_by_sku(connection: &Connection, sku: &str) -> Result<(i64, i64), SaveError> {
    connection
        .prepare_cached("SELECT id, price_cents FROM product WHERE sku = ?1")?
        .query_row([sku], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or_else(|| Refusal::new("sku", sku, "produto não cadastrado").into())
}

/// Categories and brands are alike: a unique name and a description.
struct Named {
    find: &'static str,
    insert: &'static str,
    saved: fn(i64) -> Saved,
    taken: &'static str,
}

const CATEGORY: Named = Named {
    find: "SELECT id FROM category WHERE name_key = ?1",
    insert: "INSERT INTO category (name, name_key, description, created_at_ms)
             VALUES (?1, ?2, ?3, ?4)",
    saved: |id| Saved::Category { id },
    taken: "categoria já cadastrada",
};

const BRAND: Named = Named {
    find: "SELECT id FROM brand WHERE name_key = ?1",
    insert: "INSERT INTO brand (name, name_key, description, created_at_ms)
             VALUES (?1, ?2, ?3, ?4)",
    saved: |id| Saved::Brand { id },
    taken: "marca já cadastrada",
};

impl Named {
    fn create(
        &self,
        connection: &Connection,
        new: &NewNamed,
        now: Timestamp,
    ) -> Result<i64, SaveError> {
        match self.find(connection, &new.name)? {
            Some(_) => Err(Refusal::new("name", &new.name, self.taken).into()),
            None => self.insert(connection, &new.name, &new.description, now),
        }
    }

    fn find_or_create(
        &self,
        connection: &Connection,
        name: &str,
        now: Timestamp,
    ) -> Result<i64, SaveError> {
        match self.find(connection, name)? {
            Some(id) => Ok(id),
            None => self.insert(connection, name, "", now),
        }
    }

    fn find(&self, connection: &Connection, name: &str) -> Result<Option<i64>, SaveError> {
        Ok(connection
            .prepare_cached(self.find)?
            .query_row([name.to_lowercase()], |row| row.get(0))
            .optional()?)
    }

    fn insert(
        &self,
        connection: &Connection,
        name: &str,
        description: &str,
        now: Timestamp,
    ) -> Result<i64, SaveError> {
        connection.prepare_cached(self.insert)?.execute((
            name,
            name.to_lowercase(),
            description,
            to_ms(now),
        ))?;
        let id = connection.last_insert_rowid();
        on_saved(connection, (self.saved)(id), now)?;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, MAX_QUANTITY, write_on};

    struct Shop {
        catalog: Catalog,
        _folder: tempfile::TempDir,
    }

    impl Shop {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let catalog = Catalog::open(&folder.path().join("inventory.db")).expect("opens");
            Self {
                catalog,
                _folder: folder,
            }
        }

        fn save<T>(
            &self,
            work: impl FnOnce(&Connection, Timestamp) -> Result<T, SaveError>,
        ) -> Result<T, SaveError> {
            let now = self.catalog.now();
            let mut connection = self.catalog.connect()?;
            write_on(&mut connection, |transaction| work(transaction, now))
        }

        fn number(&self, sql: &str) -> i64 {
            let connection = self.catalog.connect().expect("connects");
            connection
                .query_row(sql, [], |row| row.get(0))
                .expect("one number")
        }
    }

    fn nail(quantity: i64) -> NewProduct {
        NewProduct {
            sku: "PREGO-1".to_owned(),
            name: "Prego".to_owned(),
            description: String::new(),
            category: "Ferragens".to_owned(),
            brand: Some("Aço Forte".to_owned()),
            cost_cents: 10,
            price_cents: 25,
            quantity,
        }
    }

    fn sale_of(quantity: i64) -> NewSale {
        NewSale {
            sku: "PREGO-1".to_owned(),
            quantity,
            unit_price_cents: None,
            sold_at: None,
        }
    }

    fn refusal(result: Result<i64, SaveError>) -> Refusal {
        match result {
            Err(SaveError::Refused(refusal)) => refusal,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn the_stock_is_what_came_in_less_what_went_out() {
        let shop = Shop::new();
        shop.save(|connection, now| product(connection, &nail(10), None, now))
            .expect("saved");
        shop.save(|connection, now| sale(connection, &sale_of(3), now))
            .expect("saved");
        let out = NewMovement {
            sku: "PREGO-1".to_owned(),
            kind: MovementKind::Out,
            quantity: 2,
            note: "perda".to_owned(),
            moved_at: None,
        };
        shop.save(|connection, now| movement(connection, &out, now))
            .expect("saved");
        assert_eq!(shop.number("SELECT quantity FROM product"), 5);
        assert_eq!(shop.number("SELECT unit_price_cents FROM sale"), 25);
    }

    #[test]
    fn a_sale_beyond_the_stock_is_refused_and_not_saved() {
        let shop = Shop::new();
        shop.save(|connection, now| product(connection, &nail(2), None, now))
            .expect("saved");
        let refusal = refusal(shop.save(|connection, now| sale(connection, &sale_of(3), now)));
        assert_eq!(refusal.reason, "estoque insuficiente: há 2");
        assert_eq!(shop.number("SELECT count(*) FROM sale"), 0);
        assert_eq!(shop.number("SELECT quantity FROM product"), 2);
    }

    #[test]
    fn a_stock_beyond_the_maximum_is_refused() {
        let shop = Shop::new();
        shop.save(|connection, now| product(connection, &nail(MAX_QUANTITY), None, now))
            .expect("saved");
        let one_more = NewMovement {
            sku: "PREGO-1".to_owned(),
            kind: MovementKind::In,
            quantity: 1,
            note: String::new(),
            moved_at: None,
        };
        let refusal = refusal(shop.save(|connection, now| movement(connection, &one_more, now)));
        assert!(refusal.reason.contains("passaria do máximo"), "{refusal}");
    }

    #[test]
    fn a_taken_sku_is_refused_and_names_the_line_when_it_is_in_the_same_file() {
        let shop = Shop::new();
        let at = |line| Some(Origin { import_id: 7, line });
        shop.save(|connection, now| product(connection, &nail(0), at(4), now))
            .expect("saved");
        for (origin, reason) in [
            (at(9), "SKU repetido: já usado na linha 4 deste arquivo"),
            (
                Some(Origin {
                    import_id: 8,
                    line: 4,
                }),
                "SKU já cadastrado",
            ),
            (None, "SKU já cadastrado"),
        ] {
            let refusal =
                refusal(shop.save(|connection, now| product(connection, &nail(0), origin, now)));
            assert_eq!(refusal.reason, reason);
        }
    }

    #[test]
    fn names_are_one_without_regard_to_case_or_accent_in_capitals() {
        let shop = Shop::new();
        let named = |name: &str| NewNamed {
            name: name.to_owned(),
            description: String::new(),
        };
        shop.save(|connection, now| category(connection, &named("Iluminação"), now))
            .expect("saved");
        let refusal =
            refusal(shop.save(|connection, now| category(connection, &named("ILUMINAÇÃO"), now)));
        assert_eq!(refusal.reason, "categoria já cadastrada");
    }

    #[test]
    fn a_sale_of_an_unknown_product_is_refused() {
        let shop = Shop::new();
        let refusal = refusal(shop.save(|connection, now| sale(connection, &sale_of(1), now)));
        assert_eq!((refusal.field, refusal.value.as_str()), ("sku", "PREGO-1"));
    }
}
