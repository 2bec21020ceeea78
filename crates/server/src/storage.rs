//! Opening what the settings name: metadata, log, objects. Says which, and why, at start; counts and times what passes.
//!
//! What is named and can't be reached is waited for, by name ([`reach`]); nothing is replaced by something else. What would lose data is an
//! error before anything is written ([`loss`]). What Milvus left in the same places is named and left alone ([`beside`]).
//!
//! Invariant: of a data directory that another process has, nothing is touched: the lock of the metadata comes before all else.

mod beside;
mod figures;
mod loss;
mod options;
mod reach;

use std::sync::Arc;

use base::World;
use base::config::{Backends, Config, Deployment, LogBackend, MetaBackend, ObjectsBackend};
use meta::etcd::EtcdMeta;
use meta::redb::{RedbMeta, RedbOptions};
use meta::store::Meta;
use store::cache::DiskCache;
use store::object::Store;
use store::object::StoreError;
use store::object::local::LocalStore;
use store::object::s3::S3Store;
use store::source::ObjectSource;
use types::id::ChannelName;
use types::{Error, Result};
use wal::embedded::EmbeddedLog;
use wal::kafka::KafkaLog;
use wal::log::{Log, LogError};

use crate::admin::Health;
use crate::wiring::meta_failed;
use reach::{Reach, Unreached};

/// The three kinds of storage.
#[derive(Clone)]
pub struct Storage {
    /// Metadata.
    pub meta: Arc<dyn Meta>,
    /// The log.
    pub log: Arc<dyn Log>,
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Before them, where they lie elsewhere.
    pub cache: Option<DiskCache>,
    /// Nobody else can use them.
    pub embedded: bool,
}

impl Storage {
    /// Objects by way of the cache.
    pub fn source(&self) -> ObjectSource {
        ObjectSource::new(self.store.clone(), self.cache.clone())
    }
}

/// Storage, and what must be closed at the end.
pub struct Opened {
    /// What roles use.
    pub storage: Storage,
    own_meta: Option<RedbMeta>,
}

impl Opened {
    /// Closes the files of embedded metadata: another process may open them when this returns. Nothing may be written any more.
    pub async fn close(self) {
        if let Some(meta) = self.own_meta {
            meta.close().await;
        }
    }
}

/// Metadata before it was reached.
enum OpenedMeta {
    Embedded(RedbMeta),
    Etcd(EtcdMeta),
}

/// Metadata is small; what is read often is in the catalog's own view.
const META_CACHE_BYTES: usize = 4 << 20;

/// Opens what a process of such a deployment uses; `health` says what is waited for meanwhile.
///
/// # Errors
/// Names what can't be opened, and what to do. What can't be reached is waited for.
pub async fn open(world: &World, config: &Config, deployment: Deployment<'_>, health: &Health) -> Result<Opened> {
    let backends = Backends::choose(config, deployment).map_err(|error| Error::invalid(error.to_string()))?;
    tracing::info!(meta = backends.meta_reason(), log = backends.log_reason(), objects = backends.objects_reason(), "storage");
    loss::refuse_without_metadata(world, &backends).await?;
    beside::name_local(world, config, deployment.data).await;
    let reach = Reach { world, health };
    let meta = open_meta(world, config, &backends.meta).await?;
    let ((), log, store) = tokio::try_join!(
        reach_meta(&reach, config, &backends, &meta),
        open_log(&reach, config, &backends),
        open_objects(&reach, config, &backends)
    )?;
    let embedded = matches!(meta, OpenedMeta::Embedded(_));
    let (meta, own_meta): (Arc<dyn Meta>, _) = match meta {
        OpenedMeta::Embedded(meta) => (Arc::new(meta.clone()), Some(meta)),
        OpenedMeta::Etcd(meta) => (Arc::new(meta), None),
    };
    loss::refuse_with_new_metadata(&*meta, &*store, &backends).await?;
    let cache = match backends.objects {
        ObjectsBackend::Local(_) => None,
        ObjectsBackend::Remote => Some(DiskCache::open(world, &backends.cache, config.elanus.cache.disk_bytes.0).await?),
    };
    let storage =
        Storage { meta: figures::meta(world, meta), log: figures::log(world, log), store: figures::store(world, store), cache, embedded };
    Ok(Opened { storage, own_meta })
}

async fn open_meta(world: &World, config: &Config, backend: &MetaBackend) -> Result<OpenedMeta> {
    match backend {
        MetaBackend::Embedded(file) => {
            let directory = file.parent().ok_or_else(|| Error::invalid(format!("{} is no file for metadata", file.display())))?;
            let options = RedbOptions { cache_bytes: META_CACHE_BYTES, ..RedbOptions::default() };
            Ok(OpenedMeta::Embedded(RedbMeta::open(world, directory, options).await.map_err(meta_failed)?))
        }
        MetaBackend::Etcd => {
            let options = options::etcd(world, config).await?;
            Ok(OpenedMeta::Etcd(EtcdMeta::new(world, options).map_err(meta_failed)?))
        }
    }
}

/// Waits until etcd answers, and names what Milvus left there.
async fn reach_meta(reach: &Reach<'_>, config: &Config, backends: &Backends, meta: &OpenedMeta) -> Result<()> {
    let OpenedMeta::Etcd(meta) = meta else { return Ok(()) };
    let name = format!("metadata: {}", backends.meta_reason());
    reach.wait(&name, async || meta.ping().await.map_err(|error| Unreached::Away(meta_failed(error)))).await?;
    beside::name_in_etcd(meta, config).await;
    Ok(())
}

async fn open_objects(reach: &Reach<'_>, config: &Config, backends: &Backends) -> Result<Arc<dyn Store>> {
    if let ObjectsBackend::Local(directory) = &backends.objects {
        return Ok(Arc::new(LocalStore::open(reach.world, directory).await.map_err(StoreError::into_error)?));
    }
    let options = options::s3(reach.world, config).await?;
    let open = async || {
        S3Store::open(reach.world, &options).await.map_err(|error| match error {
            StoreError::Unavailable(error) => Unreached::Away(error),
            other => Unreached::Unusable(other.into_error()),
        })
    };
    let store = reach.wait(&format!("objects: {}", backends.objects_reason()), open).await?;
    beside::name_in_bucket(&store, config).await;
    Ok(Arc::new(store))
}

async fn open_log(reach: &Reach<'_>, config: &Config, backends: &Backends) -> Result<Arc<dyn Log>> {
    let failed = |error: LogError| error.to_error(&ChannelName::from("the log"));
    match &backends.log {
        LogBackend::Embedded(directory) => {
            let log = EmbeddedLog::open_with(reach.world, directory, config.elanus.log.file_bytes.0).await;
            Ok(Arc::new(log.map_err(failed)?))
        }
        LogBackend::Kafka => {
            let kafka = options::kafka(config);
            let open = async || {
                KafkaLog::connect(reach.world, kafka.clone()).await.map_err(|error| match &error {
                    LogError::Unavailable(_) => Unreached::Away(failed(error)),
                    _ => Unreached::Unusable(failed(error)),
                })
            };
            Ok(Arc::new(reach.wait(&format!("log: {}", backends.log_reason()), open).await?))
        }
        LogBackend::Pulsar | LogBackend::Objects => {
            Err(Error::invalid("mq.type: this version keeps the log in files of its own (rocksmq) or in Kafka (kafka); set one of them"))
        }
    }
}
