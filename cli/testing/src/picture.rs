//! Everything that there is, a line each.

use crate::state::CloudState;
use crate::text::{hash_of, list};

impl CloudState {
    pub(crate) fn picture(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for ((region, _), stack) in &self.contents.stacks {
            // A stack that was updated and one that was made so at once are the same.
            let settled = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"];
            let state = if settled.contains(&stack.status.as_str()) { "settled" } else { &stack.status };
            let content = format!("{:?} {:?}", stack.template.resources, stack.parameters);
            lines.push(format!("stack {region} {} {state} {:08x}", stack.kind, hash_of(&content)));
        }
        for (region, function) in self.contents.functions.keys() {
            // Its number depends on what was published before.
            let live = self.contents.live(region, function).map(|live| live.logical.as_str());
            lines.push(format!("live {region} {function} {live:?}"));
        }
        let kept = self.contents.resources.iter().filter(|(_, thing)| thing.owner.is_none());
        // Old versions are there until they are pruned.
        for (id, _) in kept.filter(|(id, _)| id.kind != "AWS::Lambda::Version") {
            lines.push(format!("kept {} {} {}", id.scope, id.kind, id.name));
        }
        for (name, table) in &self.contents.tables {
            lines.push(format!("table {name} {:?} ready={} {:?}", table.replicas, table.ready, table.limits));
        }
        for (bucket, objects) in &self.contents.objects {
            lines.push(format!("bucket {bucket} {objects:?}"));
        }
        for zone in &self.zones {
            let records = zone.records.iter();
            let mut records: Vec<String> = records
                .map(|(name, record)| format!("record {name} {} {}", record.region, record.kind.as_str()))
                .collect();
            records.sort();
            lines.extend(records);
            if !zone.drained.is_empty() {
                lines.push(format!("drained {}", list(&zone.drained)));
            }
        }
        lines
    }
}
