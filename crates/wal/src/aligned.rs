//! Bytes that begin at a multiple of 64, so that vectors inside of a record's body can be used where they lie.

use bytemuck::{Pod, Zeroable};
use bytes::Bytes;

const LINE_BYTES: usize = 64;

#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Line([u8; LINE_BYTES]);

struct Block {
    lines: Vec<Line>,
    length: usize,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }
}

/// One contiguous, aligned copy of `parts` in order; a single part is shared as it is.
pub fn concatenate(parts: &[Bytes]) -> Bytes {
    if let [only] = parts {
        return only.clone();
    }
    let length = parts.iter().map(Bytes::len).sum::<usize>();
    let mut lines = vec![Line::zeroed(); length.div_ceil(LINE_BYTES)];
    let mut rest: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part);
        rest = tail;
    }
    Bytes::from_owner(Block { lines, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_one_aligned_body() {
        for lengths in [vec![0usize, 0], vec![3, 64, 1], vec![100, 28], vec![1, 2, 3, 200]] {
            let parts: Vec<Bytes> = lengths.iter().enumerate().map(|(i, length)| Bytes::from(vec![i as u8; *length])).collect();
            let whole = concatenate(&parts);
            assert_eq!(whole, parts.concat());
            assert_eq!(whole.as_ptr() as usize % LINE_BYTES, 0);
        }
    }
}
