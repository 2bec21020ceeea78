//! Building the graph in batches: the same graph on any number of threads, without a lock.
//!
//! Nodes are inserted in a random order, those of the upper layers first. Each batch is a small part of what is already
//! there: its nodes look for their neighbours in parallel in the graph as it stands, then all links are entered, the ones
//! back to new nodes grouped by the node that gets them. At the end, nodes that no walk would reach are linked in.

use std::sync::{Mutex, PoisonError};

use kernel::{Beam, HeapBeam, Neighbor, SORTED_BEAM_MAX, SortedBeam};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use types::Result;

use super::NAME;
use super::graph::{Layer, Parts, UPPER_LAYERS_MAX, lowest_stride};
use super::repair::link_unreached;
use super::select::Selection;
use super::table::{Reverse, Table, stride};
use super::walk::{Budget, ENTRIES, Walk};
use crate::build::BuildContext;
use crate::file::Draft;
use crate::opened;
use crate::scorer::Scorer;
use crate::scratch::WalkMemory;
use crate::space::Space;
use crate::vectors::VectorRows;

/// A batch is at most this part of the nodes already there, for its nodes do not see each other.
const BATCH_OF_INSERTED: usize = 16;
/// And at most this many.
const BATCH_MAX: usize = 1_024;

/// The parameters of a graph.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Links per node of an upper layer.
    pub(crate) m: usize,
    /// Candidates kept while a node is inserted.
    pub(crate) ef_construction: usize,
}

pub(crate) fn build(space: Space, rows: VectorRows<'_>, shape: Shape, params: String, context: &BuildContext<'_>) -> Result<Draft> {
    let norms = opened::inverse_norms(space, rows.vectors);
    let parts = match rows.is_empty() {
        true => Parts { m: shape.m, links: Vec::new(), upper: Vec::new(), upper_links: Vec::new(), layers: Vec::new() },
        false => {
            let column = Scorer::of_column(space, rows.vectors, norms.as_deref());
            let mut builder = Builder::new(&column, rows.len(), shape, context);
            builder.insert_all()?;
            builder.trim();
            builder.finish()
        }
    };
    let mut draft = opened::draft(NAME, space, rows, norms, params);
    parts.push_into(&mut draft);
    Ok(draft)
}

/// Bytes that a build takes at most beside the column.
pub(crate) fn memory_bytes(vectors: u64, m: u64) -> u64 {
    let building = stride(2 * m as usize) as u64 * 4 + 4;
    let finished = lowest_stride(m as usize) as u64 * 4;
    // An eighth on top for the upper layers, and the marks of the walks.
    vectors * (building + finished) * 9 / 8 + vectors * 16
}

struct Builder<'a> {
    column: &'a Scorer<'a>,
    context: &'a BuildContext<'a>,
    shape: Shape,
    /// Slots in the order of insertion; those of the upper layers come first.
    order: Vec<u32>,
    /// How many nodes each upper layer has, from the lowest: its nodes are the first so many of `order`.
    layers: Vec<usize>,
    lowest: Table,
    upper: Vec<Table>,
    /// Working memory of walks that run at the same time.
    workers: Mutex<Vec<Worker>>,
}

#[derive(Default)]
struct Worker {
    walk: WalkMemory,
    sorted: SortedBeam,
    heap: HeapBeam,
    found: Vec<Neighbor>,
}

/// The links that a new node chose, by layer from the lowest.
type Chosen = Vec<Vec<Neighbor>>;

impl<'a> Builder<'a> {
    fn new(column: &'a Scorer<'a>, vectors: usize, shape: Shape, context: &'a BuildContext<'a>) -> Self {
        let (order, layers) = draw_layers(vectors, shape.m, context.seed);
        let upper = layers.iter().map(|&nodes| Table::new(nodes, shape.m)).collect();
        let lowest = Table::new(vectors, 2 * shape.m);
        Self { column, context, shape, order, layers, lowest, upper, workers: Mutex::default() }
    }

    fn insert_all(&mut self) -> Result<()> {
        let mut inserted = self.order.len().min(1);
        while inserted < self.order.len() {
            let batch = (inserted / BATCH_OF_INSERTED).clamp(1, BATCH_MAX).min(self.order.len() - inserted);
            let chosen = self.context.pool.for_each(batch, |i| self.choose(inserted + i));
            self.enter(inserted, &chosen);
            inserted += batch;
            self.context.progress.step(inserted, self.order.len())?;
        }
        Ok(())
    }

    /// Upper layers in which the node at a position of the order is.
    fn height(&self, position: usize) -> usize {
        self.layers.iter().take_while(|&&nodes| position < nodes).count()
    }

    /// Looks for the links of a node that is not yet there.
    fn choose(&self, position: usize) -> Chosen {
        let mut worker = self.lock_workers().pop().unwrap_or_default();
        let slot = self.order[position];
        let scorer = self.column.seen_from(slot);
        let height = self.height(position);
        let mut chosen = vec![Vec::new(); height + 1];
        worker.walk.entries.clear();
        worker.walk.entries.push(0);
        for level in (0..self.upper.len()).rev() {
            let layer = self.upper[level].layer(Some(&self.order));
            if level >= height {
                let walk = Walk { layer, scorer: &scorer, cancelled: None, budget: Budget::UNLIMITED };
                walk.descend(&mut worker.walk);
            } else {
                self.find(layer, &scorer, &mut worker);
                let selection = Selection { scorer: &scorer, slots: layer.slots, limit: self.shape.m };
                chosen[level + 1] = selection.choose(&worker.found, scorer.own_distance());
            }
        }
        for entry in &mut worker.walk.entries {
            *entry = self.order[*entry as usize];
        }
        self.find(self.lowest.layer(None), &scorer, &mut worker);
        let selection = Selection { scorer: &scorer, slots: None, limit: self.shape.m };
        chosen[0] = selection.choose(&worker.found, scorer.own_distance());
        self.lock_workers().push(worker);
        chosen
    }

    /// Walks from `worker.walk.entries`, and leaves the candidates of one layer in `worker.found` and the nearest as entries.
    fn find(&self, layer: Layer<'_>, scorer: &Scorer<'_>, worker: &mut Worker) {
        let ef = self.shape.ef_construction.max(self.shape.m).min(layer.nodes).max(1);
        let Worker { walk: memory, sorted, heap, found } = worker;
        memory.visited.reset(layer.nodes);
        found.clear();
        let walk = Walk { layer, scorer, cancelled: None, budget: Budget::UNLIMITED };
        let walked = if ef <= SORTED_BEAM_MAX {
            sorted.reset(ef);
            let walked = walk.run(sorted, memory, |_| true);
            sorted.drain_into(found);
            walked
        } else {
            heap.reset(ef);
            let walked = walk.run(heap, memory, |_| true);
            heap.drain_into(found);
            walked
        };
        debug_assert!(walked.is_ok(), "only a cancelled walk fails, and this one cannot be cancelled");
        memory.entries.clear();
        memory.entries.extend(found.iter().take(ENTRIES).map(|neighbor| neighbor.id()));
    }

    /// Enters a batch: the links of its nodes, and the links back to them.
    fn enter(&mut self, first: usize, batch: &[Chosen]) {
        for level in 0..=self.upper.len() {
            let node_at = |position: usize| if level == 0 { self.order[position] } else { position as u32 };
            let mut back = Vec::new();
            let mut own = Vec::new();
            for (i, chosen) in batch.iter().enumerate() {
                let Some(links) = chosen.get(level) else { continue };
                let node = node_at(first + i);
                own.push((node, links));
                back.extend(links.iter().map(|link| Reverse { target: link.id(), source: Neighbor::new(link.distance(), node) }));
            }
            back.sort_unstable();
            let (table, slots) = match level {
                0 => (&mut self.lowest, None),
                _ => (&mut self.upper[level - 1], Some(&self.order[..])),
            };
            for (node, links) in own {
                table.set(node, links.iter().map(|link| link.id()));
            }
            let groups: Vec<&[Reverse]> = back.chunk_by(|a, b| a.target == b.target).collect();
            let thinned = self.context.pool.for_each(groups.len(), |i| table.thinned(groups[i], slots, self.column));
            for (group, thinned) in groups.iter().zip(thinned) {
                match thinned {
                    Some(links) => table.set(group[0].target, links.into_iter()),
                    None => table.append(group[0].target, group.iter().map(|reverse| reverse.source.id())),
                }
            }
        }
    }

    /// Brings every record down to its limit, and links in what cannot be reached.
    fn trim(&mut self) {
        for level in 0..=self.upper.len() {
            let (table, slots) = match level {
                0 => (&mut self.lowest, None),
                _ => (&mut self.upper[level - 1], Some(&self.order[..])),
            };
            let nodes = table.layer(slots).nodes;
            let trimmed = self.context.pool.for_each(nodes, |node| table.trimmed(node as u32, slots, self.column));
            for (node, links) in trimmed.into_iter().enumerate() {
                if let Some(links) = links {
                    table.set(node as u32, links.into_iter());
                }
            }
        }
        if let Some(&entry) = self.order.first() {
            link_unreached(&mut self.lowest, self.column, entry);
        }
    }

    fn finish(self) -> Parts {
        let upper_nodes = self.layers.first().copied().unwrap_or(0);
        let mut upper_links = Vec::new();
        for table in &self.upper {
            export(table, self.shape.m, &mut upper_links);
        }
        let mut links = Vec::with_capacity(self.order.len() * lowest_stride(self.shape.m));
        export(&self.lowest, lowest_stride(self.shape.m), &mut links);
        let upper = self.order[..upper_nodes].to_vec();
        Parts { m: self.shape.m, links, upper, upper_links, layers: self.layers }
    }

    fn lock_workers(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        // A worker that panicked did not put its memory back: what is here is sound.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends the records of a trimmed table, each of `stride` links.
fn export(table: &Table, stride: usize, out: &mut Vec<u32>) {
    for node in 0..table.layer(None).nodes {
        let links = table.links(node as u32);
        assert!(links.len() <= stride, "a trimmed record fits");
        out.extend_from_slice(links);
        out.resize(out.len() + stride - links.len(), super::graph::UNUSED);
    }
}

/// A random order of all slots and the number of nodes in each upper layer. A node reaches layer l with probability M⁻ˡ.
fn draw_layers(vectors: usize, m: usize, seed: u64) -> (Vec<u32>, Vec<usize>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut order: Vec<u32> = (0..vectors as u32).collect();
    order.shuffle(&mut rng);
    let scale = 1.0 / (m.max(2) as f64).ln();
    let mut heights: Vec<(usize, u32)> = Vec::with_capacity(vectors);
    for &slot in &order {
        let uniform: f64 = rng.random();
        // 1 − u lies in (0, 1], so the logarithm is finite and not positive.
        let height = (-(1.0 - uniform).ln() * scale) as usize;
        heights.push((height.min(UPPER_LAYERS_MAX), slot));
    }
    heights.sort_by_key(|&(height, _)| std::cmp::Reverse(height));
    let tallest = heights.first().map_or(0, |&(height, _)| height);
    let layers = (1..=tallest).map(|level| heights.partition_point(|&(height, _)| height >= level)).collect();
    (heights.into_iter().map(|(_, slot)| slot).collect(), layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_layers_are_prefixes_of_the_order() {
        for vectors in [0, 1, 2, 1000, 50_000] {
            let (order, layers) = draw_layers(vectors, 16, 7);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..vectors as u32));
            assert!(layers.is_sorted_by(|a, b| a >= b) && !layers.contains(&0));
            assert!(layers.first().is_none_or(|&nodes| nodes <= vectors));
        }
        let (_, layers) = draw_layers(50_000, 16, 7);
        assert!((2_500..3_800).contains(&layers[0]), "one in sixteen: {layers:?}");
        assert_eq!(draw_layers(1000, 16, 7), draw_layers(1000, 16, 7));
        assert_ne!(draw_layers(1000, 16, 7), draw_layers(1000, 16, 8));
    }
}
