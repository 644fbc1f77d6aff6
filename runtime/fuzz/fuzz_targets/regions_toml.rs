//! A `regions.toml` of any text: a configuration, or all errors with their places.
#![no_main]

use ipgeo_fuzz::config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match config::parse("regions.toml", text) {
        Ok(_) => {}
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
});
