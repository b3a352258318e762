//! allswell proves data right, and says so when the proof does not come.
//!
//! The tree is the architecture: a module names only modules of lower floors (ARCHITECTURE.md has
//! the picture, `tests/it/tidy.rs` the rule).

pub mod domain;

pub mod board;
pub mod bounded;
pub mod clock;
pub mod dial;
pub mod dsn;
pub mod http;
pub mod secret;
pub mod zones;

pub mod alertmanager;
pub mod heartbeat;
pub mod ledger;
pub mod manifest;
pub mod source;
pub mod webhook;

pub mod engine;

pub mod notify;
pub mod web;

pub mod settings;

pub mod import;

pub mod daemon;

pub mod cli;
