//! The byte layout, as structs that are read and written whole. Little-endian, and so are all targets that we build for.

use bytemuck::{Pod, Zeroable};
use types::index_params::Metric;
use types::{Error, Result};

use crate::space::Space;
use crate::vectors::Element;

#[cfg(target_endian = "big")]
compile_error!("files are mapped and used in place: only little-endian targets are supported");

pub(super) const MAGIC: [u8; 8] = *b"ELANUSIX";
pub(super) const TRAILER_MAGIC: u32 = u32::from_le_bytes(*b"XIND");
/// The only version so far.
pub(super) const VERSION: u32 = 1;
/// Sections start at multiples of this, so that every cast and every 64-byte load is aligned in a mapped file.
pub const SECTION_ALIGNMENT: u64 = 64;
/// The greatest alignment that a section may ask for: a huge page.
pub(super) const SECTION_ALIGNMENT_MAX: u64 = 2 << 20;
/// Sections of one container.
pub(super) const SECTIONS_MAX: u32 = 64;
/// Bytes of the parameters' JSON: more than a CreateIndex may carry.
pub(super) const PARAMS_BYTES_MAX: u32 = 128 << 10;
/// Vectors of one index: an id leaves one bit free.
pub(crate) const VECTORS_MAX: u64 = (1 << 31) - 1;

/// The first bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct RawHeader {
    pub(super) magic: [u8; 8],
    pub(super) version: u32,
    pub(super) sections: u32,
    pub(super) index_type: [u8; 32],
    pub(super) metric: u8,
    pub(super) element: u8,
    pub(super) reserved: [u8; 2],
    pub(super) dim: u32,
    pub(super) vectors: u64,
    pub(super) segment_rows: u64,
    pub(super) file_bytes: u64,
    pub(super) params_bytes: u32,
    pub(super) reserved_too: [u32; 10],
    /// Over header (with this field zero), parameters, padding and table.
    pub(super) crc: u32,
}

/// One entry of the section table.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct RawSection {
    pub(super) name: [u8; 32],
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc: u32,
    pub(super) alignment: u32,
    pub(super) reserved: u64,
}

/// The last bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct RawTrailer {
    pub(super) file_bytes: u64,
    /// Over everything before the trailer.
    pub(super) crc: u32,
    pub(super) magic: u32,
}

pub(super) const HEADER_BYTES: u64 = size_of::<RawHeader>() as u64;
pub(super) const SECTION_ENTRY_BYTES: u64 = size_of::<RawSection>() as u64;
pub(super) const TRAILER_BYTES: u64 = size_of::<RawTrailer>() as u64;
const _: () = assert!(HEADER_BYTES == 128 && SECTION_ENTRY_BYTES == 64 && TRAILER_BYTES == 16);

/// The next multiple of the alignment.
pub(super) fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(SECTION_ALIGNMENT)
}

/// Where the section table starts.
pub(super) fn table_offset(params_bytes: u32) -> u64 {
    aligned(HEADER_BYTES + u64::from(params_bytes))
}

/// The numbers by which a header names metrics and elements.
const METRICS: [(u8, Metric); 7] = [
    (1, Metric::L2),
    (2, Metric::Ip),
    (3, Metric::Cosine),
    (4, Metric::Hamming),
    (5, Metric::Jaccard),
    (6, Metric::Substructure),
    (7, Metric::Superstructure),
];
const ELEMENTS: [(u8, Element); 6] =
    [(1, Element::F32), (2, Element::F16), (3, Element::Bf16), (4, Element::I8), (5, Element::Bits), (6, Element::Sparse)];

fn number_of<T: PartialEq>(table: &[(u8, T)], wanted: &T) -> u8 {
    table.iter().find(|(_, value)| value == wanted).expect("the table has every value").0
}

fn value_of<T: Copy>(table: &[(u8, T)], wanted: u8, what: &str) -> Result<T> {
    let found = table.iter().find(|(number, _)| *number == wanted).map(|(_, value)| *value);
    found.ok_or_else(|| Error::corrupt(format!("unknown {what} {wanted}")))
}

/// Elements of a vector, least and most. Bits come eight in a byte; a sparse vector has no dimension.
fn dimensions(element: Element) -> (u32, u32) {
    match element {
        Element::Bits => (8, 262_144),
        Element::Sparse => (0, 0),
        _ => (1, 32_768),
    }
}

/// What a container says about itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Header {
    /// The type whose code reads it; 1 to 32 bytes of `A-Z`, `0-9` and `_`.
    pub index_type: String,
    /// The metric it was built for.
    pub metric: Metric,
    /// Element type of the vectors.
    pub element: Element,
    /// Elements per vector.
    pub dim: usize,
    /// Vectors indexed.
    pub vectors: usize,
    /// Rows of the segment.
    pub segment_rows: usize,
    /// Build parameters: a JSON object, for people.
    pub params: String,
}

impl Header {
    pub(super) fn to_raw(&self, sections: usize, file_bytes: u64) -> RawHeader {
        RawHeader {
            magic: MAGIC,
            version: VERSION,
            sections: sections as u32,
            index_type: padded_name(&self.index_type),
            metric: number_of(&METRICS, &self.metric),
            element: number_of(&ELEMENTS, &self.element),
            dim: self.dim as u32,
            vectors: self.vectors as u64,
            segment_rows: self.segment_rows as u64,
            file_bytes,
            params_bytes: self.params.len() as u32,
            ..RawHeader::zeroed()
        }
    }

    /// Everything but the parameters, which follow in the file.
    pub(super) fn from_raw(raw: &RawHeader, params: String) -> Result<Self> {
        let metric = value_of(&METRICS, raw.metric, "metric")?;
        let element = value_of(&ELEMENTS, raw.element, "element type")?;
        if !Space::new(metric).measures(element) {
            return Err(Error::corrupt(format!("{metric} does not measure vectors of {element:?}")));
        }
        let (least, most) = dimensions(element);
        if !(least..=most).contains(&raw.dim) || element == Element::Bits && !raw.dim.is_multiple_of(8) {
            return Err(Error::corrupt(format!("dimension {} is not between {least} and {most}", raw.dim)));
        }
        if raw.vectors > VECTORS_MAX || raw.segment_rows > u64::from(u32::MAX) || raw.vectors > raw.segment_rows {
            return Err(Error::corrupt(format!("{} vectors in {} rows", raw.vectors, raw.segment_rows)));
        }
        Ok(Self {
            index_type: name_of(&raw.index_type)?,
            metric,
            element,
            dim: raw.dim as usize,
            vectors: raw.vectors as usize,
            segment_rows: raw.segment_rows as usize,
            params,
        })
    }
}

/// A name in its field, with zeros behind it.
///
/// # Panics
/// If it is empty or too long: names are ours.
pub(super) fn padded_name(name: &str) -> [u8; 32] {
    assert!((1..=32).contains(&name.len()) && name.bytes().all(is_name_byte), "'{name}' cannot name a type or section");
    let mut field = [0; 32];
    field[..name.len()].copy_from_slice(name.as_bytes());
    field
}

pub(super) fn name_of(field: &[u8; 32]) -> Result<String> {
    let length = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    let (name, padding) = field.split_at(length);
    if name.is_empty() || !name.iter().copied().all(is_name_byte) || padding.iter().any(|&byte| byte != 0) {
        return Err(Error::corrupt("a type or section has no readable name"));
    }
    Ok(name.iter().copied().map(char::from).collect())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.'
}
