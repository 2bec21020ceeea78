//! Keys of what Elanus may depend on: metadata store, objects, message queues.

use std::collections::BTreeMap;
use std::time::Duration;

use super::key::Unit;
use super::section::section;
use super::value::{Bytes, Choice, Secret};

section! {
    /// etcd, where the cluster's metadata and its sessions are. A standalone process uses it only where a file or the
    /// environment names `etcd.endpoints`; else its metadata is in one file of its own.
    pub struct Etcd {
        /// The members' addresses, `host:port` each.
        "endpoints" => endpoints: Vec<String> = "localhost:2379";
        /// Everything that Elanus keeps in etcd lies below this path, in a part of its own.
        "rootPath" => root_path: String = "by-dev";
        /// Milvus's own part for metadata: looked at to name what Milvus left there, never written.
        "metaSubPath" => meta_sub_path: String = "meta";
        /// Milvus's own part for everything else: likewise.
        "kvSubPath" => kv_sub_path: String = "kv";
        /// How long one request may take.
        "requestTimeout" => request_timeout: Duration = "10000" .unit(Unit::Milliseconds);
        /// How long a connection may take.
        "dialTimeout" => dial_timeout: Duration = "5000" .unit(Unit::Milliseconds);
        /// Time between pings of an idle connection.
        "dialKeepAliveTime" => dial_keep_alive_time: Duration = "3000" .unit(Unit::Milliseconds) .ignored();
        /// How long a ping may take.
        "dialKeepAliveTimeout" => dial_keep_alive_timeout: Duration = "2000" .unit(Unit::Milliseconds) .ignored();
    }
    sections {
        "use" => using: EtcdUse;
        "auth" => auth: EtcdAuth;
        "ssl" => ssl: EtcdSsl;
    }
}

section! {
    /// Milvus's switch for an etcd inside of its own process.
    pub struct EtcdUse {
        /// Whether metadata is embedded whatever `etcd.endpoints` says.
        "embed" => embed: bool = "false";
    }
}

section! {
    /// Name and password for etcd.
    pub struct EtcdAuth {
        /// Whether they are sent.
        "enabled" => enabled: bool = "false";
        /// The user.
        "userName" => user_name: String = "";
        /// The password.
        "password" => password: Secret = "" .secret();
    }
}

/// A version of TLS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TlsVersion {
    /// 1.0.
    V1_0,
    /// 1.1.
    V1_1,
    /// 1.2.
    V1_2,
    /// 1.3.
    V1_3,
}

impl Choice for TlsVersion {
    // In a file 1.0 without quotes is the number 1.
    const CHOICES: &'static [(&'static str, Self)] =
        &[("1.0", Self::V1_0), ("1", Self::V1_0), ("1.1", Self::V1_1), ("1.2", Self::V1_2), ("1.3", Self::V1_3)];
}

section! {
    /// TLS to etcd.
    pub struct EtcdSsl {
        /// Whether connections use it.
        "enabled" => enabled: bool = "false";
        /// File of the client's certificate.
        "tlsCert" => tls_cert: Option<String> = "";
        /// File of the client's key.
        "tlsKey" => tls_key: Option<String> = "";
        /// File of the authority that signed etcd's certificate.
        "tlsCACert" => tls_ca_cert: Option<String> = "";
        /// The lowest version of TLS. Below 1.2 none is spoken whatever this says; 1.3 is what is offered first, and a server that has
        /// only 1.2 gets that, with a warning at start.
        "tlsMinVersion" => tls_min_version: TlsVersion = "1.3";
    }
}

/// `metastore.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetastoreType {
    /// etcd, or the embedded store in its place.
    Etcd,
    /// TiKV, which Elanus doesn't support: the backend's choice says so.
    Tikv,
}

impl Choice for MetastoreType {
    const CHOICES: &'static [(&'static str, Self)] = &[("etcd", Self::Etcd), ("tikv", Self::Tikv)];
}

section! {
    /// Which kind of metadata store a cluster uses.
    pub struct Metastore {
        /// `etcd`. Milvus's other one, `tikv`, is refused by name.
        "type" => kind: MetastoreType = "etcd";
        /// The most operations of one transaction; etcd's own bound is 128.
        "maxEtcdTxnNum" => max_etcd_txn_num: u32 = "64" .range(1.0, 100000.0) .ignored();
    }
}

section! {
    /// The local directory.
    pub struct LocalStorage {
        /// Where embedded data and caches lie, in a part of their own, unless the command line gives a directory.
        "path" => path: String = "/var/lib/milvus/data/";
    }
}

/// Whose object store it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloudProvider {
    /// Amazon, and everything that speaks S3 with signature version 4: MinIO, Ceph.
    Aws,
    /// Google Cloud Storage through its S3 interface.
    Gcp,
    /// Google Cloud Storage through its own.
    GcpNative,
    /// Alibaba.
    Aliyun,
    /// Azure Blob Storage.
    Azure,
    /// Tencent.
    Tencent,
    /// Huawei.
    Huawei,
}

impl Choice for CloudProvider {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("aws", Self::Aws),
        ("minio", Self::Aws),
        ("ceph", Self::Aws),
        ("gcp", Self::Gcp),
        ("gcpnative", Self::GcpNative),
        ("aliyun", Self::Aliyun),
        ("ali", Self::Aliyun),
        ("azure", Self::Azure),
        ("tencent", Self::Tencent),
        ("huawei", Self::Huawei),
    ];
}

section! {
    /// The object store: S3, MinIO, Ceph and their like. A standalone process uses it only where a file or the environment
    /// names `minio.address` and `common.storageType` isn't `local`; else objects are files in its own directory.
    pub struct Minio {
        /// Host, `host:port`, or a URL.
        "address" => address: String = "localhost";
        /// Port, where the address names none.
        "port" => port: u16 = "9000";
        /// Access key.
        "accessKeyID" => access_key_id: Secret = "minioadmin" .secret();
        /// Secret key.
        "secretAccessKey" => secret_access_key: Secret = "minioadmin" .secret();
        /// Whether connections use TLS.
        "useSSL" => use_ssl: bool = "false";
        /// The bucket; made if it isn't there and may be.
        "bucketName" => bucket_name: String = "a-bucket";
        /// Everything that Elanus keeps in the bucket lies below `<rootPath>/elanus/`.
        "rootPath" => root_path: String = "files";
        /// Whether the machine's role gives access, instead of the keys.
        "useIAM" => use_iam: bool = "false";
        /// Whose object store it is; `aws` also for MinIO and Ceph.
        "cloudProvider" => cloud_provider: CloudProvider = "aws";
        /// Google's credentials, as JSON.
        "gcpCredentialJSON" => gcp_credential_json: Secret = "" .secret() .ignored();
        /// Where the machine's role is asked for; empty is the provider's own place.
        "iamEndpoint" => iam_endpoint: Option<String> = "" .ignored();
        /// The bucket's region.
        "region" => region: String = "";
        /// Whether the bucket is part of the host name instead of the path.
        "useVirtualHost" => use_virtual_host: bool = "false";
        /// How long one request may take.
        "requestTimeoutMs" => request_timeout: Duration = "10000" .unit(Unit::Milliseconds);
        /// Objects per page of a listing; 0 is the store's own number.
        "listObjectsMaxKeys" => list_objects_max_keys: u32 = "0" .range(0.0, 1000.0) .ignored();
    }
    sections {
        "ssl" => ssl: MinioSsl;
    }
}

section! {
    /// TLS to the object store.
    pub struct MinioSsl {
        /// File of the authority that signed its certificate.
        "tlsCACert" => tls_ca_cert: Option<String> = "";
    }
}

impl Minio {
    /// The store's URL, without a path: scheme and port are those of the address where it has them.
    pub fn endpoint(&self) -> String {
        let address = self.address.trim_end_matches('/');
        if address.starts_with("http://") || address.starts_with("https://") {
            return address.to_owned();
        }
        let scheme = if self.use_ssl { "https" } else { "http" };
        format!("{scheme}://{}", with_port(address, self.port))
    }
}

/// `common.storageType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StorageType {
    /// An object store; `minio` and `opendal` are Milvus's other names for it.
    Remote,
    /// Files in the local directory.
    Local,
}

impl Choice for StorageType {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("remote", Self::Remote), ("local", Self::Local), ("minio", Self::Remote), ("opendal", Self::Remote)];
}

/// `mq.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MqType {
    /// Embedded in a standalone process; else Pulsar or Kafka, whichever is set, else the log on objects.
    Default,
    /// The embedded log, in the place of Milvus's `rocksmq` and `natsmq`.
    Embedded,
    /// Pulsar.
    Pulsar,
    /// Kafka.
    Kafka,
    /// The log on object storage.
    Woodpecker,
}

impl Choice for MqType {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("default", Self::Default),
        ("rocksmq", Self::Embedded),
        ("natsmq", Self::Embedded),
        ("pulsar", Self::Pulsar),
        ("kafka", Self::Kafka),
        ("woodpecker", Self::Woodpecker),
    ];
}

section! {
    /// Where the log is.
    pub struct Mq {
        /// `rocksmq` is the log in own files, `woodpecker` the log on object storage. With `default` a standalone process
        /// writes own files; a cluster takes Pulsar if `pulsar.address` is set, else Kafka if `kafka.brokerList` is, else
        /// object storage.
        "type" => kind: MqType = "default" .old(&["messageQueue"]);
    }
}

section! {
    /// Pulsar.
    pub struct Pulsar {
        /// Host, `host:port`, or a URL such as `pulsar://host:6650`.
        "address" => address: String = "localhost" .ignored();
        /// Port, where the address names none.
        "port" => port: u16 = "6650" .ignored();
        /// Port of the administration interface.
        "webport" => webport: u16 = "80" .ignored();
        /// The largest message that the brokers take.
        "maxMessageSize" => max_message_size: Bytes = "5242880" .unit(Unit::Bytes) .range(65536.0, 1073741824.0) .ignored();
        /// The tenant of our topics.
        "tenant" => tenant: String = "public" .ignored();
        /// The namespace of our topics.
        "namespace" => namespace: String = "default" .ignored();
        /// The authentication plug-in's name: `token`, or Pulsar's class name for it.
        "authPlugin" => auth_plugin: Option<String> = "" .ignored();
        /// What the plug-in needs, as JSON.
        "authParams" => auth_params: Secret = "" .secret() .ignored();
        /// How long one request may take.
        "requestTimeout" => request_timeout: Duration = "60" .unit(Unit::Seconds) .ignored();
    }
}

impl Pulsar {
    /// The brokers' URL: scheme and port are those of the address where it has them.
    pub fn url(&self) -> String {
        match self.address.split_once("://") {
            Some((scheme, address)) => format!("{scheme}://{}", with_port(address.trim_end_matches('/'), self.port)),
            None => format!("pulsar://{}", with_port(&self.address, self.port)),
        }
    }
}

section! {
    /// Kafka.
    pub struct Kafka {
        /// The brokers' addresses, `host:port` each.
        "brokerList" => broker_list: Vec<String> = "";
        /// The user, where the brokers want one.
        "saslUsername" => sasl_username: String = "";
        /// The password.
        "saslPassword" => sasl_password: Secret = "" .secret();
        /// How the password is sent: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
        "saslMechanisms" => sasl_mechanisms: String = "";
        /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`; empty follows from the user and `kafka.ssl`.
        "securityProtocol" => security_protocol: String = "";
        /// How long a read may wait for messages.
        "readTimeout" => read_timeout: Duration = "10" .unit(Unit::Seconds) .ignored();
        /// Settings of librdkafka for producers, under its own names. Those that keep the log safe stay as they are.
        "producer" => producer: BTreeMap<String, String> = "";
        /// Settings of librdkafka for consumers, under its own names.
        "consumer" => consumer: BTreeMap<String, String> = "";
    }
    sections {
        "ssl" => ssl: KafkaSsl;
    }
}

section! {
    /// TLS to Kafka.
    pub struct KafkaSsl {
        /// Whether connections use it.
        "enabled" => enabled: bool = "false";
        /// File of the client's certificate.
        "tlsCert" => tls_cert: Option<String> = "";
        /// File of the client's key.
        "tlsKey" => tls_key: Option<String> = "";
        /// File of the authority that signed the brokers' certificates.
        "tlsCACert" => tls_ca_cert: Option<String> = "";
        /// The password of the key.
        "tlsKeyPassword" => tls_key_password: Secret = "" .secret();
    }
}

section! {
    /// Names in the message queue.
    pub struct MessageChannels {}
    sections {
        "chanNamePrefix" => chan_name_prefix: ChannelNames;
    }
}

section! {
    /// Beginnings of topic names.
    pub struct ChannelNames {
        /// The cluster's name: two clusters that share a broker have different ones. Topics are `<cluster>-elanus-dml_<n>`.
        "cluster" => cluster: String = "by-dev" .old(&["common.chanNamePrefix.cluster"]);
    }
}

/// `address` with a port: its own, or `port`. Knows `[::1]` and `[::1]:80`, and takes a bare IPv6 address.
pub(super) fn with_port(address: &str, port: u16) -> String {
    let has_port = match address.rsplit_once(':') {
        Some((host, end)) => end.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')),
        None => false,
    };
    if has_port {
        return address.to_owned();
    }
    if address.contains(':') && !address.starts_with('[') {
        return format!("[{address}]:{port}");
    }
    format!("{address}:{port}")
}
