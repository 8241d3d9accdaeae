//! Turns one line into a row of its model, or says everything that is wrong with it.
//!
//! Pure: it looks at nothing but the line. What contradicts the stored data (a taken SKU, a stock
//! that does not suffice) is found when the row is saved.

use jiff::{SignedDuration, Timestamp};

use super::fields::{self, Column, Field};
use crate::catalog::{
    MAX_QUANTITY, Model, MovementKind, NewMovement, NewNamed, NewProduct, NewSale, Refusal,
};
use crate::locale::{parse_count, parse_moment, parse_money};

/// The field of a rejection that concerns the line as a whole.
pub const LINE: &str = "linha";

const MAX_SKU_CHARS: usize = 40;
const MAX_NAME_CHARS: usize = 120;
const MAX_TEXT_CHARS: usize = 2_000;

/// What spreadsheets put into a cell whose formula failed, in Portuguese and in English.
const FORMULA_ERRORS: [&str; 9] = [
    "#N/D", "#N/A", "#REF!", "#VALOR!", "#VALUE!", "#DIV/0!", "#NOME?", "#NAME?", "#NULO!",
];

/// A row ready to be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NewRow {
    Product(NewProduct),
    Category(NewNamed),
    Brand(NewNamed),
    Sale(NewSale),
    StockMovement(NewMovement),
}

/// Reads the values of one line for `model`; `now` bounds dates.
pub(super) fn read(
    model: Model,
    columns: &[Column],
    values: &[&str],
    now: Timestamp,
) -> Result<NewRow, Vec<Refusal>> {
    let mut line = Line::new(columns, values, now)?;
    let row = match model {
        Model::Product => line.product().map(NewRow::Product),
        Model::Category => line.named().map(NewRow::Category),
        Model::Brand => line.named().map(NewRow::Brand),
        Model::Sale => line.sale().map(NewRow::Sale),
        Model::StockMovement => line.movement().map(NewRow::StockMovement),
    };
    match row {
        Some(row) if line.refusals.is_empty() => Ok(row),
        _ => Err(line.refusals),
    }
}

/// A line being read. A method that finds a fault records it and answers `None`, so that one pass
/// finds them all.
struct Line<'a> {
    columns: &'a [Column],
    fields: &'static [Field],
    values: &'a [&'a str],
    now: Timestamp,
    refusals: Vec<Refusal>,
}

impl<'a> Line<'a> {
    fn new(
        columns: &'a [Column],
        values: &'a [&'a str],
        now: Timestamp,
    ) -> Result<Self, Vec<Refusal>> {
        let surplus = values.get(columns.len()..).unwrap_or_default();
        let misplaced = surplus.iter().any(|value| !value.trim().is_empty());
        if values.len() < columns.len() || misplaced {
            let reason = if misplaced {
                "colunas a mais"
            } else {
                "colunas a menos"
            };
            let reason = format!(
                "{reason}: {} em vez de {}; talvez falte pôr um texto entre aspas",
                values.len(),
                columns.len()
            );
            return Err(vec![Refusal::new(LINE, values.join(" | "), reason)]);
        }
        Ok(Self {
            columns,
            fields: &[],
            values,
            now,
            refusals: Vec::new(),
        })
    }

    fn product(&mut self) -> Option<NewProduct> {
        self.fields = fields::of(Model::Product);
        let sku = self.sku();
        let name = self.name(&fields::NAME);
        let description = self.free_text(&fields::DESCRIPTION);
        let category = self.name(&fields::CATEGORY);
        let brand = self.optional_name(&fields::BRAND);
        let cost_cents = self.money(&fields::COST_PRICE);
        let price_cents = self.money(&fields::PRICE);
        if price_cents == Some(0) {
            self.refuse(&fields::PRICE, "o preço de venda tem de ser maior que zero");
        }
        let quantity = match self.given(&fields::STOCK) {
            Some(_) => self.count(&fields::STOCK),
            None => Some(0),
        };
        Some(NewProduct {
            sku: sku?,
            name: name?,
            description: description?,
            category: category?,
            brand: brand?,
            cost_cents: cost_cents?,
            price_cents: price_cents?,
            quantity: quantity?,
        })
    }

    fn named(&mut self) -> Option<NewNamed> {
        // Categories and brands have the same fields.
        self.fields = fields::of(Model::Category);
        let name = self.name(&fields::NAME);
        let description = self.free_text(&fields::DESCRIPTION);
        Some(NewNamed {
            name: name?,
            description: description?,
        })
    }

    fn sale(&mut self) -> Option<NewSale> {
        self.fields = fields::of(Model::Sale);
        let sku = self.sku();
        let quantity = self.positive_count(&fields::QUANTITY);
        let unit_price_cents = match self.given(&fields::UNIT_PRICE) {
            Some(_) => self.money(&fields::UNIT_PRICE).map(Some),
            None => Some(None),
        };
        let sold_at = self.moment(&fields::SOLD_AT);
        Some(NewSale {
            sku: sku?,
            quantity: quantity?,
            unit_price_cents: unit_price_cents?,
            sold_at: sold_at?,
        })
    }

    fn movement(&mut self) -> Option<NewMovement> {
        self.fields = fields::of(Model::StockMovement);
        let sku = self.sku();
        let kind = self.movement_kind();
        let quantity = self.positive_count(&fields::QUANTITY);
        let note = self.free_text(&fields::NOTE);
        let moved_at = self.moment(&fields::MOVED_AT);
        Some(NewMovement {
            sku: sku?,
            kind: kind?,
            quantity: quantity?,
            note: note?,
            moved_at: moved_at?,
        })
    }

    /// The value of a field, without blanks around it, or `None` when it is empty or has no column.
    fn given(&self, field: &Field) -> Option<&'a str> {
        let index = self
            .fields
            .iter()
            .position(|known| known.name == field.name)?;
        let column = self
            .columns
            .iter()
            .position(|column| *column == Column::Field(index))?;
        let value = self.values.get(column)?.trim();
        (!value.is_empty()).then_some(value)
    }

    fn refuse(&mut self, field: &Field, reason: impl Into<String>) {
        let value = self.given(field).unwrap_or_default();
        self.refusals.push(Refusal::new(field.name, value, reason));
    }

    /// A field that must have a value.
    fn required(&mut self, field: &Field) -> Option<&'a str> {
        let value = self.given(field);
        if value.is_none() {
            self.refuse(field, format!("campo obrigatório vazio: {}", field.title));
        }
        value
    }

    fn sku(&mut self) -> Option<String> {
        let value = self.required(&fields::SKU)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '/');
        let scientific = value
            .split_once(['E', 'e'])
            .is_some_and(|(number, power)| number.contains(',') && power.starts_with('+'));
        if scientific {
            self.refuse(
                &fields::SKU,
                "código em notação científica: formate a coluna como texto na planilha",
            );
        } else if let Some(problem) = text_problem(value, MAX_SKU_CHARS) {
            self.refuse(&fields::SKU, problem);
        } else if !value.chars().all(plain) {
            self.refuse(
                &fields::SKU,
                "use só letras sem acento, algarismos e os sinais - . _ /",
            );
        } else {
            return Some(value.to_ascii_uppercase());
        }
        None
    }

    /// A name: one line of text. Blanks in a row, line breaks among them, become one space.
    fn name(&mut self, field: &Field) -> Option<String> {
        let value = self.required(field)?;
        let name = unguarded(value)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        self.checked(field, name, MAX_NAME_CHARS)
    }

    fn optional_name(&mut self, field: &Field) -> Option<Option<String>> {
        match self.given(field) {
            Some(_) => self.name(field).map(Some),
            None => Some(None),
        }
    }

    /// Text that may have several lines, or be empty.
    fn free_text(&mut self, field: &Field) -> Option<String> {
        let text = unguarded(self.given(field).unwrap_or_default()).replace("\r\n", "\n");
        self.checked(field, text, MAX_TEXT_CHARS)
    }

    fn checked(&mut self, field: &Field, text: String, max_chars: usize) -> Option<String> {
        match text_problem(&text, max_chars) {
            Some(problem) => {
                self.refuse(field, problem);
                None
            }
            None => Some(text),
        }
    }

    fn money(&mut self, field: &Field) -> Option<i64> {
        let value = self.required(field)?;
        parse_money(value)
            .map_err(|reason| self.refuse(field, reason))
            .ok()
    }

    fn count(&mut self, field: &Field) -> Option<i64> {
        let value = self.required(field)?;
        parse_count(value, MAX_QUANTITY)
            .map_err(|reason| self.refuse(field, reason))
            .ok()
    }

    fn positive_count(&mut self, field: &Field) -> Option<i64> {
        let count = self.count(field)?;
        if count == 0 {
            self.refuse(field, "a quantidade tem de ser maior que zero");
            return None;
        }
        Some(count)
    }

    fn moment(&mut self, field: &Field) -> Option<Option<Timestamp>> {
        let Some(value) = self.given(field) else {
            return Some(None);
        };
        let moment = parse_moment(value)
            .map_err(|reason| self.refuse(field, reason))
            .ok()?;
        // A day of tolerance for clocks and time zones.
        if moment > self.now + SignedDuration::from_hours(24) {
            self.refuse(field, "a data está no futuro");
            return None;
        }
        Some(Some(moment))
    }

    fn movement_kind(&mut self) -> Option<MovementKind> {
        let value = self.required(&fields::KIND)?;
        match value.to_lowercase().as_str() {
            "entrada" | "in" | "e" => Some(MovementKind::In),
            "saída" | "saida" | "out" | "s" => Some(MovementKind::Out),
            _ => {
                self.refuse(&fields::KIND, "use «entrada» ou «saída»");
                None
            }
        }
    }
}

/// A text without the apostrophe by which this program's exports keep a spreadsheet from taking it
/// for a formula.
fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => text,
    }
}

/// What is wrong with a text, if anything.
fn text_problem(text: &str, max_chars: usize) -> Option<String> {
    if text.chars().count() > max_chars {
        return Some(format!("mais de {max_chars} caracteres"));
    }
    if FORMULA_ERRORS.contains(&text.to_uppercase().as_str()) {
        return Some("erro de fórmula da planilha em vez de um texto".to_owned());
    }
    if text.contains('\u{fffd}') {
        return Some(
            "texto corrompido: o sinal \u{fffd} mostra que acentos foram perdidos".to_owned(),
        );
    }
    if looks_doubly_encoded(text) {
        return Some("texto corrompido: acentos convertidos duas vezes".to_owned());
    }
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
    {
        return Some("contém um caractere de controle".to_owned());
    }
    None
}

/// UTF-8 that was taken for Windows-1252 and encoded again: `ção` reads `Ã§Ã£o`. In no word does
/// Ã or Â stand before such a sign.
fn looks_doubly_encoded(text: &str) -> bool {
    text.chars()
        .zip(text.chars().skip(1))
        .any(|(first, second)| matches!(first, 'Ã' | 'Â') && matches!(second, '\u{a1}'..='\u{bf}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-02-01T12:00:00Z".parse().expect("a valid moment")
    }

    fn line(model: Model, header: &str, values: &str) -> Result<NewRow, Vec<Refusal>> {
        let columns: Vec<Column> = header
            .split(';')
            .map(|name| fields::recognise(model, name))
            .collect();
        let values: Vec<&str> = values.split(';').collect();
        read(model, &columns, &values, now())
    }

    const PRODUCT: &str = "sku;nome;descrição;categoria;marca;custo;preço;quantidade";

    #[test]
    fn a_product_is_read_with_its_optional_fields_empty() {
        let row = line(
            Model::Product,
            PRODUCT,
            " prego-1 ;Prego  18x27;;Ferragens;;0,10;R$ 0,25;",
        );
        let expected = NewProduct {
            sku: "PREGO-1".to_owned(),
            name: "Prego 18x27".to_owned(),
            description: String::new(),
            category: "Ferragens".to_owned(),
            brand: None,
            cost_cents: 10,
            price_cents: 25,
            quantity: 0,
        };
        assert_eq!(row, Ok(NewRow::Product(expected)));
    }

    #[test]
    fn the_order_of_the_columns_does_not_matter() {
        let row = line(Model::Category, "descrição;nome", "de ferro;Ferragens");
        let expected = NewNamed {
            name: "Ferragens".to_owned(),
            description: "de ferro".to_owned(),
        };
        assert_eq!(row, Ok(NewRow::Category(expected)));
    }

    #[test]
    fn every_fault_of_a_line_is_found_at_once() {
        let refusals = line(Model::Product, PRODUCT, "a b;;x;;;dez;0;-1").expect_err("refused");
        let fields: Vec<_> = refusals.iter().map(|refusal| refusal.field).collect();
        assert_eq!(
            fields,
            ["sku", "name", "category", "cost_price", "price", "quantity"]
        );
    }

    #[test]
    fn a_line_with_another_number_of_columns_is_refused_as_a_whole() {
        for (values, part) in [
            ("A;B", "colunas a menos: 2 em vez de 8"),
            ("A;B;;C;;1;2;3;4", "colunas a mais: 9 em vez de 8"),
        ] {
            let refusals = line(Model::Product, PRODUCT, values).expect_err("refused");
            assert_eq!(refusals[0].field, LINE);
            assert!(refusals[0].reason.contains(part), "{}", refusals[0]);
        }
    }

    #[test]
    fn empty_columns_at_the_right_are_no_fault() {
        assert!(line(Model::Product, PRODUCT, "A;B;;C;;1;2;3;;").is_ok());
    }

    #[test]
    fn spoilt_texts_are_refused_with_the_reason() {
        for (name, part) in [
            ("#N/D", "fórmula"),
            ("Pe\u{fffd}a", "acentos foram perdidos"),
            ("PeÃ§a", "duas vezes"),
            ("Peça\u{7}", "controle"),
            (&"x".repeat(121), "mais de 120"),
        ] {
            let refusals =
                line(Model::Product, PRODUCT, &format!("A;{name};;C;;1;2;3")).expect_err(part);
            assert!(refusals[0].reason.contains(part), "{}", refusals[0]);
        }
        assert!(line(Model::Product, PRODUCT, "A;NÃO É À TOA;;C;;1;2;3").is_ok());
    }

    #[test]
    fn an_sku_that_a_spreadsheet_spoilt_is_refused() {
        let refusals = line(Model::Product, PRODUCT, "7,89E+12;B;;C;;1;2;3").expect_err("refused");
        assert!(refusals[0].reason.contains("notação científica"));
    }

    #[test]
    fn sales_and_movements_are_read() {
        let sale = line(Model::Sale, "sku;qtd;data", "a;2;31/01/2026 10:00");
        assert!(matches!(
            sale,
            Ok(NewRow::Sale(NewSale {
                quantity: 2,
                sold_at: Some(_),
                ..
            }))
        ));
        let movement = line(Model::StockMovement, "sku;tipo;quantidade", "a;Saída;3");
        assert!(matches!(
            movement,
            Ok(NewRow::StockMovement(NewMovement {
                kind: MovementKind::Out,
                quantity: 3,
                ..
            }))
        ));
    }

    #[test]
    fn wrong_sales_and_movements_are_refused_with_the_reason() {
        for (model, header, values, part) in [
            (Model::Sale, "sku;qtd", "a;0", "maior que zero"),
            (Model::Sale, "sku;qtd;data", "a;1;31/12/2999", "futuro"),
            (
                Model::StockMovement,
                "sku;tipo;qtd",
                "a;troca;1",
                "«entrada» ou «saída»",
            ),
            (
                Model::StockMovement,
                "sku;tipo;qtd",
                "a;;1",
                "obrigatório vazio: tipo",
            ),
        ] {
            let refusals = line(model, header, values).expect_err(part);
            assert!(refusals[0].reason.contains(part), "{}", refusals[0]);
        }
    }

    #[test]
    fn the_guard_against_formulas_is_taken_off_again() {
        let row = line(Model::Category, "nome;descrição", "'=SOMA;'normal").expect("read");
        let expected = NewNamed {
            name: "=SOMA".to_owned(),
            description: "'normal".to_owned(),
        };
        assert_eq!(row, NewRow::Category(expected));
    }
}
