//! What an operator may bound: defaults of config keys under `proxy.`, `rootCoord.`, `common.` and `quotaAndLimits.limits.`.

use types::limits;

/// The bounds of requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a name (`proxy.maxNameLength`).
    pub name_bytes: usize,
    /// Fields of a collection (`proxy.maxFieldNum`).
    pub fields: usize,
    /// Vector fields of a collection (`proxy.maxVectorFieldNum`).
    pub vector_fields: usize,
    /// Shards of a collection (`proxy.maxShardNum`).
    pub shards: i32,
    /// Dimensions of a float vector (`proxy.maxDimension`).
    pub dimension: i64,
    /// Elements that a schema may allow an array (`proxy.maxArrayCapacity`).
    pub array_capacity: i64,
    /// Bytes that a schema may allow a text (`proxy.maxVarCharLength`).
    pub varchar_bytes: i64,
    /// Bytes of a JSON value (`common.JSONMaxLength`).
    pub json_bytes: usize,
    /// Bytes of a collection's description (`proxy.maxCollectionDescriptionLength`).
    pub description_bytes: usize,
    /// Partitions of a collection (`rootCoord.maxPartitionNum`).
    pub partitions: usize,
    /// Limit and offset of a search, each and together (`quotaAndLimits.limits.topK`).
    pub top_k: i64,
    /// Vectors of a search (`quotaAndLimits.limits.nq`).
    pub queries: i64,
    /// Limit and offset of a query together (`quotaAndLimits.limits.maxQueryResultWindow`).
    pub query_window: i64,
    /// Bytes of an answer (`quotaAndLimits.limits.maxOutputSize`).
    pub output_bytes: usize,
    /// Bytes of the parameters of an index (`proxy.maxIndexParamsSize`).
    pub index_params_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            name_bytes: limits::NAME_BYTES_MAX,
            fields: limits::FIELDS_MAX,
            vector_fields: limits::VECTOR_FIELDS_MAX,
            shards: limits::SHARDS_MAX,
            dimension: limits::DIMENSION_MAX,
            array_capacity: limits::ARRAY_CAPACITY_MAX,
            varchar_bytes: limits::VARCHAR_BYTES_MAX,
            json_bytes: limits::JSON_BYTES_MAX,
            description_bytes: limits::DESCRIPTION_BYTES_MAX,
            partitions: limits::PARTITIONS_MAX,
            top_k: limits::QUERY_WINDOW_MAX,
            queries: limits::QUERY_WINDOW_MAX,
            query_window: limits::QUERY_WINDOW_MAX,
            output_bytes: limits::OUTPUT_BYTES_MAX,
            index_params_bytes: 102_400,
        }
    }
}
