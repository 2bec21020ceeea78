//! One data page of a Parquet file as this program writes it: version 1, plain byte arrays, zstd or nothing around them.
//!
//! Pages are decoded here rather than by the parquet crate, because a page is the unit of random access and of caching: this goes
//! straight to the values' bytes, and every allocation is bounded by the header's own figures, which are checked first.

use types::bitset::Bitset;

/// The largest page that is read: the writer ends one with the value that fills it.
pub(crate) const PAGE_BYTES_MAX: usize = 2 * super::VALUE_BYTES_MAX;

/// Why a page can't be read.
pub(crate) type Damage = &'static str;

/// What a page decodes to.
#[derive(PartialEq, Debug)]
pub(crate) struct Page {
    /// rows + 1 offsets into `bytes`, ascending from 0: nothing where there is no value.
    pub offsets: Vec<u32>,
    /// The bytes of all values.
    pub bytes: Vec<u8>,
    /// `None` where every row has a value.
    pub validity: Option<Bitset>,
}

impl Page {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The bytes of a row's value; `None` where it has none.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn value(&self, row: usize) -> Option<&[u8]> {
        let present = self.validity.as_ref().is_none_or(|validity| validity.get(row));
        present.then(|| &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize])
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.bytes.len() + 4 * self.offsets.len() + self.validity.as_ref().map_or(0, |validity| validity.len() / 8) + 96
    }
}

/// How a column's pages are written.
#[derive(Clone, Copy)]
pub(crate) struct PageFormat {
    pub nullable: bool,
    pub compressed: bool,
}

/// Decodes the page that `bytes` are, header included; it must have `rows` rows.
pub(crate) fn decode(bytes: &[u8], format: PageFormat, rows: usize) -> Result<Page, Damage> {
    let mut thrift = Thrift { bytes, at: 0 };
    let header = PageHeader::read(&mut thrift)?;
    if header.page_type != PAGE_TYPE_DATA || header.encoding != ENCODING_PLAIN {
        return Err("a page of another kind than plain data");
    }
    if usize::try_from(header.values) != Ok(rows) {
        return Err("a page of another number of rows");
    }
    let uncompressed = usize::try_from(header.uncompressed_bytes).ok().filter(|&bytes| bytes <= PAGE_BYTES_MAX);
    let uncompressed = uncompressed.ok_or("a page that is too large")?;
    let body = &bytes[thrift.at..];
    if usize::try_from(header.compressed_bytes) != Ok(body.len()) {
        return Err("a page of another length");
    }
    if !format.compressed {
        return if body.len() == uncompressed { split(body, format, rows) } else { Err("a page of another length") };
    }
    let plain = zstd::bulk::decompress(body, uncompressed).map_err(|_| "a page that can't be decompressed")?;
    if plain.len() != uncompressed {
        return Err("a page that decompresses to another length");
    }
    split(&plain, format, rows)
}

/// Levels and values of an uncompressed body.
fn split(body: &[u8], format: PageFormat, rows: usize) -> Result<Page, Damage> {
    if !format.nullable {
        let (offsets, bytes) = values(body, rows, None)?;
        return Ok(Page { offsets, bytes, validity: None });
    }
    let (length, rest) = body.split_first_chunk::<4>().ok_or("a page without levels")?;
    let (levels, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or("a page with levels that are too long")?;
    let validity = present(levels, rows)?;
    let (offsets, bytes) = values(rest, rows, Some(&validity))?;
    Ok(Page { offsets, bytes, validity: (!validity.all()).then_some(validity) })
}

/// Plain byte arrays: each with its length before it. Absent rows take nothing.
fn values(body: &[u8], rows: usize, validity: Option<&Bitset>) -> Result<(Vec<u32>, Vec<u8>), Damage> {
    let mut rest = body;
    let mut offsets = Vec::with_capacity(rows + 1);
    let mut bytes = Vec::with_capacity(body.len());
    offsets.push(0u32);
    for row in 0..rows {
        if validity.is_none_or(|validity| validity.get(row)) {
            let (length, after) = rest.split_first_chunk::<4>().ok_or("a page that ends early")?;
            let (value, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or("a value that ends early")?;
            bytes.extend_from_slice(value);
            rest = after;
        }
        offsets.push(bytes.len() as u32);
    }
    if !rest.is_empty() {
        return Err("a page with more values than rows");
    }
    Ok((offsets, bytes))
}

/// Levels of one bit in Parquet's hybrid of runs and bit-packed groups: which rows are present.
fn present(levels: &[u8], rows: usize) -> Result<Bitset, Damage> {
    let mut thrift = Thrift { bytes: levels, at: 0 };
    let mut validity = Bitset::default();
    while validity.len() < rows {
        let head = thrift.varint().map_err(|_| "levels that end early")?;
        let left = rows - validity.len();
        if head & 1 == 0 {
            let run = usize::try_from(head >> 1).unwrap_or(usize::MAX);
            let value = thrift.byte().map_err(|_| "levels that end early")?;
            if run == 0 || run > left || value > 1 {
                return Err("levels that are impossible");
            }
            (0..run).for_each(|_| validity.push(value == 1));
        } else {
            // Groups of eight; the last may be padded.
            let groups = usize::try_from(head >> 1).unwrap_or(usize::MAX);
            if groups == 0 || groups > left.div_ceil(8) {
                return Err("levels that are impossible");
            }
            for group in 0..groups {
                let byte = thrift.byte().map_err(|_| "levels that end early")?;
                (0..8.min(left - 8 * group)).for_each(|bit| validity.push(byte >> bit & 1 == 1));
            }
        }
    }
    Ok(validity)
}

const PAGE_TYPE_DATA: i64 = 0;
const ENCODING_PLAIN: i64 = 0;

/// What matters of a page's header.
#[derive(Default)]
struct PageHeader {
    page_type: i64,
    uncompressed_bytes: i64,
    compressed_bytes: i64,
    values: i64,
    encoding: i64,
}

impl PageHeader {
    fn read(thrift: &mut Thrift<'_>) -> Result<Self, Damage> {
        let mut header = Self { page_type: -1, encoding: -1, ..Self::default() };
        let mut field = 0;
        while let Some(kind) = thrift.field(&mut field)? {
            match (field, kind) {
                (1, KIND_I32) => header.page_type = thrift.integer()?,
                (2, KIND_I32) => header.uncompressed_bytes = thrift.integer()?,
                (3, KIND_I32) => header.compressed_bytes = thrift.integer()?,
                (5, KIND_STRUCT) => {
                    let mut inner = 0;
                    while let Some(kind) = thrift.field(&mut inner)? {
                        match (inner, kind) {
                            (1, KIND_I32) => header.values = thrift.integer()?,
                            (2, KIND_I32) => header.encoding = thrift.integer()?,
                            _ => thrift.skip(kind, DEPTH_MAX)?,
                        }
                    }
                }
                _ => thrift.skip(kind, DEPTH_MAX)?,
            }
        }
        Ok(header)
    }
}

/// Structs in structs of a header that is skipped.
const DEPTH_MAX: usize = 4;

const KIND_TRUE: u8 = 1;
const KIND_FALSE: u8 = 2;
const KIND_BYTE: u8 = 3;
const KIND_I16: u8 = 4;
const KIND_I32: u8 = 5;
const KIND_I64: u8 = 6;
const KIND_DOUBLE: u8 = 7;
const KIND_BINARY: u8 = 8;
const KIND_STRUCT: u8 = 12;

/// As much of Thrift's compact protocol as page headers use: no lists, sets or maps.
struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Thrift<'_> {
    fn byte(&mut self) -> Result<u8, Damage> {
        let byte = *self.bytes.get(self.at).ok_or("a page header that ends early")?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, Damage> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a page header with an endless number")
    }

    fn integer(&mut self) -> Result<i64, Damage> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The kind of the next field, whose number goes to `last`; `None` at the struct's end.
    fn field(&mut self, last: &mut i64) -> Result<Option<u8>, Damage> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        *last = match head >> 4 {
            0 => self.integer()?,
            delta => last.checked_add(i64::from(delta)).ok_or("a page header with an impossible field")?,
        };
        Ok(Some(head & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<(), Damage> {
        match kind {
            KIND_TRUE | KIND_FALSE => Ok(()),
            KIND_BYTE => self.advance(1),
            KIND_I16 | KIND_I32 | KIND_I64 => self.varint().map(|_| ()),
            KIND_DOUBLE => self.advance(8),
            KIND_BINARY => {
                let length = self.varint()?;
                self.advance(usize::try_from(length).unwrap_or(usize::MAX))
            }
            KIND_STRUCT if depth > 0 => {
                let mut field = 0;
                while let Some(kind) = self.field(&mut field)? {
                    self.skip(kind, depth - 1)?;
                }
                Ok(())
            }
            _ => Err("a page header with a field of unknown kind"),
        }
    }

    fn advance(&mut self, count: usize) -> Result<(), Damage> {
        match self.at.checked_add(count) {
            Some(at) if at <= self.bytes.len() => {
                self.at = at;
                Ok(())
            }
            _ => Err("a page header that ends early"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(levels: &[u8], rows: usize, expected: Option<&[usize]>) {
        let found = present(levels, rows).ok().map(|validity| validity.iter_ones().collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn levels_are_runs_and_groups() {
        check(&[6, 1], 3, Some(&[0, 1, 2]));
        check(&[4, 0, 2, 1], 3, Some(&[2]));
        check(&[3, 0b101], 3, Some(&[0, 2]));
        check(&[5, 0xff, 0b1], 9, Some(&[0, 1, 2, 3, 4, 5, 6, 7, 8]));
        check(&[6, 1], 2, None);
        check(&[6, 2], 3, None);
        check(&[6], 3, None);
        check(&[0, 1, 6, 1], 3, None);
        check(&[5, 0xff, 0b1], 8, None);
        check(&[0x80; 12], 3, None);
    }

    #[test]
    fn values_need_their_bytes() {
        let body = [1, 0, 0, 0, b'a', 0, 0, 0, 0];
        let format = PageFormat { nullable: false, compressed: false };
        let page = split(&body, format, 2).expect("two texts");
        assert_eq!((page.offsets, page.bytes), (vec![0, 1, 1], b"a".to_vec()));
        for (body, rows) in [(&body[..8], 2), (&body[..], 1), (&body[..], 3), (&[9, 0, 0, 0, b'a'][..], 1)] {
            assert!(split(body, format, rows).is_err());
        }
    }
}
