//! Files mapped into memory as shared bytes. The only place of this crate with `unsafe`.
//!
//! Only immutable files may be mapped: of a local store and of the disk cache, which write a file elsewhere, sync it, give it its name
//! and never open it for writing again. Removing a mapped file is fine: the mapping keeps it. Whoever truncates one by hand ends the
//! process with SIGBUS.

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::Mmap;

/// The whole file, mapped. `held` lives as long as the last clone or slice of the bytes.
///
/// # Errors
/// The operating system's.
pub(crate) fn map<T: Send + 'static>(file: &File, held: T) -> io::Result<Bytes> {
    // A mapping of nothing is an error to the operating system.
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the bytes behind the mapping must not change while it lives. The files given here are immutable (see above), and the
    // mapping is private to this module and read only.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(Mapped { map, _held: held }))
}

struct Mapped<T> {
    map: Mmap,
    _held: T,
}

impl<T> AsRef<[u8]> for Mapped<T> {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_mapping_outlives_its_name_and_releases_what_it_holds() {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let path = directory.path().join("f");
        std::fs::write(&path, b"payload").expect("the directory is there");
        let held = Arc::new(());
        let bytes = map(&File::open(&path).expect("written above"), held.clone()).expect("written above");
        std::fs::remove_file(&path).expect("written above");
        let slice = bytes.slice(3..);
        drop(bytes);
        assert_eq!((&slice[..], Arc::strong_count(&held)), (&b"load"[..], 2));
        drop(slice);
        assert_eq!(Arc::strong_count(&held), 1);

        std::fs::write(&path, b"").expect("the directory is there");
        assert!(map(&File::open(&path).expect("written above"), ()).expect("an empty file").is_empty());
    }
}
