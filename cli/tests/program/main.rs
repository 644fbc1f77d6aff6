//! The program as its users run it: every verb, the local service, its pages and its clients.
//!
//! One test program, because each one links the whole AWS SDK.

#[path = "../support/browser.rs"]
mod browser;
#[path = "../support/npm.rs"]
mod npm;
#[path = "../support/python.rs"]
mod python;
#[path = "../support/mod.rs"]
mod support;

mod api_description;
mod commands;
mod credentials;
mod dev;
mod dev_kills;
mod doc_examples;
mod examples;
mod explain;
mod forms;
mod generated_clients;
mod hostile_dev;
mod interrupts;
mod ipdata_client;
mod known_addresses;
mod lookup;
mod operator;
mod operators_day;
mod release_archive;
mod usage_page;
mod web_page;
