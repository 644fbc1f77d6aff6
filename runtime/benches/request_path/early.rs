//! What early counts cost the request path: `bootstrap` with and without them, in turn, with an API key whose calls are
//! reported as often as an environment may report.
//!
//! A report is sent after the answer is posted, so no caller waits for it, but the environment asks for its next event
//! later. Both times are measured: until the answer, and from the answer to the request for the next event.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::stub::{Answered, serve_home, serve_store};
use super::subject::{Subject, World};
use super::{Running, item_with_limit, quantile, us};

/// Calls in a round, rounds, and the pause before each call: short enough that a report follows one call in twenty, and long
/// enough that a report has left before the next call.
const CALLS: usize = 200;
const ROUNDS: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);
/// Calls of the API key's limit: so few that the pace of the bench matters for them.
const LIMIT: u64 = 20_000;

/// Times of one program.
#[derive(Default)]
struct Times {
    answers: Vec<Duration>,
    /// From an answer to the request for the next event.
    afterwards: Vec<Duration>,
}

/// Calls of a running program; `last` is its answer before them.
fn call(running: &Running, event: &str, expected: &str, mut last: Answered, times: &mut Times) -> Answered {
    for _ in 0..CALLS {
        std::thread::sleep(PAUSE);
        running.api.send(event);
        let answered = running.answer(expected);
        times.answers.push(answered.round_trip);
        times.afterwards.push(answered.polled.saturating_duration_since(last.at));
        last = answered;
    }
    last
}

/// Measures both and prints a table.
pub(crate) fn measure(bootstrap: impl Fn() -> Subject, world: &mut World, event: &str, expected: &str) {
    world.plain = serve_store(&item_with_limit(LIMIT), None);
    let (home, reports) = serve_home();
    let subjects = [
        Subject { name: "without early counts", ..bootstrap() },
        Subject { name: "with early counts", home: Some(home), ..bootstrap() },
    ];
    let running = subjects.each_ref().map(|subject| Running::start(subject, world, event));
    let mut last = running.each_ref().map(|running| running.answer(expected));
    let mut times = [Times::default(), Times::default()];
    for _ in 0..ROUNDS {
        for ((running, last), times) in running.iter().zip(&mut last).zip(&mut times) {
            *last = call(running, event, expected, last.clone(), times);
        }
    }
    running.into_iter().for_each(Running::end);
    let calls = CALLS * ROUNDS;
    println!("early counts: {calls} calls each, {} reports", reports.load(Ordering::Relaxed));
    println!(
        "| `bootstrap` | answer p50 / p99, µs | answer to the next poll p50 / p99, µs |\n| --- | --- | --- |"
    );
    for (subject, mut times) in subjects.iter().zip(times) {
        let both = |values: &mut Vec<Duration>| {
            [500, 990].map(|permille| us(quantile(values, permille))).join(" / ")
        };
        println!("| {} | {} | {} |", subject.name, both(&mut times.answers), both(&mut times.afterwards));
    }
}
