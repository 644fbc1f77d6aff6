//! The logs of a running `ipgeo dev`: `<region>.<position>.log` in its stores.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ipgeo_contract::RegionName;
use jiff::Timestamp;

use super::LogSource;
use super::line::LogLine;
use crate::infra::cloud::Problem;
use crate::usage::stream::SegmentedLog;

/// The logs of the local service in a state folder.
#[derive(Debug, Clone)]
pub(crate) struct LocalLogs {
    folder: PathBuf,
}

impl LocalLogs {
    pub(crate) fn new(state: &Path) -> Self {
        Self { folder: state.join("stores") }
    }

    fn read(
        &self,
        region: &RegionName,
        since: Timestamp,
        filter: Option<&str>,
    ) -> std::io::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        SegmentedLog::new(&self.folder, region, "log").read(0, |text, after| {
            let text = String::from_utf8_lossy(text).into_owned();
            let time = LogLine::event_time(&text).unwrap_or(since);
            let line = LogLine { time, region: region.clone(), id: format!("{after:020}"), text };
            if time >= since && filter.is_none_or(|filter| line.contains(filter)) {
                lines.push(line);
            }
            ControlFlow::Continue(())
        })?;
        lines.sort();
        Ok(lines)
    }
}

impl LogSource for LocalLogs {
    async fn lines(
        &self,
        region: &RegionName,
        since: Timestamp,
        filter: Option<&str>,
    ) -> Result<Vec<LogLine>, Problem> {
        let (logs, name, text) = (self.clone(), region.to_owned(), filter.map(str::to_owned));
        let read = tokio::task::spawn_blocking(move || logs.read(&name, since, text.as_deref())).await;
        let failed = |why: String| {
            Problem::new(
                format!("the log of {region} can't be read: {why}"),
                "check the files in the state folder's `stores`".to_owned(),
            )
        };
        read.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-24, in seconds.
    const DAY_S: i64 = 1_795_478_400;

    fn usage(ms: i64, verdict: &str) -> String {
        let ms = DAY_S * 1_000 + ms;
        format!(
            r#"{{"ipgeo":1,"t":{ms},"v":"{verdict}","n":1,"r":"eu-west-1","q":"q","p":"startup","c":[]}}"#
        )
    }

    #[tokio::test]
    async fn complete_lines_since_an_instant_are_read() {
        let state = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(state.path().join("stores")).expect("a folder");
        let text =
            format!("{}\n{}\n{}", usage(2_000, "allowed"), usage(1_000, "over_quota"), usage(3_000, "al"));
        std::fs::write(state.path().join("stores/a.00000000000000000000.log"), text).expect("written");
        let logs = LocalLogs::new(state.path());
        let read = async |since: i64, filter| {
            let since = Timestamp::from_second(DAY_S + since).expect("a time");
            let lines = logs.lines(&RegionName::new("a"), since, filter).await.expect("read");
            lines.iter().map(|line| line.time.as_millisecond() - DAY_S * 1_000).collect::<Vec<_>>()
        };
        assert_eq!(read(0, None).await, [1_000, 2_000]);
        assert_eq!(read(2, None).await, [2_000]);
        assert_eq!(read(0, Some("over_quota")).await, [1_000]);
        assert!(
            logs.lines(&RegionName::new("b"), Timestamp::UNIX_EPOCH, None).await.expect("read").is_empty()
        );
    }
}
