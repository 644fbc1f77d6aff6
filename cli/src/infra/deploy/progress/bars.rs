//! A line for each region, redrawn in place: its step, progress and elapsed time.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::super::{Event, Sink};
use super::clock;
use crate::infra::cloud::Progress;
use crate::ui::output::{Paint, painted, printable};

/// Interval between two frames of a spinner.
const FRAME: Duration = Duration::from_millis(120);

#[derive(Default)]
pub(super) struct Bars(Mutex<Drawn>);

#[derive(Default)]
struct Drawn {
    all: MultiProgress,
    regions: BTreeMap<String, ProgressBar>,
}

impl Drawn {
    fn heading(&self, text: &str) {
        // A terminal that can't be written to must not fail a deploy.
        let _ = self.all.println(text);
    }

    fn bar(&mut self, region: &str) -> &ProgressBar {
        self.regions.entry(region.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner()).with_prefix(format!("{region:<16}"));
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {wide_msg} {elapsed:>4}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(FRAME);
            bar
        })
    }

    /// Leaves the lines of a wave on the screen; the next wave starts below them. They are printed as text: a finished bar
    /// would be overwritten by the next heading.
    fn settle(&mut self) {
        for (region, bar) in std::mem::take(&mut self.regions) {
            bar.finish_and_clear();
            self.heading(&format!("  {region:<16} {}", bar.message()));
        }
    }
}

fn phase_text(progress: &Progress) -> String {
    match progress.total {
        0 => progress.phase.clone(),
        total => format!("{} {}/{total}", progress.phase, progress.done),
    }
}

impl Sink for Bars {
    fn emit(&self, _: u64, event: &Event) {
        let Ok(mut drawn) = self.0.lock() else { return };
        match event {
            Event::Wave { wave, .. } => {
                drawn.settle();
                drawn.heading(&painted(Paint::Heading, wave.title()));
            }
            Event::Step { region, step } => drawn.bar(region).set_message(step.clone()),
            Event::Progress { region, step, progress } => {
                drawn.bar(region).set_message(printable(&format!("{step}: {}", phase_text(progress))));
            }
            Event::StepRetried { region, step, error, pause_s } => {
                let message = format!("{step}: retrying in {pause_s} s: {error}");
                drawn.bar(region).set_message(printable(&message));
            }
            Event::StepDone { region, step, took_ms, .. } => {
                let done = painted(Paint::Add, "done");
                drawn.bar(region).set_message(format!("{step}: {done} ({})", clock(*took_ms)));
            }
            Event::StepFailed { region, step, error } => {
                let failed = painted(Paint::Danger, "FAILED");
                let line = printable(&format!("{error}"));
                drawn.bar(region).abandon_with_message(format!("{step}: {failed} {line}"));
            }
            Event::StepWarned { region, step, error } => {
                let line = printable(&format!("{error}"));
                drawn
                    .bar(region)
                    .abandon_with_message(format!("{step}: {} {line}", painted(Paint::Change, "WARNING")));
            }
            Event::Stopping => {
                drawn.heading("stopping after the running steps; press Ctrl-C again to stop at once");
            }
            Event::Finished { .. } => drawn.settle(),
            Event::Started { .. } | Event::Refused { .. } => {}
        }
    }
}
