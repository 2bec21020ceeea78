//! The state of a simulated disk and what each call does to it. No waiting and no faults of single calls: those are the caller's.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use super::image::Image;
use super::names::Names;
use super::{Flaws, Operations};
use crate::random::Random;

#[derive(Default)]
pub(super) struct Model {
    pub(super) flaws: Flaws,
    pub(super) operations: Operations,
    /// Counts crashes and kills: a file opened in an earlier life is dead.
    life: u64,
    power: Power,
    files: BTreeMap<u64, Image>,
    last_inode: u64,
    names: Names,
    locks: BTreeMap<PathBuf, u64>,
    last_holder: u64,
}

#[derive(Default, PartialEq)]
enum Power {
    #[default]
    On,
    OffAfter(u64),
    Off,
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} isn't there", path.display()))
}

fn is_a_directory(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::IsADirectory, format!("{} is a directory", path.display()))
}

/// A path without `.` and a slash at its end, so that one file has one name.
fn tidy(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

impl Model {
    pub(super) fn life(&self) -> u64 {
        self.life
    }

    pub(super) fn is_off(&self) -> bool {
        self.power == Power::Off
    }

    pub(super) fn power_off_after(&mut self, changes: u64) {
        self.power = Power::OffAfter(changes);
    }

    /// Whether a process of that life may still call.
    pub(super) fn admit(&mut self, life: Option<u64>, changes: bool) -> io::Result<()> {
        if life.is_some_and(|life| life != self.life) {
            return Err(io::Error::other("the process that had this disk has ended"));
        }
        if changes && let Power::OffAfter(left) = &mut self.power {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => self.power = Power::Off,
            }
        }
        if self.power == Power::Off {
            return Err(io::Error::other("the disk has no power"));
        }
        Ok(())
    }

    pub(super) fn end_life(&mut self) {
        self.life += 1;
        self.locks.clear();
        let reachable = self.names.reachable();
        self.files.retain(|inode, _| reachable.contains(inode));
    }

    pub(super) fn crash(&mut self, random: &Random) {
        self.operations.crashes += 1;
        self.power = Power::On;
        // None of it, all of it, or some: the extremes are the crashes that happen most.
        let survival = match random.below(4) {
            0 => 0.0,
            1 => 1.0,
            _ => (random.below(99) + 1) as f64 / 100.0,
        };
        for image in self.files.values_mut() {
            image.crash(survival, random);
        }
        self.names.crash(survival, random);
        self.end_life();
    }

    pub(super) fn open(&mut self, path: &Path, create: bool) -> io::Result<u64> {
        let path = tidy(path);
        self.operations.opens += 1;
        if self.names.is_directory(&path) {
            return Err(is_a_directory(&path));
        }
        if let Some(inode) = self.names.inode(&path) {
            self.image(inode).reopen();
            return Ok(inode);
        }
        if !create || !path.parent().is_some_and(|parent| self.names.is_directory(parent)) {
            return Err(not_found(&path));
        }
        self.last_inode += 1;
        self.files.insert(self.last_inode, Image::default());
        self.names.create(&path, self.last_inode);
        Ok(self.last_inode)
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        let path = tidy(path);
        if path.ancestors().any(|part| self.names.inode(part).is_some()) {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} leads through a file", path.display())));
        }
        self.names.create_directory(&path);
        Ok(())
    }

    pub(super) fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let path = tidy(directory);
        if !self.names.is_directory(&path) {
            return Err(not_found(&path));
        }
        // As the operating system does: the caller's spelling of the directory, then the name.
        let names = self.names.list(&path).into_iter();
        Ok(names.filter_map(|name| name.file_name().map(|name| directory.join(name))).collect())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (tidy(from), tidy(to));
        self.operations.renames += 1;
        let inode = self.names.inode(&from).ok_or_else(|| not_found(&from))?;
        if self.names.is_directory(&to) {
            return Err(is_a_directory(&to));
        }
        if !to.parent().is_some_and(|parent| self.names.is_directory(parent)) {
            return Err(not_found(&to));
        }
        if from != to {
            self.names.rename(&from, &to, inode);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let path = tidy(path);
        self.operations.removes += 1;
        self.names.inode(&path).ok_or_else(|| not_found(&path))?;
        self.names.remove(&path);
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, directory: &Path) -> io::Result<()> {
        let directory = tidy(directory);
        self.operations.directory_syncs += 1;
        if !self.names.is_directory(&directory) {
            return Err(not_found(&directory));
        }
        if !self.flaws.skip_directory_sync {
            self.names.sync_directory(&directory);
        }
        Ok(())
    }

    pub(super) fn lock(&mut self, path: &Path) -> io::Result<u64> {
        self.open(path, true)?;
        let path = tidy(path);
        if self.locks.contains_key(&path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.last_holder += 1;
        self.locks.insert(path, self.last_holder);
        Ok(self.last_holder)
    }

    /// Ends a lock, unless a crash has ended it already and another holds it now.
    pub(super) fn unlock(&mut self, path: &Path, holder: u64) {
        let path = tidy(path);
        if self.locks.get(&path) == Some(&holder) {
            self.locks.remove(&path);
        }
    }

    fn image(&mut self, inode: u64) -> &mut Image {
        self.files.get_mut(&inode).expect("a file stays as long as the life in which it was opened")
    }

    pub(super) fn write(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.operations.writes += 1;
        let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
        let offset = usize::try_from(offset).map_err(|_| too_large())?;
        let end = offset.checked_add(bytes.len()).ok_or_else(too_large)?;
        let room = usize::try_from(self.room(inode)).unwrap_or(usize::MAX);
        let fits = bytes.len() - end.saturating_sub(room).min(bytes.len());
        self.image(inode).write(offset, &bytes[..fits]);
        self.operations.bytes_written += fits as u64;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// How long a file can be.
    fn room(&self, inode: u64) -> u64 {
        let Some(capacity) = self.flaws.capacity else { return u64::MAX };
        let length = |inode: &u64| self.files.get(inode).map_or(0, |image| image.len() as u64);
        let others = self.names.files().map(|(_, other)| other).filter(|other| *other != inode);
        // A file that is there already keeps its bytes however small the disk was made.
        capacity.saturating_sub(others.map(|other| length(&other)).sum()).max(length(&inode))
    }

    pub(super) fn read(&mut self, inode: u64, offset: u64, length: usize, random: &Random) -> Bytes {
        let flip = self.flaws.flip_on_read;
        let mut bytes = self.image(inode).read(offset, length).to_vec();
        self.operations.reads += 1;
        self.operations.bytes_read += bytes.len() as u64;
        if !bytes.is_empty() && random.chance(flip) {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap_or(0);
            bytes[at] ^= 1 << random.below(8);
        }
        bytes.into()
    }

    pub(super) fn len(&mut self, inode: u64) -> u64 {
        self.image(inode).len() as u64
    }

    pub(super) fn set_len(&mut self, inode: u64, length: u64) -> io::Result<()> {
        self.operations.lengths += 1;
        if length > self.room(inode) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.image(inode).set_len(length);
        Ok(())
    }

    pub(super) fn sync(&mut self, inode: u64) {
        self.operations.syncs += 1;
        if !self.flaws.skip_sync {
            self.image(inode).sync();
        }
    }

    pub(super) fn fail_sync(&mut self, inode: u64, random: &Random) {
        self.operations.syncs += 1;
        self.image(inode).fail_sync(random);
    }

    pub(super) fn corrupt(&mut self, path: &Path, offset: u64, bit: u32) -> io::Result<()> {
        let path = tidy(path);
        let inode = self.names.inode(&path).ok_or_else(|| not_found(&path))?;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        if self.image(inode).corrupt(at, bit) { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    pub(super) fn durable(&self, path: &Path) -> Option<Vec<u8>> {
        let inode = self.names.durable_inode(&tidy(path))?;
        self.files.get(&inode).map(|image| image.durable().to_vec())
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.names.files().map(|(path, _)| path.clone()).collect()
    }
}
