//! Reading a container that nobody vouches for.
//!
//! [`Container::open`] reads header, parameters, table and trailer, checks them against their checksum and against each
//! other, and touches no section. [`scrub`] reads everything and names what is bad.

use bytemuck::{Pod, bytes_of, pod_read_unaligned};
use types::blob::Blob;
use types::buffer::Buffer;
use types::error::Context;
use types::{Error, Result};

use super::layout::*;

/// Bytes that a scrub reads at once.
const SCRUB_BYTES: u64 = 1 << 20;

/// An opened container: its header and where its sections are.
#[derive(Clone, Debug)]
pub struct Container {
    header: Header,
    sections: Vec<Section>,
    file_bytes: u64,
}

#[derive(Clone, PartialEq, Debug)]
struct Section {
    name: String,
    offset: u64,
    length: u64,
    crc: u32,
}

impl Container {
    /// Reads and checks everything but the sections.
    ///
    /// # Errors
    /// A failed read, or what is wrong with the file, which is named.
    pub fn open(blob: &dyn Blob) -> Result<Self> {
        open(blob).context(|| format!("index {}", blob.name()))
    }

    /// What it says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of all sections.
    pub fn section_bytes(&self) -> u64 {
        self.sections.iter().map(|section| section.length).sum()
    }

    /// A section as `count` values, mapped where the blob is. `None` where the container has no such section.
    ///
    /// # Errors
    /// A failed read, or a section of another length.
    pub fn optional<T: Pod>(&self, blob: &dyn Blob, name: &str, count: usize) -> Result<Option<Buffer<T>>> {
        let Some(section) = self.sections.iter().find(|section| section.name == name) else {
            return Ok(None);
        };
        let expected = (count as u64).checked_mul(size_of::<T>() as u64);
        if expected != Some(section.length) {
            let found = section.length;
            return Err(Error::corrupt(format!("index {}: section '{name}' has {found} bytes, not {count} values", blob.name())));
        }
        let bytes = blob.read(section.offset, section.length as usize)?;
        if bytes.len() as u64 != section.length {
            return Err(Error::corrupt(format!("index {}: section '{name}' was read short", blob.name())));
        }
        Ok(Some(Buffer::from_bytes(bytes)))
    }

    /// As [`optional`](Self::optional), for a section that must be there.
    ///
    /// # Errors
    /// As `optional`, and a missing section.
    pub fn required<T: Pod>(&self, blob: &dyn Blob, name: &str, count: usize) -> Result<Buffer<T>> {
        let found = self.optional(blob, name, count)?;
        found.ok_or_else(|| Error::corrupt(format!("index {}: section '{name}' is missing", blob.name())))
    }
}

/// Reads the whole file and compares every checksum.
///
/// # Errors
/// A failed read, or the first section (or `header`, `trailer`, `space between sections`) that is bad, by name.
pub fn scrub(blob: &dyn Blob) -> Result<()> {
    let container = Container::open(blob)?;
    let name = blob.name();
    for section in &container.sections {
        if crc_of(blob, 0, section.offset, section.length)? != section.crc {
            return Err(Error::corrupt(format!("index {name}: section '{}' has a bad checksum", section.name)));
        }
    }
    let trailer: RawTrailer = read_pod(blob, container.file_bytes - TRAILER_BYTES)?;
    if crc_of(blob, 0, 0, container.file_bytes - TRAILER_BYTES)? != trailer.crc {
        return Err(Error::corrupt(format!("index {name}: the space between sections or the trailer has a bad checksum")));
    }
    Ok(())
}

/// A [`scrub`] in steps, for who must not read too much at once.
#[derive(Clone, Copy, Default, Debug)]
pub struct Scrub {
    offset: u64,
    crc: u32,
}

impl Scrub {
    /// Bytes that were compared.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// Compares about `bytes` more; true when all were compared.
    ///
    /// # Errors
    /// As [`scrub`].
    pub fn step(&mut self, blob: &dyn Blob, bytes: u64) -> Result<bool> {
        let end = Container::open(blob)?.file_bytes - TRAILER_BYTES;
        let length = bytes.max(1).min(end.saturating_sub(self.offset));
        self.crc = crc_of(blob, self.crc, self.offset, length)?;
        self.offset += length;
        if self.offset < end {
            return Ok(false);
        }
        let trailer: RawTrailer = read_pod(blob, end)?;
        // The checksum of all says that something is damaged; going by sections says what.
        if trailer.crc == self.crc {
            Ok(true)
        } else {
            scrub(blob).and(Err(Error::corrupt(format!("index {}: a bad checksum", blob.name()))))
        }
    }
}

fn crc_of(blob: &dyn Blob, mut crc: u32, mut offset: u64, mut length: u64) -> Result<u32> {
    while length > 0 {
        let step = length.min(SCRUB_BYTES);
        crc = crc32c::crc32c_append(crc, &blob.read(offset, step as usize)?);
        offset += step;
        length -= step;
    }
    Ok(crc)
}

fn open(blob: &dyn Blob) -> Result<Container> {
    if blob.len() < HEADER_BYTES + TRAILER_BYTES {
        return Err(Error::corrupt(format!("{} bytes are too few for an index", blob.len())));
    }
    let raw: RawHeader = read_pod(blob, 0)?;
    check_raw(&raw, blob.len())?;
    let table_at = table_offset(raw.params_bytes);
    let head_bytes = table_at + u64::from(raw.sections) * SECTION_ENTRY_BYTES;
    if head_bytes + TRAILER_BYTES > blob.len() {
        return Err(Error::corrupt("header and section table do not fit into the file"));
    }
    let head = blob.read(0, head_bytes as usize)?;
    check_head_crc(&raw, &head)?;
    let params = &head[HEADER_BYTES as usize..(HEADER_BYTES + u64::from(raw.params_bytes)) as usize];
    let params = std::str::from_utf8(params).map_err(|_| Error::corrupt("parameters are not text"))?;
    let sections = read_table(&head[table_at as usize..], head_bytes, blob.len())?;
    let trailer: RawTrailer = read_pod(blob, blob.len() - TRAILER_BYTES)?;
    if trailer.magic != TRAILER_MAGIC || trailer.file_bytes != blob.len() {
        return Err(Error::corrupt("the file does not end where an index ends"));
    }
    Ok(Container { header: Header::from_raw(&raw, params.to_owned())?, sections, file_bytes: blob.len() })
}

fn check_raw(raw: &RawHeader, file_bytes: u64) -> Result<()> {
    if raw.magic != MAGIC {
        return Err(Error::corrupt("this is not an index"));
    }
    if raw.version != VERSION {
        return Err(Error::corrupt(format!("version {} of the index format is unknown, this program reads {VERSION}", raw.version)));
    }
    if raw.file_bytes != file_bytes {
        return Err(Error::corrupt(format!("the file has {file_bytes} bytes, its header says {}", raw.file_bytes)));
    }
    if raw.sections > SECTIONS_MAX || raw.params_bytes > PARAMS_BYTES_MAX {
        return Err(Error::corrupt(format!("{} sections and {} bytes of parameters are too many", raw.sections, raw.params_bytes)));
    }
    Ok(())
}

fn check_head_crc(raw: &RawHeader, head: &[u8]) -> Result<()> {
    let without = RawHeader { crc: 0, ..*raw };
    let crc = crc32c::crc32c_append(crc32c::crc32c(bytes_of(&without)), &head[HEADER_BYTES as usize..]);
    if crc != raw.crc {
        return Err(Error::corrupt("header or section table has a bad checksum"));
    }
    Ok(())
}

/// Sections follow each other in the order of the table, each at the next offset of its alignment: so they neither overlap nor lie
/// outside the file, and there is one way to write a container.
fn read_table(table: &[u8], head_bytes: u64, file_bytes: u64) -> Result<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    let mut end = head_bytes;
    for bytes in table.chunks_exact(SECTION_ENTRY_BYTES as usize) {
        let raw: RawSection = pod_read_unaligned(bytes);
        let name = name_of(&raw.name)?;
        let alignment = u64::from(raw.alignment);
        let placed = alignment.is_power_of_two()
            && (SECTION_ALIGNMENT..=SECTION_ALIGNMENT_MAX).contains(&alignment)
            && raw.offset == end.next_multiple_of(alignment);
        if !placed || raw.length > file_bytes || raw.offset + raw.length > file_bytes - TRAILER_BYTES {
            return Err(Error::corrupt(format!("section '{name}' is not where a section can be")));
        }
        if sections.iter().any(|other| other.name == name) {
            return Err(Error::corrupt(format!("section '{name}' is there twice")));
        }
        end = raw.offset + raw.length;
        sections.push(Section { name, offset: raw.offset, length: raw.length, crc: raw.crc });
    }
    if aligned(end) + TRAILER_BYTES != file_bytes {
        return Err(Error::corrupt("sections do not fill the file"));
    }
    Ok(sections)
}

fn read_pod<T: Pod>(blob: &dyn Blob, offset: u64) -> Result<T> {
    let bytes = blob.read(offset, size_of::<T>())?;
    if bytes.len() != size_of::<T>() {
        return Err(Error::corrupt("the file was read short"));
    }
    Ok(pod_read_unaligned(&bytes))
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;

    #[test]
    fn raw_structs_have_no_gaps() {
        let zero = RawHeader::zeroed();
        assert_eq!(bytes_of(&zero).len(), HEADER_BYTES as usize);
        assert_eq!(std::mem::offset_of!(RawHeader, crc), 124);
        assert_eq!(std::mem::offset_of!(RawHeader, params_bytes), 80);
        assert_eq!(std::mem::offset_of!(RawSection, offset), 32);
    }
}
