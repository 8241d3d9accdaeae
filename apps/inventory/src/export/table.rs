//! What an export contains: the columns of each model, and its rows page by page.

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::catalog::{Error, Model};

/// Rows read, written and reported at a time. Bounds the memory of every format.
pub(super) const PAGE_ROWS: usize = 500;

/// One column of an export.
#[derive(Debug)]
pub(super) struct Column {
    /// The name for programs: JSON keys and XML elements.
    pub(super) name: &'static str,
    /// The name for people: CSV and PDF headers.
    pub(super) title: &'static str,
    /// What its values are.
    pub(super) kind: Kind,
    /// Its share of a PDF page's width; 0 leaves it out there.
    pub(super) width: u8,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Count,
    /// Cents.
    Money,
    /// Milliseconds since 1970 in UTC.
    Moment,
    /// `in` or `out`.
    Movement,
}

/// One value, still without a format's spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Empty,
    Text(String),
    Count(i64),
    Money(i64),
    Moment(Timestamp),
    Movement { incoming: bool },
}

pub(super) type Row = Vec<Value>;

const fn column(name: &'static str, title: &'static str, kind: Kind, width: u8) -> Column {
    Column {
        name,
        title,
        kind,
        width,
    }
}

const ID: Column = column("id", "id", Kind::Count, 0);
const SKU: Column = column("sku", "SKU", Kind::Text, 8);
const PRODUCT: Column = column("product", "produto", Kind::Text, 16);
const QUANTITY: Column = column("quantity", "quantidade", Kind::Count, 6);
const DESCRIPTION: Column = column("description", "descrição", Kind::Text, 0);
const CREATED_AT: Column = column("created_at", "criado em", Kind::Moment, 0);

/// The columns of a model, in order. Each name is one that an import of the model understands or
/// skips.
pub(super) const fn columns(model: Model) -> &'static [Column] {
    match model {
        Model::Product => {
            const {
                &[
                    ID,
                    SKU,
                    column("name", "nome", Kind::Text, 16),
                    DESCRIPTION,
                    column("category", "categoria", Kind::Text, 9),
                    column("brand", "marca", Kind::Text, 9),
                    column("cost_price", "preço de custo", Kind::Money, 7),
                    column("price", "preço de venda", Kind::Money, 7),
                    QUANTITY,
                    CREATED_AT,
                    column("updated_at", "atualizado em", Kind::Moment, 0),
                ]
            }
        }
        Model::Category | Model::Brand => {
            const {
                &[
                    ID,
                    column("name", "nome", Kind::Text, 12),
                    column("description", "descrição", Kind::Text, 20),
                    column("products", "produtos", Kind::Count, 5),
                    CREATED_AT,
                ]
            }
        }
        Model::Sale => {
            const {
                &[
                    ID,
                    SKU,
                    PRODUCT,
                    QUANTITY,
                    column("unit_price", "preço unitário", Kind::Money, 8),
                    column("total", "total", Kind::Money, 8),
                    column("sold_at", "vendido em", Kind::Moment, 9),
                ]
            }
        }
        Model::StockMovement => {
            const {
                &[
                    ID,
                    SKU,
                    PRODUCT,
                    column("kind", "tipo", Kind::Movement, 5),
                    QUANTITY,
                    column("note", "observação", Kind::Text, 14),
                    column("moved_at", "movimentado em", Kind::Moment, 9),
                ]
            }
        }
    }
}

/// The rows of a model with ids in `(?1, ?2]`, at most `?3`, in the order of [`columns`].
const fn page_sql(model: Model) -> &'static str {
    match model {
        Model::Product => {
            "SELECT p.id, p.sku, p.name, p.description, c.name, b.name, p.cost_cents, p.price_cents,
                    p.quantity, p.created_at_ms, p.updated_at_ms
             FROM product p JOIN category c ON c.id = p.category_id
                            LEFT JOIN brand b ON b.id = p.brand_id
             WHERE p.id > ?1 AND p.id <= ?2 ORDER BY p.id LIMIT ?3"
        }
        Model::Category => {
            "SELECT c.id, c.name, c.description,
                    (SELECT count(*) FROM product p WHERE p.category_id = c.id), c.created_at_ms
             FROM category c WHERE c.id > ?1 AND c.id <= ?2 ORDER BY c.id LIMIT ?3"
        }
        Model::Brand => {
            "SELECT b.id, b.name, b.description,
                    (SELECT count(*) FROM product p WHERE p.brand_id = b.id), b.created_at_ms
             FROM brand b WHERE b.id > ?1 AND b.id <= ?2 ORDER BY b.id LIMIT ?3"
        }
        Model::Sale => {
            "SELECT s.id, p.sku, p.name, s.quantity, s.unit_price_cents,
                    s.quantity * s.unit_price_cents, s.sold_at_ms
             FROM sale s JOIN product p ON p.id = s.product_id
             WHERE s.id > ?1 AND s.id <= ?2 ORDER BY s.id LIMIT ?3"
        }
        Model::StockMovement => {
            "SELECT m.id, p.sku, p.name, m.kind, m.quantity, m.note, m.moved_at_ms
             FROM stock_movement m JOIN product p ON p.id = m.product_id
             WHERE m.id > ?1 AND m.id <= ?2 ORDER BY m.id LIMIT ?3"
        }
    }
}

/// The rows of a model, in the order of their ids, in pages.
///
/// The pages are separate short reads, because one long read would keep SQLite from shortening its
/// write-ahead log for as long as the export lasts. What is exported are the rows that existed at
/// the start, each as it stands when its page is read.
pub(super) struct Pages {
    model: Model,
    after_id: i64,
    last_id: i64,
}

impl Pages {
    /// The pages of a model's rows as of now, and how many rows there are.
    pub(super) fn begin(connection: &Connection, model: Model) -> Result<(Self, u64), Error> {
        let sql = format!(
            "SELECT coalesce(max(id), 0), count(*) FROM {}",
            model.name()
        );
        let (last_id, count): (i64, i64) =
            connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((
            Self {
                model,
                after_id: 0,
                last_id,
            },
            count.unsigned_abs(),
        ))
    }

    /// The next page; empty at the end.
    pub(super) fn next(&mut self, connection: &Connection) -> Result<Vec<Row>, Error> {
        let columns = columns(self.model);
        let mut statement = connection.prepare_cached(page_sql(self.model))?;
        let mut rows = statement.query((self.after_id, self.last_id, PAGE_ROWS as i64))?;
        let mut page = Vec::with_capacity(PAGE_ROWS);
        while let Some(row) = rows.next()? {
            self.after_id = row.get(0)?;
            let values = columns
                .iter()
                .enumerate()
                .map(|(index, column)| Ok(value(row.get_ref(index)?, column.kind)));
            page.push(values.collect::<Result<Row, rusqlite::Error>>()?);
        }
        Ok(page)
    }
}

/// A stored value as what its column says it is. The tables are `STRICT`, so nothing else can be
/// there.
fn value(stored: ValueRef<'_>, kind: Kind) -> Value {
    match (stored, kind) {
        (ValueRef::Integer(number), Kind::Count) => Value::Count(number),
        (ValueRef::Integer(number), Kind::Money) => Value::Money(number),
        (ValueRef::Integer(number), Kind::Moment) => {
            Timestamp::from_millisecond(number).map_or(Value::Empty, Value::Moment)
        }
        (ValueRef::Text(text), Kind::Movement) => Value::Movement {
            incoming: text == b"in",
        },
        (ValueRef::Text(text), _) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        _ => Value::Empty,
    }
}
