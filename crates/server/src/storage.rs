//! Opening what the settings name: metadata, log, objects. Says which, and why, at start.
//!
//! What is named and can't be reached is an error that names it; nothing is replaced by something else.

use std::path::Path;
use std::sync::Arc;

use base::World;
use base::config::{Backends, Config, Deployment, LogBackend, MetaBackend, ObjectsBackend};
use meta::etcd::{EtcdMeta, EtcdOptions};
use meta::redb::{RedbMeta, RedbOptions};
use meta::store::{Meta, MetaError};
use store::object::Store;
use store::object::StoreError;
use store::object::local::LocalStore;
use store::object::s3::{S3Options, S3Store};
use types::{Code, Error, Result};
use wal::embedded::EmbeddedLog;
use wal::kafka::{KafkaConfig, KafkaLog, KafkaSecurity};
use wal::log::{Log, LogError};

/// The three kinds of storage.
#[derive(Clone)]
pub struct Storage {
    /// Metadata.
    pub meta: Arc<dyn Meta>,
    /// The log.
    pub log: Arc<dyn Log>,
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Nobody else can use them.
    pub embedded: bool,
}

/// Opens what a standalone process uses.
///
/// # Errors
/// Names what can't be opened, and what to do.
pub async fn open(world: &World, config: &Config, data: Option<&Path>) -> Result<Storage> {
    let backends = Backends::choose(config, Deployment { standalone: true, data }).map_err(|error| Error::invalid(error.to_string()))?;
    tracing::info!(meta = backends.meta_reason(), log = backends.log_reason(), objects = backends.objects_reason(), "storage");
    let meta = open_meta(world, config, &backends.meta).await?;
    let (store, log) = tokio::try_join!(open_objects(world, config, &backends.objects), open_log(world, config, &backends.log))?;
    let embedded = matches!(backends.meta, MetaBackend::Embedded(_));
    Ok(Storage { meta, log, store, embedded })
}

async fn open_meta(world: &World, config: &Config, backend: &MetaBackend) -> Result<Arc<dyn Meta>> {
    let failed = |error: MetaError| match error {
        MetaError::Unavailable(error) | MetaError::Damaged(error) => error,
        other => Error::new(Code::SERVICE_UNAVAILABLE, format!("meta: {other}")),
    };
    match backend {
        MetaBackend::Embedded(file) => {
            let directory = file.parent().ok_or_else(|| Error::invalid(format!("{} is no file for metadata", file.display())))?;
            Ok(Arc::new(
                RedbMeta::open(world, directory, RedbOptions { cache_bytes: META_CACHE_BYTES, ..RedbOptions::default() })
                    .await
                    .map_err(failed)?,
            ))
        }
        MetaBackend::Etcd => {
            let etcd = &config.etcd;
            let mut options = EtcdOptions::new(etcd.endpoints.clone(), etcd.root_path.clone());
            options.connect_timeout = etcd.dial_timeout;
            options.request_timeout = etcd.request_timeout;
            if etcd.auth.enabled {
                options.user = Some((etcd.auth.user_name.clone(), etcd.auth.password.expose().to_owned()));
            }
            Ok(Arc::new(EtcdMeta::new(world, options).map_err(failed)?))
        }
    }
}

/// Metadata is small; what is read often is in the catalog's own view.
const META_CACHE_BYTES: usize = 4 << 20;

async fn open_objects(world: &World, config: &Config, backend: &ObjectsBackend) -> Result<Arc<dyn Store>> {
    match backend {
        ObjectsBackend::Local(directory) => Ok(Arc::new(LocalStore::open(world, directory).await.map_err(StoreError::into_error)?)),
        ObjectsBackend::Remote => {
            let minio = &config.minio;
            let keys = (!minio.use_iam).then(|| (minio.access_key_id.expose().to_owned(), minio.secret_access_key.expose().to_owned()));
            let options = S3Options {
                endpoint: Some(minio.endpoint()),
                region: Some(minio.region.clone()).filter(|region| !region.is_empty()),
                bucket: minio.bucket_name.clone(),
                root: format!("{}/elanus", minio.root_path.trim_matches('/')),
                keys,
                virtual_host: minio.use_virtual_host,
                authorities: None,
                timeout: minio.request_timeout,
            };
            Ok(Arc::new(S3Store::open(world, &options).await.map_err(StoreError::into_error)?))
        }
    }
}

async fn open_log(world: &World, config: &Config, backend: &LogBackend) -> Result<Arc<dyn Log>> {
    let named = |error: LogError| error.to_error(&types::id::ChannelName::from("the log"));
    match backend {
        LogBackend::Embedded(directory) => Ok(Arc::new(EmbeddedLog::open(world, directory).await.map_err(named)?)),
        LogBackend::Kafka => Ok(Arc::new(KafkaLog::connect(world, kafka(config)).await.map_err(named)?)),
        LogBackend::Pulsar | LogBackend::Objects => {
            Err(Error::invalid("mq.type: this version keeps the log in files of its own (rocksmq) or in Kafka (kafka); set one of them"))
        }
    }
}

fn kafka(config: &Config) -> KafkaConfig {
    let (kafka, tls) = (&config.kafka, &config.kafka.ssl);
    let protocol = match (kafka.security_protocol.as_str(), tls.enabled, kafka.sasl_username.is_empty()) {
        ("", true, true) => "SSL",
        ("", true, false) => "SASL_SSL",
        ("", false, false) => "SASL_PLAINTEXT",
        ("", false, true) => "PLAINTEXT",
        (named, ..) => named,
    };
    KafkaConfig {
        brokers: kafka.broker_list.join(","),
        security: KafkaSecurity {
            protocol: protocol.to_owned(),
            sasl_mechanism: kafka.sasl_mechanisms.clone(),
            sasl_username: kafka.sasl_username.clone(),
            sasl_password: kafka.sasl_password.expose().to_owned(),
            tls_authority_file: tls.tls_ca_cert.clone().unwrap_or_default(),
            tls_certificate_file: tls.tls_cert.clone().unwrap_or_default(),
            tls_key_file: tls.tls_key.clone().unwrap_or_default(),
            tls_key_password: tls.tls_key_password.expose().to_owned(),
        },
        producer: kafka.producer.clone(),
        consumer: kafka.consumer.clone(),
    }
}
