//! What the product promises, proved on real files and real servers.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test fails by panicking, prepares databases with SQL of its own, and shows counts"
)]

mod addresses;
mod alerting;
mod dice;
mod hand;
mod lab;
mod proxy;
mod rollout;
mod session_traps;
mod shadow;
mod samples;
mod servers;
mod tzif;
mod visitor;
mod webdriver;
mod watchman;

mod blame;
mod bounds;
mod browser;
mod calendar;
mod check_tests;
mod ci;
mod cli;
mod clocks;
mod crash;
mod cut;
mod cutoff;
mod dashboards;
mod delivery;
mod dependencies;
mod deploy;
mod distance;
mod docs;
mod door;
mod drill;
mod electricity;
mod engine;
mod first;
mod import;
mod flagship;
mod golden;
mod guards;
mod hostile;
mod language;
mod complete;
mod kept_windows;
mod kit;
mod ledger;
mod ledgers;
mod long_history;
mod life;
mod lints;
mod look;
mod memory;
mod merged_keys;
mod moved;
mod new_rules;
mod notices;
mod outside;
mod rechecks;
mod recipes;
mod reconcile;
mod reload;
mod replicas;
mod silence;
mod silent_green;
mod store_gone;
mod suggest;
mod table_rules;
mod table_traps;
mod tables;
mod tested;
mod tidy;
mod timetable;
mod told;
mod totals;
mod types;
mod plan;
mod planted;
mod page_numbers;
mod page_reads;
mod pages;
mod usual;
mod values;
mod verbs;
mod volume;
mod ways_out;
mod weather;
mod windows;
mod year;
mod zones;
