//! The HTML pages, from templates that escape every text. All of them share one layout: colours for light, dark and
//! paper, and nothing loaded from elsewhere.

use ipgeo_contract::error_chain;
use tera::{Context, Tera};

/// A page that cannot be rendered: a bug in this program.
#[derive(Debug, thiserror::Error)]
#[error("cannot render the page: {0}")]
pub struct PageError(pub String);

/// The templates. Tera escapes values because their names end in `.html` or `.xml`.
const TEMPLATES: [(&str, &str); 7] = [
    ("base.html", include_str!("../../../../templates/pages/base.html")),
    ("drawing.css", include_str!("../../../../templates/pages/drawing.css")),
    ("parts.html", include_str!("../../../../templates/pages/parts.html")),
    ("cost.html", include_str!("../../../../templates/pages/cost.html")),
    ("feed.xml", include_str!("../../../../templates/pages/feed.xml")),
    ("usage.html", include_str!("../../../../templates/pages/usage.html")),
    ("status.html", include_str!("../../../../templates/pages/status.html")),
];

/// Renders the page `template`, one of [`TEMPLATES`].
pub(crate) fn html_page(template: &str, context: &Context) -> Result<String, PageError> {
    let mut tera = Tera::new();
    let mut context = context.clone();
    context.insert("version", env!("CARGO_PKG_VERSION"));
    let rendered = tera.add_raw_templates(TEMPLATES).and_then(|()| tera.render(template, &context));
    rendered.map_err(|error| PageError(error_chain(&error, ": ")))
}
