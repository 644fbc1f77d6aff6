//! What names and addresses must look like, so that AWS takes them.

/// A name that begins AWS's names of things: 2 to `most` of `a-z 0-9 -`, a letter first, no `-` last.
pub(super) fn resource_name(text: &str, most: usize) -> Result<(), String> {
    let sound = (2..=most).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if sound { Ok(()) } else { Err(format!("is 2 to {most} of a-z, 0-9 and -, with a letter first")) }
}

/// A domain of at least two labels.
pub(super) fn domain(text: &str) -> Result<(), String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let sound = text.len() <= 253 && text.split('.').count() >= 2 && text.split('.').all(label);
    if sound { Ok(()) } else { Err("is a domain in lower case, such as `api.example.com`".to_owned()) }
}

/// Whether a domain is of a zone.
pub(super) fn is_below(domain: &str, zone: &str) -> bool {
    domain == zone || domain.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'))
}

/// A name of a tier or a source: 1 to 32 of `a-z 0-9 - _`.
pub(super) fn plain_name(text: &str) -> Result<(), String> {
    let sound = (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if sound { Ok(()) } else { Err("is 1 to 32 of a-z, 0-9, - and _".to_owned()) }
}

/// A URL of a server on this machine: `http://127.0.0.1:4566`.
pub(super) fn loopback_url(text: &str) -> Result<(), String> {
    let authority = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let host = authority
        .and_then(|authority| authority.rsplit_once(':'))
        .filter(|(_, port)| port.parse::<u16>().is_ok());
    match host {
        Some(("127.0.0.1" | "localhost" | "[::1]", _)) => Ok(()),
        _ => Err("is a URL of this machine, such as `http://127.0.0.1:4566`".to_owned()),
    }
}

/// An address that mail can be sent to, as far as its looks tell.
pub(super) fn email(text: &str) -> Result<(), String> {
    let sound = text.len() <= 254
        && !text.contains(char::is_whitespace)
        && text
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && domain(&host.to_lowercase()).is_ok());
    if sound { Ok(()) } else { Err("is an e-mail address, such as `ops@example.com`".to_owned()) }
}

/// An address that a webhook may have, as far as its looks tell.
pub(super) fn https_url(text: &str) -> Result<(), String> {
    let host = text.strip_prefix("https://").and_then(|rest| rest.split(['/', ':', '?']).next());
    let sound = text.len() <= 2_000
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && host.is_some_and(|host| domain(&host.to_lowercase()).is_ok());
    if sound {
        Ok(())
    } else {
        Err("is an address that starts with `https://`, such as `https://example.com/alerts`".to_owned())
    }
}
