//! Cases for [`ResultBackend`](aipo_core::store::ResultBackend).

pub mod expiry;
pub mod store;
pub mod wait;
