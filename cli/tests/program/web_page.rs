//! The pages for people at the API's address, served by `ipgeo dev`: in a real browser, and the quick starts of `/docs` in
//! every language that this machine has. Without Chromium and npm, their part is skipped with a message.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::browser;
use crate::python;
use crate::support::Dev;

/// The file of each quick start, and the program that runs it, with its arguments.
const LANGUAGES: [(&str, &str, &[&str]); 7] = [
    ("curl", "quick.sh", &["bash", "-eu"]),
    ("JavaScript", "quick.mjs", &["node"]),
    ("Python", "quick.py", &["python3"]),
    ("Go", "quick.go", &["go", "run"]),
    ("PHP", "quick.php", &["php"]),
    ("Ruby", "quick.rb", &["ruby"]),
    // It needs crates, so it is only compared with the others.
    ("Rust", "quick.rs", &[]),
];

fn browse(url: &str) -> ureq::http::Response<ureq::Body> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    agent.get(url).header("accept", "text/html").call().expect("an answer")
}

#[test]
fn the_pages_show_answers_in_a_browser_of_any_size_and_light() {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(folder.path());
    let base = dev.nearest().trim_end_matches('/');
    let urls = [
        ("home", "/", "#answer", "London, England, United Kingdom"),
        ("v6", "/#2606:4700:4700::1111", "#answer", "2606:4700:4700::1111"),
        ("network", "/#AS15169", "#answer", "Google LLC"),
        ("private", "/#10.0.0.1", "#bad", "10.0.0.1 is a private IP address"),
        ("hostile", "/#%3Cimg%20src=x%20onerror=alert(1)%3E", "#bad", "<img src=x onerror=alert(1)>"),
        ("docs", "/docs", "#reference", "Look up a list of up to 100 addresses and network numbers."),
    ];
    let full: Vec<String> = urls.iter().map(|(_, path, ..)| format!("{base}{path}")).collect();
    let pages: Vec<(&str, &str, &str)> =
        urls.iter().zip(&full).map(|((name, _, ready, _), url)| (*name, url.as_str(), *ready)).collect();
    let shots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("web-page");
    for view in browser::look(&shots, &pages).into_iter().flatten() {
        let (.., expected) = urls.iter().find(|(name, ..)| *name == view.page).expect("a page");
        assert!(view.text.contains(expected), "{}: {}", view.page, view.text);
        let refused = ["private", "hostile"].contains(&view.page.as_str());
        assert_eq!(view.messages.len(), usize::from(refused), "{}: {:?}", view.page, view.messages);
        if view.page == "home" {
            assert!(view.text.contains("1,500 calls a day without an API key"), "{}", view.text);
            assert!(view.text.contains(&format!("curl {base}/")), "{}", view.text);
        }
    }
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn without_javascript_the_form_leads_to_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(folder.path());
    let mut answer = browse(&format!("{}/?ip=+8.8.8.8", dev.nearest().trim_end_matches('/')));
    let text = answer.body_mut().read_to_string().expect("text");
    assert!(text.contains("\"city\":\"Mountain View\""), "{text}");
    assert_eq!(dev.stop(), Some(0));
}

/// The example below the heading of a language, as it is shown at `base`.
fn quick_start(page: &str, language: &str, base: &str) -> String {
    let below = page.split(&format!("<summary>{language}</summary>")).nth(1).expect(language);
    let code = below.split("<code>").nth(1).and_then(|code| code.split("</code>").next()).expect("code");
    let code = code.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    assert!(code.contains("https://api.example.com/8.8.8.8"), "{language}: {code}");
    code.replace("https://api.example.com", base)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder: PathBuf| Path::new(&folder).join(program).is_file())
}

#[test]
fn the_quick_starts_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(folder.path());
    let base = dev.nearest().trim_end_matches('/');
    let page = browse(&format!("{base}/docs")).body_mut().read_to_string().expect("text");
    assert_eq!(page.matches("<summary>").count(), LANGUAGES.len());
    for (language, name, command) in LANGUAGES {
        let code = quick_start(&page, language, base);
        let file = folder.path().join(name);
        std::fs::write(&file, code).expect("written");
        let Some((program, arguments)) = command.split_first().filter(|(program, _)| is_installed(program))
        else {
            continue;
        };
        let mut command = Command::new(program);
        command.args(arguments).arg(&file).env("API_KEY", "").env("HOME", folder.path());
        let printed = python::run(&mut command).unwrap_or_else(|error| panic!("{language}: {error}"));
        assert!(printed.contains("Mountain View"), "{language}: {printed}");
        assert!(printed.contains("United States"), "{language}: {printed}");
    }
    assert_eq!(dev.stop(), Some(0));
}
