//! Published usage: attributes of an API key's row, and rows of their own for addresses and sites near or over their limit.
//! Home writes them, edges read them.

use ipgeo_contract::{Identity, IdentityKind, Limit, Published, access_attr as attr};

use super::{key, key_of};
use crate::store::{PublishWrite, StoreError};
use crate::tables::access::AccessTable;
use crate::tables::attributes::{ItemError, integer, needed, parsed, text, time};
use crate::tables::calls::{Calls, Change, Updated};
use crate::tables::value::{Item, Value, number, string};

/// The usage in an item; `None` before the first publication.
pub(crate) fn read(item: &Item) -> Result<Option<Published>, ItemError> {
    let Some(period) = text(item, attr::PERIOD)? else { return Ok(None) };
    Ok(Some(Published {
        period: parsed(attr::PERIOD, period)?,
        used: needed(attr::USED, integer(item, attr::USED)?)?,
        as_of: needed(attr::AS_OF, time(item, attr::AS_OF)?)?,
    }))
}

pub(super) fn attributes(published: &Published) -> [(String, Value); 3] {
    [
        (attr::PERIOD.to_owned(), string(published.period.to_string())),
        (attr::USED.to_owned(), number(published.used)),
        (attr::AS_OF.to_owned(), number(published.as_of.as_millisecond())),
    ]
}

impl<C: Calls> PublishWrite for AccessTable<C> {
    async fn publish(
        &self,
        identity: &Identity,
        limit: Limit,
        published: Published,
    ) -> Result<Option<Limit>, StoreError> {
        let (Updated::Done(item) | Updated::Refused(item)) =
            self.update(publication(identity, limit, published)).await?;
        Ok(key::limit(&item).ok())
    }
}

fn publication(identity: &Identity, limit: Limit, published: Published) -> Change {
    let period = published.period.to_string();
    // A stored period of a different length (`2026-11` after `2026-11-24`) is of a different window: it can't be compared, and
    // is obsolete. Usage at the limit is not published again: edges refuse calls already, and the ledger's count often follows
    // the sum of early counts.
    let newer = "attribute_not_exists(#period) OR size(#period) <> :length OR #period < :period \
                 OR (#period = :period AND #used < :used AND #used < LIMIT)";
    let newer = |limit| newer.replace("LIMIT", limit);
    let change =
        Change::new(key_of(identity.as_str()), "SET #period = :period, #used = :used, #as_of = :as_of")
            .name("#period", attr::PERIOD)
            .name("#used", attr::USED)
            .name("#as_of", attr::AS_OF)
            .value(":length", number(period.len()))
            .value(":period", string(period))
            .value(":used", number(published.used))
            .value(":as_of", number(published.as_of.as_millisecond()));
    match identity.kind() {
        IdentityKind::Key => Change { returns_item: true, ..change }
            .when(format!("attribute_exists(#id) AND #window = :window AND ({})", newer("#limit")))
            .name("#id", attr::ID)
            .name("#limit", attr::LIMIT)
            .name("#window", attr::WINDOW)
            .value(":window", string(limit.window.as_str())),
        IdentityKind::Address | IdentityKind::Site => {
            change.when(newer(":limit")).value(":limit", number(limit.calls))
        }
    }
}
