//! Cases for [`StateStore`](aipo_core::store::StateStore).

pub mod claims;
pub mod facts;
pub mod logs;
