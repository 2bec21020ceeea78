//! The log in own files: one physical log under one directory for all channels of a process, one sync per group.
//!
//! - [`format`]: bytes (`docs/formats/log.md`).
//! - [`index`]: where each channel's frames lie, in memory.
//! - [`scan`]: opening: what is whole, what is torn, what is lost.
//! - [`physical`]: the newest file: groups, marks, new files, repair.
//! - [`group`]: the task that writes.
//!
//! Invariants: a frame is visible to readers only once it is synced; the directory has one writer (a file lock); files are removed oldest first
//! and only when every channel's truncation has passed all its frames there, so an idle channel that truncates to its end pins nothing.

mod format;
mod group;
mod index;
mod physical;
mod scan;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base::World;
use base::watch;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use types::id::ChannelName;
use types::position::{LogId, Position};
use types::{Code, Error};

use self::format::{Entry, EntryKind, HEADER_BYTES};
use self::group::Job;
use self::index::{Index, Run};
use self::physical::Physical;
use crate::log::{Appender, Bounds, Log, LogError, Reader};

/// Bytes of the largest frame.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
/// Bytes after which a new file begins.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// Jobs that wait for the writer.
const JOBS_MAX: usize = 1_024;

/// A handle on the log. The writer ends, and the directory's lock with it, when all handles, appenders included, are gone.
#[derive(Clone)]
pub struct EmbeddedLog {
    index: Arc<Mutex<Index>>,
    jobs: mpsc::Sender<Job>,
}

impl EmbeddedLog {
    /// Opens the log in `directory`, making it if it isn't there; reads all of it once.
    ///
    /// # Errors
    /// [`LogError::Misconfigured`] if another process has it; [`LogError::Damaged`] if nothing of it can be used. Damage that concerns some channels
    /// is reported by their readers.
    pub async fn open(world: &World, directory: &Path) -> Result<Self, LogError> {
        Self::open_with(world, directory, FILE_BYTES_MAX).await
    }

    /// As [`Self::open`], with another size of files.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(world: &World, directory: &Path, file_bytes_max: u64) -> Result<Self, LogError> {
        let io = |error| LogError::Unavailable(Error::io(format!("log directory {}", directory.display()), error));
        world.disk.create_directory(directory).await.map_err(io)?;
        let lock = world.disk.lock(&directory.join("lock")).await.map_err(|error| {
            if error.kind() != std::io::ErrorKind::WouldBlock {
                return io(error);
            }
            let text = format!("log directory {} is in use by another process", directory.display());
            LogError::Misconfigured(Error::new(Code::SERVICE_UNAVAILABLE, text))
        })?;
        let physical = open_files(world, directory, file_bytes_max).await?;
        let index = physical.index.clone();
        let (jobs, receiver) = mpsc::channel(JOBS_MAX);
        // Ends by itself, after its last write: ending it before that would give the lock away too early.
        world.tasks.spawn(group::run(physical, receiver, lock)).detach();
        Ok(Self { index, jobs })
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Job) -> Result<T, LogError> {
        let (answer, reply) = oneshot::channel();
        self.jobs.send(job(answer)).await.map_err(|_| gone())?;
        reply.await.map_err(|_| gone())?
    }

    fn channel(&self, name: &ChannelName) -> Result<u32, LogError> {
        let unknown = || LogError::Unavailable(Error::new(Code::TOPIC_NOT_FOUND, format!("channel {name} was never opened")));
        self.index.lock().names.get(name).copied().ok_or_else(unknown)
    }

    fn with<T>(&self, channel: u32, work: impl FnOnce(&index::Channel) -> T) -> T {
        work(self.index.lock().channels.get(&channel).expect("channels are never removed from the index"))
    }
}

fn gone() -> LogError {
    LogError::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, "the log's writer has ended"))
}

/// Scans what is there, cuts a torn tail, and stands ready to append.
async fn open_files(world: &World, directory: &Path, file_bytes_max: u64) -> Result<Physical, LogError> {
    let numbers = list_files(world, directory).await?;
    let mut index = Index::empty(world.random.u128());
    let Some(newest) = numbers.last().copied() else {
        return first_file(world, directory, file_bytes_max, index).await;
    };
    let mut end = 0;
    for (i, number) in numbers.iter().enumerate() {
        if i > 0 && *number != numbers[i - 1] + 1 {
            let text = format!("log file {:016x}.log is missing in {}", numbers[i - 1] + 1, directory.display());
            return Err(LogError::Damaged(Error::corrupt(text)));
        }
        let path = physical::path(directory, *number, "log");
        let file = world.disk.open(&path, false).await.map_err(|error| scan::io(*number, error))?;
        end = scan::scan(&mut index, *number, file, *number == newest).await?;
    }
    let file = index.files.get(&newest).map(|known| known.file.clone()).expect("the newest file was scanned");
    let length = file.len().await.map_err(|error| scan::io(newest, error))?;
    if length != end {
        tracing::info!(file = newest, from = end, to = length, "a torn tail of the log is cut off");
        file.set_len(end).await.map_err(|error| scan::io(newest, error))?;
    }
    // What was read may not be on disk yet: a process was killed, not the machine.
    file.sync().await.map_err(|error| scan::io(newest, error))?;
    let mut physical = Physical {
        world: world.clone(),
        directory: directory.to_owned(),
        file_bytes_max,
        index: Arc::new(Mutex::new(index)),
        number: newest,
        file,
        end,
        synced_end: end,
        broken: false,
    };
    physical.mark().await;
    physical.remove_unneeded().await;
    Ok(physical)
}

/// Numbers of the log's files, ascending; what a crash left of a file's beginning is removed.
async fn list_files(world: &World, directory: &Path) -> Result<Vec<u64>, LogError> {
    let io = |error| LogError::Unavailable(Error::io(format!("log directory {}", directory.display()), error));
    let mut numbers = Vec::new();
    for path in world.disk.list(directory).await.map_err(io)? {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("new") => world.disk.remove(&path).await.map_err(io)?,
            Some("log") => {
                let number = path.file_stem().and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
                numbers.push(number.ok_or_else(|| {
                    LogError::Misconfigured(Error::new(Code::DATA_INTEGRITY, format!("{} isn't a file of the log", path.display())))
                })?);
            }
            _ => {}
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

async fn first_file(world: &World, directory: &Path, file_bytes_max: u64, index: Index) -> Result<Physical, LogError> {
    // A stand-in until the first file is there: nothing is written to it.
    let path = physical::path(directory, 0, "new");
    let file = world.disk.open(&path, true).await.map_err(|error| scan::io(0, error))?;
    let mut physical = Physical {
        world: world.clone(),
        directory: directory.to_owned(),
        file_bytes_max,
        index: Arc::new(Mutex::new(index)),
        number: 0,
        file,
        end: 0,
        synced_end: 0,
        broken: false,
    };
    physical.begin_file().await?;
    world.disk.remove(&path).await.map_err(|error| scan::io(0, error))?;
    Ok(physical)
}

#[async_trait]
impl Log for EmbeddedLog {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn frame_bytes_max(&self) -> usize {
        FRAME_BYTES_MAX
    }

    async fn open(&self, channel: &ChannelName) -> Result<LogId, LogError> {
        if let Ok(channel) = self.channel(channel) {
            return Ok(self.with(channel, |channel| channel.log));
        }
        let name = channel.clone();
        self.ask(|answer| Job::Open { name, answer }).await
    }

    async fn appender(&self, channel: &ChannelName, _process: u64) -> Result<Box<dyn Appender>, LogError> {
        Ok(Box::new(EmbeddedAppender { log: self.clone(), channel: self.channel(channel)? }))
    }

    async fn reader(&self, channel: &ChannelName, from: Position) -> Result<Box<dyn Reader>, LogError> {
        let channel = self.channel(channel)?;
        let next = self.with(channel, |channel| channel.check(from).map(|()| channel.next.subscribe()))?;
        Ok(Box::new(EmbeddedReader { log: self.clone(), channel, position: from, next, hint: 0 }))
    }

    async fn bounds(&self, channel: &ChannelName) -> Result<Bounds, LogError> {
        let bounds = |channel: &index::Channel| Bounds { start: channel.position(channel.start), end: channel.position(channel.end()) };
        Ok(self.with(self.channel(channel)?, bounds))
    }

    async fn truncate(&self, channel: &ChannelName, position: Position) -> Result<(), LogError> {
        let (channel, start) = (self.channel(channel)?, position.to_u64());
        if self.with(channel, |channel| start <= channel.start) {
            return Ok(());
        }
        self.ask(|answer| Job::Truncate { channel, start, answer }).await
    }
}

struct EmbeddedAppender {
    log: EmbeddedLog,
    channel: u32,
}

#[async_trait]
impl Appender for EmbeddedAppender {
    async fn append(&mut self, frames: Vec<Bytes>) -> Result<Vec<Position>, LogError> {
        if let Some(frame) = frames.iter().find(|frame| frame.len() > FRAME_BYTES_MAX) {
            return Err(LogError::FrameTooLarge { bytes: frame.len(), limit: FRAME_BYTES_MAX });
        }
        let channel = self.channel;
        self.log.ask(|answer| Job::Append { channel, frames, answer }).await
    }
}

struct EmbeddedReader {
    log: EmbeddedLog,
    channel: u32,
    position: Position,
    next: watch::Receiver<u64>,
    /// Above the entry of the last frame given.
    hint: u64,
}

/// One read: which bytes of which file, for which frames.
struct Stretch {
    file: Arc<dyn base::disk::File>,
    address: u64,
    bytes: usize,
    identity: u128,
    /// Frames below this index.
    end: u64,
}

impl EmbeddedReader {
    fn stretch(&self) -> Result<Option<Stretch>, LogError> {
        let index = self.log.index.lock();
        let channel = index.channels.get(&self.channel).expect("channels are never removed from the index");
        let wanted = self.position.to_u64();
        channel.check(self.position)?;
        if wanted == channel.end() {
            return Ok(None);
        }
        let place = |run: Run| Some((run, index.files.get(&(run.address >> 32))?.file.clone()));
        let (run, file) = channel.run(wanted).and_then(place).ok_or_else(|| {
            LogError::Damaged(Error::internal(format!("log of channel {}: frame {wanted} isn't in the index", channel.name)))
        })?;
        let address = if self.hint > run.address && self.hint < run.address_end { self.hint } else { run.address };
        let bytes = (run.address_end - address) as usize;
        Ok(Some(Stretch { file, address, bytes, identity: index.identity, end: channel.readable_end(wanted) }))
    }

    async fn take(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        let Some(stretch) = self.stretch()? else { return Ok(Vec::new()) };
        let (number, offset) = (stretch.address >> 32, stretch.address & 0xffff_ffff);
        let bytes = stretch.file.read_at(offset, stretch.bytes).await.map_err(|error| scan::io(number, error))?;
        let (frames, end) = self.frames(&stretch, &bytes);
        let Some((last, _)) = frames.last() else {
            let text =
                format!("{} of channel {}", Index::place(stretch.address), self.log.with(self.channel, |channel| channel.name.clone()));
            return Err(LogError::Damaged(Error::corrupt(format!("log {text}: frame {} can't be read", self.position.to_u64()))));
        };
        self.position = last.next();
        self.hint = end;
        Ok(frames)
    }

    /// Own frames in the bytes read, as far as they are whole and follow each other, and where the last one ends.
    fn frames(&self, stretch: &Stretch, bytes: &Bytes) -> (Vec<(Position, Bytes)>, u64) {
        let mut frames = Vec::new();
        let (mut at, mut end) = (0, stretch.address);
        let mut wanted = self.position.to_u64();
        while wanted < stretch.end {
            let Some(entry) = bytes.get(at..).and_then(|rest| Entry::read(rest, stretch.identity, stretch.address + at as u64)) else {
                break;
            };
            let payload = at + HEADER_BYTES..at + HEADER_BYTES + entry.length as usize;
            if payload.end > bytes.len() {
                break;
            }
            let is_own = entry.kind == EntryKind::Frame && entry.channel == self.channel;
            if is_own && entry.index == wanted {
                let payload = bytes.slice(payload);
                if !entry.matches(&payload) {
                    break;
                }
                frames.push((Position::from_u64(self.position.log, wanted), payload));
                wanted += 1;
                end = stretch.address + (at + entry.bytes()) as u64;
            }
            at += entry.bytes();
        }
        (frames, end)
    }
}

#[async_trait]
impl Reader for EmbeddedReader {
    async fn next(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        loop {
            let frames = self.take().await?;
            if !frames.is_empty() {
                return Ok(frames);
            }
            let position = self.position.to_u64();
            // The sender is in the index that `self` holds.
            let _ = self.next.wait_for(|next| *next != position).await;
        }
    }

    async fn next_available(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        self.take().await
    }

    fn position(&self) -> Position {
        self.position
    }
}
