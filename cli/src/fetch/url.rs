//! Sources at an address: this month's, or, early in a month, the last one's.

use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use ipgeo_contract::Month;
use jiff::{Timestamp, ToSpan as _};
use tempfile::NamedTempFile;

use super::FetchError;
use super::place::received;

/// Patience for the first byte; a large file may take as long as it needs after that.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The address of a month.
fn of_month(pattern: &str, month: Month) -> String {
    let text = month.to_string();
    pattern.replace("{YYYY}", &text[..4]).replace("{MM}", &text[5..])
}

/// An address without what follows its `?`: a licence key may be there, which nobody is to read.
pub(super) fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// The addresses to try, the newest first.
fn addresses(pattern: &str, now: Timestamp) -> Vec<String> {
    let this = Month::of(now);
    let last = this.first().checked_sub(1.day()).map_or(this, Month::of_date);
    let mut addresses = vec![of_month(pattern, this), of_month(pattern, last)];
    addresses.dedup();
    addresses
}

/// Downloads the newest that is there; a `.gz` is unpacked on the way.
pub(super) fn download(pattern: &str, folder: &Path, now: Timestamp) -> Result<NamedTempFile, FetchError> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(ANSWER_WITHIN))
        .timeout_recv_response(Some(ANSWER_WITHIN))
        .build()
        .into();
    let mut failure = None;
    for url in addresses(pattern, now) {
        match get(&agent, &url, folder) {
            Ok(file) => return Ok(file),
            Err(source) => {
                // The newest address is the one that an operator will look for.
                let url = without_query(&url).to_owned();
                failure.get_or_insert(FetchError::Download { url, source });
            }
        }
    }
    Err(failure.unwrap_or(FetchError::NoSource))
}

fn get(
    agent: &ureq::Agent,
    url: &str,
    folder: &Path,
) -> Result<NamedTempFile, Box<dyn std::error::Error + Send + Sync>> {
    let body = agent.get(url).call()?.into_body();
    let length = body.content_length();
    let reader = body.into_with_config().limit(super::BYTES_MAX).reader();
    let packed = url.split('?').next().is_some_and(|path| {
        Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
    });
    let file = if packed { received(GzDecoder::new(reader), folder)? } else { received(reader, folder)? };
    let got = file.as_file().metadata()?.len();
    match length {
        Some(length) if !packed && got != length => {
            Err(format!("it was cut: {got} of {length} bytes came").into())
        }
        _ => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_month_comes_before_the_last() {
        let now = "2026-01-02T00:00:00Z".parse().expect("a timestamp");
        let pattern = "http://a.test/city-{YYYY}-{MM}.mmdb.gz";
        let expected = ["http://a.test/city-2026-01.mmdb.gz", "http://a.test/city-2025-12.mmdb.gz"];
        assert_eq!(addresses(pattern, now), expected);
        assert_eq!(addresses("http://a.test/city.mmdb", now), ["http://a.test/city.mmdb"]);
    }
}
