//! Numbers that bound what a request or a record may be. Those that an operator may change are defaults of a config key, named here.

/// Top-k, limit, nq, and offset + limit (`quotaAndLimits.limits.topK`, `nq`, `maxQueryResultWindow`).
pub const QUERY_WINDOW_MAX: i64 = 16_384;
/// Bytes of a name of any kind (`proxy.maxNameLength`).
pub const NAME_BYTES_MAX: usize = 255;
/// Fields of a collection (`proxy.maxFieldNum`).
pub const FIELDS_MAX: usize = 256;
/// Vector fields of a collection (`proxy.maxVectorFieldNum`).
pub const VECTOR_FIELDS_MAX: usize = 10;
/// Shards of a collection (`proxy.maxShardNum`).
pub const SHARDS_MAX: i32 = 16;
/// Dimensions of a float vector (`proxy.maxDimension`).
pub const DIMENSION_MAX: i64 = 32_768;
/// Bits of a binary vector: eight times what other vectors may have.
pub const BINARY_DIMENSION_MAX: i64 = 8 * DIMENSION_MAX;
/// Bytes of a varchar value that a schema may allow (`proxy.maxVarCharLength`).
pub const VARCHAR_BYTES_MAX: i64 = 65_535;
/// Bytes of one value of variable length, as storage keeps it: bounds what reading one row may cost.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// Elements of an array that a schema may allow (`proxy.maxArrayCapacity`).
pub const ARRAY_CAPACITY_MAX: i64 = 4_096;
/// Bytes of a JSON value (`common.JSONMaxLength`).
pub const JSON_BYTES_MAX: usize = 65_536;
/// Bytes of a collection's description (`proxy.maxCollectionDescriptionLength`).
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// Partitions of a collection (`rootCoord.maxPartitionNum`).
pub const PARTITIONS_MAX: usize = 1_024;
/// Partitions of a collection with a partition key when the client names no number.
pub const PARTITION_KEY_PARTITIONS: i64 = 16;
/// Bytes of a search's or query's answer (`quotaAndLimits.limits.maxOutputSize`).
pub const OUTPUT_BYTES_MAX: usize = 104_857_600;
/// Requests of one writer that may wait for an answer on one channel.
pub const WRITER_IN_FLIGHT_MAX: usize = 1_024;
/// Bytes of one write to one shard: bounds what a set of parts may grow to while it is put together.
pub const WRITE_BYTES_MAX: usize = 512 << 20;
/// Parts of one write.
pub const PARTS_MAX: u16 = u16::MAX;
