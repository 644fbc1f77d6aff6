//! A long task: the code that does the work adds to it, and a thread shows it.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::super::output;
use super::Style;
use super::meter::{Meter, Unit};
use super::screen::{Row, note_ending};

/// Interval between two frames of a bar, and the delay of a line.
const FRAME: Duration = Duration::from_millis(100);

/// The mark of a task that the operator has stopped.
const STOPPED: &str = "stopped";

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A task in progress. [`Task::done`] removes its bar. A task that is dropped without it has failed: its bar becomes a line
/// that says so, and the error is printed below.
#[derive(Debug)]
pub(crate) struct Task {
    meter: Arc<Mutex<Meter>>,
    /// `None`: nothing is shown.
    ticker: Option<Ticker>,
    id: u64,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    Stopped,
}

/// A thread that runs something again and again; dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Ticker(Option<(Sender<()>, JoinHandle<()>)>);

impl Ticker {
    /// Calls `tick` with the milliseconds since now. If no thread can be started, nothing is called: progress must not fail
    /// the work.
    pub(crate) fn start(mut tick: impl FnMut(u64) + Send + 'static) -> Self {
        let ((stop, stopped), began) = (channel(), Instant::now());
        let run = move || {
            while stopped.recv_timeout(FRAME) == Err(RecvTimeoutError::Timeout) {
                tick(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
            }
        };
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(run);
        Self(thread.ok().map(|thread| (stop, thread)))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            // A thread that has panicked has shown what it could.
            let _ = thread.join();
        }
    }
}

fn locked(meter: &Mutex<Meter>) -> MutexGuard<'_, Meter> {
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Task {
    /// A task that counts `total` items with the name `noun`; `None`: the total is unknown.
    pub(crate) fn items(label: &str, noun: &'static str, total: Option<usize>) -> Self {
        Self::new(Style::current(), label, Unit::Items(noun), total.map(|total| total as u64))
    }

    pub(crate) fn bytes(style: Style, label: &str, total: Option<u64>) -> Self {
        Self::new(style, label, Unit::Bytes, total)
    }

    /// A task of which only the percentage is shown.
    pub(crate) fn share(label: &str, total: u64) -> Self {
        Self::new(Style::current(), label, Unit::Share, Some(total))
    }

    /// A task whose progress cannot be measured: its elapsed time is shown.
    pub(crate) fn time(label: &str) -> Self {
        Self::new(Style::current(), label, Unit::Time, None)
    }

    fn new(style: Style, label: &str, unit: Unit, total: Option<u64>) -> Self {
        let meter = Arc::new(Mutex::new(Meter::new(style, label, unit, total)));
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let ticker = (style != Style::None).then(|| show(Arc::clone(&meter), style, id));
        Self { meter, ticker, id, end: End::Failed }
    }

    pub(crate) fn add(&self, count: usize) {
        locked(&self.meter).add(count as u64);
    }

    pub(crate) fn set(&self, done: u64) {
        locked(&self.meter).set(done);
    }

    /// Sets the finished share of the whole, 0 to 1, of a task without a total.
    pub(crate) fn set_share(&self, share: f64) {
        locked(&self.meter).set_share(share);
    }

    pub(crate) fn set_label(&self, label: &str) {
        locked(&self.meter).set_label(label);
    }

    pub(crate) fn grow(&self, count: u64) {
        locked(&self.meter).grow(count);
    }

    /// A reader that adds what is read.
    pub(crate) fn reading<R: Read>(&self, inner: R) -> Reading<'_, R> {
        Reading { inner, task: self }
    }

    /// Removes the bar: the task has succeeded, and its verb says what it did.
    pub(crate) fn done(mut self) {
        self.end = End::Done;
    }

    /// Ends the task before its work is done, because the operator wants to stop.
    pub(crate) fn stopped(mut self) {
        self.end = End::Stopped;
    }
}

/// Adds what is read to a task of bytes.
#[derive(Debug)]
pub(crate) struct Reading<'a, R> {
    inner: R,
    task: &'a Task,
}

impl<R: Read> Read for Reading<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.task.add(read);
        Ok(read)
    }
}

/// Runs work whose progress cannot be measured. The future is boxed, because it is often large.
pub(crate) fn timed<T, E>(
    label: &str,
    work: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    let work = Box::pin(work);
    async move {
        let mut task = Task::time(label);
        // If nobody waits for the end, the operator has stopped.
        task.end = End::Stopped;
        let result = work.await;
        task.end = if result.is_ok() { End::Done } else { End::Failed };
        result
    }
}

/// Shows a task until it is dropped.
fn show(meter: Arc<Mutex<Meter>>, style: Style, id: u64) -> Ticker {
    let mut row = None;
    Ticker::start(move |now_ms| {
        let Some(text) = locked(&meter).due(now_ms) else { return };
        match style {
            Style::Bars => row.get_or_insert_with(Row::new).draw(&text),
            _ => output::print_note(&text),
        }
        note_ending(id, Some(locked(&meter).ending(STOPPED)));
    })
}

impl Drop for Task {
    fn drop(&mut self) {
        drop(self.ticker.take());
        note_ending(self.id, None);
        let meter = locked(&self.meter);
        let mark = match self.end {
            End::Done => return,
            End::Failed => "FAILED",
            End::Stopped => STOPPED,
        };
        if meter.is_visible() {
            output::print_note(&meter.ending(mark));
        }
    }
}
