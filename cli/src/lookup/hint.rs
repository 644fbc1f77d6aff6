//! Suggestions for texts that are almost addresses.

use std::net::{IpAddr, SocketAddr};

/// Around an address in logs, lists and Markdown.
const AROUND: &[char] = &['"', '\'', '`', '<', '>', '(', ')', '[', ']', ',', ';'];

/// How to get an address from a text that is not one; `None` if there is nothing to suggest.
pub(crate) fn hint(text: &str) -> Option<String> {
    let text = text.trim();
    if text.parse::<IpAddr>().is_ok() {
        return None;
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(format!("remove the port: {}", socket.ip()));
    }
    let url = text.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    if let Some(host) = url {
        return address_in(host).map(|address| format!("remove the rest of the URL: {address}"));
    }
    if let Some(address) = text.split_once('%').and_then(|(address, _)| address_in(address)) {
        return Some(format!("remove the zone: {address}"));
    }
    if let Some(address) = address_in(text) {
        return Some(format!("remove the characters around it: {address}"));
    }
    let parts: Vec<&str> = text.split('.').collect();
    let is_digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() == 4 && parts.iter().all(is_digits) {
        let shorter: Vec<&str> = parts.iter().map(|part| part.trim_start_matches('0')).collect();
        let shorter: Vec<&str> =
            shorter.iter().map(|part| if part.is_empty() { "0" } else { part }).collect();
        let address: IpAddr = shorter.join(".").parse().ok()?;
        return Some(format!("remove the leading zeros: {address}"));
    }
    let is_label = |part: &&str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_name = parts.len() > 1
        && parts.iter().all(is_label)
        && parts.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_alphabetic()));
    is_name.then(|| format!("resolve the name first: `dig +short {text}`"))
}

/// The address in a text without what may be around it and without its port.
fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let socket = text.trim_matches(|c| AROUND.contains(&c) && c != '[').parse::<SocketAddr>();
    socket.map(|socket| socket.ip()).ok().or_else(|| text.trim_matches(AROUND).parse().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_nearly_an_address_has_a_hint() {
        let table = [
            ("8.8.8.8:443", Some("remove the port: 8.8.8.8")),
            ("[2001:db8::1]:443", Some("remove the port: 2001:db8::1")),
            ("[8.8.8.8]", Some("remove the characters around it: 8.8.8.8")),
            ("\"8.8.8.8\"", Some("remove the characters around it: 8.8.8.8")),
            ("8.8.8.8,", Some("remove the characters around it: 8.8.8.8")),
            ("fe80::1%eth0", Some("remove the zone: fe80::1")),
            ("https://8.8.8.8/dns?a", Some("remove the rest of the URL: 8.8.8.8")),
            ("http://me@8.8.8.8:80", Some("remove the rest of the URL: 8.8.8.8")),
            ("http://[2001:db8::1]:8080/", Some("remove the rest of the URL: 2001:db8::1")),
            ("https://example.com/", None),
            ("008.008.008.008", Some("remove the leading zeros: 8.8.8.8")),
            ("1.2.3.999", None),
            ("dns.google", Some("resolve the name first: `dig +short dns.google`")),
            ("bleh", None),
            ("1.2.3", None),
            ("a b.c", None),
            ("", None),
            ("8.8.8.8", None),
        ];
        for (text, expected) in table {
            assert_eq!(hint(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}|[0-9a-f:.%\\[\\]@/]{0,30}") {
            let _hint = hint(&text);
        }
    }
}
