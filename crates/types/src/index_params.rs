//! What an index is, apart from its bytes: type, metric, parameters.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{FieldId, IndexId};
use crate::time::Timestamp;

/// How near two vectors are. Scores are as clients see them; see each variant for their direction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Metric {
    /// Squared Euclidean distance; smaller is nearer.
    L2,
    /// Inner product; greater is nearer.
    Ip,
    /// Cosine of the angle, -1 … 1; greater is nearer. With a zero vector: 0.
    Cosine,
    /// Bits that differ; smaller is nearer.
    Hamming,
    /// Part of all bits that are in one vector only, 0 … 1; smaller is nearer.
    Jaccard,
    /// Whether the row's bits are all in the query: 0 for such rows, and no others match.
    Substructure,
    /// Whether the query's bits are all in the row: 0 for such rows, and no others match.
    Superstructure,
}

impl Metric {
    const ALL: [Self; 7] = [Self::L2, Self::Ip, Self::Cosine, Self::Hamming, Self::Jaccard, Self::Substructure, Self::Superstructure];

    /// Milvus's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "L2",
            Self::Ip => "IP",
            Self::Cosine => "COSINE",
            Self::Hamming => "HAMMING",
            Self::Jaccard => "JACCARD",
            Self::Substructure => "SUBSTRUCTURE",
            Self::Superstructure => "SUPERSTRUCTURE",
        }
    }

    /// The metric with this name, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name().eq_ignore_ascii_case(name))
    }

    /// Whether a greater score is nearer.
    pub fn descending(self) -> bool {
        matches!(self, Self::Ip | Self::Cosine)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An index definition of a field, as meta holds it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct IndexDefinition {
    /// Never used again.
    pub id: IndexId,
    /// Unique in the collection.
    pub name: String,
    /// The field that it indexes.
    pub field: FieldId,
    /// Milvus's name of the type: such as `HNSW`, `IVF_FLAT`, `AUTOINDEX`.
    pub index_type: String,
    /// Of vector indexes.
    pub metric: Option<Metric>,
    /// Build parameters, validated: `M`, `efConstruction`, `nlist`.
    pub params: BTreeMap<String, String>,
    /// The client's parameters as sent, to be given back by DescribeIndex.
    pub user_params: Vec<(String, String)>,
    /// When it was defined.
    pub created: Timestamp,
}
