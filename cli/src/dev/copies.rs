//! A region's access table in its embedded store: as the source of copies, as a copy, and compared with another whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, anyhow};
use dynoxide::actions::create_table::StreamSpecification;
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::actions::update_table::UpdateTableRequest;
use dynoxide::{AttributeValue, Database, ImportOptions, Item};
use ipgeo_contract::access_attr;

use super::operations::id;
use super::replication::{Change, Source, Target};
use crate::progress::Tally;

/// Items of one transaction while a table is brought level.
const BATCH: usize = 1_000;

/// An access table.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) database: Database,
    pub(crate) name: String,
}

fn key(id: &str) -> Item {
    HashMap::from([(access_attr::ID.to_owned(), AttributeValue::S(id.to_owned()))])
}

impl Table {
    fn get(&self, id: &str) -> anyhow::Result<Option<Item>> {
        let request = GetItemRequest { table_name: self.name.clone(), key: key(id), ..GetItemRequest::default() };
        Ok(self.database.get_item(request).context("read an item")?.item)
    }

    /// Puts items in one transaction, which either all are in or none.
    fn put(&self, items: Vec<Item>) -> anyhow::Result<()> {
        let imported = self.database.import_items(&self.name, items, ImportOptions::default());
        imported.map(drop).context("put copied items")
    }

    fn delete(&self, id: &str) -> anyhow::Result<()> {
        let request =
            DeleteItemRequest { table_name: self.name.clone(), key: key(id), ..DeleteItemRequest::default() };
        self.database.delete_item(request).map(drop).context("delete a copied item")
    }

    /// Every item, a page at a time.
    fn pages(&self, mut page: impl FnMut(Vec<Item>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let request = ScanRequest {
                table_name: self.name.clone(),
                exclusive_start_key: after,
                ..ScanRequest::default()
            };
            let answer = self.database.scan(request).context("read a table")?;
            page(answer.items.unwrap_or_default())?;
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn all(&self) -> anyhow::Result<HashMap<String, Item>> {
        let mut items = HashMap::new();
        self.pages(|page| {
            items.extend(page.into_iter().filter_map(|item| Some((id(&item)?.to_owned(), item))));
            Ok(())
        })?;
        Ok(items)
    }

    /// Makes this table the same as `home`; only what differs is written.
    fn level(&self, home: &HashMap<String, Item>, tally: &Tally) -> anyhow::Result<()> {
        let (mut same, mut gone) = (HashSet::new(), Vec::new());
        self.pages(|page| {
            for item in &page {
                let Some(id) = id(item) else { continue };
                match home.get_key_value(id) {
                    Some((id, there)) if there == item => drop(same.insert(id.as_str())),
                    Some(_) => {}
                    None => gone.push(id.to_owned()),
                }
            }
            Ok(())
        })?;
        tally.add(same.len());
        gone.iter().try_for_each(|id| self.delete(id))?;
        let mut differing = home.iter().filter(|(id, _)| !same.contains(id.as_str())).map(|(_, item)| item.clone());
        loop {
            let batch: Vec<Item> = differing.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let count = batch.len();
            self.put(batch)?;
            tally.add(count);
        }
    }
}

impl Source for Table {
    fn item(&self, id: &str) -> anyhow::Result<Option<Item>> {
        self.get(id)
    }
}

impl Target for Table {
    fn apply(&self, changes: &[Arc<Change>]) -> anyhow::Result<()> {
        // What an item became last; the others of one batch nobody could tell apart.
        let last: HashMap<&str, &Change> = changes.iter().map(|change| (change.id.as_str(), &**change)).collect();
        let (put, deleted): (Vec<&Change>, Vec<&Change>) = last.into_values().partition(|change| change.item.is_some());
        deleted.into_iter().try_for_each(|change| self.delete(&change.id))?;
        self.put(put.into_iter().filter_map(|change| change.item.clone()).collect())
    }
}

/// Makes every copy the same as home's table: what was written while no world ran, or into a world with fewer regions.
pub(crate) fn level(home: &Table, copies: &[(String, Table)]) -> anyhow::Result<()> {
    let items = home.all().context("read home's access table")?;
    let tally = Tally::new(None, "copying API keys to the regions", items.len() * copies.len());
    thread::scope(|scope| {
        let (items, tally) = (&items, &tally);
        let level = |(region, copy): &'_ (String, Table)| {
            copy.level(items, tally).with_context(|| format!("copy home's access table to {region}"))
        };
        let threads: Vec<_> = copies.iter().map(|copy| scope.spawn(move || level(copy))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a copy panicked"))?)
    })
}

/// Ends a table's change stream: earlier versions had one, nobody reads it any more, and with it each write scans the
/// writes before it.
pub(crate) fn end_stream(table: &Table) -> anyhow::Result<()> {
    let found = table.database.get_table_metadata(&table.name).context("describe the access table")?;
    if !found.is_some_and(|found| found.stream_enabled) {
        return Ok(());
    }
    let request = UpdateTableRequest {
        table_name: table.name.clone(),
        stream_specification: Some(StreamSpecification { stream_enabled: false, stream_view_type: None }),
        ..UpdateTableRequest::default()
    };
    table.database.update_table(request).map(drop).context("end the change stream of the access table")
}
