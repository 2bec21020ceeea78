//! Primary keys in ascending order, mapped: what key indexes and delete files search in.
//!
//! Integers lie as i64, texts as their bytes with u32 ends, in sections of a [`Container`]. Equal keys are neighbours.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use types::blob::Blob;
use types::buffer::Buffer;
use types::value::KeyRef;
use types::{Error, Result};

use crate::container::Container;

pub(crate) const SECTION_INTS: u32 = 3;
pub(crate) const SECTION_ENDS: u32 = 4;
pub(crate) const SECTION_TEXTS: u32 = 5;

/// Stored as a u32 of a container's attributes.
pub(crate) const KIND_INT: u32 = 1;
/// See [`KIND_INT`].
pub(crate) const KIND_TEXT: u32 = 2;

/// Keys in order.
pub(crate) struct SortedKeys {
    name: Arc<str>,
    keys: Keys,
}

enum Keys {
    Ints(Buffer<i64>),
    /// Exclusive ends in the bytes.
    Texts(Buffer<u32>, Bytes),
}

/// How sections are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As they lie: a scrub compares them with their checksums.
    Mapped,
    /// Compared with their checksums now.
    Checked,
}

impl SortedKeys {
    /// `count` keys of `kind` in a container's sections.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the blob.
    pub fn open(container: &Container, blob: &dyn Blob, reading: Reading, (kind, count): (u32, usize)) -> Result<Self> {
        let name: Arc<str> = blob.name().into();
        let section = |id, expected| match reading {
            Reading::Mapped => container.section(blob, id, expected),
            Reading::Checked => container.checked_section(blob, id, expected),
        };
        let keys = match kind {
            KIND_INT => Keys::Ints(Buffer::from_bytes(section(SECTION_INTS, Some(8 * count as u64))?)),
            KIND_TEXT => {
                let ends = Buffer::from_bytes(section(SECTION_ENDS, Some(4 * count as u64))?);
                Keys::Texts(ends, section(SECTION_TEXTS, None)?)
            }
            other => return Err(Error::corrupt(format!("{name}: keys of unknown kind {other}"))),
        };
        Ok(Self { name, keys })
    }

    pub fn len(&self) -> usize {
        match &self.keys {
            Keys::Ints(keys) => keys.len(),
            Keys::Texts(ends, _) => ends.len(),
        }
    }

    pub fn is_of_ints(&self) -> bool {
        matches!(self.keys, Keys::Ints(_))
    }

    /// The first place at or above `key`.
    pub fn lower_bound(&self, key: KeyRef<'_>) -> Result<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.compare(middle, key)? == Ordering::Less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The places that hold `key`.
    pub fn places_of(&self, key: KeyRef<'_>) -> Result<std::ops::Range<usize>> {
        let start = self.lower_bound(key)?;
        let mut end = start;
        while end < self.len() && self.compare(end, key)? == Ordering::Equal {
            end += 1;
        }
        Ok(start..end)
    }

    /// The key at a place.
    pub fn key_at(&self, at: usize) -> Result<KeyRef<'_>> {
        match &self.keys {
            Keys::Ints(keys) => Ok(KeyRef::Int(keys[at])),
            Keys::Texts(ends, bytes) => {
                let text = std::str::from_utf8(self.text_at(ends, bytes, at)?);
                Ok(KeyRef::String(text.map_err(|_| self.wrong(format!("key {at} isn't UTF-8")))?))
            }
        }
    }

    /// An error about the file.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupt(format!("{}: {what}", self.name))
    }

    fn compare(&self, at: usize, key: KeyRef<'_>) -> Result<Ordering> {
        Ok(match (&self.keys, key) {
            (Keys::Ints(keys), KeyRef::Int(key)) => keys[at].cmp(&key),
            (Keys::Texts(ends, bytes), KeyRef::String(key)) => self.text_at(ends, bytes, at)?.cmp(key.as_bytes()),
            // The order of keys: integers come before texts.
            (Keys::Ints(_), KeyRef::String(_)) => Ordering::Less,
            (Keys::Texts(..), KeyRef::Int(_)) => Ordering::Greater,
        })
    }

    fn text_at<'a>(&self, ends: &[u32], bytes: &'a [u8], at: usize) -> Result<&'a [u8]> {
        let start = if at == 0 { 0 } else { ends[at - 1] as usize };
        bytes.get(start..ends[at] as usize).ok_or_else(|| self.wrong(format!("key {at} lies outside of its section")))
    }
}

/// Sections of keys that are to be written.
pub(crate) enum NewKeys {
    Ints(Vec<i64>),
    Texts { ends: Vec<u32>, bytes: Vec<u8> },
}

impl NewKeys {
    /// Texts in ascending order. Together they are below 4 GiB, because they come from one column.
    pub fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let (mut ends, mut bytes) = (Vec::new(), Vec::new());
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
            ends.push(u32::try_from(bytes.len()).expect("the keys of a column are below 4 GiB"));
        }
        Self::Texts { ends, bytes }
    }

    pub fn kind(&self) -> u32 {
        match self {
            Self::Ints(_) => KIND_INT,
            Self::Texts { .. } => KIND_TEXT,
        }
    }

    /// (id, bytes) for [`crate::container::encode`].
    pub fn sections(&self) -> Vec<(u32, &[u8])> {
        match self {
            Self::Ints(keys) => vec![(SECTION_INTS, bytemuck::cast_slice(keys))],
            Self::Texts { ends, bytes } => vec![(SECTION_ENDS, bytemuck::cast_slice(ends)), (SECTION_TEXTS, bytes)],
        }
    }
}
