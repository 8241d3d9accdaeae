//! PDF for people: a typeset table with the header repeated and the pages numbered.
//!
//! Typst lays a document out as a whole, in memory, at about 0.1 MB a row. So a table is typeset in
//! pieces of one page of rows each, with page numbers that continue, and the pieces are joined into
//! one file as they are made. Memory stays that of one piece, whatever the length of the table.
//! Only the last page of a piece may be shorter than its sheet.

mod join;
mod typeset;

use std::io::Write;

use super::table::{Column, Kind, Row, Value};
use super::{ExportError, Sink};
use crate::locale::{format_count, format_moment, format_money};
use join::Join;
use typeset::{Data, DataColumn, typeset};

pub(super) struct PdfSink<W: Write> {
    join: Join<W>,
    title: &'static str,
    generated: String,
    shown: Vec<bool>,
    columns: Vec<DataColumn>,
    /// The piece not yet typeset: only when the next one arrives is it known not to be the last.
    held: Vec<Row>,
    next_page: usize,
    rows: u64,
}

impl<W: Write> PdfSink<W> {
    pub(super) fn new(
        output: W,
        title: &'static str,
        generated: String,
        columns: &'static [Column],
    ) -> Result<Self, ExportError> {
        let in_pdf = columns.iter().filter(|column| column.width > 0);
        Ok(Self {
            join: Join::new(output)?,
            title,
            generated,
            shown: columns.iter().map(|column| column.width > 0).collect(),
            columns: in_pdf
                .map(|column| DataColumn {
                    title: column.title,
                    width: column.width,
                    numeric: matches!(column.kind, Kind::Count | Kind::Money),
                })
                .collect(),
            held: Vec::new(),
            next_page: 1,
            rows: 0,
        })
    }

    fn typeset_held(&mut self, total: Option<String>) -> Result<(), ExportError> {
        let rows = std::mem::take(&mut self.held);
        self.rows += rows.len() as u64;
        let spell_shown = |row: Row| {
            row.into_iter()
                .zip(&self.shown)
                .filter(|(_, shown)| **shown)
                .map(|(value, _)| spell(value))
                .collect()
        };
        let piece = typeset(&Data {
            title: self.title,
            generated: &self.generated,
            first_page: self.next_page,
            columns: &self.columns,
            rows: rows.into_iter().map(spell_shown).collect(),
            total,
        })?;
        self.next_page += piece.pages;
        self.join.append(&piece.pdf)
    }
}

impl<W: Write> Sink for PdfSink<W> {
    fn write(&mut self, rows: Vec<Row>) -> Result<(), ExportError> {
        if !self.held.is_empty() {
            self.typeset_held(None)?;
        }
        self.held = rows;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        let total = self.rows + self.held.len() as u64;
        let noun = if total == 1 { "registro" } else { "registros" };
        self.typeset_held(Some(format!("Total: {} {noun}", format_count(total))))?;
        self.join.finish(self.title)?;
        Ok(())
    }
}

fn spell(value: Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::Text(text) => text,
        Value::Count(count) => format_count(count.unsigned_abs()),
        Value::Money(cents) => format!("R$\u{a0}{}", format_money(cents)),
        Value::Moment(moment) => format_moment(moment),
        Value::Movement { incoming } => if incoming { "entrada" } else { "saída" }.to_owned(),
    }
}
