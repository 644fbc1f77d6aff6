//! A region's access table in its embedded store: the source or target of replication, and full comparison of two tables.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, anyhow};
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::{AttributeValue, Database, ImportOptions, Item};
use ipgeo_contract::{RegionName, access_attr};

use super::operations::id;
use super::replication::{Change, Source, Target};
use crate::ui::progress::Task;

/// Items per transaction while a table is synchronised.
const BATCH: usize = 1_000;

#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) database: Database,
    pub(crate) name: String,
}

pub(super) fn key(id: &str) -> Item {
    HashMap::from([(access_attr::ID.to_owned(), AttributeValue::S(id.to_owned()))])
}

impl Table {
    fn get(&self, id: &str) -> anyhow::Result<Option<Item>> {
        let request =
            GetItemRequest { table_name: self.name.clone(), key: key(id), ..GetItemRequest::default() };
        Ok(self.database.get_item(request).context("read an item")?.item)
    }

    /// Puts items in one transaction: all or none.
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
    pub(super) fn pages(&self, mut page: impl FnMut(Vec<Item>) -> anyhow::Result<()>) -> anyhow::Result<()> {
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

    /// Makes this table equal to `home`; writes only the differences.
    fn synchronise(&self, home: &HashMap<String, Item>, task: &Task) -> anyhow::Result<()> {
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
        task.add(same.len());
        gone.iter().try_for_each(|id| self.delete(id))?;
        let mut differing =
            home.iter().filter(|(id, _)| !same.contains(id.as_str())).map(|(_, item)| item.clone());
        loop {
            let batch: Vec<Item> = differing.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let count = batch.len();
            self.put(batch)?;
            task.add(count);
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
        // Only the last change of each item: earlier ones of the same batch are never visible.
        let last: HashMap<&str, &Change> =
            changes.iter().map(|change| (change.id.as_str(), &**change)).collect();
        let (put, deleted): (Vec<&Change>, Vec<&Change>) =
            last.into_values().partition(|change| change.item.is_some());
        deleted.into_iter().try_for_each(|change| self.delete(&change.id))?;
        self.put(put.into_iter().filter_map(|change| change.item.clone()).collect())
    }
}

/// Makes every copy equal to home's table. They differ by writes made while `ipgeo dev` was stopped or had fewer regions.
pub(crate) fn synchronise(home: &Table, copies: &[(RegionName, Table)]) -> anyhow::Result<()> {
    let items = home.all().context("read home's access table")?;
    let task = Task::items("copying API keys", "API key", Some(items.len() * copies.len()));
    let copied = thread::scope(|scope| {
        let (items, task) = (&items, &task);
        let synchronise_copy = |(region, copy): &'_ (RegionName, Table)| {
            copy.synchronise(items, task).with_context(|| format!("copy home's access table to {region}"))
        };
        let threads: Vec<_> = copies.iter().map(|copy| scope.spawn(move || synchronise_copy(copy))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a copy panicked"))?)
    });
    if copied.is_ok() {
        task.done();
    }
    copied
}

#[cfg(test)]
mod tests {
    use dynoxide::actions::create_table::CreateTableRequest;
    use dynoxide::actions::delete_table::DeleteTableRequest;

    use super::*;

    fn create(table: &Table) {
        let request = serde_json::json!({
            "TableName": table.name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        });
        let request: CreateTableRequest = serde_json::from_value(request).expect("a request");
        table.database.create_table(request).expect("made");
    }

    fn table() -> Table {
        let table = Table { database: Database::memory().expect("a store"), name: "access".to_owned() };
        create(&table);
        table
    }

    fn item(number: usize, owner: &str) -> Item {
        let mut item = key(&format!("key#{number:05}"));
        item.insert("owner".to_owned(), AttributeValue::S(owner.repeat(100)));
        item
    }

    #[test]
    fn a_copy_becomes_equal_to_home_whatever_it_contained() {
        let home = table();
        home.put((0..5_000).map(|number| item(number, "new")).collect()).expect("put");
        let copies: Vec<(RegionName, Table)> =
            ["empty", "old", "same"].map(|name| (RegionName::new(name), table())).into();
        copies[1].1.put((2_500..6_000).map(|number| item(number, "old")).collect()).expect("put");
        copies[2].1.put((0..5_000).map(|number| item(number, "new")).collect()).expect("put");
        synchronise(&home, &copies).expect("synchronised");
        let expected = home.all().expect("items");
        assert_eq!(expected.len(), 5_000);
        for (name, copy) in &copies {
            assert!(copy.all().expect("items") == expected, "{name}");
        }
        copies[0]
            .1
            .database
            .delete_table(DeleteTableRequest { table_name: "access".to_owned() })
            .expect("deleted");
        let message = format!("{:#}", synchronise(&home, &copies).expect_err("there is no table"));
        assert!(message.starts_with("copy home's access table to empty: "), "{message}");
    }

    #[test]
    fn the_last_of_an_items_changes_is_applied() {
        let copy = table();
        copy.put(vec![item(1, "a"), item(2, "a")]).expect("put");
        let change = |number, owner: Option<&str>| {
            Arc::new(Change::new(&format!("key#{number:05}"), owner.map(|owner| item(number, owner))))
        };
        let changes = [
            change(1, Some("b")),
            change(2, Some("c")),
            change(1, None),
            change(3, None),
            change(3, Some("d")),
        ];
        for _ in 0..2 {
            copy.apply(&changes).expect("applied");
            assert_eq!(copy.get("key#00001").expect("read"), None);
            assert_eq!(copy.get("key#00002").expect("read"), Some(item(2, "c")));
            assert_eq!(copy.get("key#00003").expect("read"), Some(item(3, "d")));
        }
    }
}
