//! Metadata that is gone while what it leads to is still there: an error at start, before anything is made in its place.
//!
//! Without metadata nobody knows which collection an object or a record of the log belongs to; new metadata beside it would take every
//! object for an orphan and sweep it (`docs/design.md` rule 7: loss is loud).

use std::path::Path;

use base::World;
use base::config::{Backends, LogBackend, MetaBackend, ObjectsBackend};
use meta::sequence;
use meta::store::Meta;
use store::object::{Store, StoreError};
use types::{Code, Error, Result};

use crate::wiring::meta_failed;

/// Folders of a store that only metadata gives a meaning.
const FOLDERS: &[&str] = &["manifest", "segment", "checkpoint"];

/// Refuses a data directory whose file of metadata is missing beside a log or objects. Touches nothing.
///
/// # Errors
/// Says what is missing, what is there, and what to do; or that the directory can't be read.
pub(super) async fn refuse_without_metadata(world: &World, backends: &Backends) -> Result<()> {
    let MetaBackend::Embedded(file) = &backends.meta else { return Ok(()) };
    let Some(directory) = file.parent() else { return Ok(()) };
    if names(world, directory).await?.iter().any(|name| Some(name.as_str()) == file.file_name().and_then(|name| name.to_str())) {
        return Ok(());
    }
    let mut there = Vec::new();
    if let LogBackend::Embedded(log) = &backends.log
        && names(world, log).await?.iter().any(|name| name.ends_with(".log"))
    {
        there.push(format!("the log in {}", log.display()));
    }
    if let ObjectsBackend::Local(objects) = &backends.objects
        && names(world, objects).await?.iter().any(|name| FOLDERS.contains(&name.as_str()))
    {
        there.push(format!("the objects in {}", objects.display()));
    }
    if there.is_empty() {
        return Ok(());
    }
    Err(lost(&format!("{} is missing", file.display()), &there.join(" and ")))
}

/// Refuses metadata that nobody has ever used in front of a store that has our objects: an etcd that was emptied, another root path.
///
/// # Errors
/// As [`refuse_without_metadata`]; also those of the store and of metadata.
pub(super) async fn refuse_with_new_metadata(meta: &dyn Meta, store: &dyn Store, backends: &Backends) -> Result<()> {
    if !sequence::is_new(meta).await.map_err(meta_failed)? {
        return Ok(());
    }
    for folder in FOLDERS {
        let objects = store.list(folder).await.map_err(StoreError::into_error)?.len();
        if objects > 0 {
            let there = format!("{objects} objects under {folder}/ of {}", backends.objects_reason());
            return Err(lost(&format!("there is no metadata in {}", backends.meta_reason()), &there));
        }
    }
    Ok(())
}

fn lost(missing: &str, there: &str) -> Error {
    let text = format!(
        "{missing}, but {there} are there, and nothing leads to their collections without it: bring it back from a backup, or move \
         the rest away to begin without any data; nothing was changed"
    );
    Error::new(Code::DATA_INTEGRITY, text)
}

/// Names right under a directory; none if there is no directory.
async fn names(world: &World, directory: &Path) -> Result<Vec<String>> {
    match world.disk.list(directory).await {
        Ok(paths) => Ok(paths.iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io(format!("directory {}", directory.display()), error)),
    }
}
