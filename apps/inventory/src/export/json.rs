//! JSON for programs: one array of objects, a row a line. Amounts are numbers in reais, moments RFC
//! 3339 in UTC.

use std::io::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::table::{Column, Row, Value};
use super::{ExportError, Sink};

pub(super) struct JsonSink<W: Write> {
    output: W,
    columns: &'static [Column],
    first: bool,
}

impl<W: Write> JsonSink<W> {
    pub(super) fn new(mut output: W, columns: &'static [Column]) -> Result<Self, ExportError> {
        output.write_all(b"[")?;
        Ok(Self {
            output,
            columns,
            first: true,
        })
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn write(&mut self, rows: Vec<Row>) -> Result<(), ExportError> {
        for row in &rows {
            self.output
                .write_all(if self.first { b"\n" } else { b",\n" })?;
            self.first = false;
            serde_json::to_writer(
                &mut self.output,
                &Object {
                    columns: self.columns,
                    row,
                },
            )
            .map_err(std::io::Error::from)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        self.output.write_all(b"\n]\n")?;
        Ok(self.output.flush()?)
    }
}

struct Object<'a> {
    columns: &'static [Column],
    row: &'a Row,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.row.len()))?;
        for (column, value) in self.columns.iter().zip(self.row) {
            match value {
                Value::Empty => map.serialize_entry(column.name, &())?,
                Value::Text(text) => map.serialize_entry(column.name, text)?,
                Value::Count(count) => map.serialize_entry(column.name, count)?,
                // Exact: a double's shortest spelling is the amount as long as cents fit 15 digits.
                Value::Money(cents) => {
                    map.serialize_entry(column.name, &(*cents as f64 / 100.0))?;
                }
                Value::Moment(moment) => {
                    map.serialize_entry(column.name, &format_args!("{moment}"))?;
                }
                Value::Movement { incoming } => {
                    map.serialize_entry(column.name, if *incoming { "in" } else { "out" })?;
                }
            }
        }
        map.end()
    }
}
