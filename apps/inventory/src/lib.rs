//! A small inventory system: long imports and exports as background jobs.
//!
//! | module | answers |
//! |---|---|
//! | [`jobs`] | how does a job start? |
//! | [`tasks`] | what does a worker run? |
//! | [`catalog`] | what is stored, and what happens when a row is saved? |
//! | [`import`] | how does a CSV file become rows, each line exactly once? |
//! | [`export`] | how do rows become a file, in bounded memory? |
//! | [`mend`] | what follows when a process dies between two stores? |
//! | [`metrics`] | what does the dashboard show? |
//! | [`sample`] | what can the program be tried with? |
//! | [`media`] | where do files stand? |
//! | [`locale`] | how are amounts and dates written in Brazil? |
//! | [`api`], [`cli`] | how is the program used? |

pub mod api;
pub mod catalog;
pub mod cli;
pub mod export;
pub mod import;
pub mod jobs;
pub mod locale;
pub mod media;
pub mod mend;
pub mod metrics;
pub mod sample;
pub mod tasks;
