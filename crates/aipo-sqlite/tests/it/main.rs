//! Tests of the store through its contracts.

mod conformance;
