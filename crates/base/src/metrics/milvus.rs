//! Milvus's metrics: its names, labels and buckets, so that its dashboards and alerts read ours.
//!
//! One table: what this version feeds, and nothing else, as a metric that never moves lies. `status` of a request is `total` when it comes and `success`, `fail`, … when it ends: operators alert on the two.
//! Latencies are milliseconds. Invariants (tested): every name begins with `milvus_` and stands here once.

use super::{Counter, Gauge, Histogram, LATENCY_BUCKETS, LONG_TASK_BUCKETS, Metric};

const NODE: &str = "node_id";
const FUNCTION: &str = "function_name";
const STATUS: &str = "status";
const CAUSE: &str = "cause";
const DATABASE: &str = "db_name";
const COLLECTION: &str = "collection_name";
const COLLECTION_ID: &str = "collection_id";
const QUERY_TYPE: &str = "query_type";
const MESSAGE_TYPE: &str = "msg_type";
const SEGMENT_STATE: &str = "segment_state";

macro_rules! kind {
    (counter) => {
        Counter
    };
    (gauge) => {
        Gauge
    };
    (histogram) => {
        Histogram
    };
}

/// Declares the constants and, from the same rows, [`TABLE`].
macro_rules! metrics {
    ($($kind:ident $constant:ident [$($label:expr),*] $name:literal, $help:literal $(, $buckets:expr)?;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric<kind!($kind), { [$($label,)* ""].len() - 1 }> =
                Metric::$kind($name, $help, [$($label),*] $(, $buckets)?);
        )*

        /// Every metric: name, labels, and what it says.
        pub const TABLE: &[(&str, &[&str], &str)] = &[$(($name, &[$($label),*], $help)),*];
    };
}

metrics! {
    // Every process.
    gauge NUM_NODE [NODE, "role_name"] "milvus_num_node", "Nodes and coordinators that run.";
    gauge BUILD_INFO ["version", "built", "git_commit"] "milvus_build_info", "What is running; always 1.";
    gauge RUNTIME_INFO ["mq", "meta"] "milvus_runtime_info", "Which log and metadata store are in use; always 1.";
    // Proxy.
    counter PROXY_REQ_COUNT [NODE, FUNCTION, STATUS, CAUSE, DATABASE, COLLECTION]
        "milvus_proxy_req_count", "Requests by outcome: `total`, and one of `success`, `fail`, `abandon`, `rejected`.";
    histogram PROXY_REQ_LATENCY [NODE, FUNCTION] "milvus_proxy_req_latency", "Milliseconds of each request.", LATENCY_BUCKETS;
    histogram PROXY_SQ_LATENCY [NODE, QUERY_TYPE, DATABASE, COLLECTION]
        "milvus_proxy_sq_latency", "Milliseconds of successful searches and queries.", LATENCY_BUCKETS;
    histogram PROXY_COLLECTION_SQ_LATENCY [NODE, QUERY_TYPE, DATABASE, COLLECTION]
        "milvus_proxy_collection_sq_latency", "Milliseconds of successful searches and queries, per collection.", LATENCY_BUCKETS;
    histogram PROXY_MUTATION_LATENCY [NODE, MESSAGE_TYPE, DATABASE, COLLECTION]
        "milvus_proxy_mutation_latency", "Milliseconds of successful writes: inserts, upserts, deletes.", LATENCY_BUCKETS;
    histogram PROXY_COLLECTION_MUTATION_LATENCY [NODE, MESSAGE_TYPE, DATABASE, COLLECTION]
        "milvus_proxy_collection_mutation_latency", "Milliseconds of successful writes, per collection.", LATENCY_BUCKETS;
    counter PROXY_RECEIVED_NQ [NODE, QUERY_TYPE, DATABASE, COLLECTION] "milvus_proxy_received_nq", "Query vectors received.";
    counter PROXY_SEARCH_VECTORS_COUNT [NODE, DATABASE, COLLECTION]
        "milvus_proxy_search_vectors_count", "Query vectors searched with success.";
    counter PROXY_INSERT_VECTORS_COUNT [NODE, DATABASE, COLLECTION] "milvus_proxy_insert_vectors_count", "Rows inserted.";
    counter PROXY_UPSERT_VECTORS_COUNT [NODE, DATABASE, COLLECTION] "milvus_proxy_upsert_vectors_count", "Rows upserted.";
    counter PROXY_DELETE_VECTORS_COUNT [NODE, DATABASE, COLLECTION] "milvus_proxy_delete_vectors_count", "Rows deleted.";
    histogram PROXY_SQ_WAIT_RESULT_LATENCY [NODE, QUERY_TYPE]
        "milvus_proxy_sq_wait_result_latency", "Milliseconds in which the proxy waited for shards.", LATENCY_BUCKETS;
    histogram PROXY_SQ_REDUCE_RESULT_LATENCY [NODE, QUERY_TYPE]
        "milvus_proxy_sq_reduce_result_latency", "Milliseconds of merging the shards' answers.", LATENCY_BUCKETS;
    histogram PROXY_MUTATION_SEND_LATENCY [NODE, MESSAGE_TYPE]
        "milvus_proxy_mutation_send_latency", "Milliseconds until the log held a write.", LATENCY_BUCKETS;
    counter PROXY_CACHE_HIT_COUNT [NODE, "cache_name", "cache_state"]
        "milvus_proxy_cache_hit_count", "Look-ups in the proxy's caches: `hit` or `miss`.";
    histogram PROXY_CACHE_UPDATE_LATENCY [NODE, "cache_name"]
        "milvus_proxy_cache_update_latency", "Milliseconds of filling a cache after a miss.", LATENCY_BUCKETS;
    counter PROXY_RECEIVE_BYTES_COUNT [NODE, MESSAGE_TYPE, DATABASE, COLLECTION] "milvus_proxy_receive_bytes_count", "Bytes of requests.";
    counter PROXY_SEND_BYTES_COUNT [NODE] "milvus_proxy_send_bytes_count", "Bytes of answers.";
    counter PROXY_SLOW_QUERY_COUNT [NODE, MESSAGE_TYPE]
        "milvus_proxy_slow_query_count", "Requests slower than `proxy.slowQuerySpanInSeconds`.";
    // Root coordinator.
    gauge ROOTCOORD_PROXY_NUM [] "milvus_rootcoord_proxy_num", "Proxies that are registered.";
    gauge ROOTCOORD_DATABASE_NUM [] "milvus_rootcoord_database_num", "Databases.";
    gauge ROOTCOORD_COLLECTION_NUM [DATABASE] "milvus_rootcoord_collection_num", "Collections.";
    gauge ROOTCOORD_PARTITION_NUM [] "milvus_rootcoord_partition_num", "Partitions.";
    gauge ROOTCOORD_DML_CHANNEL_NUM [] "milvus_rootcoord_dml_channel_num", "Physical channels.";
    counter ROOTCOORD_DDL_REQ_COUNT [FUNCTION, STATUS] "milvus_rootcoord_ddl_req_count", "Changes of definitions, by outcome.";
    histogram ROOTCOORD_DDL_REQ_LATENCY [FUNCTION]
        "milvus_rootcoord_ddl_req_latency", "Milliseconds of changes of definitions.", LATENCY_BUCKETS;
    gauge ROOTCOORD_ENTITY_NUM [DATABASE, COLLECTION, STATUS] "milvus_rootcoord_entity_num", "Rows: `total` and `loaded`.";
    gauge ROOTCOORD_INDEXED_ENTITY_NUM [DATABASE, COLLECTION, "index_name", "is_vector_index"]
        "milvus_rootcoord_indexed_entity_num", "Rows that an index holds.";
    // Data coordinator.
    gauge DATACOORD_SEGMENT_NUM [SEGMENT_STATE, "segment_level", "segment_is_sorted"] "milvus_datacoord_segment_num", "Segments.";
    gauge DATACOORD_STORED_ROWS_NUM [DATABASE, COLLECTION_ID, COLLECTION, SEGMENT_STATE]
        "milvus_datacoord_stored_rows_num", "Rows in segments.";
    gauge DATACOORD_STORED_BINLOG_SIZE [DATABASE, COLLECTION_ID, SEGMENT_STATE] "milvus_datacoord_stored_binlog_size", "Bytes of segments.";
    gauge DATACOORD_STORED_INDEX_FILES_SIZE [DATABASE, COLLECTION, COLLECTION_ID]
        "milvus_datacoord_stored_index_files_size", "Bytes of indexes.";
    counter DATACOORD_INDEX_REQ_COUNT [STATUS] "milvus_datacoord_index_req_count", "Requests to create an index.";
    // Data node.
    counter DATANODE_FLUSHED_DATA_SIZE [NODE, "data_source", "segment_level"] "milvus_datanode_flushed_data_size", "Bytes flushed.";
    counter DATANODE_FLUSH_REQ_COUNT [NODE, STATUS] "milvus_datanode_flush_req_count", "Flushes, by outcome.";
    // Query coordinator.
    gauge QUERYCOORD_COLLECTION_NUM [] "milvus_querycoord_collection_num", "Collections that are loaded.";
    gauge QUERYCOORD_QUERYNODE_NUM [] "milvus_querycoord_querynode_num", "Query nodes that are registered.";
    counter QUERYCOORD_LOAD_REQ_COUNT [STATUS] "milvus_querycoord_load_req_count", "Requests to load, by outcome.";
    counter QUERYCOORD_RELEASE_REQ_COUNT [STATUS] "milvus_querycoord_release_req_count", "Requests to release, by outcome.";
    // Query node.
    counter QUERYNODE_SQ_REQ_COUNT [NODE, QUERY_TYPE, STATUS, "scope", COLLECTION_ID]
        "milvus_querynode_sq_req_count", "Searches and queries, by outcome.";
    histogram QUERYNODE_SQ_REQ_LATENCY [NODE, QUERY_TYPE, "scope"]
        "milvus_querynode_sq_req_latency", "Milliseconds of searches and queries.", LATENCY_BUCKETS;
    histogram QUERYNODE_SQ_WAIT_TSAFE_LATENCY [NODE, QUERY_TYPE]
        "milvus_querynode_sq_wait_tsafe_latency", "Milliseconds in which they waited for the log to be applied.", LATENCY_BUCKETS;
    histogram QUERYNODE_SQ_CORE_LATENCY [NODE, QUERY_TYPE]
        "milvus_querynode_sq_core_latency", "Milliseconds of computing.", LATENCY_BUCKETS;
    gauge QUERYNODE_SEGMENT_NUM [NODE, COLLECTION_ID, SEGMENT_STATE, "segment_level"]
        "milvus_querynode_segment_num", "Segments that are loaded.";
    gauge QUERYNODE_ENTITY_NUM [DATABASE, COLLECTION, NODE, COLLECTION_ID, SEGMENT_STATE]
        "milvus_querynode_entity_num", "Rows in memory and in loaded segments, deleted ones included.";
    gauge QUERYNODE_ENTITY_SIZE [NODE, COLLECTION_ID, SEGMENT_STATE] "milvus_querynode_entity_size", "Bytes of memory that growing rows take.";
    gauge QUERYNODE_COLLECTION_NUM [NODE] "milvus_querynode_collection_num", "Collections that are loaded.";
    histogram QUERYNODE_SEARCH_NQ [NODE] "milvus_querynode_search_nq", "Query vectors per search.", LATENCY_BUCKETS;
    histogram QUERYNODE_SEARCH_TOPK [NODE] "milvus_querynode_search_topk", "Results asked for per search.", LATENCY_BUCKETS;
    // Index node.
    counter INDEXNODE_INDEX_TASK_COUNT [NODE, STATUS] "milvus_indexnode_index_task_count", "Index builds, by outcome.";
    histogram INDEXNODE_BUILD_INDEX_LATENCY [NODE]
        "milvus_indexnode_build_index_latency", "Milliseconds of building an index, reading and writing included.", LONG_TASK_BUCKETS;
    histogram INDEXNODE_KNOWHERE_BUILD_INDEX_LATENCY [NODE]
        "milvus_indexnode_knowhere_build_index_latency", "Milliseconds of computing an index.", LONG_TASK_BUCKETS;
    histogram INDEXNODE_SAVE_INDEX_LATENCY [NODE]
        "milvus_indexnode_save_index_latency", "Milliseconds of writing an index.", LATENCY_BUCKETS;
    // Objects, metadata and log.
    counter STORAGE_OP_COUNT ["persistent_data_op_type", STATUS] "milvus_storage_op_count", "Operations on the object store.";
    histogram STORAGE_REQUEST_LATENCY ["persistent_data_op_type"]
        "milvus_storage_request_latency", "Milliseconds of operations on the object store.", LATENCY_BUCKETS;
    histogram STORAGE_KV_SIZE ["persistent_data_op_type"]
        "milvus_storage_kv_size", "Bytes per operation on the object store.", LATENCY_BUCKETS;
    counter META_OP_COUNT ["meta_op_type", STATUS] "milvus_meta_op_count", "Operations on the metadata store.";
    histogram META_REQUEST_LATENCY ["meta_op_type"]
        "milvus_meta_request_latency", "Milliseconds of operations on the metadata store.", LATENCY_BUCKETS;
    histogram META_KV_SIZE ["meta_op_type"] "milvus_meta_kv_size", "Bytes per operation on the metadata store.", LATENCY_BUCKETS;
    counter MSGSTREAM_OP_COUNT ["message_op_type", STATUS] "milvus_msgstream_op_count", "Operations on the log.";
    histogram MSGSTREAM_REQUEST_LATENCY ["message_op_type"]
        "milvus_msgstream_request_latency", "Milliseconds of operations on the log.", LATENCY_BUCKETS;
}
