//! Simulates deleting data that no stack manages: what AWS refuses, and what would do harm.

use crate::operation::refused;
use crate::resources;
use crate::rules::Rules;
use crate::state::{ACCOUNT, CloudState, ResourceId};
use ipgeo::internals::infra::cloud::{Done, StepError};
use ipgeo::internals::infra::plan::{DataKind, KeptData};

impl CloudState {
    /// The data in the home region, apart from the access table.
    pub(crate) fn kept(&self) -> KeptData {
        let there = |data, name: &str| self.contents.resources.contains_key(&self.thing(data, name));
        KeptData {
            ledger: there(DataKind::Ledger, &self.names.ledger_table),
            stream: there(DataKind::Stream, &self.names.stream),
            replica_made_s: self.replica_made_s,
            failure_bucket: there(DataKind::FailureBucket, &self.names.failure_bucket(ACCOUNT)),
        }
    }

    fn thing(&self, data: DataKind, name: &str) -> ResourceId {
        let (scope, kind) = match data {
            DataKind::Replica | DataKind::AccessTable => (self.home.as_str(), "AWS::DynamoDB::GlobalTable"),
            DataKind::Ledger => (self.home.as_str(), "AWS::DynamoDB::Table"),
            DataKind::Stream => (self.home.as_str(), "AWS::Kinesis::Stream"),
            DataKind::FailureBucket => ("global", "AWS::S3::Bucket"),
        };
        ResourceId { scope: scope.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
    }

    /// Deletes one resource; the adapter turns its protection off first.
    pub(crate) fn delete_data(
        &mut self,
        region: &str,
        data: DataKind,
        name: &str,
        replica: Option<&str>,
    ) -> Result<Done, StepError> {
        let id = self.thing(data, name);
        let Some(thing) = self.contents.resources.get(&id) else { return Ok(Done::AlreadySo) };
        if thing.owner.is_some() {
            self.log.harm.push(format!("{name} is deleted while a stack manages it"));
        }
        if data == DataKind::Replica {
            let place = replica.unwrap_or_default();
            let edge = ResourceId {
                scope: place.to_owned(),
                kind: "AWS::Lambda::Function".to_owned(),
                name: self.names.lookup_function.clone(),
            };
            if self.contents.resources.contains_key(&edge) {
                self.log.harm.push(format!("the replica in {place} goes while an edge reads it"));
            }
            let table = self.contents.tables.get_mut(name);
            if table.is_none_or(|table| table.replicas.remove(place).is_none()) {
                return Ok(Done::AlreadySo);
            }
            self.log.effect(region, format!("remove replica {place}"));
            return Ok(Done::Changed);
        }
        if let Some(table) = self.contents.tables.get_mut(name) {
            if let Some(other) = table.replicas.keys().find(|place| *place != region) {
                return Err(refused("ValidationException", format!("{name} has a replica in {other}")));
            }
            table.replicas.values_mut().for_each(|protected| *protected = false);
        }
        let rules = Rules::new(
            &self.names,
            &self.unreachable,
            &self.taken_buckets,
            &self.zones,
            std::time::Duration::ZERO,
        );
        resources::delete(&mut self.contents, &mut self.log, &rules, &id).map_err(StepError::new)?;
        self.log.effect(region, format!("delete data {name}"));
        Ok(Done::Changed)
    }
}
