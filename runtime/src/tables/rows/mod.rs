//! The rows of the two tables, one file for each kind: its key, its attributes, how it is read and every write of it with
//! the write's condition. What the Lambda and the operator's tool do to one row is written once, over any client of
//! [`super::Calls`].
//!
//! Rows of the ledger that are not an identity's month have partition keys that no identity has. Each kind is read with one query.

pub(crate) mod alert;
mod early;
pub(crate) mod key;
pub(crate) mod month;
pub(crate) mod published;
#[cfg(feature = "operator")]
pub(crate) mod recovered;
mod secret;
pub(crate) mod shard;
mod since;

use ipgeo_contract::{access_attr, ledger_attr};

use super::value::{Item, string};

/// The key of a row of the access table.
pub(super) fn key_of(id: &str) -> Item {
    Item::from([(access_attr::ID.to_owned(), string(id))])
}

/// The key of a row of the ledger.
pub(super) fn ledger_key(id: &str, sort: impl Into<String>) -> Item {
    Item::from([(ledger_attr::ID.to_owned(), string(id)), (ledger_attr::MONTH.to_owned(), string(sort))])
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::Identity;

    use super::*;

    #[test]
    fn no_identity_is_named_as_these_rows_are() {
        for word in [shard::ID, alert::ID, since::ID, recovered::ID] {
            assert!(word.parse::<Identity>().is_err(), "{word}");
        }
        for identity in ["key#00ff", "addr#00ff", "site#a.test", "site#*"] {
            let early = early::id(&identity.parse().expect("an identity"));
            assert!(early.parse::<Identity>().is_err() && !early.contains('#'), "{early}");
            assert_eq!(early, format!("early/{}", identity.replace('#', "/")));
        }
    }
}
