//! The directory tree: names that every process sees, names that are durable, and the changes between.
//!
//! A change becomes durable when its directory is synced (for a rename across directories: the one it leads to). At a crash each of the
//! others is kept or lost; one that builds on a lost one is lost too, since file systems write changes of one name in order, and a rename
//! is never half done. Directories themselves are durable at once, as [`crate::disk::Disk::create_directory`] promises.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::random::Random;

#[derive(Default)]
pub(super) struct Names {
    seen: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    unsynced: Vec<Change>,
    directories: BTreeSet<PathBuf>,
}

enum Change {
    Create { path: PathBuf, inode: u64 },
    Remove { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf, inode: u64 },
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Create { path, inode } => {
                names.insert(path.clone(), *inode);
            }
            Self::Remove { path } => {
                names.remove(path);
            }
            Self::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let (first, second) = match self {
            Self::Create { path, .. } | Self::Remove { path } => (path, None),
            Self::Rename { from, to, .. } => (to, Some(from)),
        };
        std::iter::once(first).chain(second)
    }

    /// The directory whose sync makes the change durable.
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Create { path, .. } | Self::Remove { path } | Self::Rename { to: path, .. } => path.parent(),
        }
    }

    fn inode(&self) -> Option<u64> {
        match self {
            Self::Create { inode, .. } | Self::Rename { inode, .. } => Some(*inode),
            Self::Remove { .. } => None,
        }
    }
}

impl Names {
    pub(super) fn inode(&self, path: &Path) -> Option<u64> {
        self.seen.get(path).copied()
    }

    pub(super) fn durable_inode(&self, path: &Path) -> Option<u64> {
        self.durable.get(path).copied()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, u64)> {
        self.seen.iter().map(|(path, inode)| (path, *inode))
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        path.parent().is_none() || path.as_os_str().is_empty() || self.directories.contains(path)
    }

    pub(super) fn create_directory(&mut self, path: &Path) {
        self.directories.extend(path.ancestors().map(Path::to_owned));
    }

    /// Files and directories right under `directory`, sorted.
    pub(super) fn list(&self, directory: &Path) -> BTreeSet<PathBuf> {
        let inside = |path: &&PathBuf| path.parent() == Some(directory) && !path.as_os_str().is_empty();
        self.seen.keys().chain(&self.directories).filter(inside).cloned().collect()
    }

    pub(super) fn create(&mut self, path: &Path, inode: u64) {
        self.change(Change::Create { path: path.to_owned(), inode });
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.change(Change::Remove { path: path.to_owned() });
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path, inode: u64) {
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), inode });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }

    pub(super) fn sync_directory(&mut self, directory: &Path) {
        // From the last to the first: a change is made durable together with the earlier ones of the same names.
        let mut wanted: BTreeSet<PathBuf> = BTreeSet::new();
        let mut due = vec![false; self.unsynced.len()];
        for (i, change) in self.unsynced.iter().enumerate().rev() {
            due[i] = change.directory() == Some(directory) || change.paths().any(|path| wanted.contains(path));
            if due[i] {
                wanted.extend(change.paths().cloned());
            }
        }
        let mut due = due.into_iter();
        let durable = &mut self.durable;
        self.unsynced.retain(|change| {
            let is_due = due.next().unwrap_or(false);
            if is_due {
                change.apply(durable);
            }
            !is_due
        });
    }

    pub(super) fn crash(&mut self, survival: f64, random: &Random) {
        let mut lost: BTreeSet<PathBuf> = BTreeSet::new();
        for change in std::mem::take(&mut self.unsynced) {
            if change.paths().all(|path| !lost.contains(path)) && random.chance(survival) {
                change.apply(&mut self.durable);
            } else {
                lost.extend(change.paths().cloned());
            }
        }
        self.seen = self.durable.clone();
    }

    /// Files that a name leads to, or may lead to after a crash.
    pub(super) fn reachable(&self) -> BTreeSet<u64> {
        let waiting = self.unsynced.iter().filter_map(Change::inode);
        self.seen.values().chain(self.durable.values()).copied().chain(waiting).collect()
    }
}
