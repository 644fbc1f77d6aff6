//! Every stack of a configuration, for tests of the rendered templates.

use ipgeo::internals::config::Config;
use ipgeo::internals::infra::stacks::{ArtifactRef, ArtifactSet, Renderer, Stack};

pub(crate) fn render(config: &Config) -> Vec<Stack> {
    let code = ["arm64", "x86_64"].map(|name| (name, ArtifactRef::new("code", &"5".repeat(64))));
    let artifacts = ArtifactSet {
        code: code.into(),
        geo: ArtifactRef::new("geo", &"9".repeat(64)),
        geo_description: "DB-IP City Lite 2026-11".to_owned(),
    };
    Renderer::new(config, &artifacts).and_then(|renderer| renderer.all()).expect("rendered")
}
