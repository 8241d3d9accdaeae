-- The inventory itself. Amounts are whole cents, moments are milliseconds since 1970 in UTC.
-- name_key is the name in lower case, so that "Ação" and "AÇÃO" are one category in any language
-- (SQLite's NOCASE folds ASCII only).
CREATE TABLE category (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE brand (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

-- quantity is never written directly: the hook of sale and stock_movement changes it, so it is
-- always the sum of what came in less what went out.
-- import_id and import_line tell where a row came from; they outlive the import's notification.
CREATE TABLE product (
    id INTEGER PRIMARY KEY,
    sku TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    category_id INTEGER NOT NULL REFERENCES category (id),
    brand_id INTEGER REFERENCES brand (id),
    cost_cents INTEGER NOT NULL CHECK (cost_cents >= 0),
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    quantity INTEGER NOT NULL DEFAULT 0 CHECK (quantity >= 0),
    import_id INTEGER,
    import_line INTEGER,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX product_by_category ON product (category_id);
CREATE INDEX product_by_brand ON product (brand_id);

CREATE TABLE sale (
    id INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL REFERENCES product (id),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    unit_price_cents INTEGER NOT NULL CHECK (unit_price_cents >= 0),
    sold_at_ms INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX sale_by_product ON sale (product_id);
CREATE INDEX sale_by_moment ON sale (sold_at_ms);

CREATE TABLE stock_movement (
    id INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL REFERENCES product (id),
    kind TEXT NOT NULL CHECK (kind IN ('in', 'out')),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    note TEXT NOT NULL,
    moved_at_ms INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX stock_movement_by_product ON stock_movement (product_id);
