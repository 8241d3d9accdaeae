//! Cases for [`Broker`](aipo_core::store::Broker) and [`Consumer`](aipo_core::store::Consumer).

pub mod admin;
pub mod claim;
pub mod count;
pub mod dead;
pub mod fetch;
pub mod lease;
pub mod park;
pub mod priority;
pub mod publish;
pub mod queues;
pub mod race;
pub mod revoked;
pub mod settle;
pub mod wait;
