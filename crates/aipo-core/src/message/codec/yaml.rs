//! YAML as PyYAML's safe loader and dumper have it, which kombu uses: YAML 1.1, where `yes` is true and
//! `2026-01-02` a date. Tags for Python objects are refused.
//!
//! It is written as JSON that is YAML 1.1 as well; there is no need for another layout.

mod read;
mod scalar;
mod write;

pub(super) use read::to_json;
pub(super) use write::of_json;
