//! A line of a log with arbitrary content: parsing gives an event or an error, and an event survives writing and parsing.
#![no_main]

use ipgeo_contract::UsageEvent;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(event) = UsageEvent::parse(text) {
        let line = event.to_line();
        let again = UsageEvent::parse(&line).expect("our own line");
        assert_eq!(again.to_line(), line);
        assert_eq!((again.cost, again.verdict, again.charges), (event.cost, event.verdict, event.charges));
    }
});
