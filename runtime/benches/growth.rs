//! What a lookup costs in databases of more and more networks: the IPv4 source, told more and less coarsely, compiled.
//! Draws `docs/growth-lookup.svg` and tells the exponent: cost ~ networks^exponent.
//!
//! `IPGEO_BENCH_SOURCE` names the source.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what was measured is the point")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers of a bench are far from their types' ends"
)]

#[path = "support/addresses.rs"]
#[expect(dead_code, reason = "shared with benches that need more of it")]
mod addresses;
#[path = "support/city.rs"]
#[expect(dead_code, reason = "shared with a bench that needs more of it")]
mod city;
#[path = "support/clock.rs"]
mod clock;

use std::hint::black_box;
use std::net::IpAddr;
use std::path::Path;

use addresses::{Random, any_ipv4, of_a_network};
use ipgeo::geo::{About, Networks, Quiet, Source, build};
use ipgeo_runtime::geo::Database;
use plotters::prelude::*;

const ROUNDS: usize = 9;
const LOOKUPS: usize = 100_000;
/// Bits below which a network stands for all: about 10³ networks to all 6.3 million.
const DEPTHS: [u32; 7] = [10, 13, 15, 17, 20, 22, 32];

/// A cost of a point.
type Cost = fn(&Point) -> f64;

struct Point {
    networks: f64,
    megabytes: f64,
    random_ns: f64,
    spread: [f64; 2],
    network_ns: f64,
    pages: f64,
}

fn middle(mut times: Vec<f64>) -> [f64; 3] {
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[0], times[times.len() - 1]]
}

/// Nanoseconds for a lookup with its answer: median, least, most of the rounds.
fn time(database: &Database, addresses: &[IpAddr]) -> [f64; 3] {
    let mut out = String::with_capacity(4_096);
    let rounds = (0..=ROUNDS).map(|_| {
        let begun = clock::cpu_ns();
        for address in addresses {
            out.clear();
            if let Some(location) = database.lookup(black_box(*address)) {
                location.write_static(&mut out);
            }
            black_box(&out);
        }
        (clock::cpu_ns() - begun) as f64 / addresses.len() as f64
    });
    middle(rounds.skip(1).collect())
}

fn measure(source: &Path, depth: u32, folder: &Path) -> Point {
    let file = std::fs::read(source).expect("the source");
    let cut = folder.join("cut.mmdb");
    std::fs::write(&cut, city::coarser(&file, depth)).expect("written");
    let path = folder.join("compiled.mmdb");
    let opened = [Source::open(&cut).expect("a source")];
    build(&opened, &About::default(), &path, &Quiet).expect("it compiles");
    let database = Database::open(&path).expect("it opens");
    let networks = Networks::open(&path).expect("the same");
    let mut random = Random::new(9);
    let any: Vec<IpAddr> = (0..LOOKUPS).map(|_| any_ipv4(&mut random)).collect();
    let of_networks: Vec<IpAddr> =
        (0..LOOKUPS).filter_map(|_| of_a_network(&mut random, &networks, false)).collect();
    let pages: usize = of_networks.iter().take(20_000).map(|address| database.pages(*address).len()).sum();
    let [random_ns, least, most] = time(&database, &any);
    Point {
        networks: networks.len(false) as f64,
        megabytes: database.info().bytes as f64 / 1e6,
        random_ns,
        spread: [least, most],
        network_ns: time(&database, &of_networks)[0],
        pages: pages as f64 / 20_000.0,
    }
}

/// The slope of the line through points on logarithmic scales, by least squares.
fn exponent(points: &[Point], cost: impl Fn(&Point) -> f64) -> f64 {
    let points: Vec<(f64, f64)> =
        points.iter().map(|point| (point.networks.ln(), cost(point).ln())).collect();
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), point| {
        (above + (point.0 - x) * (point.1 - y), below + (point.0 - x).powi(2))
    });
    above / below
}

fn draw(points: &[Point], out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(out, (640, 360)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!(
        "A lookup with its answer: cost ~ networks^{:.2} (random), networks^{:.2} (any network)",
        exponent(points, |point| point.random_ns),
        exponent(points, |point| point.network_ns)
    );
    let top = points.iter().map(|point| point.random_ns.max(point.network_ns)).fold(0.0, f64::max) * 1.3;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 14))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(52)
        .build_cartesian_2d((500.0..1e7_f64).log_scale(), (10.0..top.max(1_000.0)).log_scale())?;
    chart.configure_mesh().x_desc("networks").y_desc("ns").draw()?;
    let lines: [(_, _, Cost); 2] =
        [("random addresses", BLUE, |point| point.random_ns), ("any network", RED, |point| point.network_ns)];
    for (name, colour, cost) in lines {
        let at = || points.iter().map(|point| (point.networks, cost(point)));
        chart
            .draw_series([PathElement::new(at().collect::<Vec<_>>(), colour.stroke_width(2))])?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
        chart.draw_series(at().map(|at| Circle::new(at, 3, colour.filled())))?;
    }
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
    root.present()?;
    Ok(())
}

fn main() {
    let Some(source) = std::env::var_os("IPGEO_BENCH_SOURCE") else {
        eprintln!("IPGEO_BENCH_SOURCE is not set: nothing is measured");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let points: Vec<Point> =
        DEPTHS.iter().map(|depth| measure(Path::new(&source), *depth, folder.path())).collect();
    println!(
        "processor time, medians of {ROUNDS} rounds of {LOOKUPS} lookups, each with its answer as JSON\n"
    );
    println!(
        "| networks | file, MB | random, ns (least to most) | any network, ns | pages read, any network |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: |");
    for point in &points {
        println!(
            "| {} | {:.1} | {:.0} ({:.0} to {:.0}) | {:.0} | {:.2} |",
            point.networks,
            point.megabytes,
            point.random_ns,
            point.spread[0],
            point.spread[1],
            point.network_ns,
            point.pages
        );
    }
    println!(
        "\nexponents: {:.2} (random), {:.2} (any network), {:.2} (pages)",
        exponent(&points, |point| point.random_ns),
        exponent(&points, |point| point.network_ns),
        exponent(&points, |point| point.pages)
    );
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/growth-lookup.svg");
    draw(&points, &out).expect("the plot is drawn");
    println!("drawn: docs/growth-lookup.svg");
}
