//! XML for programs: `<rows model="product"><row><sku>…</sku>…</row>…</rows>`. Amounts are decimals
//! with a point, moments RFC 3339 in UTC; an empty value has no element.

use std::borrow::Cow;
use std::io::Write;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::table::{Column, Row, Value};
use super::{ExportError, Sink};
use crate::catalog::Model;

const ROWS: &str = "rows";
const ROW: &str = "row";

pub(super) struct XmlSink<W: Write> {
    writer: Writer<W>,
    columns: &'static [Column],
}

impl<W: Write> XmlSink<W> {
    pub(super) fn new(
        output: W,
        model: Model,
        columns: &'static [Column],
    ) -> Result<Self, ExportError> {
        let mut writer = Writer::new(output);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let rows = BytesStart::new(ROWS).with_attributes([("model", model.name())]);
        writer.write_event(Event::Start(rows))?;
        Ok(Self { writer, columns })
    }

    fn element(&mut self, name: &str, text: &str) -> Result<(), ExportError> {
        self.writer
            .write_event(Event::Start(BytesStart::new(name)))?;
        self.writer.write_event(Event::Text(BytesText::new(text)))?;
        self.writer.write_event(Event::End(BytesEnd::new(name)))?;
        Ok(())
    }
}

impl<W: Write> Sink for XmlSink<W> {
    fn write(&mut self, rows: Vec<Row>) -> Result<(), ExportError> {
        for row in rows {
            self.writer.get_mut().write_all(b"\n")?;
            self.writer
                .write_event(Event::Start(BytesStart::new(ROW)))?;
            for (column, value) in self.columns.iter().zip(row) {
                match value {
                    Value::Empty => {}
                    Value::Text(text) => self.element(column.name, &allowed(&text))?,
                    Value::Count(count) => self.element(column.name, &count.to_string())?,
                    Value::Money(cents) => {
                        let text = format!("{}.{:02}", cents / 100, cents.abs() % 100);
                        self.element(column.name, &text)?;
                    }
                    Value::Moment(moment) => self.element(column.name, &moment.to_string())?,
                    Value::Movement { incoming } => {
                        self.element(column.name, if incoming { "in" } else { "out" })?;
                    }
                }
            }
            self.writer.write_event(Event::End(BytesEnd::new(ROW)))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        self.writer.get_mut().write_all(b"\n")?;
        self.writer.write_event(Event::End(BytesEnd::new(ROWS)))?;
        let output = self.writer.get_mut();
        output.write_all(b"\n")?;
        Ok(output.flush()?)
    }
}

/// XML 1.0 has no way at all to write most control characters, not even escaped.
fn allowed(text: &str) -> Cow<'_, str> {
    let forbidden = |c: char| {
        (c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r'))
            || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    if text.contains(forbidden) {
        Cow::Owned(text.replace(forbidden, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}
