//! Keys of our own, under `elanus.`: what Milvus has no key for.

use std::time::Duration;

use super::key::Unit;
use super::section::section;
use super::value::{Bytes, Choice};

/// What clients are told about the deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeployMode {
    /// One process.
    Standalone,
    /// Several.
    Distributed,
}

impl DeployMode {
    /// Milvus's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standalone => "STANDALONE",
            Self::Distributed => "DISTRIBUTED",
        }
    }
}

impl Choice for DeployMode {
    const CHOICES: &'static [(&'static str, Self)] = &[("STANDALONE", Self::Standalone), ("DISTRIBUTED", Self::Distributed)];
}

section! {
    /// What Milvus has no key for.
    pub struct Elanus {
        /// Port of health checks, metrics and the console.
        "metricsPort" => metrics_port: u16 = "9091" .variable("METRICS_PORT");
        /// What clients are told about the deployment; empty is what it is.
        "deployMode" => deploy_mode: Option<DeployMode> = "" .variable("DEPLOY_MODE");
        /// The version that clients are told. SDKs decide by it what they may use.
        "buildTag" => build_tag: String = "v3.0.1" .variable("MILVUS_GIT_BUILD_TAGS");
        /// The time of the build that clients are told.
        "buildTime" => build_time: String = "" .variable("MILVUS_BUILD_TIME");
        /// The version of Go that clients are told: some SDKs show it.
        "goVersion" => go_version: String = "" .variable("MILVUS_USED_GO_VERSION") .ignored();
        /// Whether `num_entities` leaves out deleted rows, as count(*) does. Milvus counts them until compaction.
        "exactStats" => exact_stats: bool = "false" .ignored();
        /// Whether a search of a collection that isn't loaded loads it.
        "autoLoad" => auto_load: bool = "false" .ignored();
        /// Whether an insert of a key that is there replaces its row. Milvus keeps both. The same on every node.
        "uniqueKey" => unique_key: bool = "false" .ignored();
        /// How often files of settings are read again.
        "reloadInterval" => reload_interval: Duration = "5" .unit(Unit::Seconds) .range(0.1, 86400.0);
        /// Dead and expired rows stay readable by snapshots for this time.
        "snapshotHorizon" => snapshot_horizon: Duration = "600" .unit(Unit::Seconds) .range(0.0, 31536000.0);
        /// Files of failed attempts are removed after this time.
        "orphanAge" => orphan_age: Duration = "24" .unit(Unit::Hours) .range(0.1, 8760.0) .ignored();
    }
    sections {
        "flush" => flush: ElanusFlush;
        "log" => log: ElanusLog;
        "cache" => cache: ElanusCache;
        "lease" => lease: ElanusLease;
        "memory" => memory: ElanusMemory;
    }
}

section! {
    /// When rows go from memory to segments. There is no flush by age.
    pub struct ElanusFlush {
        /// A shard with this much in memory is flushed.
        "shardBytes" => shard_bytes: Bytes = "64" .unit(Unit::Megabytes) .range(1.0, 16384.0) .reloads();
        /// A shard with this much in memory may be flushed while the node is idle.
        "idleShardBytes" => idle_shard_bytes: Bytes = "16" .unit(Unit::Megabytes) .range(1.0, 16384.0) .ignored();
        /// With more of the log than this above its checkpoint, the shards that hold the checkpoint back are flushed. It bounds
        /// how long a restart takes.
        "logBytes" => log_bytes: Bytes = "256" .unit(Unit::Megabytes) .range(1.0, 1048576.0);
        /// While flushes can't be committed, a node takes writes up to this much in memory.
        "unflushedBytes" => unflushed_bytes: Bytes = "1024" .unit(Unit::Megabytes) .range(1.0, 1048576.0);
    }
}

section! {
    /// The embedded log.
    pub struct ElanusLog {
        /// Size of one file.
        "fileBytes" => file_bytes: Bytes = "64" .unit(Unit::Megabytes) .range(1.0, 2048.0);
    }
}

section! {
    /// Files of an object store that lies elsewhere, kept on the local disk.
    pub struct ElanusCache {
        /// The most of them. What is being read can't go: with too little room, reads of more are refused.
        "diskBytes" => disk_bytes: Bytes = "65536" .unit(Unit::Megabytes) .range(16.0, 1073741824.0);
    }
}

section! {
    /// How soon a silent process counts as gone.
    pub struct ElanusLease {
        /// A process's registration ends after this time without renewal; never later than `common.session.ttl`.
        "session" => session: Duration = "2000" .unit(Unit::Milliseconds) .range(100.0, 600000.0);
        /// A log's sequencer answers strong reads without an append for this time after it last heard from the coordinator. Another one isn't
        /// appointed before it has passed. 0: each strong read is proven by an append, for machines that are suspended as a whole.
        "sequencer" => sequencer: Duration = "1500" .unit(Unit::Milliseconds) .range(0.0, 600000.0);
        /// A node whose clock differs by more from its coordinator's gets no logs.
        "clockSkew" => clock_skew: Duration = "1000" .unit(Unit::Milliseconds) .range(10.0, 600000.0) .ignored();
    }
}

section! {
    /// Memory and threads.
    pub struct ElanusMemory {
        /// What the process may use; empty is what the machine or its container grants.
        "bytes" => bytes: Option<Bytes> = "" .unit(Unit::Megabytes) .range(64.0, 1073741824.0);
        /// Threads for searches, and as many for builds of indexes; empty is one a core.
        "searchThreads" => search_threads: Option<u32> = "" .range(1.0, 4096.0);
    }
}
