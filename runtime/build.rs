//! Prepares the files for browsers in `web/`: the pages get their style, the map and the field names; every file is
//! compressed once, here, and gets its entity tag and content security policy. The Lambda only sends bytes.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

/// Name of the constant, path below the repository, and media type.
const FILES: [(&str, &str, &str); 5] = [
    ("HOME", "runtime/web/home.html", "text/html; charset=utf-8"),
    ("DOCS", "runtime/web/docs.html", "text/html; charset=utf-8"),
    ("DESCRIPTION", "runtime/src/lookup/openapi.json", "application/json"),
    ("ROBOTS", "runtime/web/robots.txt", "text/plain; charset=utf-8"),
    ("ICON", "runtime/web/favicon.ico", "image/x-icon"),
];
/// Texts that replace their names in braces in a page: the style of all pages, the map's land, the fields of a location.
const STYLE: &str = "runtime/web/style.css";
const LAND: &str = "templates/pages/land.path";
const FIELDS: &str = "runtime/src/lookup/fields.rs";
/// Bytes of the hash in an entity tag.
const TAG_BYTES: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let root = repository()?;
    let (out, mut code) = (PathBuf::from(env::var("OUT_DIR")?), String::new());
    for path in FILES.map(|(_, path, _)| path).into_iter().chain([STYLE, LAND, FIELDS]) {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    for (name, path, kind) in FILES {
        let mut bytes = fs::read(root.join(path)).map_err(|error| format!("{path}: {error}"))?;
        let mut policy = String::new();
        if kind.starts_with("text/html") {
            let page = filled(&String::from_utf8(bytes)?, &root)?;
            policy = content_policy(&page)?;
            bytes = page.into_bytes();
        }
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(&bytes)?;
        fs::write(out.join(format!("{name}.gz")), gzip.finish()?)?;
        let tag = format!("W/\"{}\"", STANDARD.encode(&Sha256::digest(&bytes)[..TAG_BYTES]));
        writeln!(
            code,
            "pub(super) static {name}: File = File {{ kind: {kind:?}, tag: {tag:?}, policy: {policy:?}, \
             gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.gz\")) }};",
        )?;
    }
    fs::write(out.join("web_files.rs"), code)?;
    Ok(())
}

/// The repository's folder. The fuzz targets compile the handler, too, in a package of their own further down.
fn repository() -> Result<PathBuf, Box<dyn Error>> {
    let package = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let found = package.ancestors().find(|folder| folder.join(STYLE).is_file());
    Ok(found.ok_or("no repository above the package")?.to_owned())
}

fn filled(page: &str, root: &Path) -> Result<String, Box<dyn Error>> {
    let land: String = fs::read_to_string(root.join(LAND))?.lines().collect();
    let fields = fs::read_to_string(root.join(FIELDS))?;
    let list = fields.split("pub const FIELDS").nth(1).and_then(|rest| rest.split("];").next());
    // Every second part between quotes is a name.
    let names = list.ok_or("FIELDS is missing")?.split('"').skip(1).step_by(2);
    let names: String = names.flat_map(|name| ["<li><code>", name, "</code></li>"]).collect();
    let style = fs::read_to_string(root.join(STYLE))?;
    Ok(page.replace("{style}", style.trim()).replace("{land}", &land).replace("{fields}", &names))
}

/// Allows the page's own style and script by their hashes, requests to the API, and nothing else.
fn content_policy(page: &str) -> Result<String, Box<dyn Error>> {
    let hash = |tag: &str| {
        let inner = page.split(&format!("<{tag}>")).nth(1)?.split(&format!("</{tag}>")).next()?;
        Some(STANDARD.encode(Sha256::digest(inner.as_bytes())))
    };
    let (style, script) =
        (hash("style").ok_or("a page has no style")?, hash("script").ok_or("a page has no script")?);
    Ok(format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; \
         img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ))
}
