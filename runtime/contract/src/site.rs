//! Sites: the host of a Referer, and the patterns that an API key may be restricted to.

use std::fmt;
use std::str::FromStr;

/// The longest host name that DNS allows.
const HOST_CHARS_MAX: usize = 253;

/// A host name from a Referer: lower case, no port, no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site(String);

impl Site {
    /// The host of a `Referer` header's address, or of an `Origin`; `None` if it has no valid
    /// host. A Referer is easily forged: it may group callers, but proves nothing.
    pub fn from_referer(referer: &str) -> Option<Self> {
        let (scheme, rest) = referer.trim().split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let authority = rest.split(['/', '?', '#', '\\']).next()?;
        let host_and_port = authority.rsplit('@').next()?;
        let host = host_and_port.split(':').next()?;
        Self::from_host(host)
    }

    fn from_host(host: &str) -> Option<Self> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let sound = (1..=HOST_CHARS_MAX).contains(&host.len())
            && host.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            });
        sound.then(|| Self(host.to_ascii_lowercase()))
    }

    /// The host name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A host that an API key may be used from: `example.com`, or `*.example.com` for every host below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SitePattern {
    host: Site,
    below: bool,
}

/// Text that is not a site pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a site; write a host such as `example.com`, or `*.example.com` for all below it")]
pub struct SitePatternError(String);

impl SitePattern {
    fn matches(&self, site: &Site) -> bool {
        if !self.below {
            return site == &self.host;
        }
        site.0.strip_suffix(&self.host.0).is_some_and(|left| left.ends_with('.'))
    }
}

/// Whether a caller with this Referer host may use an API key restricted to `allowed`; an empty list
/// restricts nothing, and a caller without a Referer is refused by a list that is not empty.
pub fn site_is_allowed(allowed: &[SitePattern], site: Option<&Site>) -> bool {
    allowed.is_empty() || site.is_some_and(|site| allowed.iter().any(|pattern| pattern.matches(site)))
}

impl fmt::Display for SitePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.host.0)
    }
}

impl FromStr for SitePattern {
    type Err = SitePatternError;

    fn from_str(text: &str) -> Result<Self, SitePatternError> {
        let (below, host) = match text.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, text),
        };
        Site::from_host(host)
            .map(|host| Self { host, below })
            .ok_or_else(|| SitePatternError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_referer_gives_its_host() {
        let long = format!("https://{}/", "a.".repeat(128));
        let table = [
            ("https://Example.com/page?x=1", Some("example.com")),
            ("http://example.com:8080", Some("example.com")),
            ("https://user:secret@example.com/", Some("example.com")),
            ("https://example.com.", Some("example.com")),
            ("https://localhost/", Some("localhost")),
            ("https://my-shop_2.example/", Some("my-shop_2.example")),
            ("https://", None),
            ("https:///path", None),
            ("ftp://example.com", None),
            ("example.com", None),
            ("https://exa mple.com/", None),
            ("https://[::1]/", None),
            ("https://b\u{fc}cher.example/", None),
            ("about:blank", None),
            ("", None),
            (long.as_str(), None),
        ];
        for (referer, host) in table {
            assert_eq!(Site::from_referer(referer).as_ref().map(Site::as_str), host, "{referer}");
        }
    }

    #[test]
    fn patterns_match_hosts() {
        let site = |host: &str| Site::from_host(host).expect("a host");
        // (patterns, host, allowed)
        let table = [
            (&[][..], None, true),
            (&[][..], Some("example.com"), true),
            (&["example.com"], None, false),
            (&["example.com"], Some("example.com"), true),
            (&["example.com"], Some("www.example.com"), false),
            (&["*.example.com"], Some("www.example.com"), true),
            (&["*.example.com"], Some("a.b.example.com"), true),
            (&["*.example.com"], Some("example.com"), false),
            (&["*.example.com"], Some("badexample.com"), false),
            (&["a.test", "b.test"], Some("b.test"), true),
        ];
        for (patterns, host, allowed) in table {
            let patterns: Vec<SitePattern> = patterns.iter().map(|p| p.parse().expect("a pattern")).collect();
            assert_eq!(site_is_allowed(&patterns, host.map(site).as_ref()), allowed, "{patterns:?} {host:?}");
        }
        for text in ["", "*", "*.", "https://example.com", "a..b", "exa*mple.com"] {
            assert_eq!(text.parse::<SitePattern>(), Err(SitePatternError(text.into())));
        }
        assert_eq!("*.Example.com".parse::<SitePattern>().expect("good").to_string(), "*.example.com");
    }
}
