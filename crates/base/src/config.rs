//! Settings: where they come from, what they may be, and what they are.
//!
//! Names, files, environment and defaults are Milvus's (`milvus.yaml`), so that its deployments start us by changing the image; our own
//! keys live under `elanus.`. From high to low: the environment (`MILVUS_CONF_<KEY>`, then `<KEY>`), the files (later ones
//! first), defaults. Case, `.`, `/` and `_` don't matter in names; `null` and the empty text mean "not set".
//!
//! There is one table of keys: the `section!` declarations in [`external`], [`proxy`], [`roles`], [`common`], [`quota`] and [`own`]. The
//! typed tree, the errors, `configs/elanus.yaml` and the reloading all come from it. Invariant: what is written down and can't be read is
//! an error that names key, value, source and what is allowed; what isn't known is a warning; nothing is silently replaced. What isn't acted
//! upon yet says so ([`Effect`]): setting it is a warning, or an error where someone would rely on it.
//!
//! Start with [`Sources::of_process`] and [`Sources::load`]; [`Config::default`] is all defaults. [`LiveConfig`] follows changes,
//! [`Backends::choose`] decides about metadata store, log and objects.

mod accepted;
mod backends;
mod common;
mod document;
mod external;
mod key;
mod live;
mod own;
mod proxy;
mod quota;
mod resolve;
mod roles;
mod section;
mod source;
mod value;
mod yaml;

pub use self::backends::{Backends, Deployment, LogBackend, MetaBackend, ObjectsBackend};
pub use self::common::{Common, InternalTls, Log, LogFile, Security, Session, Tls};
pub use self::document::document;
pub use self::external::{
    ChannelNames, CloudProvider, Etcd, EtcdAuth, EtcdSsl, EtcdUse, Kafka, KafkaSsl, LocalStorage, MessageChannels, Metastore,
    MetastoreType, Minio, MinioSsl, Mq, MqType, Pulsar, StorageType, TlsVersion,
};
pub use self::key::{Effect, Key, KeyEntry, Unit, normalize};
pub use self::live::{Change, Current, LiveConfig};
pub use self::own::{DeployMode, Elanus, ElanusFlush, ElanusLease, ElanusLog, ElanusMemory};
pub use self::proxy::{AccessLog, AllowedChars, Proxy, ProxyGrpc, ProxyHttp};
pub use self::quota::{
    ByteRates, DdlRates, DiskProtection, DmlRates, DqlRates, LimitReading, LimitWriting, Limits, QuotaAndLimits, Rates, SimpleRate,
};
pub use self::resolve::{Loaded, Origin, Resolved};
pub use self::roles::{
    DataCoord, DataCoordCompaction, DataCoordGc, DataCoordImport, DataCoordSegment, DataNode, DataNodeImport, IndexCoord, IndexNode,
    MixCoord, QueryCoord, QueryNode, QueryNodeCache, QueryNodeMmap, RoleGrpc, RootCoord, StreamingNode,
};
pub use self::source::Sources;
pub use self::value::{Bytes, Limit, Rate, Secret, Value};

use std::collections::BTreeMap;
use std::fmt;

use self::section::{Reader, Section, Table};

/// What is wrong with the settings: every problem, not just the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// One line each.
    pub problems: Vec<String>,
}

impl ConfigError {
    /// A single problem.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// The root of the tree: one line a section of the file.
macro_rules! config {
    ($($name:literal => $field:ident: $type:ty;)*) => {
        /// Every setting, read and checked. Fields are the sections of `milvus.yaml` and ours.
        #[derive(Clone, Debug)]
        pub struct Config {
            $(
                #[doc = concat!("`", $name, "`.")]
                pub $field: $type,
            )*
            /// `MILVUS_SERVER_LABEL_<name>` of the environment: labels of this node, names in lower case.
            pub server_labels: BTreeMap<String, String>,
            resolved: Resolved,
        }

        impl Config {
            fn describe(table: &mut Table) {
                $(table.within(stringify!($field), |table| <$type>::describe($name, table));)*
            }

            fn read(reader: &mut Reader<'_>, server_labels: BTreeMap<String, String>, resolved: &Resolved) -> Self {
                Self { $($field: <$type>::read($name, reader),)* server_labels, resolved: resolved.clone() }
            }
        }
    };
}

config! {
    "elanus" => elanus: Elanus;
    "etcd" => etcd: Etcd;
    "metastore" => metastore: Metastore;
    "localStorage" => local_storage: LocalStorage;
    "minio" => minio: Minio;
    "mq" => mq: Mq;
    "pulsar" => pulsar: Pulsar;
    "kafka" => kafka: Kafka;
    "msgChannel" => msg_channel: MessageChannels;
    "proxy" => proxy: Proxy;
    "mixCoord" => mix_coord: MixCoord;
    "rootCoord" => root_coord: RootCoord;
    "queryCoord" => query_coord: QueryCoord;
    "dataCoord" => data_coord: DataCoord;
    "indexCoord" => index_coord: IndexCoord;
    "queryNode" => query_node: QueryNode;
    "dataNode" => data_node: DataNode;
    "indexNode" => index_node: IndexNode;
    "streamingNode" => streaming_node: StreamingNode;
    "common" => common: Common;
    "log" => log: Log;
    "tls" => tls: Tls;
    "internaltls" => internal_tls: InternalTls;
    "quotaAndLimits" => quota: QuotaAndLimits;
}

impl Default for Config {
    fn default() -> Self {
        Sources::default().load().expect("the table's own defaults can be read: a test reads them").config
    }
}

impl Config {
    /// The settings of one file's text and nothing else: for tests.
    ///
    /// # Errors
    /// As [`Sources::load`].
    pub fn from_text(text: &str) -> Result<Self, ConfigError> {
        Ok(Sources::default().with_file("test.yaml", text).load()?.config)
    }

    /// Every key there is, in the table's order.
    pub fn keys() -> Vec<KeyEntry> {
        let mut table = Table::default();
        Self::describe(&mut table);
        table.keys
    }

    /// Where the value of a key comes from, by its full name as in the table (`etcd.endpoints`); `None` for its default.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.resolved.origin(path)
    }

    /// Whether a file, the environment or the command line sets the key.
    pub fn is_named(&self, path: &str) -> bool {
        self.origin(path).is_some()
    }

    /// Every key with its value as text (secrets hidden) and its origin, in the table's order: for an operator to look at.
    pub fn values(&self) -> Vec<(String, String, Option<&Origin>)> {
        let show = |entry: KeyEntry| {
            let text = self.resolved.text(&entry.path).unwrap_or(entry.key.default);
            let shown = if entry.key.secret && !text.is_empty() { "***" } else { text };
            let origin = self.resolved.origin(&entry.path);
            (entry.path, shown.to_owned(), origin)
        };
        Self::keys().into_iter().map(show).collect()
    }
}
