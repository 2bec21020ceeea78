//! The newest file and how it grows: groups, marks, new files, and what follows a failed sync.
//!
//! A group is written, synced, then made visible and answered; the mark that says so is written behind it and synced with the next group.
//! After a failed write or sync nobody knows what the disk holds, and a second sync that succeeds proves nothing. So the file is reopened, cut
//! to what the last good sync covered, synced and read back, and the log goes on in a new file. What was cut had no answer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base::World;
use base::disk::File;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use types::Error;

use super::format::{ChannelLine, EntryKind, address, file_header, mark_payload, put_channel, put_entry};
use super::index::{Index, LogFile};
use super::scan;
use crate::log::LogError;

/// One thing to make durable.
pub(super) enum Item {
    /// A frame of a channel.
    Frame(u32, Bytes),
    /// A new channel.
    Channel(ChannelLine),
    /// A channel's truncation.
    Truncate(u32, u64),
}

/// The writing end. One per log.
pub(super) struct Physical {
    pub(super) world: World,
    pub(super) directory: PathBuf,
    pub(super) file_bytes_max: u64,
    pub(super) index: Arc<Mutex<Index>>,
    pub(super) number: u64,
    pub(super) file: Arc<dyn File>,
    /// Where the next entry goes.
    pub(super) end: u64,
    /// What the last good sync covered.
    pub(super) synced_end: u64,
    /// The last write or sync failed.
    pub(super) broken: bool,
}

/// Where a frame went: channel, index, address, bytes of its entry.
struct Placed {
    channel: u32,
    index: u64,
    address: u64,
    bytes: u64,
}

/// The path of a file of the log.
pub(super) fn path(directory: &std::path::Path, number: u64, extension: &str) -> PathBuf {
    directory.join(format!("{number:016x}.{extension}"))
}

impl Physical {
    /// Makes a group durable and visible; the indexes of its frames, in order.
    ///
    /// # Errors
    /// The outcome of the whole group is unknown; the next call repairs first.
    pub(super) async fn commit(&mut self, items: &[Item]) -> Result<Vec<u64>, LogError> {
        if self.broken {
            self.repair().await?;
        }
        if self.end >= self.file_bytes_max {
            self.begin_file().await?;
        }
        let (bytes, placed) = self.lay_out(items);
        let length = bytes.len() as u64;
        self.broken = true;
        let written = self.file.write_at(self.end, vec![bytes]).await;
        written.map_err(|error| scan::io(self.number, error))?;
        self.file.sync().await.map_err(|error| scan::io(self.number, error))?;
        self.broken = false;
        self.end += length;
        self.synced_end = self.end;
        self.show(items, &placed);
        Ok(placed.into_iter().map(|frame| frame.index).collect())
    }

    /// Says on disk that everything so far was synced. Not synced itself: the next group's sync covers it.
    pub(super) async fn mark(&mut self) {
        if self.broken {
            return;
        }
        let (identity, payload) = {
            let index = self.index.lock();
            let ends = index.files.get(&self.number).into_iter().flat_map(|file| file.ends.iter().map(|(channel, end)| (*channel, *end)));
            (index.identity, mark_payload(ends))
        };
        let mut out = BytesMut::new();
        put_entry(&mut out, identity, address(self.number, self.end), (EntryKind::Mark, 0, 0), &payload);
        let length = out.len() as u64;
        match self.file.write_at(self.end, vec![out.freeze()]).await {
            Ok(()) => self.end += length,
            Err(error) => {
                tracing::warn!(%error, "a mark of the log can't be written");
                self.broken = true;
            }
        }
    }

    /// Removes files that nobody needs, oldest first, each durably before the next: a gap in the numbers is loss.
    pub(super) async fn remove_unneeded(&mut self) {
        let unneeded = self.index.lock().unneeded();
        for number in unneeded {
            let removed = match self.world.disk.remove(&path(&self.directory, number, "log")).await {
                Ok(()) => self.world.disk.sync_directory(&self.directory).await,
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::warn!(%error, number, "a file of the log can't be removed, it stays until the next truncation");
                return;
            }
            self.index.lock().files.remove(&number);
        }
    }

    fn lay_out(&self, items: &[Item]) -> (Bytes, Vec<Placed>) {
        let index = self.index.lock();
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        let mut out = BytesMut::new();
        let mut placed = Vec::new();
        for item in items {
            let begin = out.len() as u64;
            let at = address(self.number, self.end + begin);
            match item {
                Item::Frame(channel, frame) => {
                    let next = next.entry(*channel).or_insert_with(|| index.channels.get(channel).map_or(0, |state| state.end()));
                    put_entry(&mut out, index.identity, at, (EntryKind::Frame, *channel, *next), frame);
                    placed.push(Placed { channel: *channel, index: *next, address: at, bytes: out.len() as u64 - begin });
                    *next += 1;
                }
                Item::Channel(line) => {
                    let mut payload = BytesMut::new();
                    put_channel(&mut payload, line);
                    put_entry(&mut out, index.identity, at, (EntryKind::Channel, line.channel, 0), &payload);
                }
                Item::Truncate(channel, start) => {
                    put_entry(&mut out, index.identity, at, (EntryKind::Truncate, *channel, *start), &[]);
                }
            }
        }
        (out.freeze(), placed)
    }

    fn show(&self, items: &[Item], placed: &[Placed]) {
        let mut index = self.index.lock();
        for item in items {
            match item {
                Item::Frame(..) => {}
                Item::Channel(line) => index.add_channel(line),
                Item::Truncate(channel, start) => {
                    if let Some(channel) = index.channels.get_mut(channel) {
                        channel.truncate(*start);
                    }
                }
            }
        }
        let mut ends = BTreeMap::new();
        for frame in placed {
            if let Some(channel) = index.channels.get_mut(&frame.channel) {
                channel.push(frame.index, frame.address, frame.bytes);
            }
            ends.insert(frame.channel, frame.index + 1);
        }
        if let Some(file) = index.files.get_mut(&self.number) {
            file.ends.extend(&ends);
        }
        for (channel, end) in ends {
            if let Some(channel) = index.channels.get(&channel) {
                channel.publish(end);
            }
        }
    }

    /// Begins the next file: written under another name first, so that a file of the log always has a whole header.
    pub(super) async fn begin_file(&mut self) -> Result<(), LogError> {
        let number = self.number + 1;
        let (header, path_new, path_log) = {
            let index = self.index.lock();
            let header = file_header(index.identity, number, &index.table());
            (header, path(&self.directory, number, "new"), path(&self.directory, number, "log"))
        };
        let length = header.len() as u64;
        self.broken = true;
        let made = async {
            let disk = &self.world.disk;
            let file = disk.open(&path_new, true).await?;
            file.set_len(0).await?;
            file.write_at(0, vec![header]).await?;
            file.sync().await?;
            disk.rename(&path_new, &path_log).await?;
            disk.sync_directory(&self.directory).await?;
            Ok(file)
        };
        let file = made.await.map_err(|error| scan::io(number, error))?;
        self.index.lock().files.insert(number, LogFile { file: file.clone(), ends: BTreeMap::new() });
        self.file = file;
        self.number = number;
        self.end = length;
        self.synced_end = length;
        self.broken = false;
        Ok(())
    }

    /// Cuts what has no answer, checks what has one, and goes on in a new file.
    async fn repair(&mut self) -> Result<(), LogError> {
        let io = |error| scan::io(self.number, error);
        let file = self.world.disk.open(&path(&self.directory, self.number, "log"), false).await.map_err(io)?;
        file.set_len(self.synced_end).await.map_err(io)?;
        file.sync().await.map_err(io)?;
        let mut seen = Index::empty(0);
        let end = scan::scan(&mut seen, self.number, file.clone(), false).await?;
        let whole = {
            let mut index = self.index.lock();
            let ends = index.files.get(&self.number).map(|known| known.ends.clone()).unwrap_or_default();
            if let Some(known) = index.files.get_mut(&self.number) {
                known.file = file.clone();
            }
            ends.iter().all(|(channel, end)| seen.channels.get(channel).is_some_and(|seen| seen.end() >= *end && seen.runs_are_whole()))
        };
        if end != self.synced_end || !whole {
            let text = format!("log file {:016x}.log: after a failed sync, frames that were durable can't be read back", self.number);
            return Err(LogError::Damaged(Error::corrupt(text)));
        }
        tracing::warn!(file = self.number, "the log was repaired after a failed sync and goes on in a new file");
        self.file = file;
        self.end = self.synced_end;
        self.begin_file().await
    }
}
