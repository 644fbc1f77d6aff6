//! Which API keys may be rotated: rotating one that is refused would create another that is refused.

use ipgeo_contract::{Identity, KeyRecord, Status};
use jiff::Timestamp;

/// Why an API key can't be rotated, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// It is revoked.
    #[error("{0} is revoked, which is permanent; create a new API key with `ipgeo keys create`")]
    Revoked(String),
    /// It is disabled.
    #[error("{0} is disabled, and its successor would be too; run `ipgeo keys enable {0}` first")]
    Disabled(String),
    /// It was already rotated.
    #[error(
        "{hint} was already rotated: its successor has the hash {successor}, and {hint} is in its grace period; rotate the successor: \
         `ipgeo keys rotate {successor}`"
    )]
    Superseded {
        /// Its hint.
        hint: String,
        /// The beginning of its successor's hash.
        successor: String,
    },
    /// It has expired.
    #[error(
        "{hint} expired at {at}, and its successor would be expired too; extend it first: \
         `ipgeo keys update {hint} --expires 90d`, or --never"
    )]
    Expired {
        /// Its hint.
        hint: String,
        /// When.
        at: String,
    },
}

/// Checks whether an API key may be rotated; `successor`: the one that it was rotated to earlier.
pub fn check_rotation(
    record: &KeyRecord,
    successor: Option<&Identity>,
    now: Timestamp,
) -> Result<(), RotationError> {
    let hint = record.hint.clone();
    match record.status {
        Status::Revoked => return Err(RotationError::Revoked(hint)),
        Status::Disabled => return Err(RotationError::Disabled(hint)),
        Status::Active => {}
    }
    if let Some(successor) = successor {
        let successor = successor.name().chars().take(12).collect();
        return Err(RotationError::Superseded { hint, successor });
    }
    match record.expires {
        Some(at) if at <= now => Err(RotationError::Expired { hint, at: at.to_string() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::{Limit, Window};

    use super::*;

    #[test]
    fn a_rotation_that_would_give_a_dead_api_key_is_refused_with_its_remedy() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
        let at = |text: &str| Some(text.parse::<Timestamp>().expect("a timestamp"));
        let other: Identity = format!("key#{}", "ab".repeat(32)).parse().expect("an identity");
        let table = [
            (Status::Active, None, None, "ok"),
            (Status::Active, at("2026-11-24T12:00:01Z"), None, "ok"),
            (Status::Active, at("2026-11-24T12:00:00Z"), None, "keys update ipg_…x3Kq --expires 90d"),
            (Status::Active, at("2027-01-01T00:00:00Z"), Some(&other), "keys rotate abababababab"),
            (Status::Active, at("2026-01-01T00:00:00Z"), Some(&other), "keys rotate abababababab"),
            (Status::Disabled, None, None, "keys enable ipg_…x3Kq"),
            (Status::Disabled, None, Some(&other), "keys enable ipg_…x3Kq"),
            (Status::Revoked, None, None, "keys create"),
        ];
        for (status, expires, successor, says) in table {
            let record = KeyRecord {
                owner: "acme".into(),
                tier: "startup".into(),
                limit: Limit { calls: 1, window: Window::Day },
                status,
                expires,
                sites: vec![],
                networks: vec![],
                hint: "ipg_…x3Kq".into(),
                created: Timestamp::UNIX_EPOCH,
                published: None,
            };
            let told = check_rotation(&record, successor, now)
                .map_or_else(|error| error.to_string(), |()| "ok".into());
            assert!(told.contains(says), "{status:?} {expires:?}: {told}");
        }
    }
}
