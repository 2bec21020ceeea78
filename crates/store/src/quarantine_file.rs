//! Records of a shard that no manifest holds and that couldn't be applied, copied out of the log so that it may be cut (`docs/formats/quarantine.md`).
//!
//! Frames are kept as the log had them, damaged bodies too. A shard's files together hold every record of it that counts, from the first one
//! that its manifest lacks up to [`Head::through`].
//!
//! Not here: what is copied and when, and what becomes of it (`node::data`).

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use types::blob::Blob;
use types::id::{ChannelName, ShardId};
use types::position::{LogId, Position};
use types::{Error, Result};

use crate::container::{self, Container};
use crate::frame::Format;
use crate::wire::Cursor;

/// Bytes of one file's frames, about; a copy of more is several files.
pub const FRAMES_BYTES_MAX: usize = 64 << 20;
/// Bytes of the reason that are kept.
const REASON_BYTES_MAX: usize = 1_024;

pub(crate) const FORMAT: Format = Format { name: "quarantine file", magic: *b"ELQ1", newest: 1, oldest: 1, body_bytes_max: 16_384 };

const SECTION_POSITIONS: u32 = 1;
const SECTION_ENDS: u32 = 2;
const SECTION_FRAMES: u32 = 3;

const POSITION_BYTES: usize = 40;

/// What a file says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Whose records.
    pub shard: ShardId,
    /// Where they were.
    pub channel: ChannelName,
    /// Why they weren't applied; the beginning of it.
    pub reason: String,
    /// The shard's records up to here are in its files.
    pub through: Position,
}

/// Frames with their places in the log, in its order.
#[derive(Clone, PartialEq, Debug)]
pub struct QuarantineFile {
    /// What they are.
    pub head: Head,
    /// The frames.
    pub frames: Vec<(Position, Bytes)>,
}

impl QuarantineFile {
    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let mut head = self.head.clone();
        let cut = (0..=REASON_BYTES_MAX.min(head.reason.len())).rev().find(|&at| head.reason.is_char_boundary(at)).unwrap_or(0);
        head.reason.truncate(cut);
        let attributes = serde_json::to_vec(&head).expect("ids, texts and positions have a JSON form");
        let (mut positions, mut ends, mut frames) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        for (position, frame) in &self.frames {
            positions.put_u128_le(position.log.0);
            positions.put_slice(&position.key);
            frames.put_slice(frame);
            ends.put_u64_le(frames.len() as u64);
        }
        container::encode(&FORMAT, &attributes, &[(SECTION_POSITIONS, &positions), (SECTION_ENDS, &ends), (SECTION_FRAMES, &frames)])
    }

    /// Reads a whole file and compares its checksums; the frames have their own.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the blob.
    pub fn open(blob: &dyn Blob) -> Result<Self> {
        let container = Container::open(&FORMAT, blob)?;
        let wrong = |what: String| Error::corrupt(format!("{}: {what}", blob.name()));
        let head: Head = serde_json::from_slice(&container.attributes).map_err(|error| wrong(error.to_string()))?;
        let positions = container.checked_section(blob, SECTION_POSITIONS, None)?;
        let count = positions.len() / POSITION_BYTES;
        let ends = container.checked_section(blob, SECTION_ENDS, Some(8 * count as u64))?;
        let bytes = container.checked_section(blob, SECTION_FRAMES, None)?;
        let (mut positions, mut ends) = (Cursor::new(blob.name(), &positions), Cursor::new(blob.name(), &ends));
        let mut frames = Vec::with_capacity(count);
        let mut start = 0;
        for at in 0..count {
            let log = LogId(u128::from(positions.u64()?) | u128::from(positions.u64()?) << 64);
            let mut key = [0; 24];
            key.copy_from_slice(positions.take(24)?);
            let end = usize::try_from(ends.u64()?).unwrap_or(usize::MAX);
            if end < start || end > bytes.len() {
                return Err(wrong(format!("frame {at} lies outside of the file")));
            }
            frames.push((Position { log, key }, bytes.slice(start..end)));
            start = end;
        }
        positions.finish()?;
        ends.finish()?;
        Ok(Self { head, frames })
    }
}

#[cfg(test)]
mod tests {
    use types::blob::MemoryBlob;
    use types::id::CollectionId;

    use super::*;

    #[test]
    fn files_are_read_as_they_were_written() {
        let at = |n| Position::from_parts(LogId(u128::MAX - 5), [1, 2, n]);
        let mut file = QuarantineFile {
            head: Head {
                shard: ShardId::new(CollectionId(7), 1),
                channel: ChannelName::from("c"),
                reason: "ä".repeat(600),
                through: at(9),
            },
            frames: vec![(at(3), Bytes::from_static(b"one")), (at(4), Bytes::new()), (at(9), Bytes::from_static(b"three"))],
        };
        let bytes = file.encode();
        let open = |bytes: Bytes| QuarantineFile::open(&MemoryBlob::new("q", bytes));
        file.head.reason = "ä".repeat(512);
        assert_eq!(open(bytes.clone()).expect("own encoding"), file);
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            // Gaps between sections are nobody's.
            if let Ok(read) = open(damaged.into()) {
                assert_eq!(read, file, "byte {at}");
            }
        }
    }
}
