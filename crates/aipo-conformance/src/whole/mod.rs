//! Cases that use a whole store at once: random play against a model, and work through faults.

pub mod faults;
pub mod model;
