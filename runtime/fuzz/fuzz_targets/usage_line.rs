//! A usage line from a log that may hold anything: an answer or an error; what is read survives being written.
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
