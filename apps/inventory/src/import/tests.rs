//! The import as a whole, on a real database and real files.

use std::cell::Cell;

use super::*;
use crate::catalog::Model;
use crate::catalog::notifications::NewNotification;

struct Shop {
    catalog: Catalog,
    media: Media,
    _folder: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            catalog: Catalog::open(&folder.path().join("inventory.db")).expect("opens"),
            media: Media::open(&folder.path().join("media")).expect("opens"),
            _folder: folder,
        }
    }

    fn upload(&self, model: Model, text: &[u8]) -> i64 {
        let task_id = uuid::Uuid::new_v4();
        let file = Media::upload_path(task_id);
        std::fs::write(self.media.path(&file), text).expect("written");
        let new = NewNotification {
            task_id: &task_id.to_string(),
            user: "ana",
            kind: Kind::Import,
            model,
            format: None,
            file: Some(&file),
            file_name: None,
        };
        let connection = self.catalog.connect().expect("connects");
        notifications::create(&connection, &new, self.catalog.now()).expect("created")
    }

    fn import(&self, id: i64) -> Result<Progress, ImportError> {
        import_file(&self.catalog, &self.media, id, &mut |_| {}, &|| false)
    }

    fn import_text(&self, model: Model, text: &str) -> (i64, Progress) {
        let id = self.upload(model, text.as_bytes());
        (id, self.import(id).expect("imports"))
    }

    fn number(&self, sql: &str) -> i64 {
        let connection = self.catalog.connect().expect("connects");
        connection
            .query_row(sql, [], |row| row.get(0))
            .expect("one number")
    }

    fn rejected(&self, id: i64) -> Vec<(u64, String, String)> {
        let connection = self.catalog.connect().expect("connects");
        imports::rejections(&connection, id, 0, 100)
            .expect("lists")
            .into_iter()
            .map(|rejection| (rejection.line, rejection.field, rejection.reason))
            .collect()
    }
}

fn catalogue(lines: impl Iterator<Item = u64>) -> String {
    let mut text = "sku;nome;categoria;custo;preço;quantidade\n".to_owned();
    for n in lines {
        text.push_str(&format!(
            "P-{n};Produto {n};Categoria {};1,00;2,00;{n}\n",
            n % 7
        ));
    }
    text
}

#[test]
fn each_line_is_saved_and_its_hooks_run() {
    let shop = Shop::new();
    let (id, progress) = shop.import_text(Model::Product, &catalogue(1..=150));
    assert_eq!(
        progress,
        Progress {
            done: 150,
            total: 150,
            rejected: 0
        }
    );
    assert_eq!(shop.number("SELECT count(*) FROM product"), 150);
    assert_eq!(
        shop.number("SELECT sum(quantity) FROM product"),
        150 * 151 / 2
    );
    assert_eq!(shop.number("SELECT count(*) FROM category"), 7);
    let job = notifications::get(&shop.catalog.connect().expect("connects"), id)
        .expect("reads")
        .expect("exists");
    assert_eq!((job.status, job.record_count), (Status::Completed, 150));
}

#[test]
fn a_bad_line_is_recorded_and_does_not_stop_the_others() {
    let shop = Shop::new();
    let text = "sku;nome;descrição;categoria;custo;preço\r\n\
                A;Um;\"duas\r\nlinhas\";Nova;1;2\r\n\
                \r\n\
                B;;;X;1;abc\r\n\
                A;Outro;;Só desta linha;1;2\r\n\
                C;Três;;Nova;1;2";
    let (id, progress) = shop.import_text(Model::Product, text);
    assert_eq!(
        progress,
        Progress {
            done: 4,
            total: 4,
            rejected: 2
        }
    );
    let expected = [
        (5, "name", "campo obrigatório vazio: nome"),
        (5, "price", "não é um valor em reais"),
        (6, "sku", "SKU repetido: já usado na linha 2 deste arquivo"),
    ];
    assert_eq!(
        shop.rejected(id),
        expected.map(|(line, field, reason)| (line, field.to_owned(), reason.to_owned()))
    );
    assert_eq!(
        shop.number("SELECT count(*) FROM category"),
        1,
        "nothing is left of a refused line"
    );
    assert_eq!(
        shop.number(
            "SELECT description = 'duas' || char(10) || 'linhas' FROM product WHERE sku = 'A'"
        ),
        1
    );
}

#[test]
fn sales_and_movements_change_the_stock_through_the_hook() {
    let shop = Shop::new();
    shop.import_text(Model::Product, &catalogue(10..=10));
    let (_, sales) = shop.import_text(Model::Sale, "sku;qtd\nP-10;4\nP-10;7\nP-99;1\n");
    assert_eq!(sales.rejected, 2);
    shop.import_text(
        Model::StockMovement,
        "sku;tipo;qtd\nP-10;entrada;5\nP-10;saída;1\n",
    );
    assert_eq!(shop.number("SELECT quantity FROM product"), 10 - 4 + 5 - 1);
}

#[test]
fn an_import_that_stops_anywhere_continues_with_the_next_line() {
    let text = catalogue(1..=9)
        .replace("Produto 4", "\"Produto\n4\"")
        .replace("Produto 6", "");
    for bom in ["", "\u{feff}"] {
        let shop = Shop::new();
        let id = shop.upload(Model::Product, format!("{bom}{text}").as_bytes());
        let mut runs = 0;
        loop {
            runs += 1;
            // Each run stops at its second question: after exactly one line.
            let asked = Cell::new(0);
            let stop = || {
                asked.set(asked.get() + 1);
                asked.get() == 2
            };
            match import_file(&shop.catalog, &shop.media, id, &mut |_| {}, &stop) {
                Err(ImportError::Cancelled) => {}
                Ok(progress) => {
                    assert_eq!(
                        progress,
                        Progress {
                            done: 9,
                            total: 9,
                            rejected: 1
                        }
                    );
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(runs, 9);
        assert_eq!(shop.number("SELECT count(*) FROM product"), 8);
        assert_eq!(shop.number("SELECT sum(quantity) FROM product"), 45 - 6);
        // Line 5 is two lines long.
        assert_eq!(shop.rejected(id)[0].0, 8);
    }
}

#[test]
fn two_workers_on_one_import_never_import_a_line_twice() {
    let shop = Shop::new();
    let id = shop.upload(Model::Product, catalogue(1..=50).as_bytes());
    let other = Cell::new(None);
    // In the middle of the first worker's run, another one runs the whole rest.
    let overtake = || {
        if shop.number("SELECT count(*) FROM product") == 20 && other.take().is_none() {
            other.set(Some(shop.import(id).expect("the second worker completes")));
        }
        false
    };
    let first = import_file(&shop.catalog, &shop.media, id, &mut |_| {}, &overtake);
    assert!(matches!(first, Err(ImportError::Overtaken(_))), "{first:?}");
    assert_eq!(
        other.take(),
        Some(Progress {
            done: 50,
            total: 50,
            rejected: 0
        })
    );
    assert_eq!(shop.number("SELECT count(*) FROM product"), 50);
    assert_eq!(shop.number("SELECT count(*) FROM stock_movement"), 50);
}

#[test]
fn a_completed_import_is_not_run_again() {
    let shop = Shop::new();
    let (id, progress) = shop.import_text(Model::Product, &catalogue(1..=3));
    assert_eq!(shop.import(id).expect("answers"), progress);
    assert_eq!(shop.number("SELECT count(*) FROM product"), 3);
}

#[test]
fn a_refused_file_imports_nothing() {
    let shop = Shop::new();
    for text in [
        b"".as_slice(),
        b"a;b\n1;2\n",
        b"sku;nome;categoria;custo;preco\nA;\xe7;C;1;2\n",
    ] {
        let id = shop.upload(Model::Product, text);
        let error = shop.import(id).expect_err("refused");
        assert!(
            matches!(error, ImportError::File(_)) && !error.is_temporary(),
            "{error}"
        );
    }
    assert_eq!(shop.number("SELECT count(*) FROM product"), 0);
}

#[test]
fn progress_is_reported_as_it_is_committed() {
    let shop = Shop::new();
    let id = shop.upload(Model::Product, catalogue(1..=250).as_bytes());
    let mut reports = Vec::new();
    import_file(
        &shop.catalog,
        &shop.media,
        id,
        &mut |progress| reports.push(progress.done),
        &|| false,
    )
    .expect("imports");
    assert_eq!(reports, [0, 100, 200, 250]);
}

#[test]
fn an_export_or_an_unknown_number_is_not_an_import() {
    let shop = Shop::new();
    assert!(matches!(shop.import(99), Err(ImportError::Unknown(99))));
}

#[test]
fn every_bad_line_of_the_sample_is_rejected_for_its_own_reason() {
    let shop = Shop::new();
    let mut text = Vec::new();
    let bad = crate::sample::write_catalogue(&mut text, 1_000, 1).expect("written to memory");
    let id = shop.upload(Model::Product, &text);
    let progress = shop.import(id).expect("imports");
    assert_eq!(
        progress,
        Progress {
            done: 1_000,
            total: 1_000,
            rejected: bad.len() as u64
        }
    );
    let rejected = shop.rejected(id);
    assert_eq!(
        rejected.len(),
        bad.len(),
        "one rejection a line: {rejected:?}"
    );
    for ((line, field, reason), expected) in rejected.iter().zip(&bad) {
        assert_eq!(
            (line, field.as_str()),
            (&expected.line, expected.field),
            "{reason}"
        );
        assert!(reason.contains(expected.reason), "line {line}: {reason}");
    }
}
