//! The lock of changes, as the access table stores it.

use ipgeo::internals::infra::cloud::Problem;
use ipgeo::internals::infra::lock::{LockItem, LockStore, Put};

use crate::MemoryCloud;

impl LockStore for MemoryCloud {
    async fn read(&self) -> Result<Put, Problem> {
        let home = self.home();
        let state = MemoryCloud::read(self, &home)?;
        let table = state.contents.tables.get(&state.names.access_table);
        Ok(table.map_or(Put::NoTable, |table| table.lock.clone().map_or(Put::Gone, Put::Held)))
    }

    async fn put(&self, item: &LockItem, seen: Option<&LockItem>) -> Result<Put, Problem> {
        let home = self.home();
        let mut state = MemoryCloud::read(self, &home)?;
        let table = state.names.access_table.clone();
        let Some(table) = state.contents.tables.get_mut(&table) else { return Ok(Put::NoTable) };
        match &table.lock {
            found if found.as_ref() == seen => {
                table.lock = Some(item.clone());
                Ok(Put::Done)
            }
            Some(found) => Ok(Put::Held(found.clone())),
            None => Ok(Put::Gone),
        }
    }

    async fn delete(&self, token: &str) -> Result<(), Problem> {
        let home = self.home();
        let mut state = MemoryCloud::read(self, &home)?;
        for table in state.contents.tables.values_mut() {
            table.lock.take_if(|lock| lock.token == token);
        }
        Ok(())
    }
}
