//! Writing a container: header, table, sections, trailer, in one pass over the data.

use std::io;

use bytemuck::{Zeroable, bytes_of};

use super::layout::*;

/// The contents of one section, in the element type that it is later mapped as.
#[derive(Clone, PartialEq, Debug)]
pub enum SectionData {
    /// Bytes.
    U8(Vec<u8>),
    /// 16-bit integers.
    U16(Vec<u16>),
    /// 32-bit integers.
    U32(Vec<u32>),
    /// 32-bit floats.
    F32(Vec<f32>),
}

impl SectionData {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::U8(values) => values,
            Self::U16(values) => bytemuck::cast_slice(values),
            Self::U32(values) => bytemuck::cast_slice(values),
            Self::F32(values) => bytemuck::cast_slice(values),
        }
    }
}

/// A built index that is still in memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    /// What the container will say about itself.
    pub header: Header,
    sections: Vec<(&'static str, SectionData)>,
}

impl Draft {
    /// Without sections.
    pub fn new(header: Header) -> Self {
        Self { header, sections: Vec::new() }
    }

    /// Adds a section.
    ///
    /// # Panics
    /// If there is one of this name, or too many: which sections there are is fixed by an index type's code.
    pub fn push(&mut self, name: &'static str, data: SectionData) {
        assert!(self.sections.iter().all(|(other, _)| *other != name), "section '{name}' is already there");
        assert!(self.sections.len() < SECTIONS_MAX as usize, "too many sections");
        self.sections.push((name, data));
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        self.plan().1
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn write_to(&self, sink: &mut dyn io::Write) -> io::Result<()> {
        let (table, file_bytes) = self.plan();
        let mut out = Checked { sink, crc: 0, written: 0 };
        out.write(&self.head(&table, file_bytes))?;
        for ((_, data), entry) in self.sections.iter().zip(&table) {
            out.pad_to(entry.offset)?;
            out.write(data.bytes())?;
        }
        out.pad_to(file_bytes - TRAILER_BYTES)?;
        let trailer = RawTrailer { file_bytes, crc: out.crc, magic: TRAILER_MAGIC };
        out.write(bytes_of(&trailer))?;
        assert_eq!(out.written, file_bytes, "the file is as long as it was planned");
        Ok(())
    }

    /// The file as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.file_bytes() as usize);
        self.write_to(&mut bytes).expect("a Vec takes every write");
        bytes
    }

    fn plan(&self) -> (Vec<RawSection>, u64) {
        let mut offset = table_offset(self.header.params.len() as u32) + self.sections.len() as u64 * SECTION_ENTRY_BYTES;
        let mut table = Vec::with_capacity(self.sections.len());
        for (name, data) in &self.sections {
            let bytes = data.bytes();
            let entry = RawSection {
                name: padded_name(name),
                offset: aligned(offset),
                length: bytes.len() as u64,
                crc: crc32c::crc32c(bytes),
                alignment: SECTION_ALIGNMENT as u32,
                reserved: 0,
            };
            offset = entry.offset + entry.length;
            table.push(entry);
        }
        (table, aligned(offset) + TRAILER_BYTES)
    }

    /// Header, parameters and table, with their checksum.
    fn head(&self, table: &[RawSection], file_bytes: u64) -> Vec<u8> {
        let params = self.header.params.as_bytes();
        assert!(params.len() <= PARAMS_BYTES_MAX as usize, "parameters were bounded when the index was defined");
        let mut raw = self.header.to_raw(table.len(), file_bytes);
        let mut head = bytes_of(&raw).to_vec();
        head.extend_from_slice(params);
        head.resize(table_offset(params.len() as u32) as usize, 0);
        head.extend_from_slice(bytemuck::cast_slice(table));
        raw.crc = crc32c::crc32c(&head);
        head[..HEADER_BYTES as usize].copy_from_slice(bytes_of(&raw));
        head
    }
}

/// A sink that keeps count and checksum of what went through.
struct Checked<'a> {
    sink: &'a mut dyn io::Write,
    crc: u32,
    written: u64,
}

impl Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.written += bytes.len() as u64;
        self.sink.write_all(bytes)
    }

    fn pad_to(&mut self, offset: u64) -> io::Result<()> {
        let padding = <[u8; SECTION_ALIGNMENT as usize]>::zeroed();
        let missing = offset - self.written;
        assert!(missing < SECTION_ALIGNMENT, "only alignment is padded");
        self.write(&padding[..missing as usize])
    }
}
