//! A shard's deletes between two flushes, sorted by key (`docs/formats/delete.md`).
//!
//! Small beside segments: read whole and compared with its checksums at open, so that lookups can't fail. Readers resolve entries
//! that are younger than a segment's `deletes_applied_to` through its key index; compaction makes a file superfluous.
//!
//! Not here: what an entry kills (`segment`), when a file goes (`Manifest::needs`).

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use types::blob::Blob;
use types::buffer::Buffer;
use types::delete::DeleteEntry;
use types::id::PartitionId;
use types::time::Timestamp;
use types::value::{Key, KeyRef};
use types::{Error, Result};

use crate::container::{self, Container};
use crate::filter;
use crate::frame::Format;
use crate::manifest::DeleteFileRef;
use crate::reference::ObjectRef;
use crate::sorted_keys::{NewKeys, Reading, SortedKeys};
use crate::wire::Cursor;

pub(crate) const FORMAT: Format = Format { name: "delete file", magic: *b"ELD1", newest: 1, oldest: 1, body_bytes_max: 4_096 };

const SECTION_FILTER: u32 = 1;
const SECTION_EFFECTIVE: u32 = 6;
const SECTION_KILLS_BELOW: u32 = 7;
const SECTION_PARTITIONS: u32 = 8;

/// Stands for "rows of any partition".
const ALL_PARTITIONS: i64 = -1;

/// The file of these entries, in any order, as object `name`; equal entries become one.
///
/// # Errors
/// `INTERNAL`: no entry, keys of both types, an entry that kills rows younger than itself.
pub fn encode(name: impl Into<String>, mut entries: Vec<DeleteEntry>) -> Result<(DeleteFileRef, Bytes)> {
    let order = |entry: &DeleteEntry| (entry.effective, entry.kills_below, entry.partition);
    entries.sort_unstable_by(|a, b| a.key.cmp(&b.key).then_with(|| order(a).cmp(&order(b))));
    entries.dedup();
    if u32::try_from(entries.len()).is_err() {
        return Err(Error::internal(format!("a delete file of {} entries", entries.len())));
    }
    let (Some(first), Some(last)) = (entries.iter().map(|entry| entry.effective).min(), entries.iter().map(|entry| entry.effective).max())
    else {
        return Err(Error::internal("a delete file without entries"));
    };
    if let Some(entry) = entries.iter().find(|entry| entry.kills_below > entry.effective) {
        return Err(Error::internal(format!("a delete of {} kills rows younger than itself", entry.key)));
    }
    let kills_below_max = entries.iter().map(|entry| entry.kills_below).max().unwrap_or_default();
    let keys = keys_of(&entries)?;
    let filter = filter::build(entries.iter().map(|entry| filter::hash(entry.key.as_ref())));
    let numbers = |of: fn(&DeleteEntry) -> u64| entries.iter().map(of).collect::<Vec<u64>>();
    let (effective, kills_below) = (numbers(|entry| entry.effective.0), numbers(|entry| entry.kills_below.0));
    let partitions: Vec<i64> = entries.iter().map(|entry| entry.partition.map_or(ALL_PARTITIONS, |partition| partition.0)).collect();
    let mut attributes = BytesMut::new();
    attributes.put_u32_le(keys.kind());
    attributes.put_u32_le(entries.len() as u32);
    let mut sections = vec![
        (SECTION_FILTER, &filter[..]),
        (SECTION_EFFECTIVE, bytemuck::cast_slice(&effective)),
        (SECTION_KILLS_BELOW, bytemuck::cast_slice(&kills_below)),
        (SECTION_PARTITIONS, bytemuck::cast_slice(&partitions)),
    ];
    sections.extend(keys.sections());
    let bytes = container::encode(&FORMAT, &attributes, &sections);
    let object = ObjectRef::of(name, &bytes);
    Ok((DeleteFileRef { object, entries: entries.len() as u64, effective: (first, last), kills_below_max }, bytes))
}

fn keys_of(entries: &[DeleteEntry]) -> Result<NewKeys> {
    let both = || Error::internal("a delete file with keys of both types");
    if entries.iter().all(|entry| matches!(entry.key, Key::String(_))) {
        let texts = entries.iter().filter_map(|entry| match &entry.key {
            Key::String(text) => Some(&**text),
            Key::Int(_) => None,
        });
        return Ok(NewKeys::texts(texts));
    }
    let keys = entries.iter().map(|entry| match entry.key {
        Key::Int(key) => Ok(key),
        Key::String(_) => Err(both()),
    });
    keys.collect::<Result<Vec<i64>>>().map(NewKeys::Ints)
}

/// An open delete file: entries sorted by key, then by effective time.
pub struct DeleteFile {
    filter: Bytes,
    keys: SortedKeys,
    effective: Buffer<u64>,
    kills_below: Buffer<u64>,
    partitions: Buffer<i64>,
}

impl DeleteFile {
    /// Reads and checks the whole file.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the blob.
    pub fn open(blob: &dyn Blob) -> Result<Self> {
        let container = Container::open(&FORMAT, blob)?;
        let mut cursor = Cursor::new(blob.name(), &container.attributes);
        let (kind, count) = (cursor.u32()?, cursor.u32()? as usize);
        cursor.finish()?;
        let keys = SortedKeys::open(&container, blob, Reading::Checked, (kind, count))?;
        let numbers = |id| container.checked_section(blob, id, Some(8 * count as u64));
        let file = Self {
            filter: container.checked_section(blob, SECTION_FILTER, None)?,
            effective: Buffer::from_bytes(numbers(SECTION_EFFECTIVE)?),
            kills_below: Buffer::from_bytes(numbers(SECTION_KILLS_BELOW)?),
            partitions: Buffer::from_bytes(numbers(SECTION_PARTITIONS)?),
            keys,
        };
        for at in 0..count {
            let key = file.keys.key_at(at)?;
            if at > 0 && file.keys.key_at(at - 1)? > key {
                return Err(file.keys.wrong(format!("entry {at} is out of order")));
            }
        }
        Ok(file)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether keys are Int64; else they are VarChar.
    pub fn is_of_ints(&self) -> bool {
        self.keys.is_of_ints()
    }

    /// The least and greatest key.
    pub fn key_range(&self) -> Option<(KeyRef<'_>, KeyRef<'_>)> {
        (!self.is_empty()).then(|| (self.key(0), self.key(self.len() - 1)))
    }

    /// Whether there may be an entry of the key: one line of memory; wrong for about one absent key in two hundred.
    pub fn may_contain(&self, key: KeyRef<'_>) -> bool {
        filter::may_contain(&self.filter, filter::hash(key))
    }

    /// The places of a key's entries.
    pub fn entries_of(&self, key: KeyRef<'_>) -> Range<usize> {
        if !self.may_contain(key) {
            return 0..0;
        }
        self.keys.places_of(key).expect("every key was read when the file was opened")
    }

    /// The key of an entry. Panics if there is no such place.
    pub fn key(&self, at: usize) -> KeyRef<'_> {
        self.keys.key_at(at).expect("every key was read when the file was opened")
    }

    /// When an entry takes effect. Panics if there is no such place.
    pub fn effective(&self, at: usize) -> Timestamp {
        Timestamp(self.effective[at])
    }

    /// Below what an entry kills. Panics if there is no such place.
    pub fn kills_below(&self, at: usize) -> Timestamp {
        Timestamp(self.kills_below[at])
    }

    /// The one partition that an entry means, if it does. Panics if there is no such place.
    pub fn partition(&self, at: usize) -> Option<PartitionId> {
        (self.partitions[at] != ALL_PARTITIONS).then_some(PartitionId(self.partitions[at]))
    }

    /// An entry, copied. Panics if there is no such place.
    pub fn entry(&self, at: usize) -> DeleteEntry {
        DeleteEntry {
            key: self.key(at).to_key(),
            partition: self.partition(at),
            effective: self.effective(at),
            kills_below: self.kills_below(at),
        }
    }

    /// All entries in order, copied.
    pub fn entries(&self) -> impl Iterator<Item = DeleteEntry> + '_ {
        (0..self.len()).map(|at| self.entry(at))
    }
}
