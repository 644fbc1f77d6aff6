//! Where answers come from: a compiled database, or the API.

use ipgeo_runtime::lookup::{BULK_MAX, Column, Offline};

use super::StopFlag;
use super::api::Api;

/// Addresses that are looked up together: what one request may hold.
pub(crate) const BLOCK: usize = BULK_MAX;

/// What is read of the answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// All of them, as the API serves it.
    Everything,
    Columns(&'a [Column]),
}

/// Receives the answer for the address at an index: its location as JSON, or the reason that it has none.
pub(crate) type EachAnswer<'a> = &'a mut dyn FnMut(usize, Result<&str, &str>) -> anyhow::Result<()>;

/// Answers lists of addresses.
pub(crate) enum Source {
    Offline(Box<Offline>),
    Api(Api),
}

impl Source {
    /// Looks up at most [`BLOCK`] addresses. `each` gets the answers in order.
    pub(crate) fn look_up(
        &mut self,
        texts: &[String],
        wanted: Wanted<'_>,
        stop: &StopFlag,
        each: EachAnswer<'_>,
    ) -> anyhow::Result<()> {
        stop.check()?;
        match self {
            Self::Api(api) => api.look_up(texts, wanted, stop, each),
            Self::Offline(offline) => {
                for (index, text) in texts.iter().enumerate() {
                    let answer = match wanted {
                        Wanted::Everything => offline.answer(text),
                        Wanted::Columns(_) => offline.known(text),
                    };
                    match answer {
                        Ok(location) => each(index, Ok(location))?,
                        Err(message) => each(index, Err(&message))?,
                    }
                }
                Ok(())
            }
        }
    }
}
