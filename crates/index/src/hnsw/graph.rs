//! The graph as arrays: layers of fixed-stride link records, and the same in a file.
//!
//! A record's links end at the first one that is no node of its layer: [`UNUSED`] in a sound file, anything else in a
//! damaged one. So whatever a file holds, a walk stays inside the arrays.

use types::blob::Blob;
use types::buffer::Buffer;
use types::{Error, Result};

use crate::file::{Container, Draft, SectionData};

/// Fills the rest of a record.
pub(super) const UNUSED: u32 = u32::MAX;
/// Records of the lowest layer are whole cache lines of this many links.
pub(super) const LINE_LINKS: usize = 16;
/// Upper layers; with M = 2 half of all nodes reach the next one, so 2³¹ nodes need 31.
pub(super) const UPPER_LAYERS_MAX: usize = 31;
/// The largest `M`.
pub(super) const M_MAX: usize = 2_048;

/// M, the stride of the lowest layer, the number of upper layers, and the number of nodes in each of them from the lowest.
const SHAPE_SECTION: &str = "shape";
const SHAPE_WORDS: usize = 3 + UPPER_LAYERS_MAX;
/// Links of the lowest layer.
const LINKS_SECTION: &str = "links";
/// The vector of each node of the upper layers.
const UPPER_SECTION: &str = "upper";
/// Links of the upper layers, from the lowest.
const UPPER_LINKS_SECTION: &str = "upper_links";

/// One layer of links, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) links: &'a [u32],
    pub(super) stride: usize,
    pub(super) nodes: usize,
    /// The vector of each node, where nodes are not numbered as vectors.
    pub(super) slots: Option<&'a [u32]>,
}

impl<'a> Layer<'a> {
    /// The record of a node, unused links included.
    #[inline(always)]
    pub(super) fn record(&self, node: u32) -> &'a [u32] {
        let start = node as usize * self.stride;
        &self.links[start..start + self.stride]
    }

    /// The neighbours of a node.
    #[inline(always)]
    pub(super) fn neighbors(&self, node: u32) -> impl Iterator<Item = u32> + use<'a> {
        let nodes = self.nodes as u32;
        self.record(node).iter().copied().take_while(move |&id| id < nodes)
    }
}

/// A graph over mapped sections.
#[derive(Debug)]
pub(super) struct Graph {
    vectors: usize,
    stride: usize,
    m: usize,
    links: Buffer<u32>,
    upper: Buffer<u32>,
    upper_links: Buffer<u32>,
    /// Nodes in each upper layer, from the lowest; never zero, never growing.
    layers: Vec<usize>,
}

impl Graph {
    pub(super) fn open(container: &Container, blob: &dyn Blob) -> Result<Self> {
        let vectors = container.header().vectors;
        let corrupt = |what: String| Error::corrupt(format!("index {}: {what}", blob.name()));
        let shape = container.required::<u32>(blob, SHAPE_SECTION, SHAPE_WORDS)?;
        let (m, stride, count) = (shape[0] as usize, shape[1] as usize, shape[2] as usize);
        if !(1..=M_MAX).contains(&m) || stride != lowest_stride(m) || count > UPPER_LAYERS_MAX {
            return Err(corrupt(format!("a graph of {m} links, stride {stride} and {count} layers cannot be")));
        }
        let layers: Vec<usize> = shape[3..3 + count].iter().map(|&nodes| nodes as usize).collect();
        let shrink = layers.is_sorted_by(|a, b| a >= b) && layers.first().is_none_or(|&first| first <= vectors);
        if !shrink || layers.contains(&0) {
            return Err(corrupt("upper layers do not lie above each other".to_owned()));
        }
        let upper_nodes = layers.first().copied().unwrap_or(0);
        let graph = Self {
            vectors,
            stride,
            m,
            links: container.required(blob, LINKS_SECTION, vectors * stride)?,
            upper: container.required(blob, UPPER_SECTION, upper_nodes)?,
            upper_links: container.required(blob, UPPER_LINKS_SECTION, layers.iter().sum::<usize>() * m)?,
            layers,
        };
        // Few enough to check at once; links are checked as they are followed.
        if graph.upper.iter().any(|&slot| slot as usize >= vectors) {
            return Err(corrupt("a node of an upper layer has no vector".to_owned()));
        }
        Ok(graph)
    }

    /// The lowest layer.
    pub(super) fn lowest(&self) -> Layer<'_> {
        Layer { links: &self.links, stride: self.stride, nodes: self.vectors, slots: None }
    }

    /// The upper layers from the highest.
    pub(super) fn upper(&self) -> impl Iterator<Item = Layer<'_>> {
        let mut end = self.upper_links.len();
        self.layers.iter().rev().map(move |&nodes| {
            let start = end - nodes * self.m;
            let links = &self.upper_links[start..end];
            end = start;
            Layer { links, stride: self.m, nodes, slots: Some(&self.upper) }
        })
    }

    /// Links per node of the lowest layer at most.
    pub(super) fn degree_max(&self) -> usize {
        2 * self.m
    }

    /// Nodes of the lowest layer.
    pub(super) fn nodes(&self) -> usize {
        self.vectors
    }

    /// The vector of a node of an upper layer.
    pub(super) fn upper_slot(&self, node: u32) -> u32 {
        self.upper[node as usize]
    }

    /// Whether there is a layer above the lowest.
    pub(super) fn has_upper(&self) -> bool {
        !self.layers.is_empty()
    }
}

/// What a build hands over to be written.
pub(super) struct Parts {
    pub(super) m: usize,
    pub(super) links: Vec<u32>,
    pub(super) upper: Vec<u32>,
    pub(super) upper_links: Vec<u32>,
    pub(super) layers: Vec<usize>,
}

impl Parts {
    pub(super) fn push_into(self, draft: &mut Draft) {
        let mut shape = vec![self.m as u32, lowest_stride(self.m) as u32, self.layers.len() as u32];
        shape.extend(self.layers.iter().map(|&nodes| nodes as u32));
        shape.resize(SHAPE_WORDS, 0);
        draft.push(SHAPE_SECTION, SectionData::U32(shape));
        draft.push(LINKS_SECTION, SectionData::U32(self.links));
        draft.push(UPPER_SECTION, SectionData::U32(self.upper));
        draft.push(UPPER_LINKS_SECTION, SectionData::U32(self.upper_links));
    }
}

/// Links per record of the lowest layer: twice M, in whole cache lines.
pub(super) fn lowest_stride(m: usize) -> usize {
    (2 * m).next_multiple_of(LINE_LINKS)
}
