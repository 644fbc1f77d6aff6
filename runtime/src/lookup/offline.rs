//! Answers from a database without a service: what `ipgeo lookup` and `ipgeo bulk` print.

use ipgeo_geo::Database;
use jiff::Timestamp;

use super::address::public_address;
use super::compose::{Extent, compose};
use super::problem::Problem;

/// Looks addresses up in a database, all at the same instant.
#[derive(Debug)]
pub struct Offline {
    database: Database,
    now: Timestamp,
    /// The last answer; reused, because a list may have millions of addresses.
    answer: String,
}

impl Offline {
    /// `now` is the instant of the members of `time_zone`.
    pub fn new(database: Database, now: Timestamp) -> Self {
        Self { database, now, answer: String::new() }
    }

    /// The JSON that the API answers for a text, without `count`; otherwise the API's message.
    pub fn answer(&mut self, text: &str) -> Result<&str, String> {
        self.composed(text, Extent::Complete)
    }

    /// The same without the fields that are unknown, which are `null` in an answer.
    pub fn known(&mut self, text: &str) -> Result<&str, String> {
        self.composed(text, Extent::Known)
    }

    fn composed(&mut self, text: &str, extent: Extent) -> Result<&str, String> {
        let address = public_address(text).map_err(|fault| Problem::address(&fault).message)?;
        self.answer.clear();
        if compose(&self.database, address, extent, self.now, &mut self.answer) {
            Ok(&self.answer)
        } else {
            Err(Problem::not_found(address).message)
        }
    }
}
