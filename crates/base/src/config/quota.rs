//! Keys of quotas and limits.

use std::time::Duration;

use super::key::Unit;
use super::section::section;
use super::value::{Bytes, Limit, Rate};

section! {
    /// Quotas and limits. Rates that are -1 are unbounded.
    pub struct QuotaAndLimits {
        /// Whether any of them holds.
        "enabled" => enabled: bool = "true" .ignored();
        /// Whether every change of definitions is refused.
        "forceDenyAllDDL" => force_deny_all_ddl: bool = "false"
            .refused("changes of definitions can't be denied by settings yet: set it to false, and keep clients away from the port");
        /// How often rates are worked out anew.
        "quotaCenterCollectInterval" => quota_center_collect_interval: Duration = "3" .unit(Unit::Seconds) .range(0.1, 65536.0) .ignored();
    }
    sections {
        "limits" => limits: Limits;
        "ddl" => ddl: DdlRates;
        "indexRate" => index_rate: SimpleRate;
        "compactionRate" => compaction_rate: SimpleRate;
        "dml" => dml: DmlRates;
        "dql" => dql: DqlRates;
        "limitWriting" => limit_writing: LimitWriting;
        "limitReading" => limit_reading: LimitReading;
    }
}

section! {
    /// Numbers and sizes.
    pub struct Limits {
        /// Most collections.
        "maxCollectionNum" => max_collection_num: u64 = "65536" .reloads();
        /// Most collections of one database.
        "maxCollectionNumPerDB" => max_collection_num_per_db: u64 = "65536" .reloads();
        /// Largest insert.
        "maxInsertSize" => max_insert_size: Limit = "-1" .unit(Unit::Bytes) .ignored();
        /// Most query nodes of one resource group.
        "maxResourceGroupNumOfQueryNode" => max_resource_group_num_of_query_node: u32 = "1024" .ignored();
        /// Most rows of one group of a grouping search.
        "maxGroupSize" => max_group_size: u32 = "10" .ignored();
        /// Most results of one query vector.
        "topK" => top_k: u64 = "16384" .range(1.0, 1073741824.0) .reloads();
        /// Most query vectors of one search.
        "nq" => nq: u64 = "16384" .range(1.0, 1073741824.0) .reloads();
        /// Greatest offset plus limit.
        "maxQueryResultWindow" => max_query_result_window: u64 = "16384" .range(1.0, 1073741824.0) .reloads();
        /// Largest answer.
        "maxOutputSize" => max_output_size: Bytes = "104857600" .unit(Unit::Bytes) .reloads();
        /// `topK` where a collection asks for large answers.
        "largeTopK" => large_top_k: u64 = "1000000" .range(1.0, 1073741824.0) .ignored();
        /// Whether a delete by filter is bounded as a query is.
        "complexDeleteLimitEnable" => complex_delete_limit_enable: bool = "false" .ignored();
    }
}

section! {
    /// Rates of changes of definitions, for the cluster and (`db.…`) for one database.
    pub struct DdlRates {
        /// Whether they hold.
        "enabled" => enabled: bool = "false" .ignored();
        /// Creating, dropping, loading, releasing collections.
        "collectionRate" => collection_rate: Rate = "-1" .unit(Unit::PerSecond) .ignored();
        /// Creating, dropping, loading, releasing partitions.
        "partitionRate" => partition_rate: Rate = "-1" .unit(Unit::PerSecond) .ignored();
        /// The same as `collectionRate`, for one database.
        "db.collectionRate" => db_collection_rate: Rate = "-1" .unit(Unit::PerSecond) .ignored();
        /// The same as `partitionRate`, for one database.
        "db.partitionRate" => db_partition_rate: Rate = "-1" .unit(Unit::PerSecond) .ignored();
    }
}

section! {
    /// A rate of requests.
    pub struct SimpleRate {
        /// Whether it holds.
        "enabled" => enabled: bool = "false" .ignored();
        /// For the cluster.
        "max" => max: Rate = "-1" .unit(Unit::PerSecond) .ignored();
        /// For one database.
        "db.max" => db_max: Rate = "-1" .unit(Unit::PerSecond) .ignored();
        /// For one collection.
        "collection.max" => collection_max: Rate = "-1" .unit(Unit::PerSecond) .ignored();
    }
}

section! {
    /// Rates of writes.
    pub struct DmlRates {
        /// Whether they hold.
        "enabled" => enabled: bool = "false" .ignored();
    }
    sections {
        "insertRate" => insert_rate: ByteRates;
        "upsertRate" => upsert_rate: ByteRates;
        "deleteRate" => delete_rate: ByteRates;
        "bulkLoadRate" => bulk_load_rate: ByteRates;
    }
}

section! {
    /// Rates of bytes.
    pub struct ByteRates {
        /// For the cluster.
        "max" => max: Rate = "-1" .unit(Unit::MegabytesPerSecond) .ignored();
        /// For one database.
        "db.max" => db_max: Rate = "-1" .unit(Unit::MegabytesPerSecond) .ignored();
        /// For one collection.
        "collection.max" => collection_max: Rate = "-1" .unit(Unit::MegabytesPerSecond) .ignored();
        /// For one partition.
        "partition.max" => partition_max: Rate = "-1" .unit(Unit::MegabytesPerSecond) .ignored();
    }
}

section! {
    /// Rates of reads.
    pub struct DqlRates {
        /// Whether they hold.
        "enabled" => enabled: bool = "false" .ignored();
    }
    sections {
        "searchRate" => search_rate: Rates;
        "queryRate" => query_rate: Rates;
    }
}

section! {
    /// Rates of query vectors (searches) or requests (queries).
    pub struct Rates {
        /// For the cluster.
        "max" => max: Rate = "-1" .unit(Unit::PerSecond) .ignored();
        /// For one database.
        "db.max" => db_max: Rate = "-1" .unit(Unit::PerSecond) .ignored();
        /// For one collection.
        "collection.max" => collection_max: Rate = "-1" .unit(Unit::PerSecond) .ignored();
        /// For one partition.
        "partition.max" => partition_max: Rate = "-1" .unit(Unit::PerSecond) .ignored();
    }
}

section! {
    /// When writes are refused.
    pub struct LimitWriting {
        /// Whether every write is.
        "forceDeny" => force_deny: bool = "false"
            .refused("writes can't be denied by settings yet: set it to false, and keep clients away from the port");
    }
    sections {
        "diskProtection" => disk_protection: DiskProtection;
    }
}

section! {
    /// Writes are refused when objects take more than this.
    pub struct DiskProtection {
        /// Whether it holds.
        "enabled" => enabled: bool = "true" .ignored();
        /// For the cluster.
        "diskQuota" => disk_quota: Limit = "-1" .unit(Unit::Megabytes) .ignored();
        /// For one database.
        "diskQuotaPerDB" => disk_quota_per_db: Limit = "-1" .unit(Unit::Megabytes) .ignored();
        /// For one collection.
        "diskQuotaPerCollection" => disk_quota_per_collection: Limit = "-1" .unit(Unit::Megabytes) .ignored();
        /// For one partition.
        "diskQuotaPerPartition" => disk_quota_per_partition: Limit = "-1" .unit(Unit::Megabytes) .ignored();
    }
}

section! {
    /// When reads are refused.
    pub struct LimitReading {
        /// Whether every read is.
        "forceDeny" => force_deny: bool = "false"
            .refused("reads can't be denied by settings yet: set it to false, and keep clients away from the port");
    }
}
