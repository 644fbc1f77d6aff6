//! A text in place of an API key, and the other short texts that callers and operators write.
#![no_main]

use ipgeo_contract::{ApiKey, Identity, KeyHash, Limit, Month, Period, Site, Thresholds, foreign_key_hash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<ApiKey>() {
        assert_eq!(key.expose(), text);
        assert!(!format!("{key:?} {}", key.hint()).contains(text), "an API key is printed");
        assert_eq!(key.hash().to_string().parse::<KeyHash>().ok(), Some(key.hash()));
        assert_eq!(foreign_key_hash(text), Some(key.hash()));
    }
    let _ = foreign_key_hash(text);
    if let Some(site) = Site::from_referer(text) {
        let identity = Identity::site(&site);
        assert_eq!(identity.as_str().parse::<Identity>().ok(), Some(identity));
    }
    if let Ok(limit) = text.parse::<Limit>() {
        assert_eq!(limit.to_string().parse::<Limit>().ok(), Some(limit));
    }
    if let Ok(period) = text.parse::<Period>() {
        assert_eq!(period.to_string().parse::<Period>().ok(), Some(period));
        assert!(period.start() < period.end());
    }
    if let Ok(month) = text.parse::<Month>() {
        assert_eq!(month.to_string().parse::<Month>().ok(), Some(month));
    }
    let _ = (text.parse::<Identity>(), text.parse::<Thresholds>());
});
