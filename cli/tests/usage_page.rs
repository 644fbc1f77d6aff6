//! The usage page in a real Chromium, headless and offline. Without Chromium, the test is skipped with a message; with
//! `IPGEO_REQUIRE_CHROMIUM=1` it fails.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/npm.rs"]
mod npm;
#[path = "support/python.rs"]
#[expect(dead_code, reason = "only its way to run a program is used")]
mod python;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ipgeo::internals::usage::report::LagRow;
use ipgeo::internals::usage::report_page::{CostSoFar, Headroom, KeyCalls, PageFacts, RegionCalls, page};

/// Sections, each with a chart or a map.
const SECTIONS: [&str; 6] = ["days", "regions", "keys", "headroom", "verdicts", "lag"];

/// A month of a service in ten regions, with hostile texts.
fn facts() -> PageFacts {
    let places = [
        ("eu-west-1", "Dublin", (53.3, -6.3)),
        ("us-east-1", "Virginia", (39.0, -77.5)),
        ("eu-central-1", "Frankfurt", (50.1, 8.7)),
        ("us-west-2", "Oregon", (45.6, -121.2)),
        ("ap-southeast-1", "Singapore", (1.4, 103.8)),
        ("ap-northeast-1", "Tokyo", (35.7, 139.7)),
        ("ap-south-1", "Mumbai", (19.1, 72.9)),
        ("sa-east-1", "São Paulo", (-23.6, -46.6)),
        ("ap-southeast-2", "Sydney", (-33.9, 151.2)),
        ("af-south-1", "Cape Town", (-33.9, 18.4)),
    ];
    let regions = places.iter().zip([410, 389, 230, 190, 120, 77, 50, 31, 12, 0]);
    let day =
        |day: u64| (format!("2026-11-{day:02}"), 180_000 + (day * 7_919) % 90_000 - day % 7 / 5 * 120_000);
    let key = |n: u64| KeyCalls {
        name: format!("ipg_…k{n:03}"),
        owner: if n == 2 { "\"><img src=x onerror=alert(1)> & sons".into() } else { format!("customer {n}") },
        tier: "business".into(),
        calls: 900_000 / (n + 1),
    };
    let near = |n: u64, used: u64| Headroom {
        name: format!("ipg_…k{n:03}"),
        owner: format!("customer {n}"),
        used,
        limit: 100_000,
        period: "2026-11".into(),
    };
    PageFacts {
        service: "ipgeo-prod".into(),
        month: "2026-11".into(),
        made: "2026-11-24T12:00:00Z".parse().expect("a timestamp"),
        days: (1..=24).map(day).collect(),
        regions: regions
            .map(|((region, city, place), calls)| RegionCalls {
                region: (*region).to_owned(),
                city: (*city).into(),
                place: Some(*place),
                calls: calls * 3_217,
            })
            .collect(),
        keys: (0..12).map(key).collect(),
        verdicts: [
            ("allowed", 4_860_000),
            ("over_quota", 91_210),
            ("malformed_key", 5_120),
            ("unknown_key", 417),
        ]
        .map(|(verdict, n)| (verdict.to_owned(), n))
        .into(),
        headroom: vec![near(0, 100_000), near(3, 91_900), near(1, 80_000), near(5, 63_000), near(2, 4_000)],
        thresholds: vec![80, 100],
        lag: places
            .iter()
            .zip([61_200, 58_000, 64_900, 70_100, 90_400, 88_000, 82_300, 75_500, 101_800])
            .map(|((region, ..), took)| LagRow {
                region: ipgeo_contract::RegionName::new(*region),
                newest: Some("2026-11-24T11:58:12.034Z".into()),
                behind_ms: Some(107_966),
                took_ms: Some(took),
            })
            .collect(),
        bill: Some(CostSoFar { so_far_usd: 37.21, basis: "list prices of November 2026".into() }),
    }
}

/// Runs Chromium on the page with a new profile.
fn browse(chromium: &str, folder: &Path, args: &[&str], url: &str) -> Output {
    let profile = tempfile::tempdir_in(folder).expect("a folder");
    let output = Command::new("timeout")
        .args(["60", chromium])
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr", "--log-level=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(args)
        .arg(url)
        .current_dir(folder)
        .env("HOME", folder)
        .output()
        .expect("it runs");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{chromium}: {:?}: {log}", output.status);
    assert!(!log.contains("CONSOLE"), "the page wrote to the console: {log}");
    output
}

/// Width, height and size in bytes of a PNG.
fn size(png: &Path) -> (u32, u32, u64) {
    let bytes = std::fs::read(png).expect("a screenshot");
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20), bytes.len() as u64)
}

#[test]
fn the_page_shows_its_charts_in_a_browser_of_any_size_and_light() {
    let Some(chromium) = browser::chromium() else { return };
    // Screenshots are saved for people.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("usage-page");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("usage.html");
    std::fs::write(&file, page(&facts()).expect("a page")).expect("written");
    let url = format!("file://{}", file.display());

    // An element from an unescaped text would be in the document.
    let dom = browse(chromium, &folder, &["--dump-dom"], &url).stdout;
    let dom = String::from_utf8(dom).expect("UTF-8");
    for section in SECTIONS {
        let at = dom.find(&format!("<section id=\"{section}\"")).expect(section);
        let text = &dom[at..at + dom[at..].find("</section>").expect("an end")];
        assert_eq!(text.matches("<svg").count(), 2, "{section}");
        assert!(text.matches("<rect").count() + text.matches("<circle").count() >= 4, "{section}");
        assert!(text.matches("<tr").count() > 3 && text.contains("role=\"img\""), "{section}");
    }
    assert!(!dom.contains("<img") && dom.contains("&lt;img src=x"), "a text became a tag");

    let on_screens = browser::look(&folder.join("screens"), &[("usage", &url, "main")]);
    for view in on_screens.into_iter().flatten() {
        assert_eq!(view.messages, Vec::<String>::new(), "{} {}", view.screen, view.scheme);
    }

    for (name, width, height, more) in [
        ("desktop", 1_280, 3_600, None),
        ("phone", 390, 6_400, None),
        ("dark", 1_280, 3_600, Some("--blink-settings=preferredColorScheme=0")),
        ("phone-dark", 390, 6_400, Some("--blink-settings=preferredColorScheme=0")),
    ] {
        let png = folder.join(format!("{name}.png"));
        let shot = format!("--screenshot={}", png.display());
        let window = format!("--window-size={width},{height}");
        let args: Vec<&str> = [shot.as_str(), window.as_str()].into_iter().chain(more).collect();
        browse(chromium, &folder, &args, &url);
        let (w, h, bytes) = size(&png);
        assert_eq!((w, h), (width, height), "{name}");
        assert!(bytes > 40_000, "{name} is empty: {bytes} bytes");
    }
    let pdf = folder.join("print.pdf");
    browse(
        chromium,
        &folder,
        &[&format!("--print-to-pdf={}", pdf.display()), "--no-pdf-header-footer"],
        &url,
    );
    assert!(std::fs::read(&pdf).expect("a print").starts_with(b"%PDF-"));
}
