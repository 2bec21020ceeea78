//! Which metadata store, log and object store a process uses: a pure function of the settings.
//!
//! A standalone process uses an external one only where a file or the environment names it; a directory on the command line embeds
//! everything. What is named and can't be reached is waited for, never replaced: that is the caller's part. Invariant: each choice has a
//! reason that an operator can check.

use std::fmt;
use std::path::{Path, PathBuf};

use super::external::{CloudProvider, MetastoreType, MqType, StorageType};
use super::{Config, ConfigError};

/// Names of our parts in a data directory.
const META_FILE: &str = "meta.redb";
const LOG_DIRECTORY: &str = "log";
const OBJECTS_DIRECTORY: &str = "objects";
const CACHE_DIRECTORY: &str = "cache";

/// Our part of a directory that Milvus may have used.
const OWN_DIRECTORY: &str = "elanus";

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deployment<'a> {
    /// Whether all roles are in this process.
    pub standalone: bool,
    /// The data directory of the command line: everything is embedded under it.
    pub data: Option<&'a Path>,
}

/// Where metadata is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MetaBackend {
    /// In this file of the process's own.
    Embedded(PathBuf),
    /// In etcd, as `etcd.*` says.
    Etcd,
}

/// Where the log is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogBackend {
    /// In files of the process's own, in this directory.
    Embedded(PathBuf),
    /// In Kafka, as `kafka.*` says.
    Kafka,
    /// In Pulsar, as `pulsar.*` says.
    Pulsar,
    /// On the object store.
    Objects,
}

/// Where objects are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ObjectsBackend {
    /// Files in this directory.
    Local(PathBuf),
    /// In the object store that `minio.*` describes.
    Remote,
}

/// The choice, with a reason for each part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backends {
    /// Where metadata is.
    pub meta: MetaBackend,
    /// Where the log is.
    pub log: LogBackend,
    /// Where objects are.
    pub objects: ObjectsBackend,
    /// The directory for what can be fetched or computed again.
    pub cache: PathBuf,
    reasons: [String; 3],
}

/// One line for each part, to be printed at start.
impl fmt::Display for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [meta, log, objects] = &self.reasons;
        write!(f, "metadata: {meta}\nlog: {log}\nobjects: {objects}\ncache: {}", self.cache.display())
    }
}

impl Backends {
    /// Chooses.
    ///
    /// # Errors
    /// What the settings ask for can't be: TiKV, a queue without an address, data in one process's own files where several processes need
    /// them.
    pub fn choose(config: &Config, deployment: Deployment<'_>) -> Result<Self, ConfigError> {
        let own = match deployment.data {
            Some(data) => data.to_owned(),
            None => Path::new(&config.local_storage.path).join(OWN_DIRECTORY),
        };
        let choice = Choice { config, deployment, own: &own };
        let (meta, log, objects) = (choice.meta(), choice.log(), choice.objects());
        let problems: Vec<String> =
            [meta.as_ref().err(), log.as_ref().err(), objects.as_ref().err()].into_iter().flatten().cloned().collect();
        let (Ok(meta), Ok(log), Ok(objects)) = (meta, log, objects) else { return Err(ConfigError { problems }) };
        Ok(Self { meta: meta.0, log: log.0, objects: objects.0, cache: own.join(CACHE_DIRECTORY), reasons: [meta.1, log.1, objects.1] })
    }

    /// Why metadata is where it is.
    pub fn meta_reason(&self) -> &str {
        &self.reasons[0]
    }

    /// Why the log is where it is.
    pub fn log_reason(&self) -> &str {
        &self.reasons[1]
    }

    /// Why objects are where they are.
    pub fn objects_reason(&self) -> &str {
        &self.reasons[2]
    }
}

struct Choice<'a> {
    config: &'a Config,
    deployment: Deployment<'a>,
    /// Where embedded parts are.
    own: &'a Path,
}

type Chosen<T> = Result<(T, String), String>;

impl Choice<'_> {
    /// "etcd.endpoints in milvus.yaml", or nothing where the key isn't set.
    fn named(&self, key: &str) -> Option<String> {
        self.config.origin(key).map(|origin| format!("{key} in {origin}"))
    }

    /// Why something is embedded although `key` names another: the command line says so.
    fn by_command_line(&self, key: &str) -> Option<String> {
        let data = self.deployment.data?;
        let unused = self.named(key).map(|named| format!("; {named} isn't used")).unwrap_or_default();
        Some(format!("the command line gives the directory {}{unused}", data.display()))
    }

    fn meta(&self) -> Chosen<MetaBackend> {
        let file = self.own.join(META_FILE);
        let embedded = |why: String| Ok((MetaBackend::Embedded(file.clone()), format!("embedded in {}: {why}", file.display())));
        if let Some(why) = self.by_command_line("etcd.endpoints") {
            return embedded(why);
        }
        if self.config.metastore.kind == MetastoreType::Tikv {
            return Err("metastore.type is tikv: etcd, or the embedded store, is allowed".to_owned());
        }
        let endpoints = self.config.etcd.endpoints.join(",");
        match (self.config.etcd.using.embed, self.named("etcd.endpoints")) {
            (true, _) if self.deployment.standalone => embedded("etcd.use.embed is true".to_owned()),
            (true, _) => Err("etcd.use.embed is true: roles in several processes need an etcd of their own".to_owned()),
            (false, Some(named)) => Ok((MetaBackend::Etcd, format!("etcd at {endpoints}: {named}"))),
            (false, None) if self.deployment.standalone => embedded("etcd.endpoints isn't set".to_owned()),
            (false, None) => {
                Ok((MetaBackend::Etcd, format!("etcd at {endpoints}: roles in several processes need it, this is the default")))
            }
        }
    }

    fn log(&self) -> Chosen<LogBackend> {
        let directory = self.own.join(LOG_DIRECTORY);
        let embedded = |why: String| Ok((LogBackend::Embedded(directory.clone()), format!("embedded in {}: {why}", directory.display())));
        if let Some(why) = self.by_command_line("mq.type") {
            return embedded(why);
        }
        let set = self.named("mq.type").unwrap_or_else(|| "mq.type isn't set".to_owned());
        let standalone = self.deployment.standalone;
        match self.config.mq.kind {
            MqType::Pulsar => self.pulsar(&set),
            MqType::Kafka => self.kafka(&set),
            MqType::Woodpecker => Ok((LogBackend::Objects, format!("on object storage: {set}"))),
            MqType::Embedded if standalone => embedded(set),
            MqType::Embedded => {
                Err(format!("{set} asks for a log in one process's own files: roles in several processes need kafka, pulsar or woodpecker"))
            }
            MqType::Default if standalone => embedded(format!("{set}, so no queue is asked for")),
            MqType::Default => match (self.named("pulsar.address"), self.named("kafka.brokerList")) {
                (Some(named), _) => self.pulsar(&named),
                (None, Some(named)) => self.kafka(&named),
                (None, None) => Ok((LogBackend::Objects, format!("on object storage: {set}, nor is pulsar.address or kafka.brokerList"))),
            },
        }
    }

    fn pulsar(&self, why: &str) -> Chosen<LogBackend> {
        Ok((LogBackend::Pulsar, format!("Pulsar at {}: {why}", self.config.pulsar.url())))
    }

    fn kafka(&self, why: &str) -> Chosen<LogBackend> {
        let brokers = self.config.kafka.broker_list.join(",");
        if brokers.is_empty() {
            return Err(format!("{why} asks for Kafka, and kafka.brokerList isn't set"));
        }
        Ok((LogBackend::Kafka, format!("Kafka at {brokers}: {why}")))
    }

    fn objects(&self) -> Chosen<ObjectsBackend> {
        let directory = self.own.join(OBJECTS_DIRECTORY);
        let local = |why: String| Ok((ObjectsBackend::Local(directory.clone()), format!("files in {}: {why}", directory.display())));
        if let Some(why) = self.by_command_line("minio.address") {
            return local(why);
        }
        let minio = &self.config.minio;
        let place = format!("{}, bucket {}", minio.endpoint(), minio.bucket_name);
        let remote = |why: String| match minio.cloud_provider {
            CloudProvider::Azure | CloudProvider::GcpNative => {
                Err("minio.cloudProvider is azure or gcpnative: only stores that speak S3 are reached yet".to_owned())
            }
            _ => Ok((ObjectsBackend::Remote, format!("{place}: {why}"))),
        };
        let type_named = self.named("common.storageType");
        match (self.config.common.storage_type, self.named("minio.address")) {
            // Several processes may share a directory through a network file system: theirs to know.
            (StorageType::Local, _) => local(type_named.unwrap_or_else(|| "common.storageType is local".to_owned())),
            (StorageType::Remote, Some(named)) => remote(named),
            (StorageType::Remote, None) if self.deployment.standalone => local("minio.address isn't set".to_owned()),
            (StorageType::Remote, None) => remote("roles in several processes need it, this is the default".to_owned()),
        }
    }
}
