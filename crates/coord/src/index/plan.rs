//! Which segment lacks which index, and how far an index is: pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use role::index::IndexStatus;
use store::manifest::{Manifest, Segment};
use types::id::{IndexId, SegmentId};
use types::index_params::IndexDefinition;
use types::{Error, Result};

/// Builds that are to be done for a shard, largest segments first: they make the most searches faster.
pub fn missing<'a>(manifest: &Manifest, definitions: &'a [IndexDefinition], rows_min: u64) -> Vec<(SegmentId, &'a IndexDefinition)> {
    let mut missing: Vec<(&Segment, &IndexDefinition)> = Vec::new();
    for segment in &manifest.segments {
        let lacks = |definition: &&IndexDefinition| segment.index(definition.id).is_none() && !is_small(segment, rows_min);
        missing.extend(definitions.iter().filter(lacks).map(|definition| (segment, definition)));
    }
    missing.sort_by_key(|(segment, definition)| (std::cmp::Reverse(segment.rows), segment.id, definition.id));
    missing.into_iter().map(|(segment, definition)| (segment.id, definition)).collect()
}

/// Scanning so few rows is as fast.
fn is_small(segment: &Segment, rows_min: u64) -> bool {
    u64::from(segment.rows) < rows_min
}

/// How far a definition is built.
pub fn status(
    manifests: &[Arc<Manifest>],
    definition: IndexDefinition,
    rows_min: u64,
    failures: &BTreeMap<IndexId, String>,
) -> IndexStatus {
    let segments = || manifests.iter().flat_map(|manifest| &manifest.segments);
    let total_rows = segments().map(|segment| u64::from(segment.rows)).sum();
    let done = segments().filter(|segment| segment.index(definition.id).is_some() || is_small(segment, rows_min));
    let indexed_rows = done.map(|segment| u64::from(segment.rows)).sum();
    IndexStatus { failure: failures.get(&definition.id).cloned(), definition, total_rows, indexed_rows }
}

/// Whether the same definition is there.
///
/// # Errors
/// Milvus's texts where another one is in its way.
pub fn is_known(there: &[IndexDefinition], wanted: &IndexDefinition) -> Result<bool> {
    let distinct = || Error::invalid("at most one distinct index is allowed per field");
    for definition in there {
        if definition.field == wanted.field {
            if definition.name != wanted.name {
                return Err(Error::invalid("CreateIndex failed: creating multiple indexes on same field is not supported"));
            }
            let same =
                definition.index_type == wanted.index_type && definition.metric == wanted.metric && definition.params == wanted.params;
            return if same { Ok(true) } else { Err(distinct()) };
        }
        if definition.name == wanted.name {
            return Err(distinct());
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use types::id::FieldId;
    use types::index_params::Metric;
    use types::time::Timestamp;

    use super::*;

    fn definition(name: &str, field: i64, kind: &str) -> IndexDefinition {
        IndexDefinition {
            id: IndexId(1),
            name: name.to_owned(),
            field: FieldId(field),
            index_type: kind.to_owned(),
            metric: Some(Metric::L2),
            params: BTreeMap::new(),
            user_params: Vec::new(),
            created: Timestamp::ZERO,
        }
    }

    #[test]
    fn one_definition_for_a_field_and_for_a_name() {
        let there = [definition("a", 101, "FLAT")];
        let check = |wanted, expected: Result<bool, &str>| {
            let found = is_known(&there, &wanted);
            assert_eq!(found.as_ref().map_err(|error| error.reason()), expected.as_ref().map_err(|text| *text));
        };
        check(definition("a", 101, "FLAT"), Ok(true));
        check(definition("b", 102, "FLAT"), Ok(false));
        check(definition("a", 101, "HNSW"), Err("at most one distinct index is allowed per field: invalid parameter"));
        check(definition("a", 102, "FLAT"), Err("at most one distinct index is allowed per field: invalid parameter"));
        check(
            definition("b", 101, "FLAT"),
            Err("CreateIndex failed: creating multiple indexes on same field is not supported: invalid parameter"),
        );
    }
}
