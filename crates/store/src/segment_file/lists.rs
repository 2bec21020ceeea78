//! Values of arrays as `var.parquet` holds them: one run of bytes for each row.
//!
//! Elements of one width lie one after the other; texts have their length (u32) before each. What elements are says the file's metadata.

use bytes::{BufMut, Bytes};
use types::buffer::Buffer;
use types::column::{Arrays, Strings, Values};
use types::schema::DataType;

/// The bytes of the list at `row`.
pub(crate) fn encode(arrays: &Arrays, row: usize) -> Bytes {
    let range = arrays.range(row);
    match (arrays.elements(), arrays.elements().fixed()) {
        (_, Some(fixed)) => Bytes::copy_from_slice(&fixed.bytes[range.start * fixed.width..range.end * fixed.width]),
        (Values::VarChar(texts), _) => {
            let mut bytes = Vec::new();
            for text in range.map(|element| texts.get(element)) {
                bytes.put_u32_le(u32::try_from(text.len()).expect("a text is bounded by a page"));
                bytes.put_slice(text.as_bytes());
            }
            bytes.into()
        }
        (other, _) => panic!("elements of an array aren't {}", other.data_type()),
    }
}

/// Lists from rows' bytes: those of row `i` begin at `offsets[i]`.
///
/// # Errors
/// Says what is wrong: bytes that aren't a whole number of elements, a text that ends early or isn't UTF-8, a bool above 1.
pub(crate) fn decode(element: DataType, offsets: Vec<u32>, bytes: Vec<u8>) -> Result<Arrays, &'static str> {
    let Some(width) = element.width(0) else { return decode_texts(&offsets, &bytes) };
    let width = width as u32;
    if offsets.iter().any(|offset| offset % width != 0) {
        return Err("a list of half an element");
    }
    if element == DataType::Bool && bytes.iter().any(|&byte| byte > 1) {
        return Err("a list with a bool that is neither 0 nor 1");
    }
    let ends: Vec<u32> = offsets.iter().map(|offset| offset / width).collect();
    let elements = Values::from_fixed(element, 0, bytes.into()).ok_or("a list of elements without a width")?;
    Arrays::from_parts(ends.into(), elements)
}

fn decode_texts(offsets: &[u32], bytes: &[u8]) -> Result<Arrays, &'static str> {
    let (mut ends, mut text_ends, mut texts) = (vec![0u32], vec![0u32], Vec::with_capacity(bytes.len()));
    for row in offsets.windows(2) {
        let mut rest = &bytes[row[0] as usize..row[1] as usize];
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<4>().ok_or("a list that ends early")?;
            let (text, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or("a list that ends early")?;
            texts.extend_from_slice(text);
            // There are fewer bytes than of `bytes`, whose offsets are of 32 bits.
            text_ends.push(texts.len() as u32);
            rest = after;
        }
        ends.push(text_ends.len() as u32 - 1);
    }
    let texts = Strings::from_parts(Buffer::from(text_ends), texts.into())?;
    Arrays::from_parts(ends.into(), Values::VarChar(texts))
}
