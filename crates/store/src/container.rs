//! A file of named sections behind a table: what key indexes and delete files are. Sections are aligned, checksummed and mapped.
//!
//! The frame's body holds attributes and the table, and is checked at open. Sections follow it, each at a multiple of 64 bytes:
//!
//! ```text
//! u32 length of attributes · attributes · u32 number of sections · for each: u32 id, u32 crc32c, u64 offset in the file, u64 length
//! ```
//! Whether a section's checksum is compared at open or by a scrub is its format's choice.

use bytes::{BufMut, Bytes, BytesMut};
use types::blob::Blob;
use types::{Error, Result};

use crate::frame::{Format, HEADER_BYTES};
use crate::wire::Cursor;

/// Sections begin at multiples of this.
const ALIGNMENT: usize = 64;
const ENTRY_BYTES: usize = 24;

/// A container's table, read and checked.
pub(crate) struct Container {
    pub attributes: Bytes,
    sections: Vec<Section>,
}

struct Section {
    id: u32,
    checksum: u32,
    offset: u64,
    length: u64,
}

/// A file of `format` with these attributes and (id, bytes) sections.
pub(crate) fn encode(format: &Format, attributes: &[u8], sections: &[(u32, &[u8])]) -> Bytes {
    let table_bytes = 8 + attributes.len() + ENTRY_BYTES * sections.len();
    let mut end = HEADER_BYTES + table_bytes;
    let mut table = BytesMut::with_capacity(table_bytes);
    table.put_u32_le(attributes.len() as u32);
    table.put_slice(attributes);
    table.put_u32_le(sections.len() as u32);
    for (id, bytes) in sections {
        let offset = end.next_multiple_of(ALIGNMENT);
        table.put_u32_le(*id);
        table.put_u32_le(crc32c::crc32c(bytes));
        table.put_u64_le(offset as u64);
        table.put_u64_le(bytes.len() as u64);
        end = offset + bytes.len();
    }
    let mut out = format.encode(&table);
    out.reserve(end - out.len());
    for (_, bytes) in sections {
        out.put_bytes(0, out.len().next_multiple_of(ALIGNMENT) - out.len());
        out.put_slice(bytes);
    }
    debug_assert_eq!(out.len(), end);
    out.freeze()
}

impl Container {
    /// Reads and checks the table.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the blob.
    pub fn open(format: &Format, blob: &dyn Blob) -> Result<Self> {
        let (_, body) = format.read(blob)?;
        let mut cursor = Cursor::new(blob.name(), &body);
        let length = cursor.count(1)?;
        let attributes = body.slice_ref(cursor.take(length)?);
        let count = cursor.count(ENTRY_BYTES)?;
        let mut sections = Vec::with_capacity(count);
        for _ in 0..count {
            let section = Section { id: cursor.u32()?, checksum: cursor.u32()?, offset: cursor.u64()?, length: cursor.u64()? };
            if section.offset.checked_add(section.length).is_none_or(|end| end > blob.len()) {
                return Err(cursor.wrong(format!("a section {} outside of the file", section.id)));
            }
            sections.push(section);
        }
        cursor.finish()?;
        Ok(Self { attributes, sections })
    }

    /// A section's bytes, mapped and not compared with their checksum.
    ///
    /// # Errors
    /// `DATA_INTEGRITY` if there is none, or another length than `expected`, or the read's own.
    pub fn section(&self, blob: &dyn Blob, id: u32, expected: Option<u64>) -> Result<Bytes> {
        let section = self.find(blob, id)?;
        if let Some(expected) = expected.filter(|&expected| expected != section.length) {
            return Err(Error::corrupt(format!("{}: section {id} has {} bytes instead of {expected}", blob.name(), section.length)));
        }
        blob.read(section.offset, section.length as usize)
    }

    /// A section's bytes, compared with their checksum.
    ///
    /// # Errors
    /// As [`Self::section`], and `DATA_INTEGRITY` for damage.
    pub fn checked_section(&self, blob: &dyn Blob, id: u32, expected: Option<u64>) -> Result<Bytes> {
        let bytes = self.section(blob, id, expected)?;
        let section = self.find(blob, id)?;
        if crc32c::crc32c(&bytes) != section.checksum {
            let (name, offset, length) = (blob.name(), section.offset, section.length);
            return Err(Error::corrupt(format!("{name}: bytes {offset}+{length} (section {id}) have another checksum")));
        }
        Ok(bytes)
    }

    /// Where the table keeps each section's checksum, and what it should be: for fuzz targets.
    pub fn checksums(&self, file: &[u8]) -> Vec<(usize, u32)> {
        let table = HEADER_BYTES + 8 + self.attributes.len();
        let of = |(i, section): (usize, &Section)| {
            let bytes = &file[section.offset as usize..(section.offset + section.length) as usize];
            (table + i * ENTRY_BYTES + 4, crc32c::crc32c(bytes))
        };
        self.sections.iter().enumerate().map(of).collect()
    }

    fn find(&self, blob: &dyn Blob, id: u32) -> Result<&Section> {
        let section = self.sections.iter().find(|section| section.id == id);
        section.ok_or_else(|| Error::corrupt(format!("{}: it has no section {id}", blob.name())))
    }
}
