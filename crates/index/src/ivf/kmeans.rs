//! k-means: centroids of a sample, and the nearest centroid of every vector. What a centroid is of is said by [`Points`].
//!
//! Lloyd's rounds from a random start. k-means++ (Arthur and Vassilvitskii, SODA 2007) is no better a start here: it favours
//! outliers, and lists of few vectors leave long ones elsewhere, which a search pays for. Time is what a list's length costs times
//! how often it is read, so long lists are split at the expense of short ones between rounds, as in balanced k-means for
//! inverted files (Tavenard, Jégou and Amsaleg, "Balancing clusters to reduce response time variability", CBMI 2011; the move
//! of a centroid is that of LBG with utilities, Patané and Russo 2001).
//!
//! Deterministic on any number of threads: assignments are independent of each other, sums are made in one order, and what is
//! random comes from the seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use base::cpu::CpuPool;
use kernel::{Distance, Neighbor};
use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use types::Result;

use super::build::invert;
use crate::build::{BuildContext, Progress};

/// Rounds of assignment and averaging; later ones hardly move a centroid.
const ROUNDS: usize = 10;
/// Vectors per centroid that training looks at.
pub(super) const SAMPLE_PER_CENTROID: usize = 256;
/// Vectors assigned in one job of the pool.
const JOB_VECTORS: usize = 256;
/// Vectors assigned between two looks at the progress.
const STEP_VECTORS: usize = 64 * JOB_VECTORS;
/// Centroids that are compared with all vectors of a job before the next ones are: they stay in the second-level cache.
const TILE_BYTES: usize = 128 << 10;
/// Last rounds, in which only empty lists are given a new place: the others settle.
const SETTLING_ROUNDS: usize = 2;
/// A list longer than this many times the mean is split.
const LONG: usize = 2;
/// A list shorter than the mean divided by this gives its centroid up for a long one.
const SHORT: usize = 2;

/// What is clustered.
pub(super) trait Points: Sync {
    /// What centroids are made of.
    type Value: Copy + Send + Sync + 'static;

    /// How many there are.
    fn len(&self) -> usize;

    /// Values of a centroid.
    fn width(&self) -> usize;

    /// Puts a vector into `out` as the centroid of itself alone.
    fn read(&self, slot: u32, out: &mut Vec<Self::Value>);

    /// The distance by which vectors belong to centroids, and what turns it so that smaller is nearer.
    fn distance(&self) -> (&'static Distance<Self::Value>, f32);

    /// Moves every centroid to the middle of its vectors; one without vectors stays.
    fn average(&self, centroids: &mut [Self::Value], slots: &[u32], assigned: &[u32]);

    /// Brings centroids to the length that they must have.
    fn normalise(&self, centroids: &mut [Self::Value]);
}

/// Trains `count` ≥ 1 centroids, at most one per vector, and assigns every vector to its nearest.
pub(super) fn cluster<P: Points>(points: &P, count: usize, context: &BuildContext<'_>) -> Result<(Vec<P::Value>, Vec<u32>)> {
    let (width, vectors) = (points.width(), points.len());
    let mut rng = StdRng::seed_from_u64(context.seed);
    let size = vectors.min(count.saturating_mul(SAMPLE_PER_CENTROID));
    let mut sampled: Vec<u32> = sample(&mut rng, vectors, size).iter().map(|slot| slot as u32).collect();
    sampled.sort_unstable();
    let (mut centroids, mut one) = (Vec::with_capacity(count * width), Vec::new());
    for position in sample(&mut rng, size, count) {
        points.read(sampled[position], &mut one);
        centroids.extend_from_slice(&one);
    }
    let work = size * ROUNDS + vectors;
    for round in 0..ROUNDS {
        points.normalise(&mut centroids);
        let phase = Phase { progress: context.progress, from: size * round, of: work };
        let assigned = nearest(points, &centroids, &sampled, context.pool, phase)?;
        points.average(&mut centroids, &sampled, &assigned);
        rebalance(points, &mut centroids, (&sampled, &assigned), round + SETTLING_ROUNDS < ROUNDS, &mut rng);
    }
    points.normalise(&mut centroids);
    let all: Vec<u32> = (0..vectors as u32).collect();
    let phase = Phase { progress: context.progress, from: size * ROUNDS, of: work };
    let assigned = nearest(points, &centroids, &all, context.pool, phase)?;
    Ok((centroids, assigned))
}

/// The nearest centroid of each of `slots`; of equally near ones the first.
fn nearest<P: Points>(points: &P, centroids: &[P::Value], slots: &[u32], pool: &CpuPool, phase: Phase<'_>) -> Result<Vec<u32>> {
    let mut assigned = Vec::with_capacity(slots.len());
    for step in slots.chunks(STEP_VECTORS) {
        let jobs: Vec<&[u32]> = step.chunks(JOB_VECTORS).collect();
        for part in pool.for_each(jobs.len(), |job| nearest_of_job(points, centroids, jobs[job])) {
            assigned.extend(part);
        }
        phase.progress.step(phase.from + assigned.len(), phase.of)?;
    }
    Ok(assigned)
}

fn nearest_of_job<P: Points>(points: &P, centroids: &[P::Value], slots: &[u32]) -> Vec<u32> {
    let width = points.width();
    let (distance, sign) = points.distance();
    let tile = (TILE_BYTES / (width * size_of::<P::Value>())).max(1);
    let (mut out, mut vector) = (vec![0.0; tile], Vec::with_capacity(width));
    let mut best = vec![Neighbor::FARTHEST; slots.len()];
    for (i, block) in centroids.chunks(tile * width).enumerate() {
        let out = &mut out[..block.len() / width];
        for (&slot, best) in slots.iter().zip(&mut best) {
            points.read(slot, &mut vector);
            distance.block(&vector, block, out);
            for (j, value) in out.iter().enumerate() {
                *best = (*best).min(Neighbor::new(sign * value, (i * tile + j) as u32));
            }
        }
    }
    best.into_iter().map(Neighbor::id).collect()
}

/// Moves centroids of empty lists, and with `short` of short ones, onto some vector of a long list.
fn rebalance<P: Points>(points: &P, centroids: &mut [P::Value], (slots, assigned): (&[u32], &[u32]), short: bool, rng: &mut StdRng) {
    let width = points.width();
    let lists = centroids.len() / width;
    let (offsets, members) = invert(assigned, lists);
    let members = |list: usize| &members[offsets[list] as usize..offsets[list + 1] as usize];
    let mut vector = Vec::with_capacity(width);
    for (list, donor) in moves((0..lists).map(|list| members(list).len()).collect(), short) {
        points.read(slots[members(donor)[rng.random_range(0..members(donor).len())] as usize], &mut vector);
        centroids[list * width..][..width].copy_from_slice(&vector);
    }
}

/// Part of a build's progress: from `from` to `to` of `of`.
struct Phase<'a> {
    progress: &'a Progress,
    from: usize,
    of: usize,
}

/// Which lists give their centroids to which: the shortest to the longest, which is then taken for half as long.
fn moves(lengths: Vec<usize>, short: bool) -> Vec<(usize, usize)> {
    let mean = lengths.iter().sum::<usize>() / lengths.len();
    let mut givers: Vec<usize> = (0..lengths.len()).filter(|&list| lengths[list] == 0 || short && lengths[list] * SHORT < mean).collect();
    givers.sort_by_key(|&list| (lengths[list], list));
    let mut longest: BinaryHeap<(usize, Reverse<usize>)> =
        lengths.iter().enumerate().map(|(list, &length)| (length, Reverse(list))).collect();
    let mut moved = Vec::new();
    for giver in givers {
        let Some((length, Reverse(donor))) = longest.pop() else { break };
        // An empty list takes from whatever can be split; giving up vectors pays only for a list that is too long.
        if length < 2 || (lengths[giver] > 0 && length <= LONG * mean) {
            break;
        }
        moved.push((giver, donor));
        longest.push((length / 2, Reverse(donor)));
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lists_give_their_centroids_to_long_ones() {
        let check = |lengths: &[usize], short, expected: &[(usize, usize)]| {
            assert_eq!(moves(lengths.to_vec(), short), expected, "{lengths:?} {short}");
        };
        check(&[10, 10, 10], true, &[]);
        check(&[0, 40, 0, 39], false, &[(0, 1), (2, 3)]);
        check(&[0, 100, 0, 20], false, &[(0, 1), (2, 1)]);
        check(&[4, 30, 9, 9], true, &[(0, 1)]);
        check(&[4, 30, 9, 9], false, &[]);
        check(&[7, 30, 8, 7], true, &[]);
        check(&[1, 1, 0, 1], true, &[]);
        check(&[0], true, &[]);
    }
}
