//! Memory-mapped files.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// Maps a database file. It must not be changed in place while it is mapped: `ipgeo` replaces databases by renaming, which
/// leaves the mapped file unchanged.
pub fn map_file(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    #[expect(unsafe_code, reason = "mapping a file; every read of it is checked, see `raw`")]
    // SAFETY: nobody writes to a database file in place.
    unsafe {
        Mmap::map(&file)
    }
}
