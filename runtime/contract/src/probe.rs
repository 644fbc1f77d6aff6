//! The API key of a service's own probes. It is derived from the address secret, so whoever may read that (the operator, at
//! home) has it, and nothing else is stored.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::{AddressSecret, ApiKey, ApiKeyError, KeyRecord, Limit, Window};

/// The owner of the probes' API key.
pub const PROBE_OWNER: &str = "ipgeo probe";
/// The tier of the probes' API key; not a configured one.
pub const PROBE_TIER: &str = "probe";
/// The daily limit of the probes' API key, in calls.
const PROBE_CALLS: u64 = 100_000;

/// Derives the probes' API key. Fails if `prefix` is invalid (see [`crate::prefix_is_valid`]).
pub fn probe_api_key(prefix: &str, secret: &AddressSecret) -> Result<ApiKey, ApiKeyError> {
    let mut block = 0_u32;
    ApiKey::generate(prefix, |bytes| {
        for chunk in bytes.chunks_mut(32) {
            block += 1;
            let tag = tag(secret, block);
            chunk.copy_from_slice(&tag[..chunk.len()]);
        }
    })
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length: the error can't happen")]
fn tag(secret: &AddressSecret, block: u32) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.to_hex().as_bytes()).expect("any length");
    mac.update(b"ipgeo probe API key");
    mac.update(&block.to_be_bytes());
    mac.finalize().into_bytes().into()
}

/// The record of the probes' API key.
pub fn probe_record(key: &ApiKey, now: Timestamp) -> KeyRecord {
    KeyRecord::new(
        key.hint(),
        PROBE_OWNER.to_owned(),
        PROBE_TIER.to_owned(),
        Limit { calls: PROBE_CALLS, window: Window::Day },
        now,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_secret_gives_the_same_api_key_and_another_another() {
        let of = |byte| probe_api_key("ipg", &AddressSecret::new([byte; 32])).expect("an API key");
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        // By Python's hmac and zlib: the operator and edges of other versions derive the same API key.
        assert_eq!(of(7).expose(), "ipg_4b2HpJ93U6e76amCqWoc4pBraWGRPp34FhGP");
        assert!(of(1).expose().parse::<ApiKey>().is_ok());
        let record = probe_record(&of(1), Timestamp::UNIX_EPOCH);
        assert_eq!((record.owner.as_str(), record.status), (PROBE_OWNER, crate::Status::Active));
    }
}
