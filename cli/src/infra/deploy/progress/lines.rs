//! A line for each event, for logs.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::super::{Event, Sink};
use super::{clock, counts};
use crate::infra::cloud::Done;
use crate::ui::output;

/// Interval after which an unchanged phase is printed again.
const REPEAT_MS: u64 = 15_000;

/// The last printed phase of each region, and when it was printed.
#[derive(Default)]
pub(super) struct Lines(Mutex<BTreeMap<String, (String, u64)>>);

impl Lines {
    /// Whether a region's phase is new, or was printed long ago.
    fn is_news(&self, at_ms: u64, region: &str, phase: &str) -> bool {
        let Ok(mut last) = self.0.lock() else { return true };
        match last.get_mut(region) {
            Some((printed, at)) if printed == phase && at_ms < *at + REPEAT_MS => false,
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
                format!("  {region}: {step}: {}{}", progress.phase, counts(progress))
            }
            Event::StepDone { region, step, done, took_ms } => {
                let how = if *done == Done::Changed { "done" } else { "unchanged" };
                format!("  {region}: {step}: {how} ({})", clock(*took_ms))
            }
            Event::StepRetried { region, step, error, pause_s } => {
                format!("  {region}: {step}: retrying in {pause_s} s: {error}")
            }
            Event::StepFailed { region, step, error } => format!("  {region}: {step}: FAILED: {error}"),
            Event::StepWarned { region, step, error } => format!("  {region}: {step}: WARNING: {error}"),
            Event::Stopping => "stopping after the running steps".to_owned(),
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
    use ipgeo_contract::RegionName;

    use super::*;
    use crate::infra::cloud::{Progress, StepError};
    use crate::infra::plan::WaveKind;

    #[test]
    fn an_unchanged_phase_is_printed_once() {
        let lines = Lines::default();
        let progress = |phase: &str, done| Event::Progress {
            region: RegionName::new("eu-west-1"),
            step: "edge stack".into(),
            progress: Progress { phase: phase.into(), done, total: 14 },
        };
        let (region, step) = (RegionName::new("eu-west-1"), "edge stack".to_owned());
        let table = [
            (
                0,
                Event::Wave { wave: WaveKind::Edges, regions: ["a", "b"].map(RegionName::new).into() },
                Some("edges: a, b"),
            ),
            (1, progress("creating", 1), Some("  eu-west-1: edge stack: creating 1/14")),
            (2, progress("creating", 2), None),
            (REPEAT_MS + 1, progress("creating", 9), Some("  eu-west-1: edge stack: creating 9/14")),
            (REPEAT_MS + 2, progress("cleaning up", 9), Some("  eu-west-1: edge stack: cleaning up 9/14")),
            (
                REPEAT_MS + 3,
                Event::StepDone {
                    region: region.clone(),
                    step: step.clone(),
                    done: Done::Changed,
                    took_ms: 61_000,
                },
                Some("  eu-west-1: edge stack: done (1m 1s)"),
            ),
            (
                REPEAT_MS + 4,
                Event::StepFailed { region, step, error: StepError::new("no such key") },
                Some("  eu-west-1: edge stack: FAILED: no such key"),
            ),
        ];
        for (at_ms, event, expected) in table {
            assert_eq!(lines.line(at_ms, &event).as_deref(), expected, "{event:?}");
        }
    }
}
