//! Prints each event as a line of JSON on standard output.

use super::super::{Event, EventLine, SCHEMA, Sink};
use crate::ui::output;

pub(super) struct Json;

impl Sink for Json {
    fn emit(&self, at_ms: u64, event: &Event) {
        if let Ok(line) = output::to_json_line(&EventLine { schema: SCHEMA, at_ms, event }) {
            // A closed standard output must not stop a deploy.
            let _ = output::print_data(&line);
        }
    }
}
