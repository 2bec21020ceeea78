//! Texts of a column.

use bytes::Bytes;

use crate::buffer::Buffer;

/// Texts one after the other with their ends.
#[derive(Clone, PartialEq)]
pub struct Strings {
    /// rows + 1 offsets into `bytes`, ascending, the first 0.
    offsets: Buffer<u32>,
    bytes: Bytes,
}

impl Strings {
    /// Texts from their stored parts.
    ///
    /// # Errors
    /// Says what is wrong if offsets don't ascend from 0 to the number of bytes, or a text isn't UTF-8.
    pub fn from_parts(offsets: Buffer<u32>, bytes: Bytes) -> Result<Self, &'static str> {
        if offsets.first() != Some(&0) || offsets.last().map(|&end| end as usize) != Some(bytes.len()) {
            return Err("offsets of texts don't span their bytes");
        }
        if offsets.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err("offsets of texts don't ascend");
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| "a text isn't UTF-8")?;
        if offsets.iter().any(|&offset| !text.is_char_boundary(offset as usize)) {
            return Err("a text isn't UTF-8");
        }
        Ok(Self { offsets, bytes })
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text at `row`.
    pub fn get(&self, row: usize) -> &str {
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        std::str::from_utf8(&self.bytes[range]).expect("checked when the column was made")
    }

    /// All texts.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// The offsets: one more than there are texts.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The bytes of all texts.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Default for Strings {
    fn default() -> Self {
        Self { offsets: vec![0].into(), bytes: Bytes::new() }
    }
}

impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for text in texts {
            bytes.extend_from_slice(text.as_ref().as_bytes());
            offsets.push(u32::try_from(bytes.len()).expect("a column of texts is bounded by WRITE_BYTES_MAX"));
        }
        Self { offsets: offsets.into(), bytes: bytes.into() }
    }
}
