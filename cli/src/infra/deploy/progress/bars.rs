//! For terminals: a line for each finished step below the head of its wave, and at the bottom, redrawn in place, a line for
//! each region at work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::super::{Event, Sink};
use super::{clock, counts};
use crate::infra::cloud::Done;
use crate::ui::output::{Paint, painted, printable};
use crate::ui::progress::{QUIET_MS, Row, Ticker, erase_echo, print_above};

const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS: u64 = 120;

pub(super) struct Bars {
    began: Instant,
    board: Arc<Mutex<Board>>,
    /// Draws the regions at work.
    _ticker: Ticker,
}

impl Default for Bars {
    fn default() -> Self {
        let board = Arc::<Mutex<Board>>::default();
        let (drawn, mut rows) = (Arc::clone(&board), Vec::new());
        let ticker = Ticker::start(move |now_ms| {
            let texts = locked(&drawn).rows(now_ms);
            rows.resize_with(texts.len(), Row::new);
            rows.iter().zip(&texts).for_each(|(row, text): (&Row, _)| row.draw(text));
        });
        Self { began: Instant::now(), board, _ticker: ticker }
    }
}

fn locked(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink for Bars {
    fn emit(&self, _: u64, event: &Event) {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let line = locked(&self.board).take(now_ms, event);
        if matches!(event, Event::Stopping) {
            erase_echo();
        }
        if let Some(line) = line {
            print_above(&line);
        }
    }
}

/// What every region is doing. Pure: the clock is an argument.
#[derive(Default)]
struct Board(BTreeMap<String, Running>);

struct Running {
    text: String,
    began_ms: u64,
}

/// A line of one region. Each has one duration: a running step's so far, or how long a finished one took.
fn line(mark: &str, region: &str, ms: u64, text: &str) -> String {
    format!("  {mark} {region:<16} {:>6}  {text}", clock(ms))
}

impl Board {
    /// Takes an event; returns the line to print for good.
    fn take(&mut self, now_ms: u64, event: &Event) -> Option<String> {
        match event {
            Event::Wave { wave, .. } => return Some(painted(Paint::Heading, wave.title())),
            Event::Step { region, step } => {
                let running = Running { text: step.clone(), began_ms: now_ms };
                self.0.insert(region.to_string(), running);
            }
            Event::Progress { region, step, progress } => {
                self.say(region, format!("{step}: {}{}", progress.phase, counts(progress)));
            }
            Event::StepRetried { region, step, error, pause_s } => {
                self.say(region, format!("{step}: retrying in {pause_s} s: {error}"));
            }
            Event::StepDone { region, step, done, took_ms } => {
                self.0.remove(region.as_str());
                let how = if *done == Done::Changed { "done" } else { "unchanged" };
                return Some(line(&painted(Paint::Add, "✓"), region, *took_ms, &format!("{step}: {how}")));
            }
            Event::StepFailed { region, step, error } => {
                return Some(self.ended(now_ms, region, (Paint::Danger, "✗", "FAILED"), step, error));
            }
            Event::StepWarned { region, step, error } => {
                return Some(self.ended(now_ms, region, (Paint::Change, "!", "WARNING"), step, error));
            }
            Event::Stopping => {
                return Some(
                    "stopping after the running steps; press Ctrl-C again to stop at once".to_owned(),
                );
            }
            Event::Finished { .. } => self.0.clear(),
            Event::Started { .. } | Event::Refused { .. } => {}
        }
        None
    }

    fn say(&mut self, region: &str, text: String) {
        if let Some(running) = self.0.get_mut(region) {
            running.text = text;
        }
    }

    /// The line of a step that did not succeed, with its mark and word. Only the first line of the error: the report has all of it.
    fn ended(
        &mut self,
        now_ms: u64,
        region: &str,
        (paint, mark, word): (Paint, &str, &str),
        step: &str,
        error: &impl std::fmt::Display,
    ) -> String {
        let took_ms = self.0.remove(region).map_or(0, |running| now_ms.saturating_sub(running.began_ms));
        let error = error.to_string();
        let error = printable(error.lines().next().unwrap_or_default());
        let text = format!("{step}: {}: {error}", painted(paint, word));
        line(&painted(paint, mark), region, took_ms, &text)
    }

    /// The regions at work. A step that has just begun is left out, because most end at once.
    fn rows(&self, now_ms: u64) -> Vec<String> {
        let frame = usize::try_from(now_ms / FRAME_MS).unwrap_or(0) % FRAMES.len();
        let at_work =
            self.0.iter().map(|(region, running)| (region, now_ms.saturating_sub(running.began_ms), running));
        at_work
            .filter(|(_, took_ms, _)| *took_ms >= QUIET_MS)
            .map(|(region, took_ms, running)| line(FRAMES[frame], region, took_ms, &printable(&running.text)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::RegionName;

    use super::*;
    use crate::infra::cloud::{Progress, StepError};
    use crate::infra::plan::WaveKind;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_wave_keeps_its_head_and_each_line_has_one_duration() {
        let (region, step) = (RegionName::new("eu-west-1"), "edge stack".to_owned());
        let progress = Progress { phase: "creating".into(), done: 3, total: 14 };
        let events = [
            (0, Event::Wave { wave: WaveKind::Edges, regions: vec![region.clone()] }),
            (0, Event::Step { region: region.clone(), step: step.clone() }),
            (9_000, Event::Progress { region: region.clone(), step: step.clone(), progress }),
            (
                61_000,
                Event::StepDone {
                    region: region.clone(),
                    step: step.clone(),
                    done: Done::Changed,
                    took_ms: 61_000,
                },
            ),
            (61_000, Event::Step { region: region.clone(), step: "probe".to_owned() }),
            (
                72_000,
                Event::StepFailed {
                    region,
                    step: "probe".to_owned(),
                    error: StepError::new("answers 502\nmore"),
                },
            ),
        ];
        let mut board = Board::default();
        let mut screen = Vec::new();
        for (now_ms, event) in &events {
            screen.extend(board.take(*now_ms, event).map(|line| plain(&line)));
            screen
                .extend(board.rows(now_ms + QUIET_MS - 1).iter().map(|row| format!("hasty {}", plain(row))));
            let rows = board.rows(now_ms + QUIET_MS);
            screen.extend(rows.iter().map(|row| format!("drawn {}", plain(row))));
        }
        insta::assert_snapshot!(screen.join("\n"));
    }

    #[test]
    fn an_interrupted_run_leaves_no_line_at_work() {
        let mut board = Board::default();
        let step = Event::Step { region: RegionName::new("eu-west-1"), step: "edge stack".to_owned() };
        assert_eq!(board.take(0, &step), None);
        assert_eq!(board.rows(5_000).len(), 1);
        assert!(board.take(5_000, &Event::Stopping).is_some_and(|line| line.starts_with("stopping")));
        let finished = Event::Finished { outcome: "interrupted", done: 0, left: 3, took_ms: 5_000 };
        assert_eq!(board.take(6_000, &finished), None);
        assert!(board.rows(9_000).is_empty());
    }
}
