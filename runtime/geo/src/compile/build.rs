//! The steps of a build, from sources to a database in memory.

use super::error::BuildError;
use super::extract::{SourceLayout, SourceRecord};
use super::merge::{MergeInput, Merger};
use super::progress::{BuildPhase, BuildProgress, NoProgress};
use super::source::{PrefixTrie, Source};
use super::write::{CompiledDatabase, DataDescription};

/// Compiles sources, the most trusted first. A later source only fills gaps of the earlier ones.
pub fn build(
    sources: &[Source],
    description: &DataDescription,
    progress: &dyn BuildProgress,
) -> Result<CompiledDatabase, BuildError> {
    let mut inputs = Vec::with_capacity(sources.len());
    for source in sources {
        inputs.push(MergeInput::File(source, SourceLayout::detect(source, &source.leaves())?));
    }
    progress.begin(BuildPhase::Merge, sources.iter().map(|source| u64::from(source.nodes())).sum());
    merge(&inputs, description, progress)
}

/// Compiles the prefixes of a trie; `records` are what its numbers stand for.
pub(super) fn build_trie(
    trie: &PrefixTrie,
    records: &[SourceRecord],
    description: &DataDescription,
) -> Result<CompiledDatabase, BuildError> {
    merge(&[MergeInput::Made(trie, records)], description, &NoProgress)
}

fn merge(
    inputs: &[MergeInput<'_>],
    description: &DataDescription,
    progress: &dyn BuildProgress,
) -> Result<CompiledDatabase, BuildError> {
    let (tree, records) = Merger::new(inputs, progress).run()?;
    CompiledDatabase::new(&tree, &records, description)
}
