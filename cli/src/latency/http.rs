//! As much of HTTP/1.1 as a probe needs to read an answer; bounded, and trusting nothing.

use serde::Deserialize;

/// Bytes of an answer that are read; `/health` has some two hundred.
pub(super) const REPLY_BYTES_MAX: usize = 64 * 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The region that answered, by its own word.
    pub region: Option<String>,
    /// The date of its geo database.
    pub database_date: Option<String>,
    /// The version that it runs.
    pub version: Option<String>,
    /// The credit that its geo data asks for.
    pub attribution: Option<Attribution>,
}

/// A credit, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Attribution {
    /// What it says.
    pub text: String,
    /// Where it leads.
    pub link: String,
}

/// Why bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The other end closed before the answer was whole.
    #[error("the answer was cut")]
    Cut,
    /// The bytes are not HTTP/1.1.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// The answer is longer than a health check's can be.
    #[error("the answer is too long")]
    TooLong,
}

/// The body of `/health`.
#[derive(Deserialize, Default)]
struct Health {
    region: Option<String>,
    database_date: Option<String>,
    version: Option<String>,
    attribution: Option<Attribution>,
}

/// Reads an answer from the bytes that came until the other end closed.
pub fn read_reply(bytes: &[u8]) -> Result<Reply, ReplyError> {
    if bytes.len() > REPLY_BYTES_MAX {
        return Err(ReplyError::TooLong);
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or(ReplyError::Cut)?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| ReplyError::NotHttp)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")).and_then(|rest| rest.get(2..5));
    let status = status.and_then(|digits| digits.parse().ok()).ok_or(ReplyError::NotHttp)?;
    let header = |name: &str| {
        head.split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim()))
    };
    let body = &bytes[end + 4..];
    let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let body = match header("content-length").and_then(|value| value.parse::<usize>().ok()) {
        _ if chunked => unchunked(body)?,
        Some(length) => body.get(..length).ok_or(ReplyError::Cut)?.to_vec(),
        None => body.to_vec(),
    };
    let health: Health = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Reply {
        status,
        region: health.region,
        database_date: health.database_date,
        version: health.version,
        attribution: health.attribution,
    })
}

fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>, ReplyError> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").ok_or(ReplyError::Cut)?;
        let size = std::str::from_utf8(&rest[..end]).map_err(|_| ReplyError::NotHttp)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| ReplyError::NotHttp)?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..size).ok_or(ReplyError::Cut)?);
        rest = rest.get(size + 2..).ok_or(ReplyError::Cut)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_read_or_told_apart() {
        let health = r#"{"status":"ok","version":"0.1.0","region":"eu-west-1","database_date":"2026-11-01","attribution":{"text":"by us","link":"https://a.test"}}"#;
        let whole = Reply {
            status: 200,
            region: Some("eu-west-1".into()),
            database_date: Some("2026-11-01".into()),
            version: Some("0.1.0".into()),
            attribution: Some(Attribution { text: "by us".into(), link: "https://a.test".into() }),
        };
        let bare =
            |status| Reply { status, region: None, database_date: None, version: None, attribution: None };
        let with_length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{health}", health.len());
        let (first, second) = health.split_at(20);
        let chunked = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x};x=1\r\n{second}\r\n0\r\n\r\n",
            first.len(),
            second.len()
        );
        let table = [
            (with_length.clone(), Ok(whole.clone())),
            (chunked.clone(), Ok(whole.clone())),
            (format!("HTTP/1.0 200 OK\r\n\r\n{health}"), Ok(whole)),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\nbusy".to_owned(), Ok(bare(503))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}".to_owned(), Err(ReplyError::Cut)),
            (chunked[..chunked.len() - 8].to_owned(), Err(ReplyError::Cut)),
            ("HTTP/1.1 200 OK\r\n".to_owned(), Err(ReplyError::Cut)),
            ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), Err(ReplyError::NotHttp)),
            ("x".repeat(REPLY_BYTES_MAX + 1), Err(ReplyError::TooLong)),
        ];
        for (bytes, expected) in table {
            assert_eq!(read_reply(bytes.as_bytes()), expected, "{}", &bytes[..bytes.len().min(80)]);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _read_or_not = read_reply(&bytes);
            let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            answer.extend(bytes);
            let _read_or_not = read_reply(&answer);
        }
    }
}
