//! A catalogue to try the program with, as a hardware shop might have it, with lines that are bad
//! in 25 different ways.
//!
//! The same size and seed always give the same file.

use std::io::{self, Write};

use fastrand::Rng;

/// How many ways there are for a line to be bad; a catalogue of at least four times as many lines
/// has each of them once.
pub const BAD_KINDS: u64 = KINDS.len() as u64;

/// A line that an import has to reject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number in the file, from 1; the header is line 1.
    pub line: u64,
    /// The field that the rejection must name.
    pub field: &'static str,
    /// A part of the reason that it must give.
    pub reason: &'static str,
}

/// How many bad lines a catalogue of so many lines has: one of each kind, but never more than a
/// quarter.
pub fn bad_lines(rows: u64) -> u64 {
    BAD_KINDS.min(rows / 4)
}

/// Writes a catalogue of `rows` lines below the header, and returns the bad ones among them.
///
/// # Errors
/// When `output` cannot be written.
pub fn write_catalogue(output: impl Write, rows: u64, seed: u64) -> io::Result<Vec<BadLine>> {
    let mut rng = Rng::with_seed(seed);
    let mut bad_rows = bad_rows(&mut rng, rows);
    let mut writer = csv::WriterBuilder::new()
        .delimiter(b';')
        // Two kinds have another number of columns.
        .flexible(true)
        .from_writer(output);
    writer.write_record(HEADER)?;

    let mut bad = Vec::with_capacity(bad_rows.len());
    let mut line = 2;
    let mut first_sku = String::new();
    for row in 0..rows {
        let mut values = good_line(&mut rng, row);
        if row == 0 {
            values[SKU].clone_into(&mut first_sku);
        }
        if bad_rows.last() == Some(&row) {
            bad_rows.pop();
            let kind = &KINDS[bad.len()];
            kind.spoil(&mut values, &first_sku);
            bad.push(BadLine {
                line,
                field: kind.field,
                reason: kind.reason,
            });
        }
        writer.write_record(&values)?;
        let breaks: usize = values.iter().map(|value| value.matches('\n').count()).sum();
        line += 1 + breaks as u64;
    }
    writer.flush()?;
    Ok(bad)
}

/// Which rows are bad, the first one last. Row 0 never is: a repeated SKU needs one that was there
/// before.
fn bad_rows(rng: &mut Rng, rows: u64) -> Vec<u64> {
    let count = bad_lines(rows);
    let mut bad: Vec<u64> = (0..count)
        .map(|index| {
            // One in each stretch, so that they are spread over the file and never meet.
            let stretch = rows / count;
            (index * stretch + rng.u64(1..stretch)).min(rows - 1)
        })
        .collect();
    bad.reverse();
    bad
}

const HEADER: [&str; 8] = [
    "SKU",
    "Nome",
    "Descrição",
    "Categoria",
    "Marca",
    "Preço de custo",
    "Preço de venda",
    "Quantidade",
];
const SKU: usize = 0;
const NAME: usize = 1;
const CATEGORY: usize = 3;
const COST: usize = 5;
const PRICE: usize = 6;
const QUANTITY: usize = 7;

const CATEGORIES: [(&str, [&str; 4]); 8] = [
    (
        "Ferragens",
        [
            "Parafuso sextavado",
            "Prego com cabeça",
            "Dobradiça",
            "Porca",
        ],
    ),
    (
        "Elétrica",
        ["Disjuntor", "Tomada dupla", "Lâmpada LED", "Fio flexível"],
    ),
    (
        "Hidráulica",
        [
            "Registro de pressão",
            "Joelho 90°",
            "Sifão sanfonado",
            "Torneira",
        ],
    ),
    (
        "Pintura",
        ["Tinta acrílica", "Rolo de lã", "Massa corrida", "Pincel"],
    ),
    (
        "Ferramentas",
        ["Furadeira", "Chave inglesa", "Martelo", "Alicate"],
    ),
    (
        "Iluminação",
        ["Luminária", "Refletor", "Arandela", "Plafon"],
    ),
    (
        "Jardinagem",
        ["Mangueira", "Tesoura de poda", "Vaso", "Adubo"],
    ),
    (
        "Segurança",
        [
            "Luva",
            "Óculos de proteção",
            "Capacete",
            "Protetor auricular",
        ],
    ),
];
const BRANDS: [&str; 10] = [
    "Aço Forte",
    "Boa Obra",
    "Construmax",
    "Dureza",
    "Elo & Cia",
    "Ferrão",
    "Gaivota",
    "Horizonte",
    "Ipê",
    "Jatobá",
];

fn good_line(rng: &mut Rng, row: u64) -> Vec<String> {
    let (category, names) = CATEGORIES[rng.usize(..CATEGORIES.len())];
    let name = names[rng.usize(..names.len())];
    let brand = BRANDS[rng.usize(..BRANDS.len())];
    let cost_cents = rng.u64(50..50_000);
    let price_cents = cost_cents + cost_cents * rng.u64(10..120) / 100;
    let description = match row % 500 {
        0 => format!("{name}; uso geral\nEmbalagem com \"etiqueta\""),
        n if n.is_multiple_of(3) => String::new(),
        _ => format!("{name} da linha {}", rng.u32(100..1_000)),
    };
    let money = |cents: u64| crate::locale::format_money(cents.cast_signed());
    vec![
        format!("{}-{:07}", &sku_prefix(category), row + 1),
        format!("{name} {}", rng.u32(1..400)),
        description,
        category.to_owned(),
        if row.is_multiple_of(11) {
            String::new()
        } else {
            brand.to_owned()
        },
        money(cost_cents),
        money(price_cents),
        rng.u32(0..2_000).to_string(),
    ]
}

/// Three letters of the category, without accents.
fn sku_prefix(category: &str) -> String {
    category
        .chars()
        .filter(char::is_ascii_alphabetic)
        .take(3)
        .collect::<String>()
        .to_ascii_uppercase()
}

/// One way for a line to be bad.
struct BadKind {
    spoil: Spoil,
    /// The field that the rejection must name.
    field: &'static str,
    /// A part of the reason that it must give.
    reason: &'static str,
}

/// What is done to a good line.
enum Spoil {
    /// This text in this column.
    Set(usize, &'static str),
    /// This text in this column, so many times.
    Repeat(usize, &'static str, usize),
    /// The SKU of the first line.
    TakeFirstSku,
    /// Only so many columns.
    Cut(usize),
    /// One column more.
    Add(&'static str),
}

impl BadKind {
    fn spoil(&self, line: &mut Vec<String>, first_sku: &str) {
        match self.spoil {
            Spoil::Set(column, text) => text.clone_into(&mut line[column]),
            Spoil::Repeat(column, text, times) => line[column] = text.repeat(times),
            Spoil::TakeFirstSku => first_sku.clone_into(&mut line[SKU]),
            Spoil::Cut(columns) => line.truncate(columns),
            Spoil::Add(text) => line.push(text.to_owned()),
        }
    }
}

const fn bad(spoil: Spoil, field: &'static str, reason: &'static str) -> BadKind {
    BadKind {
        spoil,
        field,
        reason,
    }
}

const KINDS: [BadKind; 25] = {
    use Spoil::{Add, Cut, Repeat, Set, TakeFirstSku};
    [
        bad(Set(SKU, ""), "sku", "obrigatório"),
        bad(Set(SKU, "PÇ 12"), "sku", "use só letras"),
        bad(Repeat(SKU, "X", 41), "sku", "mais de 40"),
        bad(Set(SKU, "7,89123E+12"), "sku", "notação científica"),
        bad(TakeFirstSku, "sku", "repetido"),
        bad(Set(NAME, "  "), "name", "obrigatório"),
        bad(Repeat(NAME, "muito ", 30), "name", "mais de 120"),
        bad(Set(NAME, "#N/D"), "name", "erro de fórmula"),
        bad(
            Set(NAME, "Pe\u{fffd}a de reposi\u{fffd}o"),
            "name",
            "acentos foram perdidos",
        ),
        bad(
            Set(NAME, "PeÃ§a de reposiÃ§Ã£o"),
            "name",
            "convertidos duas vezes",
        ),
        bad(Set(NAME, "Broca\u{1b}[31m"), "name", "controle"),
        bad(Set(CATEGORY, ""), "category", "obrigatório"),
        bad(Set(COST, "a combinar"), "cost_price", "não é um valor"),
        bad(Set(COST, "-3,50"), "cost_price", "negativo"),
        bad(Set(PRICE, ""), "price", "obrigatório"),
        bad(Set(PRICE, "0,00"), "price", "maior que zero"),
        bad(Set(PRICE, "1.234"), "price", "ambíguo"),
        bad(Set(PRICE, "19,999"), "price", "duas casas"),
        bad(Set(PRICE, "US$ 10"), "price", "moeda estrangeira"),
        bad(Set(PRICE, "1,234.56"), "price", "separadores trocados"),
        bad(Set(PRICE, "9.999.999,00"), "price", "acima do máximo"),
        bad(Set(QUANTITY, "2,5"), "quantity", "tem de ser um número"),
        bad(Set(QUANTITY, "-4"), "quantity", "negativo"),
        bad(Cut(3), "linha", "colunas a menos"),
        bad(Add("sobra"), "linha", "colunas a mais"),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(rows: u64, seed: u64) -> (String, Vec<BadLine>) {
        let mut text = Vec::new();
        let bad = write_catalogue(&mut text, rows, seed).expect("written to memory");
        (String::from_utf8(text).expect("UTF-8"), bad)
    }

    #[test]
    fn the_same_seed_gives_the_same_file() {
        assert_eq!(catalogue(1_000, 7), catalogue(1_000, 7));
        assert_ne!(catalogue(1_000, 7).0, catalogue(1_000, 8).0);
    }

    #[test]
    fn there_are_as_many_bad_lines_as_promised() {
        for (rows, expected) in [(0, 0), (3, 0), (4, 1), (99, 24), (100, 25), (20_000, 25)] {
            let (_, bad) = catalogue(rows, 1);
            assert_eq!(bad.len() as u64, expected, "{rows} rows");
            assert!(bad.is_sorted_by(|a, b| a.line < b.line), "{rows} rows");
        }
    }
}
