//! The usage page and the cost page in a real Chromium, headless and offline. Without Chromium, the tests are skipped with a
//! message; with `IPGEO_REQUIRE_CHROMIUM=1` they fail.

use std::path::PathBuf;
use std::process::Command;

use ipgeo::internals::usage::report::LagRow;
use ipgeo::internals::usage::report_page::{
    CallerCalls, CountingLag, Headroom, KeyCalls, MonthBefore, MonthCost, PageFacts, Projection, RegionCalls,
    TierCalls, page,
};
use ipgeo_contract::{RegionName, Verdict};

use crate::browser::{self, Paper};

/// Sections of a month's page.
const SECTIONS: [&str; 8] = ["days", "callers", "tiers", "regions", "keys", "headroom", "answers", "lag"];

const PLACES: [(&str, &str, (f64, f64)); 10] = [
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

/// Names as customers have them, two of them hostile.
const OWNERS: [&str; 8] = [
    "acme",
    "東京データサービス株式会社",
    "شركة البيانات المفتوحة",
    "\"><img src=x onerror=alert(1)> & sons",
    "Gesellschaft für Geodatenverarbeitung und angewandte Netzwerkforschung mbH",
    "חברת נתונים",
    "서울 지도",
    "<script>alert(1)</script>",
];

const VERDICTS: [(Verdict, u64); 8] = [
    (Verdict::Allowed, 4_860_000),
    (Verdict::BadRequest, 12_400),
    (Verdict::OverQuota, 91_210),
    (Verdict::OverRate, 1_730),
    (Verdict::MalformedKey, 5_120),
    (Verdict::UnknownKey, 417),
    (Verdict::Expired, 88),
    (Verdict::NetworkDenied, 3),
];

/// Day 27 of a month of a service in ten regions, with this many API keys.
fn facts(api_keys: u64) -> PageFacts {
    let regions = PLACES.iter().zip([410, 389, 230, 190, 120, 77, 50, 31, 12, 0]);
    let day = |month: u64, day: u64| {
        let calls = 180_000 + (day * 7_919 * month) % 90_000 - day % 7 / 5 * 120_000;
        (format!("2026-{month}-{day:02}"), calls)
    };
    let owner = |n: u64| OWNERS[usize::try_from(n).expect("small") % OWNERS.len()].to_owned();
    let tier =
        |n: u64| ["business", "startup", "enterprise"][usize::try_from(n).expect("small") % 3].to_owned();
    let key = |n: u64| KeyCalls {
        name: format!("ipg_…k{n:03}"),
        owner: owner(n),
        tier: tier(n),
        calls: 900_000 / (n + 1),
    };
    let near = |n: u64| Headroom {
        name: format!("ipg_…k{n:03}"),
        owner: owner(n),
        used: 131_000 / (n + 1) + 30_000 / (n + 2),
        limit: 100_000,
        period: if n.is_multiple_of(2) { "2026-11".into() } else { "2026-11-27".into() },
    };
    let lag = PLACES.iter().zip([61_200, 58_000, 64_900, 70_100, 90_400, 88_000, 82_300, 75_500, 101_800]);
    PageFacts {
        service: "ipgeo-prod".into(),
        owner: None,
        period: "2026-11".into(),
        is_month: true,
        is_over: false,
        made: "2026-11-27T12:00:00Z".parse().expect("a timestamp"),
        days: (1..=27).map(|n| day(11, n)).collect(),
        projection: Some(Projection { calls: 5_411_820, days: 7, since_first_call: false }),
        before: Some(MonthBefore { name: "2026-10".into(), days: (1..=31).map(|n| day(10, n)).collect() }),
        regions: regions
            .map(|((region, city, place), calls)| RegionCalls {
                region: (*region).to_owned(),
                city: (*city).into(),
                place: Some(*place),
                calls: calls * 3_217,
            })
            .collect(),
        callers: Some(CallerCalls { keyed: 3_911_200, anonymous: 948_800, sites: 664_100 }),
        tiers: [("business", 14, 1_903_100), ("enterprise", 13, 1_200_000), ("startup", 13, 808_100)]
            .map(|(tier, keys, calls)| TierCalls { tier: tier.into(), keys, calls })
            .into(),
        keys: (0..api_keys).map(key).collect(),
        verdicts: VERDICTS.to_vec(),
        statuses: (401, 429),
        headroom: (0..api_keys).map(near).collect(),
        rotated: 0,
        thresholds: vec![80, 100],
        lag: Some(CountingLag {
            rows: lag
                .map(|((region, ..), took)| LagRow {
                    region: RegionName::new(*region),
                    newest: Some("2026-11-27T11:58:12.034Z".into()),
                    behind_ms: Some(107_966),
                    took_ms: Some(took),
                })
                .collect(),
            late_ms: 496_000,
        }),
        cost: Some(MonthCost {
            so_far_usd: 37.21,
            month_usd: Some(43.9),
            budget_usd: Some(40.0),
            basis: "the counted calls at list prices of November 2026".into(),
        }),
    }
}

/// The page of one customer.
fn customer() -> PageFacts {
    let all = facts(40);
    PageFacts {
        service: "api.example.com".into(),
        owner: Some(OWNERS[1].into()),
        regions: all.regions.iter().take(3).cloned().collect(),
        callers: None,
        tiers: Vec::new(),
        keys: all.keys.iter().filter(|key| key.owner == OWNERS[1]).cloned().collect(),
        headroom: all.headroom.iter().filter(|key| key.owner == OWNERS[1]).cloned().collect(),
        lag: None,
        cost: None,
        ..all
    }
}

/// The page that the README shows: example customers without names that are hard to write.
fn picture() -> PageFacts {
    let mut all = facts(14);
    // All parts have the same sum.
    let sum = VERDICTS[0].1;
    let counted: u64 = all.days.iter().map(|(_, calls)| calls).sum();
    all.days.iter_mut().for_each(|(_, calls)| *calls = *calls * sum / counted);
    all.days[0].1 += sum - all.days.iter().map(|(_, calls)| calls).sum::<u64>();
    all.regions[0].calls += sum - all.regions.iter().map(|region| region.calls).sum::<u64>();
    let names = [
        "acme",
        "Harbour Maps",
        "Nordlicht Hotels",
        "Fair Tickets",
        "Open Atlas",
        "Tidewater Press",
        "Kestrel",
    ];
    let owner = |at: usize| names[at % names.len()].to_owned();
    let keys =
        all.keys.into_iter().enumerate().map(|(at, key)| KeyCalls { owner: owner(at), ..key }).collect();
    let headroom = all.headroom.into_iter().enumerate().map(|(at, key)| Headroom { owner: owner(at), ..key });
    let cost = all.cost.map(|cost| MonthCost { budget_usd: Some(60.0), ..cost });
    PageFacts { keys, headroom: headroom.collect(), cost, ..all }
}

/// A month that has just begun, without a call.
fn empty() -> PageFacts {
    PageFacts {
        days: vec![("2026-11-01".into(), 0)],
        projection: None,
        before: None,
        regions: Vec::new(),
        callers: Some(CallerCalls::default()),
        tiers: Vec::new(),
        verdicts: Vec::new(),
        lag: Some(CountingLag { rows: Vec::new(), late_ms: 496_000 }),
        ..facts(0)
    }
}

/// Days of three months, without what is counted by month.
fn since() -> PageFacts {
    let day = |n: u64| (format!("2026-{:02}-{:02}", 9 + n / 30, 1 + n % 30), 5_000 * (1 + n % 9));
    PageFacts {
        period: "2026-09-01 to 2026-11-27".into(),
        is_month: false,
        days: (0..87).map(day).collect(),
        projection: None,
        before: None,
        regions: Vec::new(),
        verdicts: Vec::new(),
        cost: None,
        ..facts(1)
    }
}

#[test]
fn the_page_is_good_on_every_screen_in_both_themes_and_on_paper() {
    // Pictures are saved for people.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("usage-page");
    std::fs::create_dir_all(&folder).expect("a folder");
    let pages = [
        ("usage", facts(40)),
        ("customer", customer()),
        ("empty", empty()),
        ("since", since()),
        ("huge", facts(2_000)),
        ("picture", picture()),
    ];
    let urls: Vec<(&str, String)> = pages
        .iter()
        .map(|(name, facts)| {
            let file = folder.join(format!("{name}.html"));
            std::fs::write(&file, page(facts).expect("a page")).expect("written");
            (*name, format!("file://{}", file.display()))
        })
        .collect();
    let urls: Vec<(&str, &str, &str)> =
        urls.iter().map(|(name, url)| (*name, url.as_str(), "main")).collect();
    let Some(seen) = browser::look_and_print(&folder, &urls) else { return };
    if std::env::var_os("BLESS").is_some() {
        for file in ["usage-light.webp", "usage-dark.webp"] {
            let picture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures").join(file);
            std::fs::copy(folder.join(file), picture).expect("copied");
        }
    }
    for view in seen.views {
        assert_eq!(view.messages, Vec::<String>::new(), "{} {}", view.screen, view.scheme);
        if view.page == "usage" {
            let shown = SECTIONS.iter().all(|section| view.sections.contains(&(*section).to_owned()));
            assert!(shown, "{:?}", view.sections);
            assert!(view.text.contains("<img src=x onerror=alert(1)> & sons"), "a text became a tag");
            assert!(view.text.contains("7 of 27 days"), "{}", view.text);
            assert!(view.map_text_px >= 12.0, "{} {}: {} px", view.screen, view.scheme, view.map_text_px);
        }
    }
    for paper in seen.papers {
        let Paper { page, size, pages, smallest_pt, cut, .. } = &paper;
        assert!(*pages <= 4, "{page} on {size}: {pages} pages");
        assert!(*smallest_pt >= 8.0, "{page} on {size}: {smallest_pt} pt: {}", paper.smallest);
        assert_eq!(cut, &Vec::<String>::new(), "{page} on {size} is cut");
    }
}

#[test]
fn the_cost_page_is_good_on_every_screen_in_both_themes_and_on_paper() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cost-page");
    std::fs::create_dir_all(&folder).expect("a folder");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../regions.toml");
    let urls: Vec<(&str, String)> = [("cost", "25M"), ("small", "1M"), ("large", "9B")]
        .map(|(name, calls)| {
            let file = folder.join(format!("{name}.html"));
            let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
            command.args(["cost", "--config", config, "--calls", calls, "--max-monthly", "60", "--html"]);
            let output = command.arg(&file).output().expect("it runs");
            let expected = if name == "large" { 6 } else { 0 };
            assert_eq!(output.status.code(), Some(expected), "{}", String::from_utf8_lossy(&output.stderr));
            (name, format!("file://{}", file.display()))
        })
        .into();
    let pages: Vec<(&str, &str, &str)> =
        urls.iter().map(|(name, url)| (*name, url.as_str(), "main")).collect();
    let Some(seen) = browser::look_and_print(&folder, &pages) else { return };
    for view in seen.views {
        assert_eq!(view.messages, Vec::<String>::new(), "{} {}", view.screen, view.scheme);
        for text in ["API requests at $0.90 from 2.7B", "2018 design", "eu-central-1", "ledger writes"] {
            assert!(view.text.contains(text), "{}: {text}: {}", view.page, view.text);
        }
        assert_eq!(view.text.contains("over the budget of $60.00"), view.page == "large");
    }
    for paper in seen.papers {
        assert!(paper.pages <= 2 && paper.smallest_pt >= 8.0 && paper.cut.is_empty(), "{paper:?}");
    }
}
