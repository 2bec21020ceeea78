//! What every opened vector index has: its facts, its space, the norms and the row map; and what each checks before it
//! answers.

use kernel::{Neighbor, TopK};
use types::blob::Blob;
use types::buffer::Buffer;
use types::{Error, Result};

use crate::file::{Container, Draft, Header, SectionData};
use crate::scan::{Rows, Scan};
use crate::scorer::Scorer;
use crate::search::{Description, Hit, SearchOptions};
use crate::space::Space;
use crate::vectors::{VectorRows, Vectors};

/// Segment row of each vector; absent where both are the same.
const ROWS_SECTION: &str = "rows";
/// `1 / ‖v‖` of each vector; for COSINE only.
const NORMS_SECTION: &str = "norms";

#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) description: Description,
    pub(crate) space: Space,
    norms: Option<Buffer<f32>>,
    row_map: Option<Buffer<u32>>,
}

impl Opened {
    pub(crate) fn open(container: &Container, blob: &dyn Blob) -> Result<Self> {
        let header = container.header();
        let space = Space::new(header.metric);
        let norms = match space.needs_norms() {
            true => Some(container.required(blob, NORMS_SECTION, header.vectors)?),
            false => None,
        };
        let row_map = container.optional(blob, ROWS_SECTION, header.vectors)?;
        if row_map.is_none() && header.vectors != header.segment_rows {
            return Err(Error::corrupt(format!("index {}: rows without a vector, but no row map", blob.name())));
        }
        let description = Description {
            index_type: header.index_type.clone(),
            metric: header.metric,
            element: header.element,
            dim: header.dim,
            vectors: header.vectors,
            segment_rows: header.segment_rows,
            params: header.params.clone(),
            bytes: container.section_bytes(),
        };
        Ok(Self { description, space, norms, row_map })
    }

    /// Refuses what does not belong to this index: all of these are mistakes of the caller's code, not of a client.
    pub(crate) fn check(&self, query: Vectors<'_>, options: &SearchOptions<'_>) -> Result<()> {
        let Description { vectors, segment_rows, .. } = self.description;
        self.check_query(query)?;
        self.check_kind("column", options.rows.vectors)?;
        if options.rows.len() != vectors {
            return Err(Error::internal(format!("index of {vectors} vectors over a column of {}", options.rows.len())));
        }
        match options.filter {
            Some(filter) if filter.len() != segment_rows => {
                Err(Error::internal(format!("filter over {} rows for a segment of {segment_rows}", filter.len())))
            }
            _ => options.check_cancelled(),
        }
    }

    /// Refuses what is no single query of this index.
    pub(crate) fn check_query(&self, query: Vectors<'_>) -> Result<()> {
        if query.len() != 1 {
            return Err(Error::internal(format!("{} queries instead of one", query.len())));
        }
        self.check_kind("query", query)
    }

    fn check_kind(&self, what: &str, vectors: Vectors<'_>) -> Result<()> {
        let Description { element, dim, .. } = self.description;
        if vectors.element() == element && vectors.dim() == dim {
            return Ok(());
        }
        Err(Error::internal(format!("index of {dim} {element:?}, {what} of {} {:?}", vectors.dim(), vectors.element())))
    }

    pub(crate) fn scorer<'a>(&'a self, query: Vectors<'a>, rows: VectorRows<'a>) -> Scorer<'a> {
        Scorer::new(self.space, query, rows.vectors, self.norms.as_deref())
    }

    pub(crate) fn norms(&self) -> Option<&[f32]> {
        self.norms.as_deref()
    }

    pub(crate) fn rows<'a>(&'a self, options: &SearchOptions<'a>) -> Rows<'a> {
        let segment_rows = self.description.segment_rows;
        Rows { map: self.row_map.as_deref(), segment_rows, filter: options.filter }
    }

    pub(crate) fn scan<'a>(&'a self, options: &SearchOptions<'a>) -> Scan<'a> {
        Scan { rows: self.rows(options), slots: self.description.vectors, cancelled: options.cancelled }
    }

    /// How many rows the filter admits; rows without a vector may be among them.
    pub(crate) fn admitted(&self, options: &SearchOptions<'_>) -> usize {
        match options.filter {
            Some(filter) => self.space.kernels().bits().count(filter.words()) as usize,
            None => self.description.vectors,
        }
    }

    /// The k nearest of all matching rows; returns the number of distances.
    pub(crate) fn scan_top(&self, scorer: &Scorer<'_>, options: &SearchOptions<'_>, top: &mut TopK, hits: &mut Vec<Hit>) -> Result<u64> {
        top.reset(options.k);
        let distances = self.scan(options).collect(scorer, top)?;
        append(top.sorted(), self.rows(options), hits);
        Ok(distances)
    }
}

/// Neighbours by slot as hits by row.
pub(crate) fn append(neighbors: &[Neighbor], rows: Rows<'_>, hits: &mut Vec<Hit>) {
    hits.extend(neighbors.iter().map(|neighbor| Hit { row: rows.row(neighbor.id()), distance: neighbor.distance() }));
}

/// Starts a container for a column: header, row map, and the norms that [`inverse_norms`] gave.
pub(crate) fn draft(index_type: &str, space: Space, rows: VectorRows<'_>, norms: Option<Vec<f32>>, params: String) -> Draft {
    let header = Header {
        index_type: index_type.to_owned(),
        metric: space.metric(),
        element: rows.vectors.element(),
        dim: rows.dim(),
        vectors: rows.len(),
        segment_rows: rows.segment_rows,
        params,
    };
    let mut draft = Draft::new(header);
    if let Some(map) = rows.row_map {
        draft.push(ROWS_SECTION, SectionData::U32(map.to_vec()));
    }
    if let Some(norms) = norms {
        draft.push(NORMS_SECTION, SectionData::F32(norms));
    }
    draft
}

/// The inverse norms that a metric needs; `None` for the others.
pub(crate) fn inverse_norms(space: Space, vectors: Vectors<'_>) -> Option<Vec<f32>> {
    space.needs_norms().then(|| (0..vectors.len() as u32).map(|slot| space.inverse_norm(vectors, slot)).collect())
}
