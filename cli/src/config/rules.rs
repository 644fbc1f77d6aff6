//! The text formats that the schema names: each rule accepts what AWS, DNS or npm accept, and otherwise says what is
//! wrong in words that follow `field: `.

use ipgeo_contract::{Limit, LimitError, Rate, RateError, prefix_is_valid};
use ipgeo_geo::compile::{FLAGS, Flags};

use super::geo::{SourceFormat, json_paths};
use super::places::{self, PLACES, other_partition};
use super::sources::{is_pypi_package, is_registry_package, source_url};
use super::suggest::suggestion;

/// Checks a text; the number is the schema's `maxLength`.
type Rule = fn(&str, usize) -> Result<(), String>;

/// The rule for a `format` of the schema.
pub(super) fn rule(format: &str) -> Option<Rule> {
    let rule: Rule = match format {
        "resource-name" => |text, chars_max| resource_name(text, chars_max).and_then(|()| bucket_part(text)),
        "certified-domain" => |text, _| certified_domain(text),
        "hosted-zone" => |text, _| if is_zone_id(text) { Ok(()) } else { domain(text) },
        "email" => |text, _| email(text),
        "https-url" => |text, _| https_url(text),
        "loopback-url" => |text, _| loopback_url(text),
        "source-url" => |text, _| source_url(text).map_err(str::to_owned),
        "web-url" => |text, _| web_url(text),
        "name" => |text, _| name(text),
        "aws-region" => |text, _| aws_region(text),
        "rate" => |text, _| text.parse::<Rate>().map(drop).map_err(|error: RateError| error.to_string()),
        "limit" => |text, _| text.parse::<Limit>().map(drop).map_err(|error: LimitError| error.to_string()),
        "key-prefix" => |text, chars_max| {
            let fault = || {
                format!(
                    "expected 2 to {chars_max} of a-z, 0-9 and _, starting with a letter, not ending with _"
                )
            };
            prefix_is_valid(text).then_some(()).ok_or_else(fault)
        },
        "aws-account" => |text, _| {
            let valid = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
            valid
                .then_some(())
                .ok_or_else(|| format!("expected an account number of 12 digits, found `{text}`"))
        },
        "policy-arn" => |text, _| policy_arn(text),
        "npm-package" => |text, _| {
            let fault =
                || format!("expected an npm package name, optionally with `@version`, found `{text}`");
            is_registry_package(text).then_some(()).ok_or_else(fault)
        },
        "pypi-package" => |text, _| {
            let fault =
                || format!("expected a PyPI package name, optionally with `==version`, found `{text}`");
            is_pypi_package(text).then_some(()).ok_or_else(fault)
        },
        "source-file" => |text, _| {
            let fault = || format!("expected a `.mmdb`, `.csv`, `.json` or `.txt` file, found `{text}`");
            SourceFormat::by_name(text).map(drop).ok_or_else(fault)
        },
        "json-path" => |text, _| json_paths(text).map(drop),
        "threat-flag" => |text, _| {
            let hint = || suggestion(text, FLAGS);
            Flags::named(text).map(drop).ok_or_else(|| format!("unknown flag `{text}`{}", hint()))
        },
        _ => return None,
    };
    Some(rule)
}

/// Checks the ARN of a managed policy: `arn:aws:iam::123456789012:policy/path/name`.
fn policy_arn(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":policy/"));
    let sound = rest.is_some_and(|(account, name)| {
        account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/+=,.@_-".contains(&b))
    });
    let fault = || format!("expected `arn:aws:iam::ACCOUNT:policy/NAME`, found `{text}`");
    sound.then_some(()).ok_or_else(fault)
}

fn aws_region(text: &str) -> Result<(), String> {
    if places::find(text).is_some() {
        return Ok(());
    }
    let hint = || suggestion(text, PLACES.iter().map(|place| place.name));
    Err(other_partition(text).unwrap_or_else(|| format!("unknown AWS region{}", hint())))
}

/// Whether a character is invisible or changes the text direction. No readable text needs it, and it corrupts headers,
/// terminals and reports.
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
fn bucket_part(text: &str) -> Result<(), String> {
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

/// Checks a part of resource names: 2 to `chars_max` of `a-z 0-9 -`, starting with a letter, not ending with `-`.
fn resource_name(text: &str, chars_max: usize) -> Result<(), String> {
    let valid = (2..=chars_max).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if valid {
        Ok(())
    } else {
        Err(format!("expected 2 to {chars_max} of a-z, 0-9 and -, starting with a letter"))
    }
}

/// Longest label and name in DNS (RFC 1035), and longest domain of an ACM certificate: it is the certificate's common
/// name.
const LABEL_CHARS_MAX: usize = 63;
const NAME_CHARS_MAX: usize = 253;
const CERTIFICATE_CHARS_MAX: usize = 64;

/// Checks a domain of at least two labels.
fn domain(text: &str) -> Result<(), String> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if text.split('.').count() < 2 || !text.split('.').all(label) {
        return Err("expected a lowercase domain name, such as `api.example.com`".to_owned());
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

/// Whether a text is the ID of a Route 53 hosted zone.
pub(crate) fn is_zone_id(text: &str) -> bool {
    (2..=32).contains(&text.len())
        && text.starts_with('Z')
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn certified_domain(text: &str) -> Result<(), String> {
    domain(text)?;
    if text.len() > CERTIFICATE_CHARS_MAX {
        let long = text.len();
        return Err(format!(
            "has {long} characters; an AWS certificate allows at most {CERTIFICATE_CHARS_MAX}; choose a shorter domain"
        ));
    }
    Ok(())
}

/// Checks an `http` or `https` URL; it may be empty.
fn web_url(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let valid = rest.is_some_and(|rest| !rest.is_empty()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if valid || text.is_empty() {
        Ok(())
    } else {
        Err("expected a URL, such as `https://example.com`".to_owned())
    }
}

pub(crate) fn is_below(domain: &str, zone: &str) -> bool {
    domain == zone || domain.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'))
}

/// Checks the name of a tier or a source.
fn name(text: &str) -> Result<(), String> {
    let valid = (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if valid { Ok(()) } else { Err("expected 1 to 32 of a-z, 0-9, - and _".to_owned()) }
}

/// Checks the URL of a server on this machine.
fn loopback_url(text: &str) -> Result<(), String> {
    let authority = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let host = authority
        .and_then(|authority| authority.rsplit_once(':'))
        .filter(|(_, port)| port.parse::<u16>().is_ok());
    match host {
        Some(("127.0.0.1" | "localhost" | "[::1]", _)) => Ok(()),
        _ => Err("expected a URL on this machine, such as `http://127.0.0.1:4566`".to_owned()),
    }
}

fn email(text: &str) -> Result<(), String> {
    let valid = text.len() <= 254
        && !text.contains(char::is_whitespace)
        && text
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && domain(&host.to_lowercase()).is_ok());
    if valid { Ok(()) } else { Err("expected an e-mail address, such as `ops@example.com`".to_owned()) }
}

fn https_url(text: &str) -> Result<(), String> {
    let host = text.strip_prefix("https://").and_then(|rest| rest.split(['/', ':', '?']).next());
    let valid = text.len() <= 2_000
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && host.is_some_and(|host| domain(&host.to_lowercase()).is_ok());
    if valid {
        Ok(())
    } else {
        Err("expected a URL that starts with `https://`, such as `https://example.com/alerts`".to_owned())
    }
}
