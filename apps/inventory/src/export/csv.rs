//! CSV for people with a spreadsheet: UTF-8 with a byte-order mark, `;` between columns, a comma in
//! amounts, Brasília time. What it writes, an import reads.

use std::io::Write;

use super::table::{Column, Row, Value};
use super::{ExportError, Sink};
use crate::locale::{format_moment, format_money};

pub(super) struct CsvSink<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> CsvSink<W> {
    pub(super) fn new(mut output: W, columns: &[Column]) -> Result<Self, ExportError> {
        output.write_all("\u{feff}".as_bytes())?;
        let mut writer = csv::WriterBuilder::new()
            .delimiter(b';')
            .terminator(csv::Terminator::CRLF)
            .from_writer(output);
        writer
            .write_record(columns.iter().map(|column| column.title))
            .map_err(io_error)?;
        Ok(Self { writer })
    }
}

impl<W: Write> Sink for CsvSink<W> {
    fn write(&mut self, rows: Vec<Row>) -> Result<(), ExportError> {
        for row in rows {
            self.writer
                .write_record(row.into_iter().map(spell))
                .map_err(io_error)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        Ok(self.writer.flush()?)
    }
}

fn spell(value: Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::Text(text) => guarded(text),
        Value::Count(count) => count.to_string(),
        Value::Money(cents) => format_money(cents),
        Value::Moment(moment) => format_moment(moment),
        Value::Movement { incoming } => if incoming { "entrada" } else { "saída" }.to_owned(),
    }
}

/// A spreadsheet runs a text that begins like a formula; an apostrophe before it keeps it a text.
fn guarded(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text
    }
}

fn io_error(error: csv::Error) -> ExportError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => std::io::Error::other(format!("{other:?}")).into(),
    }
}
