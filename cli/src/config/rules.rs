//! What names and addresses must look like, so that AWS takes them.

/// Whether a character is invisible or changes the text direction: no readable text needs it, and it does harm in
/// headers, terminals and reports.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Checks text that is shown to people.
pub(super) fn visible(text: &str) -> Result<(), String> {
    match text.chars().find(|c| is_invisible(*c)) {
        Some(c) => Err(format!("contains the invisible character U+{:04X}; remove it", u32::from(c))),
        None => Ok(()),
    }
}

/// Prefixes and suffixes that S3 reserves in bucket names (AWS, "General purpose bucket naming
/// rules"). Buckets begin with `<name>-<environment>-`.
const BUCKET_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const BUCKET_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Checks that a service's name or environment is allowed in bucket names.
pub(super) fn bucket_part(text: &str) -> Result<(), String> {
    let joined = format!("{text}-");
    if let Some(prefix) = BUCKET_PREFIXES.iter().find(|prefix| joined.starts_with(**prefix)) {
        return Err(format!("starts with `{prefix}`, which S3 reserves in bucket names; choose another"));
    }
    let joined = format!("-{text}");
    if let Some(suffix) = BUCKET_SUFFIXES.iter().find(|suffix| joined.ends_with(**suffix)) {
        return Err(format!("ends with `{suffix}`, which S3 reserves in bucket names; choose another"));
    }
    Ok(())
}

/// A name that begins AWS's names of things: 2 to `most` of `a-z 0-9 -`, a letter first, no `-` last.
pub(super) fn resource_name(text: &str, most: usize) -> Result<(), String> {
    let sound = (2..=most).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if sound { Ok(()) } else { Err(format!("is 2 to {most} of a-z, 0-9 and -, with a letter first")) }
}

/// Longest label and longest name of DNS (RFC 1035), and longest name that a certificate of AWS is issued for: it is
/// the certificate's common name.
const LABEL_CHARS_MAX: usize = 63;
const NAME_CHARS_MAX: usize = 253;
const CERTIFICATE_CHARS_MAX: usize = 64;

/// A domain of at least two labels.
pub(super) fn domain(text: &str) -> Result<(), String> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if text.split('.').count() < 2 || !text.split('.').all(label) {
        return Err("must be a lowercase domain name, such as `api.example.com`".to_owned());
    }
    if let Some(label) = text.split('.').find(|label| label.len() > LABEL_CHARS_MAX) {
        let long = label.len();
        return Err(format!("has a label of {long} characters; DNS allows at most {LABEL_CHARS_MAX}"));
    }
    if text.len() > NAME_CHARS_MAX {
        return Err(format!("has {} characters; DNS allows at most {NAME_CHARS_MAX}", text.len()));
    }
    Ok(())
}

/// Checks a domain that needs a certificate.
pub(super) fn certified_domain(text: &str) -> Result<(), String> {
    domain(text)?;
    if text.len() > CERTIFICATE_CHARS_MAX {
        let long = text.len();
        return Err(format!(
            "has {long} characters; an AWS certificate allows at most {CERTIFICATE_CHARS_MAX}; choose a shorter domain"
        ));
    }
    Ok(())
}

/// Checks the link of an attribution: an `http` or `https` URL.
pub(super) fn web_url(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let sound = rest.is_some_and(|rest| !rest.is_empty()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if sound { Ok(()) } else { Err("must be a URL, such as `https://example.com`".to_owned()) }
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
