//! Bytes of the embedded log's files (`docs/formats/log.md`): a file header with the table of channels, then entries. Little-endian.
//!
//! Everything lies at a multiple of 64, so that a frame's body is aligned where a file is read, and a scan that lost its way can look for the next entry.
//! An entry names its own place, so that bytes that lie where they weren't written are never taken.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::id::ChannelName;
use types::position::LogId;
use types::{Error, Result};

/// Everything lies at a multiple of it.
pub(super) const LINE: usize = 64;
/// Bytes of an entry's or a file's header.
pub(super) const HEADER_BYTES: usize = LINE;

const FILE_MAGIC: u32 = u32::from_le_bytes(*b"ELW1");
const ENTRY_MAGIC: u32 = u32::from_le_bytes(*b"ELE1");
/// Bytes of a table that a header may claim: a guard for hostile files.
const TABLE_BYTES_MAX: usize = 64 << 20;

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum EntryKind {
    /// A frame of a channel; the index is its place there.
    Frame = 1,
    /// Everything below it was synced. Its payload names the next index of each channel that has frames in the file.
    Mark = 2,
    /// A channel begins; the payload is its line of the table.
    Channel = 3,
    /// Frames of the channel below the index aren't needed any more.
    Truncate = 4,
}

/// An entry's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) kind: EntryKind,
    pub(super) channel: u32,
    pub(super) index: u64,
    pub(super) length: u32,
    payload_checksum: u32,
}

/// A channel in a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ChannelLine {
    pub(super) channel: u32,
    pub(super) log: LogId,
    pub(super) start: u64,
    pub(super) next: u64,
    pub(super) name: ChannelName,
}

/// A file's number and an offset inside of it, as one ordered number.
pub(super) fn address(file: u64, offset: u64) -> u64 {
    debug_assert!(offset < 1 << 32, "files are far smaller");
    file << 32 | offset
}

/// Bytes that an entry with this payload takes.
pub(super) fn entry_bytes(length: usize) -> usize {
    HEADER_BYTES + length.next_multiple_of(LINE)
}

/// Appends an entry that will lie at `address` of the log with this identity.
pub(super) fn put_entry(out: &mut BytesMut, identity: u128, address: u64, entry: (EntryKind, u32, u64), payload: &[u8]) {
    let (kind, channel, index) = entry;
    let begin = out.len();
    out.put_u32_le(ENTRY_MAGIC);
    out.put_u32_le(0);
    out.put_u64_le(address);
    out.put_u8(kind as u8);
    out.put_bytes(0, 3);
    out.put_u32_le(channel);
    out.put_u64_le(index);
    out.put_u32_le(u32::try_from(payload.len()).expect("frames are bounded by FRAME_BYTES_MAX"));
    out.put_u32_le(crc32c::crc32c(payload));
    out.put_u64_le(identity as u64);
    out.put_bytes(0, HEADER_BYTES - (out.len() - begin));
    let checksum = crc32c::crc32c(&out[begin + 8..]);
    out[begin + 4..begin + 8].copy_from_slice(&checksum.to_le_bytes());
    out.put_slice(payload);
    out.put_bytes(0, payload.len().next_multiple_of(LINE) - payload.len());
}

impl Entry {
    /// Reads a header; `None` for anything else, bytes of another place included.
    pub(super) fn read(bytes: &[u8], identity: u128, address: u64) -> Option<Self> {
        let mut fields = bytes.get(..HEADER_BYTES)?;
        let (magic, checksum) = (fields.get_u32_le(), fields.get_u32_le());
        if magic != ENTRY_MAGIC || fields.get_u64_le() != address || checksum != crc32c::crc32c(&bytes[8..HEADER_BYTES]) {
            return None;
        }
        let kind = match fields.get_u8() {
            1 => EntryKind::Frame,
            2 => EntryKind::Mark,
            3 => EntryKind::Channel,
            4 => EntryKind::Truncate,
            _ => return None,
        };
        fields.advance(3);
        let (channel, index) = (fields.get_u32_le(), fields.get_u64_le());
        let (length, payload_checksum) = (fields.get_u32_le(), fields.get_u32_le());
        (fields.get_u64_le() == identity as u64).then_some(Self { kind, channel, index, length, payload_checksum })
    }

    /// Bytes of the whole entry.
    pub(super) fn bytes(&self) -> usize {
        entry_bytes(self.length as usize)
    }

    /// Whether `payload` is what was written.
    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && crc32c::crc32c(payload) == self.payload_checksum
    }
}

/// A mark's payload.
pub(super) fn mark_payload(ends: impl Iterator<Item = (u32, u64)>) -> Bytes {
    let mut out = BytesMut::new();
    for (channel, next) in ends {
        out.put_u32_le(channel);
        out.put_u64_le(next);
    }
    out.freeze()
}

/// The reverse of [`mark_payload`].
pub(super) fn read_mark(mut payload: &[u8]) -> Vec<(u32, u64)> {
    let mut ends = Vec::with_capacity(payload.len() / 12);
    while payload.len() >= 12 {
        ends.push((payload.get_u32_le(), payload.get_u64_le()));
    }
    ends
}

/// One channel's line.
pub(super) fn put_channel(out: &mut BytesMut, line: &ChannelLine) {
    out.put_u32_le(line.channel);
    out.put_u128_le(line.log.0);
    out.put_u64_le(line.start);
    out.put_u64_le(line.next);
    out.put_u16_le(u16::try_from(line.name.as_str().len()).expect("channel names are short"));
    out.put_slice(line.name.as_str().as_bytes());
}

/// The reverse of [`put_channel`]; advances `rest`.
pub(super) fn read_channel(rest: &mut &[u8]) -> Option<ChannelLine> {
    let channel = rest.try_get_u32_le().ok()?;
    let log = LogId(rest.try_get_u128_le().ok()?);
    let (start, next) = (rest.try_get_u64_le().ok()?, rest.try_get_u64_le().ok()?);
    let length = usize::from(rest.try_get_u16_le().ok()?);
    let name = std::str::from_utf8(rest.get(..length)?).ok()?;
    rest.advance(length);
    Some(ChannelLine { channel, log, start, next, name: ChannelName::from(name) })
}

/// A file's header and table: its first bytes, a multiple of [`LINE`].
pub(super) fn file_header(identity: u128, number: u64, channels: &[ChannelLine]) -> Bytes {
    let mut table = BytesMut::new();
    for line in channels {
        put_channel(&mut table, line);
    }
    let mut out = BytesMut::with_capacity(HEADER_BYTES + table.len() + LINE);
    out.put_u32_le(FILE_MAGIC);
    out.put_u32_le(0);
    out.put_u128_le(identity);
    out.put_u64_le(number);
    out.put_u32_le(table.len() as u32);
    out.put_u32_le(crc32c::crc32c(&table));
    out.put_bytes(0, HEADER_BYTES - out.len());
    let checksum = crc32c::crc32c(&out[8..]);
    out[4..8].copy_from_slice(&checksum.to_le_bytes());
    out.put_slice(&table);
    out.put_bytes(0, out.len().next_multiple_of(LINE) - out.len());
    out.freeze()
}

/// What a file's header says.
pub(super) struct FileHeader {
    pub(super) identity: u128,
    pub(super) number: u64,
    table_length: usize,
    table_checksum: u32,
}

impl FileHeader {
    /// Reads the first line of a file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str| Error::corrupt(format!("the header {what}"));
        let mut fields = bytes.get(..HEADER_BYTES).ok_or_else(|| wrong("ends early"))?;
        if fields.get_u32_le() != FILE_MAGIC {
            return Err(wrong("is of another kind or version"));
        }
        if fields.get_u32_le() != crc32c::crc32c(&bytes[8..HEADER_BYTES]) {
            return Err(wrong("has another checksum"));
        }
        let (identity, number) = (fields.get_u128_le(), fields.get_u64_le());
        let (table_length, table_checksum) = (fields.get_u32_le() as usize, fields.get_u32_le());
        if table_length > TABLE_BYTES_MAX {
            return Err(wrong("claims an absurd table"));
        }
        Ok(Self { identity, number, table_length, table_checksum })
    }

    /// Bytes of header and table.
    pub(super) fn bytes(&self) -> usize {
        (HEADER_BYTES + self.table_length).next_multiple_of(LINE)
    }

    /// Reads the table from the file's first [`Self::bytes`].
    pub(super) fn table(&self, bytes: &[u8]) -> Result<Vec<ChannelLine>> {
        let wrong = || Error::corrupt("the table of channels can't be read");
        let mut rest = bytes.get(HEADER_BYTES..HEADER_BYTES + self.table_length).ok_or_else(wrong)?;
        if crc32c::crc32c(rest) != self.table_checksum {
            return Err(wrong());
        }
        let mut lines = Vec::new();
        while !rest.is_empty() {
            lines.push(read_channel(&mut rest).ok_or_else(wrong)?);
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_and_entries_round_trip() {
        let line = ChannelLine { channel: 3, log: LogId(9), start: 1, next: 5, name: ChannelName::from("by-dev_1") };
        let header = file_header(77, 4, std::slice::from_ref(&line));
        let read = FileHeader::read(&header).expect("own header");
        assert_eq!((read.identity, read.number, read.bytes()), (77, 4, header.len()));
        assert_eq!(read.table(&header).expect("own table"), vec![line]);
        let mut out = BytesMut::new();
        put_entry(&mut out, 77, address(4, 128), (EntryKind::Frame, 3, 5), b"frame");
        let entry = Entry::read(&out, 77, address(4, 128)).expect("own entry");
        assert_eq!((entry.kind, entry.channel, entry.index, entry.bytes()), (EntryKind::Frame, 3, 5, out.len()));
        assert!(entry.matches(&out[HEADER_BYTES..HEADER_BYTES + 5]));
        assert_eq!(Entry::read(&out, 77, address(4, 192)), None, "another place");
        assert_eq!(Entry::read(&out, 78, address(4, 128)), None, "another log");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Entry::read(&bytes, 1, 1);
            let _ = read_mark(&bytes);
            let _ = read_channel(&mut bytes.as_slice());
            if let Ok(header) = FileHeader::read(&bytes) {
                let _ = header.table(&bytes);
            }
        }
    }
}
