//! The steps of a build, from sources to a database in memory.

use super::error::BuildError;
use super::extract::SourceLayout;
use super::facts::SourceGives;
use super::merge::{MergeInput, MergeTree, Merger};
use super::progress::{BuildPhase, BuildProgress};
use super::ranges::RangeSet;
use super::source::Source;
use super::write::{CompiledDatabase, DataDescription};

/// A source of a build.
#[derive(Debug)]
pub struct BuildSource {
    /// Its name in `regions.toml`.
    pub name: String,
    /// Its ranges with their records.
    pub data: SourceData,
    /// Data that every range of the source has in addition.
    pub gives: SourceGives,
}

/// The data of a source.
#[derive(Debug)]
pub enum SourceData {
    /// A `.mmdb` file.
    Mmdb(Source),
    /// Ranges read from a file of another form.
    Ranges(RangeSet),
}

impl From<Source> for BuildSource {
    /// A database without further data, named by its path.
    fn from(source: Source) -> Self {
        let name = source.path().display().to_string();
        Self { name, data: SourceData::Mmdb(source), gives: SourceGives::default() }
    }
}

/// The sources as the merge reads them.
pub(super) fn inputs(sources: &[BuildSource]) -> Result<Vec<MergeInput<'_>>, BuildError> {
    let mut inputs = Vec::with_capacity(sources.len());
    for BuildSource { name, data, gives } in sources {
        let tree = match data {
            SourceData::Mmdb(source) => {
                MergeTree::File(source, SourceLayout::detect(source, &source.leaves())?)
            }
            SourceData::Ranges(ranges) => MergeTree::Ranges(ranges),
        };
        inputs.push(MergeInput { name, tree, gives });
    }
    Ok(inputs)
}

/// Compiles sources, the most trusted first. A later source only fills gaps of the earlier ones.
pub fn build(
    sources: &[BuildSource],
    description: &DataDescription,
    progress: &dyn BuildProgress,
) -> Result<CompiledDatabase, BuildError> {
    let inputs = inputs(sources)?;
    let nodes = sources.iter().map(|source| match &source.data {
        SourceData::Mmdb(source) => u64::from(source.nodes()),
        SourceData::Ranges(ranges) => ranges.trie().nodes() as u64,
    });
    progress.begin(BuildPhase::Merge, nodes.sum());
    let (tree, records) = Merger::new(&inputs, progress).run()?;
    CompiledDatabase::new(&tree, &records, description)
}
