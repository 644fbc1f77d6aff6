//! A line for each region, redrawn in place: what it does, how far it is, for how long.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::clock;
use crate::infra::cloud::Progress;
use crate::infra::deploy::{Event, Sink};
use crate::ui::output::{Paint, painted, printable};

/// Between two frames of what turns while a region works.
const FRAME: Duration = Duration::from_millis(120);

/// What is drawn of a wave.
#[derive(Default)]
pub(super) struct Bars(Mutex<Drawn>);

#[derive(Default)]
struct Drawn {
    all: MultiProgress,
    regions: BTreeMap<String, ProgressBar>,
}

impl Drawn {
    fn head(&self, text: &str) {
        // A terminal that can't be written to shows nothing.
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

    /// Leaves a wave's last words on the screen and begins anew below.
    fn settle(&mut self) {
        for (_, bar) in std::mem::take(&mut self.regions) {
            if !bar.is_finished() {
                bar.finish();
            }
        }
    }
}

fn far(progress: &Progress) -> String {
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
                drawn.head(&painted(Paint::Heading, wave.title()));
            }
            Event::Step { region, step } => drawn.bar(region).set_message(step.clone()),
            Event::Progress { region, step, progress } => {
                drawn.bar(region).set_message(printable(&format!("{step}: {}", far(progress))));
            }
            Event::StepDone { region, step, took_ms, .. } => {
                let told = painted(Paint::Add, "done");
                drawn.bar(region).set_message(format!("{step}: {told} ({})", clock(*took_ms)));
            }
            Event::StepFailed { region, step, error } => {
                let told = painted(Paint::Danger, "FAILED");
                let line = printable(&format!("{error}"));
                drawn.bar(region).abandon_with_message(format!("{step}: {told} {line}"));
            }
            Event::Stopping => {
                drawn.head("stopping: what is under way is finished first (Ctrl-C again: at once)");
            }
            Event::Finished { .. } => drawn.settle(),
            Event::Started { .. } | Event::Refused { .. } => {}
        }
    }
}
