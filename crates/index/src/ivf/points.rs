//! What can be clustered: vectors of numbers, whose centroids are floats, and bit vectors, whose centroids are bits.

use kernel::{Distance, inverse_norm};
use types::index_params::Metric;

use super::kmeans::Points;
use crate::space::{Measured, Space};
use crate::vectors::{Dense, Vectors};

/// Vectors of numbers. For COSINE they count with length 1, and so do their centroids; for IP they group by L2.
pub(super) struct Numbers<'a> {
    pub(super) space: Space,
    pub(super) vectors: Vectors<'a>,
    /// For COSINE.
    pub(super) inverse_norms: Option<&'a [f32]>,
}

impl Points for Numbers<'_> {
    type Value = f32;

    fn len(&self) -> usize {
        self.vectors.len()
    }

    fn width(&self) -> usize {
        self.vectors.dim()
    }

    fn read(&self, slot: u32, out: &mut Vec<f32>) {
        self.vectors.widen(slot, out);
        if let Some(norms) = self.inverse_norms {
            out.iter_mut().for_each(|value| *value *= norms[slot as usize]);
        }
    }

    fn distance(&self) -> (&'static Distance<f32>, f32) {
        let kernels = self.space.kernels();
        if self.space.metric() == Metric::Cosine { (kernels.dot(), -1.0) } else { (kernels.squared_l2(), 1.0) }
    }

    fn average(&self, centroids: &mut [f32], slots: &[u32], assigned: &[u32]) {
        let width = self.width();
        let mut sums = vec![0f64; centroids.len()];
        let mut counts = vec![0usize; centroids.len() / width];
        let mut vector = Vec::with_capacity(width);
        for (&slot, &centroid) in slots.iter().zip(assigned) {
            self.read(slot, &mut vector);
            for (sum, value) in sums[centroid as usize * width..][..width].iter_mut().zip(&vector) {
                *sum += f64::from(*value);
            }
            counts[centroid as usize] += 1;
        }
        for (i, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            for (value, sum) in centroids[i * width..][..width].iter_mut().zip(&sums[i * width..]) {
                *value = (sum / count as f64) as f32;
            }
        }
    }

    fn normalise(&self, centroids: &mut [f32]) {
        if self.space.metric() != Metric::Cosine {
            return;
        }
        for centroid in centroids.chunks_exact_mut(self.width()) {
            let inverse = inverse_norm(self.space.kernels().dot().one(centroid, centroid));
            centroid.iter_mut().for_each(|value| *value *= inverse);
        }
    }
}

/// Bit vectors, under HAMMING or JACCARD.
pub(super) struct Bits<'a> {
    pub(super) space: Space,
    pub(super) vectors: Dense<'a, u8>,
}

impl Points for Bits<'_> {
    type Value = u8;

    fn len(&self) -> usize {
        self.vectors.len()
    }

    fn width(&self) -> usize {
        self.vectors.width
    }

    fn read(&self, slot: u32, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.vectors.vector(slot));
    }

    fn distance(&self) -> (&'static Distance<u8>, f32) {
        (u8::distance(self.space).expect("lists of bit vectors are opened and built for metrics of bits"), 1.0)
    }

    fn average(&self, centroids: &mut [u8], slots: &[u32], assigned: &[u32]) {
        let width = self.width();
        let mut order: Vec<usize> = (0..slots.len()).collect();
        order.sort_by_key(|&position| assigned[position]);
        let mut counts = vec![0u32; width * 8];
        for list in order.chunk_by(|&a, &b| assigned[a] == assigned[b]) {
            counts.fill(0);
            for &position in list {
                for (byte, counts) in self.vectors.vector(slots[position]).iter().zip(counts.chunks_exact_mut(8)) {
                    counts.iter_mut().enumerate().for_each(|(bit, count)| *count += u32::from(byte >> bit & 1));
                }
            }
            let least = self.votes_needed(&counts, list.len());
            let centroid = &mut centroids[assigned[list[0]] as usize * width..][..width];
            for (byte, counts) in centroid.iter_mut().zip(counts.chunks_exact(8)) {
                *byte = counts.iter().enumerate().fold(0, |byte, (bit, &count)| byte | u8::from(count >= least) << bit);
            }
        }
    }

    fn normalise(&self, _: &mut [u8]) {}
}

impl Bits<'_> {
    /// In how many vectors of a list a bit must be set for the centroid to have it. The majority is what is nearest by HAMMING.
    /// By JACCARD it is not: where few bits are set a majority has none of them, and an empty set is as far from all. There a
    /// centroid gets the most frequent bits, as many as its vectors have on average.
    fn votes_needed(&self, counts: &[u32], vectors: usize) -> u32 {
        let majority = vectors as u32 / 2 + 1;
        if self.space.metric() != Metric::Jaccard {
            return majority;
        }
        let mean = (counts.iter().map(|&count| u64::from(count)).sum::<u64>() / vectors as u64) as usize;
        let mut sorted = counts.to_vec();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        sorted[mean.saturating_sub(1).min(sorted.len() - 1)].clamp(1, majority)
    }
}
