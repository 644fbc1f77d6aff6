//! A line for each thing that happens, for logs.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::clock;
use crate::infra::cloud::Done;
use crate::infra::deploy::{Event, Sink};
use crate::ui::output;

/// Until a step that goes on is told of again, ms.
const AGAIN_MS: u64 = 15_000;

/// What was said last of a region, and when.
#[derive(Default)]
pub(super) struct Lines(Mutex<BTreeMap<String, (String, u64)>>);

impl Lines {
    /// Whether a region's phase is new, or was told of long ago.
    fn is_news(&self, at_ms: u64, region: &str, phase: &str) -> bool {
        let Ok(mut last) = self.0.lock() else { return true };
        match last.get_mut(region) {
            Some((told, at)) if told == phase && at_ms < *at + AGAIN_MS => false,
            _ => {
                last.insert(region.to_owned(), (phase.to_owned(), at_ms));
                true
            }
        }
    }

    fn line(&self, at_ms: u64, event: &Event) -> Option<String> {
        Some(match event {
            Event::Wave { wave, regions } => format!("{}: {}", wave.title(), regions.join(", ")),
            Event::Progress { region, step, progress } if self.is_news(at_ms, region, &progress.phase) => {
                let count = match progress.total {
                    0 => String::new(),
                    total => format!(" {}/{total}", progress.done),
                };
                format!("  {region}: {step}: {}{count}", progress.phase)
            }
            Event::StepDone { region, step, done, took_ms } => {
                let how = if *done == Done::Changed { "done" } else { "fine already" };
                format!("  {region}: {step}: {how} ({})", clock(*took_ms))
            }
            Event::StepFailed { region, step, error } => format!("  {region}: {step}: FAILED: {error}"),
            Event::Stopping => "stopping: what is under way is finished first".to_owned(),
            Event::Refused { .. }
            | Event::Started { .. }
            | Event::Step { .. }
            | Event::Progress { .. }
            | Event::Finished { .. } => {
                return None;
            }
        })
    }
}

impl Sink for Lines {
    fn emit(&self, at_ms: u64, event: &Event) {
        if let Some(line) = self.line(at_ms, event) {
            output::print_note(&format!("[{}] {line}", clock(at_ms)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::cloud::{Progress, StepError};
    use crate::infra::plan::WaveKind;

    #[test]
    fn what_is_new_is_told_once() {
        let lines = Lines::default();
        let progress = |phase: &str, done| Event::Progress {
            region: "eu-west-1".into(),
            step: "edge stack".into(),
            progress: Progress { phase: phase.into(), done, total: 14 },
        };
        let (region, step) = ("eu-west-1".to_owned(), "edge stack".to_owned());
        let table = [
            (
                0,
                Event::Wave { wave: WaveKind::Edges, regions: vec!["a".into(), "b".into()] },
                Some("edges: a, b"),
            ),
            (1, progress("creating", 1), Some("  eu-west-1: edge stack: creating 1/14")),
            (2, progress("creating", 2), None),
            (AGAIN_MS + 1, progress("creating", 9), Some("  eu-west-1: edge stack: creating 9/14")),
            (AGAIN_MS + 2, progress("cleaning up", 9), Some("  eu-west-1: edge stack: cleaning up 9/14")),
            (
                AGAIN_MS + 3,
                Event::StepDone {
                    region: region.clone(),
                    step: step.clone(),
                    done: Done::Changed,
                    took_ms: 61_000,
                },
                Some("  eu-west-1: edge stack: done (1m 01s)"),
            ),
            (
                AGAIN_MS + 4,
                Event::StepFailed { region, step, error: StepError::new("no such key") },
                Some("  eu-west-1: edge stack: FAILED: no such key"),
            ),
        ];
        for (at_ms, event, expected) in table {
            assert_eq!(lines.line(at_ms, &event).as_deref(), expected, "{event:?}");
        }
    }
}
