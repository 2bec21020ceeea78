//! Keys of coordinators and nodes.

use std::time::Duration;

use super::external::with_port;
use super::key::Unit;
use super::section::section;
use super::value::Bytes;

section! {
    /// Sizes of messages between roles.
    pub struct RoleGrpc {
        /// Largest answer.
        "serverMaxSendSize" => server_max_send_size: Bytes = "536870912" .unit(Unit::Bytes) .old(&["grpc.serverMaxSendSize"]) .ignored();
        /// Largest request.
        "serverMaxRecvSize" => server_max_recv_size: Bytes = "268435456" .unit(Unit::Bytes) .old(&["grpc.serverMaxRecvSize"]) .ignored();
        /// Largest request to this role.
        "clientMaxSendSize" => client_max_send_size: Bytes = "268435456" .unit(Unit::Bytes) .old(&["grpc.clientMaxSendSize"]) .ignored();
        /// Largest answer of this role.
        "clientMaxRecvSize" => client_max_recv_size: Bytes = "536870912" .unit(Unit::Bytes) .old(&["grpc.clientMaxRecvSize"]) .ignored();
    }
}

section! {
    /// The four coordinators in one process.
    pub struct MixCoord {
        /// Whether a second one waits for the first to go; the same key of a single coordinator holds for that one.
        "enableActiveStandby" => enable_active_standby: bool = "false" .ignored();
    }
}

section! {
    /// Names, schemas, ids, timestamps, users.
    pub struct RootCoord {
        /// Address to listen on; empty is every one.
        "ip" => ip: Option<String> = "";
        /// Host, or `host:port`, under which the other roles reach it; empty finds one.
        "address" => address: Option<String> = "";
        /// Port for the other roles.
        "port" => port: u16 = "53100";
        /// Whether a second one waits for the first to go.
        "enableActiveStandby" => enable_active_standby: bool = "false" .ignored();
        /// How long a stop waits for what is under way.
        "gracefulStopTimeout" => graceful_stop_timeout: Duration = "5" .unit(Unit::Seconds) .ignored();
        /// Physical channels (topics) that all collections share. Fixed when a cluster starts first.
        "dmlChannelNum" => dml_channel_num: u32 = "16" .range(1.0, 4096.0);
        /// Most partitions of a collection.
        "maxPartitionNum" => max_partition_num: u32 = "1024" .range(1.0, 1048576.0) .reloads();
        /// Most databases.
        "maxDatabaseNum" => max_database_num: u32 = "64" .range(1.0, 1048576.0) .ignored();
        /// Most partitions times shards, over all collections.
        "maxGeneralCapacity" => max_general_capacity: u32 = "65536" .range(1.0, 100000000.0) .reloads();
        /// A segment with fewer rows gets no index.
        "minSegmentSizeToEnableIndex" => min_segment_size_to_enable_index: u64 = "1024" .reloads();
    }
    sections {
        "grpc" => grpc: RoleGrpc;
    }
}

section! {
    /// Which query node serves what.
    pub struct QueryCoord {
        /// Address to listen on; empty is every one.
        "ip" => ip: Option<String> = "";
        /// Host, or `host:port`, under which the other roles reach it; empty finds one.
        "address" => address: Option<String> = "";
        /// Port for the other roles.
        "port" => port: u16 = "19531";
        /// Whether a second one waits for the first to go.
        "enableActiveStandby" => enable_active_standby: bool = "false" .ignored();
        /// How long a stop waits for what is under way.
        "gracefulStopTimeout" => graceful_stop_timeout: Duration = "5" .unit(Unit::Seconds) .ignored();
        /// Whether shards and segments move between nodes by themselves.
        "autoBalance" => auto_balance: bool = "true" .ignored();
        /// Whether a node that stops hands over first.
        "enableStoppingBalance" => enable_stopping_balance: bool = "true" .ignored();
        /// A load without progress for so long has failed.
        "loadTimeoutSeconds" => load_timeout: Duration = "600" .unit(Unit::Seconds) .range(1.0, 86400.0) .ignored();
        /// A node that was silent for so long serves nothing new.
        "heartbeatAvailableInterval" => heartbeat_available_interval: Duration = "10000" .unit(Unit::Milliseconds) .ignored();
    }
    sections {
        "grpc" => grpc: RoleGrpc;
    }
}

section! {
    /// Shards, segments, flush, compaction, import, garbage.
    pub struct DataCoord {
        /// Address to listen on; empty is every one.
        "ip" => ip: Option<String> = "";
        /// Host, or `host:port`, under which the other roles reach it; empty finds one.
        "address" => address: Option<String> = "";
        /// Port for the other roles.
        "port" => port: u16 = "13333";
        /// Whether a second one waits for the first to go.
        "enableActiveStandby" => enable_active_standby: bool = "false" .ignored();
        /// How long a stop waits for what is under way.
        "gracefulStopTimeout" => graceful_stop_timeout: Duration = "5" .unit(Unit::Seconds) .ignored();
        /// Whether segments are compacted at all.
        "enableCompaction" => enable_compaction: bool = "true";
        /// Whether files that nothing needs are removed.
        "enableGarbageCollection" => enable_garbage_collection: bool = "true" .ignored();
    }
    sections {
        "segment" => segment: DataCoordSegment;
        "compaction" => compaction: DataCoordCompaction;
        "gc" => gc: DataCoordGc;
        "import" => import: DataCoordImport;
        "grpc" => grpc: RoleGrpc;
    }
}

section! {
    /// Sizes of segments.
    pub struct DataCoordSegment {
        /// A segment grows to this size by compaction.
        "maxSize" => max_size: Bytes = "1024" .unit(Unit::Megabytes) .range(1.0, 1048576.0);
        /// The same where a vector index is on disk.
        "diskSegmentMaxSize" => disk_segment_max_size: Bytes = "2048" .unit(Unit::Megabytes) .range(1.0, 1048576.0) .ignored();
    }
}

section! {
    /// Compaction.
    pub struct DataCoordCompaction {
        /// Whether it starts by itself.
        "enableAutoCompaction" => enable_auto_compaction: bool = "true";
    }
}

section! {
    /// Removal of files that nothing needs.
    pub struct DataCoordGc {
        /// How often it runs.
        "interval" => interval: Duration = "3600" .unit(Unit::Seconds) .range(1.0, 31536000.0) .ignored();
        /// How long a file stays after the last thing that needed it is gone. Commits refuse files older than half of it.
        "dropTolerance" => drop_tolerance: Duration = "10800" .unit(Unit::Seconds) .range(1.0, 31536000.0) .ignored();
    }
}

section! {
    /// Bulk imports.
    pub struct DataCoordImport {
        /// Most files of one import.
        "maxImportFileNumPerReq" => max_import_file_num_per_req: u32 = "1024" .range(1.0, 1048576.0) .ignored();
        /// Most imports that aren't done.
        "maxImportJobNum" => max_import_job_num: u32 = "1024" .range(1.0, 1048576.0) .ignored();
        /// Most bytes that one node imports at once.
        "maxSizeInMBPerImportTask" => max_size_per_import_task: Bytes = "16384" .unit(Unit::Megabytes) .range(1.0, 10485760.0) .ignored();
        /// How long an import that has ended can be asked about.
        "taskRetention" => task_retention: Duration = "10800" .unit(Unit::Seconds) .ignored();
        /// Whether an import is done only when its indexes are.
        "waitForIndex" => wait_for_index: bool = "true" .ignored();
    }
}

section! {
    /// Which segment needs which index; part of the data coordinator in newer Milvus.
    pub struct IndexCoord {
        /// Address to listen on; empty is every one.
        "ip" => ip: Option<String> = "";
        /// Host, or `host:port`, under which the other roles reach it; empty finds one.
        "address" => address: Option<String> = "";
        /// Port for the other roles.
        "port" => port: u16 = "31000";
        /// Whether a second one waits for the first to go.
        "enableActiveStandby" => enable_active_standby: bool = "false" .ignored();
    }
    sections {
        "grpc" => grpc: RoleGrpc;
    }
}

section! {
    /// Sequences its logs, writes segments, compacts, imports.
    pub struct DataNode {
        /// Address to listen on; empty is every one.
        "ip" => ip: Option<String> = "";
        /// Host, or `host:port`, under which the other roles reach it; empty finds one.
        "address" => address: Option<String> = "";
        /// Port for the other roles.
        "port" => port: u16 = "21124";
        /// How long a stop waits for what is under way.
        "gracefulStopTimeout" => graceful_stop_timeout: Duration = "1800" .unit(Unit::Seconds);
    }
    sections {
        "import" => import: DataNodeImport;
        "grpc" => grpc: RoleGrpc;
    }
}

section! {
    /// Imports on one node.
    pub struct DataNodeImport {
        /// Largest file of an import.
        "maxImportFileSizeInGB" => max_import_file_size: Bytes = "16" .unit(Unit::Gigabytes) .range(1.0, 10240.0)
            .old(&["common.ImportMaxFileSize"]) .ignored();
    }
}

section! {
    /// Answers searches and queries.
    pub struct QueryNode {
        /// Address to listen on; empty is every one.
        "ip" => ip: Option<String> = "";
        /// Host, or `host:port`, under which the other roles reach it; empty finds one.
        "address" => address: Option<String> = "";
        /// Port for the other roles.
        "port" => port: u16 = "21123";
        /// How long a stop waits for what is under way.
        "gracefulStopTimeout" => graceful_stop_timeout: Duration = "1800" .unit(Unit::Seconds) .ignored();
        /// Whether indexes on disk (DISKANN) are served.
        "enableDisk" => enable_disk: bool = "false" .ignored();
        /// The local disk is filled up to this part.
        "maxDiskUsagePercentage" => max_disk_usage_percentage: f64 = "95" .unit(Unit::Percent) .range(1.0, 100.0) .ignored();
        /// A load is admitted with this many times the memory that it is estimated to need.
        "loadMemoryUsageFactor" => load_memory_usage_factor: f64 = "1" .range(1.0, 100.0);
        /// What is served may take this part of the memory that the process may use; a load beyond it is refused.
        "overloadedMemoryThresholdPercentage" => overloaded_memory_threshold_percentage: f64 = "90" .unit(Unit::Percent) .range(1.0, 100.0);
    }
    sections {
        "mmap" => mmap: QueryNodeMmap;
        "cache" => cache: QueryNodeCache;
        "grpc" => grpc: RoleGrpc;
    }
}

section! {
    /// What is mapped from local files instead of being read into memory, where a collection says nothing.
    pub struct QueryNodeMmap {
        /// Raw vectors.
        "vectorField" => vector_field: bool = "true" .old(&["queryNode.mmap.mmapEnabled"]) .ignored();
        /// Vector indexes.
        "vectorIndex" => vector_index: bool = "false" .old(&["queryNode.mmap.mmapEnabled"]) .ignored();
        /// Scalar fields.
        "scalarField" => scalar_field: bool = "false" .old(&["queryNode.mmap.mmapEnabled"]) .ignored();
        /// Scalar indexes.
        "scalarIndex" => scalar_index: bool = "false" .old(&["queryNode.mmap.mmapEnabled"]) .ignored();
    }
}

section! {
    /// Decoded pages of what isn't mapped.
    pub struct QueryNodeCache {
        /// Most memory for them.
        "memoryLimit" => memory_limit: Bytes = "2147483648" .unit(Unit::Bytes) .ignored();
    }
}

section! {
    /// Builds indexes.
    pub struct IndexNode {
        /// Address to listen on; empty is every one.
        "ip" => ip: Option<String> = "";
        /// Host, or `host:port`, under which the other roles reach it; empty finds one.
        "address" => address: Option<String> = "";
        /// Port for the other roles.
        "port" => port: u16 = "21121";
        /// Whether indexes on disk (DISKANN) are built.
        "enableDisk" => enable_disk: bool = "true" .ignored();
        /// The local disk is filled up to this part.
        "maxDiskUsagePercentage" => max_disk_usage_percentage: f64 = "95" .unit(Unit::Percent) .range(1.0, 100.0) .ignored();
        /// How long a stop waits for what is under way.
        "gracefulStopTimeout" => graceful_stop_timeout: Duration = "30" .unit(Unit::Seconds) .ignored();
    }
    sections {
        "grpc" => grpc: RoleGrpc;
    }
}

section! {
    /// Milvus's role between proxy and log. Here the data node has its work; a process started as one is a data node.
    pub struct StreamingNode {
        /// Address to listen on; empty is every one.
        "ip" => ip: Option<String> = "" .ignored();
        /// Host, or `host:port`, under which the other roles reach it; empty finds one.
        "address" => address: Option<String> = "" .ignored();
        /// Port for the other roles.
        "port" => port: u16 = "22222" .ignored();
    }
    sections {
        "grpc" => grpc: RoleGrpc;
    }
}

macro_rules! reached {
    ($($role:ty),*) => {$(
        impl $role {
            /// `host:port` under which the settings say that the role is reached; `None` if they name no host.
            pub fn advertised(&self) -> Option<String> {
                self.address.as_deref().or(self.ip.as_deref()).map(|host| with_port(host, self.port))
            }
        }
    )*};
}

reached!(RootCoord, QueryCoord, DataCoord, IndexCoord, DataNode, QueryNode, IndexNode, StreamingNode);
