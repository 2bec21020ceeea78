//! What the settings say of external storage, in the words of the crates that speak to it. Reads the certificates that they name.

use std::path::Path;

use base::World;
use base::config::{Config, TlsVersion};
use meta::etcd::{EtcdOptions, EtcdTls};
use store::object::s3::S3Options;
use types::{Error, Result};
use wal::kafka::{KafkaConfig, KafkaSecurity};

/// Bytes of a file of certificates or keys: larger ones are something else.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// How etcd is reached.
///
/// # Errors
/// A certificate that can't be read, by key and file.
pub(super) async fn etcd(world: &World, config: &Config) -> Result<EtcdOptions> {
    let etcd = &config.etcd;
    let mut options = EtcdOptions::new(etcd.endpoints.clone(), etcd.root_path.clone());
    options.connect_timeout = etcd.dial_timeout;
    options.request_timeout = etcd.request_timeout;
    if etcd.auth.enabled {
        options.user = Some((etcd.auth.user_name.clone(), etcd.auth.password.expose().to_owned()));
    }
    if etcd.ssl.enabled {
        options.tls = Some(etcd_tls(world, config).await?);
    }
    Ok(options)
}

async fn etcd_tls(world: &World, config: &Config) -> Result<EtcdTls> {
    let ssl = &config.etcd.ssl;
    if ssl.tls_min_version == TlsVersion::V1_3 && config.is_named("etcd.ssl.tlsMinVersion") {
        tracing::warn!("etcd.ssl.tlsMinVersion is 1.3: TLS 1.3 is offered first, and an etcd that has only 1.2 isn't refused");
    }
    let ca = match &ssl.tls_ca_cert {
        Some(file) => read(world, "etcd.ssl.tlsCACert", file).await?,
        None => {
            return Err(Error::invalid("etcd.ssl.enabled is true, and etcd.ssl.tlsCACert isn't set: whose signature is to be trusted?"));
        }
    };
    let identity = match (&ssl.tls_cert, &ssl.tls_key) {
        (Some(cert), Some(key)) => Some((read(world, "etcd.ssl.tlsCert", cert).await?, read(world, "etcd.ssl.tlsKey", key).await?)),
        (None, None) => None,
        (Some(_), None) => return Err(Error::invalid("etcd.ssl.tlsCert is set, and etcd.ssl.tlsKey isn't: one needs the other")),
        (None, Some(_)) => return Err(Error::invalid("etcd.ssl.tlsKey is set, and etcd.ssl.tlsCert isn't: one needs the other")),
    };
    Ok(EtcdTls { ca, identity })
}

/// How the object store is reached.
///
/// # Errors
/// As [`etcd`].
pub(super) async fn s3(world: &World, config: &Config) -> Result<S3Options> {
    let minio = &config.minio;
    let keys = (!minio.use_iam).then(|| (minio.access_key_id.expose().to_owned(), minio.secret_access_key.expose().to_owned()));
    let authorities = match &minio.ssl.tls_ca_cert {
        Some(file) => Some(read(world, "minio.ssl.tlsCACert", file).await?),
        None => None,
    };
    Ok(S3Options {
        endpoint: Some(minio.endpoint()),
        region: Some(minio.region.clone()).filter(|region| !region.is_empty()),
        bucket: minio.bucket_name.clone(),
        root: format!("{}/elanus", minio.root_path.trim_matches('/')).trim_start_matches('/').to_owned(),
        keys,
        virtual_host: minio.use_virtual_host,
        authorities,
        timeout: minio.request_timeout,
    })
}

/// How Kafka is reached.
pub(super) fn kafka(config: &Config) -> KafkaConfig {
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

/// The file that `key` names.
async fn read(world: &World, key: &str, file: &str) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::invalid(format!("{key} is {file:?}: {error}"));
    let opened = world.disk.open(Path::new(file), false).await.map_err(failed)?;
    let length = opened.len().await.map_err(failed)?;
    if length > PEM_BYTES_MAX {
        return Err(Error::invalid(format!("{key} is {file:?}: {length} bytes, and at most {PEM_BYTES_MAX} are allowed")));
    }
    Ok(opened.read_at(0, length as usize).await.map_err(failed)?.to_vec())
}
