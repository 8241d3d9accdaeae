//! The export as a whole: each format, read back by another program's eyes.

use std::cell::Cell;

use lopdf::Document;

use super::*;
use crate::catalog::notifications::NewNotification;
use crate::catalog::save::{self, SaveError};
use crate::catalog::{MovementKind, NewMovement, NewProduct, NewSale};

struct Shop {
    catalog: Catalog,
    media: Media,
    folder: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // 31 January in Brasília, 1 February in UTC.
        let now = || "2026-02-01T01:30:00Z".parse().expect("a valid moment");
        let clock = aipo::Clock::from_fn(now);
        Self {
            catalog: Catalog::with_clock(&folder.path().join("inventory.db"), clock)
                .expect("opens"),
            media: Media::open(&folder.path().join("media")).expect("opens"),
            folder,
        }
    }

    fn with_products(count: i64) -> Self {
        let shop = Self::new();
        let now = shop.catalog.now();
        shop.catalog
            .write(|transaction| {
                for n in 1..=count {
                    save::product(transaction, &product(n), None, now)?;
                }
                Ok::<_, SaveError>(())
            })
            .expect("saved");
        shop
    }

    fn announce(&self, model: Model, format: Format) -> i64 {
        let task_id = uuid::Uuid::new_v4().to_string();
        let new = NewNotification {
            task_id: &task_id,
            user: "ana",
            kind: Kind::Export,
            model,
            format: Some(format.name()),
            file: None,
            file_name: None,
        };
        let connection = self.catalog.connect().expect("connects");
        notifications::create(&connection, &new, self.catalog.now()).expect("created")
    }

    fn run(&self, id: i64) -> Result<Progress, ExportError> {
        export_file(&self.catalog, &self.media, id, &mut |_| {}, &|| false)
    }

    fn export(&self, model: Model, format: Format) -> Vec<u8> {
        let id = self.announce(model, format);
        self.run(id).expect("exports");
        let connection = self.catalog.connect().expect("connects");
        let job = notifications::get(&connection, id)
            .expect("reads")
            .expect("exists");
        assert_eq!(job.status, Status::Completed);
        assert_eq!(job.file_name, Some(format!("{model}-2026-01-31.{format}")));
        std::fs::read(self.media.path(&job.file.expect("has a file"))).expect("reads")
    }

    fn export_text(&self, model: Model, format: Format) -> String {
        String::from_utf8(self.export(model, format)).expect("UTF-8")
    }

    fn partial_files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("media/partial"))
            .expect("reads")
            .count()
    }
}

fn product(n: i64) -> NewProduct {
    NewProduct {
        sku: format!("P-{n}"),
        name: format!("Peça «{n}» <&> \"boa\""),
        description: "duas\nlinhas; e ponto".to_owned(),
        category: "=Ação".to_owned(),
        brand: (n % 2 == 0).then(|| "Aço".to_owned()),
        cost_cents: 123_456,
        price_cents: 200_000,
        quantity: 1_234,
    }
}

#[test]
fn csv_is_as_a_brazilian_spreadsheet_wants_it() {
    let text = Shop::with_products(1).export_text(Model::Product, Format::Csv);
    let expected = "\u{feff}id;SKU;nome;descrição;categoria;marca;preço de custo;preço de venda;\
        quantidade;criado em;atualizado em\r\n\
        1;P-1;\"Peça «1» <&> \"\"boa\"\"\";\"duas\nlinhas; e ponto\";'=Ação;;1.234,56;2.000,00;1234;\
        31/01/2026 22:30:00;31/01/2026 22:30:00\r\n";
    assert_eq!(text, expected);
}

#[test]
fn json_is_an_array_of_objects() {
    let text = Shop::with_products(2).export_text(Model::Product, Format::Json);
    let rows: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
    assert_eq!(
        rows[0],
        serde_json::json!({
            "id": 1, "sku": "P-1", "name": "Peça «1» <&> \"boa\"", "description": "duas\nlinhas; e ponto",
            "category": "=Ação", "brand": null, "cost_price": 1234.56, "price": 2000.0, "quantity": 1234,
            "created_at": "2026-02-01T01:30:00Z", "updated_at": "2026-02-01T01:30:00Z",
        })
    );
    assert_eq!(rows.as_array().map(Vec::len), Some(2));
}

#[test]
fn xml_is_well_formed_and_says_the_same() {
    use quick_xml::events::Event;

    let text = Shop::with_products(2).export_text(Model::Product, Format::Xml);
    let mut reader = quick_xml::Reader::from_str(&text);
    let mut elements = Vec::new();
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(element) => {
                elements.push(element.name().as_ref().to_owned());
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(elements.iter().filter(|name| *name == "row").count(), 2);
    assert_eq!(
        elements.iter().filter(|name| *name == "brand").count(),
        1,
        "empty has no element"
    );
    assert!(text.contains("<cost_price>1234.56</cost_price>"), "{text}");
    assert!(
        text.contains("<name>Peça «1» &lt;&amp;&gt; &quot;boa&quot;</name>"),
        "{text}"
    );
}

#[test]
fn pdf_is_a_typeset_table_with_continued_page_numbers() {
    let rows = table::PAGE_ROWS as i64 + 1;
    let pdf = Shop::with_products(rows).export(Model::Product, Format::Pdf);
    let document = Document::load_mem(&pdf).expect("a valid PDF");
    let pages = document.get_pages();
    assert!(pages.len() > 2, "{} pages", pages.len());
    for &number in pages.keys() {
        let text = document.extract_text(&[number]).expect("text");
        assert!(
            text.contains(&format!("Página {number}")),
            "page {number}: {text}"
        );
        assert!(
            text.contains("quantidade"),
            "the header is repeated on page {number}: {text}"
        );
    }
    let last = document.extract_text(&[pages.len() as u32]).expect("text");
    assert!(last.contains(&format!("P-{rows}")), "{last}");
    assert!(last.contains(&format!("Total: {rows} registros")), "{last}");
}

#[test]
fn an_empty_table_is_a_file_too() {
    let shop = Shop::new();
    assert_eq!(shop.export_text(Model::Sale, Format::Json), "[\n]\n");
    assert_eq!(
        shop.export_text(Model::Sale, Format::Csv).lines().count(),
        1
    );
    let document = Document::load_mem(&shop.export(Model::Sale, Format::Pdf)).expect("a valid PDF");
    assert!(
        document
            .extract_text(&[1])
            .expect("text")
            .contains("Total: 0 registros")
    );
}

#[test]
fn every_model_has_every_format() {
    let shop = Shop::with_products(3);
    let now = shop.catalog.now();
    shop.catalog
        .write(|transaction| {
            let sku = || "P-1".to_owned();
            let sale = NewSale {
                sku: sku(),
                quantity: 2,
                unit_price_cents: Some(150),
                sold_at: None,
            };
            save::sale(transaction, &sale, now)?;
            let movement = NewMovement {
                sku: sku(),
                kind: MovementKind::Out,
                quantity: 1,
                note: "perda".to_owned(),
                moved_at: None,
            };
            save::movement(transaction, &movement, now)
        })
        .map_err(|error: SaveError| error)
        .expect("saved");
    for model in Model::ALL {
        for format in [Format::Csv, Format::Json, Format::Xml, Format::Pdf] {
            assert!(
                !shop.export(model, format).is_empty(),
                "{model} as {format}"
            );
        }
    }
    let sales = shop.export_text(Model::Sale, Format::Csv);
    assert!(sales.contains("2;1,50;3,00;31/01/2026 22:30:00"), "{sales}");
    let movements = shop.export_text(Model::StockMovement, Format::Csv);
    assert!(movements.contains("saída;1;perda"), "{movements}");
    assert!(
        shop.export_text(Model::Category, Format::Json)
            .contains("\"products\":3")
    );
}

#[test]
fn what_is_exported_can_be_imported_elsewhere() {
    let exported = Shop::with_products(3).export(Model::Product, Format::Csv);
    let other = Shop::new();
    std::fs::write(other.media.path("uploads/a.csv"), &exported).expect("written");
    let new = NewNotification {
        task_id: "t",
        user: "ana",
        kind: Kind::Import,
        model: Model::Product,
        format: None,
        file: Some("uploads/a.csv"),
        file_name: None,
    };
    let connection = other.catalog.connect().expect("connects");
    let id = notifications::create(&connection, &new, other.catalog.now()).expect("created");
    crate::import::import_file(&other.catalog, &other.media, id, &mut |_| {}, &|| false)
        .expect("imports");
    assert_eq!(other.export(Model::Product, Format::Csv), exported);
}

#[test]
fn rows_that_come_during_an_export_are_not_in_it() {
    let shop = Shop::with_products(table::PAGE_ROWS as i64);
    let id = shop.announce(Model::Product, Format::Csv);
    let added = Cell::new(false);
    let add_one = || {
        if !added.replace(true) {
            let now = shop.catalog.now();
            shop.catalog
                .write(|transaction| save::product(transaction, &product(9_999), None, now))
                .expect("saved");
        }
        false
    };
    let done = export_file(&shop.catalog, &shop.media, id, &mut |_| {}, &add_one).expect("exports");
    assert_eq!(done.done, table::PAGE_ROWS as u64);
}

#[test]
fn a_cancelled_export_leaves_nothing_and_can_be_run_again() {
    for format in Format::ALL {
        let shop = Shop::with_products(1);
        let id = shop.announce(Model::Product, format);
        let cancelled = export_file(&shop.catalog, &shop.media, id, &mut |_| {}, &|| true);
        assert!(matches!(cancelled, Err(ExportError::Cancelled)));
        assert_eq!(shop.partial_files(), 0);
        let progress = shop.run(id).expect("exports");
        assert_eq!(
            progress,
            Progress {
                done: 1,
                total: 1,
                rejected: 0
            }
        );
        assert_eq!(
            shop.run(id).expect("answers"),
            progress,
            "completed is not run again"
        );
    }
}

#[test]
fn progress_is_reported_page_by_page() {
    let rows = table::PAGE_ROWS as u64;
    let shop = Shop::with_products(rows as i64 + 1);
    let id = shop.announce(Model::Product, Format::Json);
    let mut reports = Vec::new();
    let mut report = |progress: Progress| reports.push((progress.done, progress.total));
    export_file(&shop.catalog, &shop.media, id, &mut report, &|| false).expect("exports");
    assert_eq!(
        reports,
        [(0, rows + 1), (rows, rows + 1), (rows + 1, rows + 1)]
    );
}

#[test]
fn an_import_or_an_unknown_number_is_not_an_export() {
    assert!(matches!(Shop::new().run(99), Err(ExportError::Unknown(99))));
}
