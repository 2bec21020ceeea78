//! Questions to a scalar index where it lies. Whatever its bytes are, offsets are cut to what is there.

use std::ops::{Bound, Range};
use std::sync::Arc;

use types::bitset::Bitset;
use types::blob::Blob;
use types::buffer::Buffer;
use types::{Error, Result};

use crate::file::Container;

use super::build::Keys;
use super::kind::ScalarKind;
use super::{Question, ScalarIndex, float_key};

/// Opens the container of a scalar index.
///
/// # Errors
/// What is wrong with the file.
pub fn open(blob: &dyn Blob) -> Result<Arc<dyn ScalarIndex>> {
    let container = Container::open(blob)?;
    let corrupt = |what: &str| Error::corrupt(format!("index {}: {what}", blob.name()));
    if ScalarKind::from_name(&container.header().index_type).is_none() {
        return Err(corrupt("it isn't a scalar index"));
    }
    let rows = container.header().segment_rows;
    let shape: Buffer<u32> = container.required(blob, "shape", 4)?;
    let (values, entries) = (shape[1] as usize, shape[2] as usize);
    let words = rows.div_ceil(64);
    let keys = match shape[0] {
        kind if kind == Keys::Integers as u32 => Sorted::Integers(container.required(blob, "numbers", values)?),
        kind if kind == Keys::Floats as u32 => Sorted::Floats(container.required(blob, "numbers", values)?),
        kind if kind == Keys::Texts as u32 => {
            let offsets: Buffer<u32> = container.required(blob, "text_offsets", values + 1)?;
            let bytes = offsets.last().map_or(0, |&end| (end as usize).next_multiple_of(4));
            Sorted::Texts(offsets, container.required(blob, "text_bytes", bytes)?)
        }
        _ => return Err(corrupt("keys of an unknown kind")),
    };
    let present: Option<Buffer<u64>> = container.optional(blob, "present", words)?;
    let bitmaps = if shape[3] == 1 { container.optional(blob, "bitmaps", values * words)? } else { None };
    Ok(Arc::new(Opened {
        rows,
        keys,
        starts: container.required(blob, "starts", values + 1)?,
        entries: container.required(blob, "rows", entries)?,
        bitmaps,
        present: present.map(|words| Bitset::from_words(words.to_vec(), rows)),
    }))
}

/// Distinct values, ascending.
enum Sorted {
    Integers(Buffer<i64>),
    /// By [`float_key`].
    Floats(Buffer<i64>),
    /// Ends, and the bytes.
    Texts(Buffer<u32>, Buffer<u8>),
}

struct Opened {
    rows: usize,
    keys: Sorted,
    starts: Buffer<u32>,
    entries: Buffer<u32>,
    bitmaps: Option<Buffer<u64>>,
    present: Option<Bitset>,
}

impl Opened {
    fn text(&self, at: usize) -> &[u8] {
        let Sorted::Texts(offsets, bytes) = &self.keys else { return &[] };
        let end = |at: usize| offsets.get(at).map_or(0, |&end| end as usize);
        bytes.get(end(at)..end(at + 1)).unwrap_or_default()
    }

    /// The first text for which `before` doesn't hold.
    fn text_point(&self, before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.values());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.text(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The values that are asked for, as runs of them; `None` where values are of another type.
    fn runs(&self, question: &Question<'_>) -> Option<Vec<Range<usize>>> {
        let singles = |keys: &[i64], wanted: &mut dyn Iterator<Item = i64>| {
            let mut runs: Vec<Range<usize>> = wanted.filter_map(|key| keys.binary_search(&key).ok()).map(|at| at..at + 1).collect();
            runs.sort_unstable_by_key(|run| run.start);
            runs.dedup();
            runs
        };
        Some(match (&self.keys, question) {
            (Sorted::Integers(keys), Question::Integers(low, high)) => {
                let start = keys.partition_point(|&key| i128::from(key) < *low);
                let end = keys.partition_point(|&key| i128::from(key) <= *high);
                std::iter::once(start..end.max(start)).collect()
            }
            (Sorted::Integers(keys), Question::IntegerSet(wanted)) => singles(keys, &mut wanted.iter().copied()),
            (Sorted::Floats(keys), Question::Floats(low, high)) => {
                let (Some(low), Some(high)) = (float_key(*low), float_key(*high)) else { return Some(Vec::new()) };
                let (start, end) = (keys.partition_point(|&key| key < low), keys.partition_point(|&key| key <= high));
                std::iter::once(start..end.max(start)).collect()
            }
            (Sorted::Floats(keys), Question::FloatSet(wanted)) => singles(keys, &mut wanted.iter().filter_map(|&value| float_key(value))),
            (Sorted::Texts(..), Question::Texts(low, high)) => {
                let start = match low {
                    Bound::Included(low) => self.text_point(|text| text < *low),
                    Bound::Excluded(low) => self.text_point(|text| text <= *low),
                    Bound::Unbounded => 0,
                };
                let end = match high {
                    Bound::Included(high) => self.text_point(|text| text <= *high),
                    Bound::Excluded(high) => self.text_point(|text| text < *high),
                    Bound::Unbounded => self.values(),
                };
                std::iter::once(start..end.max(start)).collect()
            }
            (Sorted::Texts(..), Question::TextSet(wanted)) => {
                let find = |text: &Arc<str>| {
                    let at = self.text_point(|other| other < text.as_bytes());
                    (at < self.values() && self.text(at) == text.as_bytes()).then_some(at..at + 1)
                };
                wanted.iter().filter_map(find).collect()
            }
            (Sorted::Texts(..), Question::TextTest { prefix, test }) => {
                let run = self.begins_with(prefix);
                run.filter(|&at| test(self.text(at))).map(|at| at..at + 1).collect()
            }
            _ => return None,
        })
    }

    fn begins_with(&self, prefix: &[u8]) -> Range<usize> {
        let start = self.text_point(|text| text < prefix);
        let end = self.text_point(|text| text < prefix || text.starts_with(prefix));
        start..end.max(start)
    }

    /// The entries of a run of values.
    fn entries_of(&self, run: &Range<usize>) -> Range<usize> {
        let start = self.starts.get(run.start).map_or(0, |&start| start as usize);
        let end = self.starts.get(run.end).map_or(0, |&end| end as usize).min(self.entries.len());
        start.min(end)..end
    }

    fn mark(&self, run: Range<usize>, found: &mut Bitset, words: &mut [u64]) {
        let length = self.rows.div_ceil(64);
        match &self.bitmaps {
            Some(bitmaps) => {
                for value in run {
                    let bitmap = bitmaps.get(value * length..(value + 1) * length).unwrap_or_default();
                    words.iter_mut().zip(bitmap).for_each(|(word, bits)| *word |= bits);
                }
            }
            None => {
                for &row in &self.entries[self.entries_of(&run)] {
                    if (row as usize) < self.rows {
                        found.set(row as usize, true);
                    }
                }
            }
        }
    }
}

impl ScalarIndex for Opened {
    fn rows(&self) -> usize {
        self.rows
    }

    fn present(&self) -> Option<&Bitset> {
        self.present.as_ref()
    }

    fn values(&self) -> usize {
        self.starts.len() - 1
    }

    fn estimate(&self, question: &Question<'_>) -> Option<usize> {
        if matches!(question, Question::TextTest { .. }) {
            return None;
        }
        Some(self.runs(question)?.iter().map(|run| self.entries_of(run).len()).sum())
    }

    fn answer(&self, question: &Question<'_>) -> Option<Bitset> {
        let mut found = Bitset::zeros(self.rows);
        let mut words = vec![0; if self.bitmaps.is_some() { self.rows.div_ceil(64) } else { 0 }];
        for run in self.runs(question)? {
            self.mark(run, &mut found, &mut words);
        }
        Some(if self.bitmaps.is_some() { Bitset::from_words(words, self.rows) } else { found })
    }
}
