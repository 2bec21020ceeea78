//! Opening: reads every file in order, rebuilds the index, and tells a torn tail from loss.
//!
//! What lies below a mark was synced: if it can't be read now, or frames that a mark or a later file's table counts aren't there, that is loss: the
//! channels concerned have a hole, and reading into it is an error; other channels go on. Above the last mark of the newest file
//! damage is a torn tail: nobody was told of it, and it is cut off. Older files were whole when the next one began.

use std::sync::Arc;

use base::disk::File;
use bytes::Bytes;
use types::Error;

use super::format::{ChannelLine, Entry, EntryKind, FileHeader, HEADER_BYTES, LINE, address, read_channel, read_mark};
use super::index::{Hole, Index, LogFile};
use crate::log::LogError;

/// Bytes of one read.
const CHUNK_BYTES: usize = 4 << 20;

/// Reads one file forwards.
struct Cursor {
    file: Arc<dyn File>,
    number: u64,
    length: u64,
    chunk: Bytes,
    chunk_at: u64,
}

impl Cursor {
    /// `length` bytes at `offset`, fewer at the end of the file.
    async fn bytes(&mut self, offset: u64, length: usize) -> Result<Bytes, LogError> {
        let length = length.min(usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX));
        let inside = offset >= self.chunk_at && offset + length as u64 <= self.chunk_at + self.chunk.len() as u64;
        if !inside {
            self.chunk = self.file.read_at(offset, length.max(CHUNK_BYTES)).await.map_err(|error| io(self.number, error))?;
            self.chunk_at = offset;
        }
        let from = (offset - self.chunk_at) as usize;
        Ok(self.chunk.slice(from..(from + length).min(self.chunk.len())))
    }

    /// The whole, undamaged entry at `offset`.
    async fn entry(&mut self, identity: u128, offset: u64) -> Result<Option<(Entry, Bytes)>, LogError> {
        let header = self.bytes(offset, HEADER_BYTES).await?;
        let Some(entry) = Entry::read(&header, identity, address(self.number, offset)) else { return Ok(None) };
        let whole = self.bytes(offset, entry.bytes()).await?;
        if whole.len() < entry.bytes() {
            return Ok(None);
        }
        let payload = whole.slice(HEADER_BYTES..HEADER_BYTES + entry.length as usize);
        Ok(entry.matches(&payload).then_some((entry, payload)))
    }
}

pub(super) fn io(number: u64, error: std::io::Error) -> LogError {
    LogError::Unavailable(Error::io(format!("log file {number:016x}.log"), error))
}

/// Adds `file` to the index; gives the offset where it ends. The newest file's torn tail lies above that.
pub(super) async fn scan(index: &mut Index, number: u64, file: Arc<dyn File>, newest: bool) -> Result<u64, LogError> {
    let length = file.len().await.map_err(|error| io(number, error))?;
    let mut cursor = Cursor { file: file.clone(), number, length, chunk: Bytes::new(), chunk_at: 0 };
    let begin = header(index, &mut cursor).await?;
    index.files.insert(number, LogFile { file, ends: Default::default() });
    let mut offset = begin;
    while offset < length {
        if let Some((entry, payload)) = cursor.entry(index.identity, offset).await? {
            take(index, address(number, offset), &entry, &payload)?;
            offset += entry.bytes() as u64;
            continue;
        }
        let Some(next) = resume(index, &mut cursor, offset, newest).await? else { break };
        tracing::error!(file = number, offset, next, "the log is damaged below its last mark");
        for channel in index.channels.values_mut() {
            channel.runs_from = address(number, next);
        }
        offset = next;
    }
    Ok(offset)
}

/// Checks the header, and holds the table against what older files had.
async fn header(index: &mut Index, cursor: &mut Cursor) -> Result<u64, LogError> {
    let number = cursor.number;
    let damaged = |error: Error| LogError::Damaged(error.context(format!("log file {number:016x}.log")));
    let first = cursor.bytes(0, HEADER_BYTES).await?;
    let header = FileHeader::read(&first).map_err(damaged)?;
    let oldest = index.files.is_empty();
    if oldest {
        index.identity = header.identity;
    }
    if header.number != number || header.identity != index.identity {
        return Err(damaged(Error::corrupt("the header is that of another file")));
    }
    let bytes = cursor.bytes(0, header.bytes()).await?;
    for line in header.table(&bytes).map_err(damaged)? {
        check_line(index, &line, number, oldest);
    }
    Ok(header.bytes() as u64)
}

fn check_line(index: &mut Index, line: &ChannelLine, number: u64, oldest: bool) {
    if !index.channels.contains_key(&line.channel) {
        let begin = if oldest { line.clone() } else { ChannelLine { next: line.start, ..line.clone() } };
        index.add_channel(&begin);
    }
    let place = format!("before file {number:016x}.log");
    if oldest {
        let Some(channel) = index.channels.get_mut(&line.channel) else { return };
        if line.start < line.next {
            // Needed when the file began; a later truncation takes the hole away.
            channel.holes.push(hole(channel.name.as_str(), line.start, line.next, &place));
        }
        return;
    }
    missing_up_to(index, line.channel, line.next, &place);
}

fn hole(channel: &str, first: u64, end: u64, place: &str) -> Hole {
    let text = format!("log of channel {channel}: frames {first} to {} are damaged or missing {place}", end - 1);
    Hole { first, end, error: Error::corrupt(text) }
}

/// Frames below `next` were durable: those that aren't there are a hole.
fn missing_up_to(index: &mut Index, channel: u32, next: u64, place: &str) {
    let Some(channel) = index.channels.get_mut(&channel) else { return };
    let end = channel.end();
    if end < next {
        let hole = hole(channel.name.as_str(), end, next, place);
        tracing::error!(error = %hole.error, "acknowledged writes are missing");
        channel.holes.push(hole);
        channel.publish(next);
    }
}

fn take(index: &mut Index, at: u64, entry: &Entry, payload: &Bytes) -> Result<(), LogError> {
    let nameless = |channel: u32| {
        let text = format!("{} counts frames of channel {channel}, whose beginning is damaged", Index::place(at));
        LogError::Damaged(Error::corrupt(text))
    };
    match entry.kind {
        EntryKind::Frame => {
            missing_up_to(index, entry.channel, entry.index, &format!("below {}", Index::place(at)));
            let channel = index.channels.get_mut(&entry.channel).ok_or_else(|| nameless(entry.channel))?;
            if entry.index != channel.end() {
                return Ok(());
            }
            channel.push(entry.index, at, entry.bytes() as u64);
            channel.publish(entry.index + 1);
            if let Some(file) = index.files.get_mut(&(at >> 32)) {
                file.ends.insert(entry.channel, entry.index + 1);
            }
        }
        EntryKind::Mark => {
            for (channel, next) in read_mark(payload) {
                if !index.channels.contains_key(&channel) {
                    return Err(nameless(channel));
                }
                missing_up_to(index, channel, next, &format!("below {}", Index::place(at)));
            }
        }
        EntryKind::Channel => {
            if let Some(line) = read_channel(&mut &payload[..])
                && !index.channels.contains_key(&line.channel)
            {
                index.add_channel(&line);
            }
        }
        EntryKind::Truncate => {
            if let Some(channel) = index.channels.get_mut(&entry.channel) {
                channel.truncate(entry.index);
            }
        }
    }
    Ok(())
}

/// Where reading goes on behind damage at `offset`: at the next whole entry, if something below a mark was damaged; `None` for a torn tail.
async fn resume(index: &Index, cursor: &mut Cursor, offset: u64, newest: bool) -> Result<Option<u64>, LogError> {
    let mut next = None;
    let mut at = offset + LINE as u64;
    while at < cursor.length {
        if let Some((entry, _)) = cursor.entry(index.identity, at).await? {
            next.get_or_insert(at);
            if !newest || entry.kind == EntryKind::Mark {
                return Ok(next);
            }
            at += entry.bytes() as u64;
        } else {
            at += LINE as u64;
        }
    }
    // An older file whose end is damaged: what is missing shows in the next one's table.
    Ok((!newest).then_some(cursor.length))
}
