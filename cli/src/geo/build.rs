//! Building: sources to a file, in phases that somebody may watch.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::error::BuildError;
use super::extract::{Said, Shape};
use super::merge::{Input, Merger};
use super::source::{Source, Trie};
use super::write::File;
use crate::fs::temporary;

/// What the result says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its name, such as `DB-IP City Lite`.
    pub name: String,
    /// The date of the data, `2026-06-05`.
    pub date: String,
    /// The licence of the data.
    pub licence: String,
    /// The credit that the licence asks for; empty when it asks for none.
    pub attribution: String,
    /// Where the credit leads.
    pub attribution_link: String,
    /// When the newest of its sources was made, Unix seconds: not the hour of the build, so that the same
    /// sources give the same bytes.
    pub build_epoch: u64,
}

/// A phase of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Walking all sources.
    Merge,
    /// Writing the result.
    Write,
}

/// Whoever shows how far a build is.
pub trait Progress {
    /// A phase begins; `total` steps are expected.
    fn begin(&self, phase: Phase, total: u64);
    /// So many steps more are done.
    fn done(&self, steps: u64);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _phase: Phase, _total: u64) {}
    fn done(&self, _steps: u64) {}
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Built {
    /// Distinct records.
    pub records: usize,
    /// Nodes of the search tree.
    pub nodes: usize,
    /// Bytes of the file.
    pub bytes: u64,
}

fn merged(
    inputs: &[Input<'_>],
    about: &About,
    total: u64,
    progress: &dyn Progress,
) -> Result<(File, usize), BuildError> {
    progress.begin(Phase::Merge, total);
    let (nodes, records) = Merger::new(inputs, progress).run()?;
    let file = File::new(&nodes, &records, about)?;
    Ok((file, records.records.values().len()))
}

/// Compiles sources, the most trusted first, into the file `out`: written beside it and renamed, so that
/// whatever happens there is a whole file or the old one.
pub fn build(
    sources: &[Source],
    about: &About,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Built, BuildError> {
    let mut inputs = Vec::with_capacity(sources.len());
    for source in sources {
        inputs.push(Input::File(source, Shape::of(source, &source.leaves())?));
    }
    let total = sources.iter().map(|source| u64::from(source.nodes())).sum();
    let (file, records) = merged(&inputs, about, total, progress)?;
    progress.begin(Phase::Write, 1);
    write_whole(out, |out_file| {
        let mut writer = BufWriter::with_capacity(1 << 20, out_file);
        file.write(&mut writer).and_then(|()| writer.flush()).map_err(BuildError::write(out))
    })?;
    let bytes = std::fs::metadata(out).map_err(BuildError::write(out))?.len();
    progress.done(1);
    Ok(Built { records, nodes: file.nodes(), bytes })
}

/// Writes a file beside its place, and renames it there once it is whole.
pub(super) fn write_whole(
    out: &Path,
    write: impl FnOnce(&mut std::fs::File) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(BuildError::write(folder))?;
    let mut temporary = temporary(folder).map_err(BuildError::write(folder))?;
    write(temporary.as_file_mut())?;
    temporary.as_file().sync_all().map_err(BuildError::write(out))?;
    temporary.persist(out).map_err(|error| BuildError::write(out)(error.error))?;
    Ok(())
}

/// Compiles a tree made here into bytes.
pub(super) fn build_made(trie: &Trie, said: &[Said], about: &About) -> Result<Vec<u8>, BuildError> {
    let (file, _) = merged(&[Input::Made(trie, said)], about, 0, &Quiet)?;
    bytes_of(&file)
}

/// Compiles sources into bytes: for small ones.
pub fn build_bytes(sources: &[Source], about: &About) -> Result<Vec<u8>, BuildError> {
    let mut inputs = Vec::with_capacity(sources.len());
    for source in sources {
        inputs.push(Input::File(source, Shape::of(source, &source.leaves())?));
    }
    bytes_of(&merged(&inputs, about, 0, &Quiet)?.0)
}

fn bytes_of(file: &File) -> Result<Vec<u8>, BuildError> {
    let mut bytes = Vec::new();
    file.write(&mut bytes).map_err(BuildError::write(Path::new("(in memory)")))?;
    Ok(bytes)
}
