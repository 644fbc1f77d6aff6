//! Which API keys can be rotated. The new key copies the old one's settings, so rotating a refused key would create
//! another refused key; each error says what to do instead.

use ipgeo_contract::{Identity, KeyRecord, Status};
use jiff::Timestamp;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RotationError {
    #[error("{0} is revoked, which is permanent\nhelp: create a new API key with `ipgeo keys create`")]
    Revoked(String),
    #[error("{0} is disabled, and its successor would be too\nhelp: run `ipgeo keys enable {0}` first")]
    Disabled(String),
    #[error(
        "{hint} was already rotated and is in its grace period; its successor has the hash {successor}\nhelp: rotate the \
         successor: `ipgeo keys rotate {successor}`"
    )]
    Superseded {
        hint: String,
        /// Prefix of the successor's hash.
        successor: String,
    },
    #[error(
        "{hint} expired at {at}, and its successor would be expired too\nhelp: extend it first with \
         `ipgeo keys update {hint} --expires 90d`, or --never"
    )]
    Expired { hint: String, at: String },
}

/// Checks whether an API key can be rotated. `successor`: the key that it was rotated to earlier.
pub(crate) fn check_rotation(
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
    use super::super::testing::key_record;
    use super::*;

    #[test]
    fn rotating_a_refused_api_key_fails_with_its_remedy() {
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
        for (status, expires, successor, expected) in table {
            let record = KeyRecord { status, expires, ..key_record("1/day") };
            let text = check_rotation(&record, successor, now)
                .map_or_else(|error| error.to_string(), |()| "ok".into());
            assert!(text.contains(expected), "{status:?} {expires:?}: {text}");
        }
    }
}
