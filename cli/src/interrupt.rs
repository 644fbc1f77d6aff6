//! Ctrl-C and SIGTERM. In every verb that does not handle them itself, they remove the bars, so that the terminal stays clean,
//! and say how far the work came.
//!
//! In verbs that read or change a deployment they do more. Until such a verb takes the lock, a signal ends the process at
//! once, wherever it waits: for AWS, for an answer to a prompt, or for a thread that can't be stopped, such as one that
//! compresses an artifact. From then on the run handles signals itself, because it finishes the steps in progress. Either way
//! it prints what was changed and the command that continues.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::ui::output::{self, Exit, Interrupted};
use crate::ui::progress;

/// Handles signals for one verb; clones share their state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    ending: Mutex<Ending>,
    received: watch::Sender<u32>,
}

/// What a signal does.
#[derive(Debug, Default)]
struct Ending {
    /// Whether the verb reports what it has changed.
    reports: bool,
    /// The verb's command line.
    again: String,
    /// What the verb has changed so far, as the end of a sentence.
    changed: Option<String>,
    is_handled_by_run: bool,
}

/// Signals that arrive while a run handles them.
#[derive(Debug)]
pub(crate) struct Signals(watch::Receiver<u32>);

impl Interrupts {
    /// Handles signals from now on; `again` is the command that continues, if the verb reports an interruption.
    pub(crate) fn watch(&self, again: Option<String>) -> io::Result<()> {
        self.with_ending(|ending| {
            ending.reports = again.is_some();
            ending.again = again.unwrap_or_default();
        });
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let this = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                this.received();
            }
        });
        Ok(())
    }

    /// Ends the process, unless a run handles signals. The state stays locked, so no run can begin in between.
    fn received(&self) {
        self.with_ending(|ending| {
            if !ending.is_handled_by_run {
                let stopped = progress::leave();
                // The terminal has echoed ^C, perhaps after a prompt. A bar was removed together with the echo.
                let has_echo = stopped.is_empty() && output::stderr_is_terminal();
                for line in &stopped {
                    output::print_note(line);
                }
                if ending.reports {
                    let start = if has_echo { "\n" } else { "" };
                    output::print_note(&format!("{start}{}", ending.error()));
                } else if has_echo {
                    output::print_note("");
                }
                std::process::exit(Exit::Interrupted as i32);
            }
        });
        self.0.received.send_modify(|count| *count += 1);
    }

    /// What an interruption now would report as changed.
    pub(crate) fn note_changes(&self, changed: String) {
        self.with_ending(|ending| ending.changed = Some(changed));
    }

    /// From now on the run handles signals.
    pub(crate) fn hand_over(&self) -> Signals {
        self.with_ending(|ending| ending.is_handled_by_run = true);
        Signals(self.0.received.subscribe())
    }

    pub(crate) fn error(&self) -> Interrupted {
        self.with_ending(|ending| ending.error())
    }

    fn with_ending<T>(&self, work: impl FnOnce(&mut Ending) -> T) -> T {
        work(&mut self.0.ending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ending {
    fn error(&self) -> Interrupted {
        let changed = self.changed.as_deref().unwrap_or("nothing was changed");
        Interrupted { changed: changed.to_owned(), again: self.again.clone() }
    }
}

impl Signals {
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
