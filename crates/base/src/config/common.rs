//! Keys that concern every role: names, sessions, security, TLS, the log of the process.

use std::time::Duration;

use super::external::StorageType;
use super::key::Unit;
use super::section::section;
use super::value::{Bytes, Choice, Secret};
use crate::log::Format;

section! {
    /// What every role uses.
    pub struct Common {
        /// Name of the partition that every collection has.
        "defaultPartitionName" => default_partition_name: String = "_default";
        /// Name of an index that was made without one.
        "defaultIndexName" => default_index_name: String = "_default_idx" .ignored();
        /// A read with bounded consistency may miss this much of the latest.
        "gracefulTime" => graceful_time: Duration = "5000" .unit(Unit::Milliseconds) .reloads();
        /// How long a stop waits for what is under way, over all roles of the process.
        "gracefulStopTimeout" => graceful_stop_timeout: Duration = "1800" .unit(Unit::Seconds);
        /// Longest JSON value, in bytes.
        "JSONMaxLength" => json_max_length: Bytes = "65536" .unit(Unit::Bytes) .reloads();
        /// The cluster's number among several: part of automatic ids.
        "clusterID" => cluster_id: u64 = "0" .range(0.0, 7.0) .ignored();
        /// Whether an address of the machine is looked for among IPv6 ones first.
        "preferIPv6" => prefer_ipv6: bool = "false" .ignored();
        /// `local` keeps objects as files in the local directory; all others are an object store.
        "storageType" => storage_type: StorageType = "remote";
    }
    sections {
        "session" => session: Session;
        "security" => security: Security;
    }
}

section! {
    /// Registration of processes.
    pub struct Session {
        /// The longest that a process may stay registered after it went silent. Ours are shorter.
        "ttl" => ttl: Duration = "15" .unit(Unit::Seconds) .range(1.0, 3600.0);
        /// How often registration is tried before the process gives up.
        "retryTimes" => retry_times: u32 = "30" .range(1.0, 1000000.0) .ignored();
    }
}

section! {
    /// Users, roles and TLS.
    pub struct Security {
        /// Whether requests need a user.
        "authorizationEnabled" => authorization_enabled: bool = "false"
            .refused("users and privileges aren't there yet, every client may do everything: set it to false and let only those reach the \
                      port who may");
        /// The password that `root` begins with.
        "defaultRootPassword" => default_root_password: Secret = "Milvus" .secret() .ignored();
        /// Users that need no old password to change one.
        "superUsers" => super_users: Vec<String> = "" .ignored();
        /// Whether `root` is bound to its role as others are.
        "rootShouldBindRole" => root_should_bind_role: bool = "false" .ignored();
        /// Whether everyone has the role `public`'s privileges.
        "enablePublicPrivilege" => enable_public_privilege: bool = "true" .ignored();
        /// TLS for clients: 0 none, 1 the server shows a certificate, 2 the client too.
        "tlsMode" => tls_mode: u16 = "0" .range(0.0, 2.0)
            .refused("TLS for clients isn't there yet: set it to 0, and put what ends TLS in front of the port");
        /// Whether roles talk to each other through TLS.
        "internaltlsEnabled" => internal_tls_enabled: bool = "false"
            .refused("TLS between roles isn't there yet: set it to false; in one process nothing that they say leaves it");
    }
}

section! {
    /// Certificates for clients.
    pub struct Tls {
        /// File of the server's certificate.
        "serverPemPath" => server_pem_path: String = "configs/cert/server.pem" .ignored();
        /// File of its key.
        "serverKeyPath" => server_key_path: String = "configs/cert/server.key" .ignored();
        /// File of the authority that signed the clients' certificates.
        "caPemPath" => ca_pem_path: String = "configs/cert/ca.pem" .ignored();
    }
}

section! {
    /// Certificates between roles.
    pub struct InternalTls {
        /// File of the certificate.
        "serverPemPath" => server_pem_path: String = "configs/cert/server.pem" .ignored();
        /// File of its key.
        "serverKeyPath" => server_key_path: String = "configs/cert/server.key" .ignored();
        /// File of the authority that signed both.
        "caPemPath" => ca_pem_path: String = "configs/cert/ca.pem" .ignored();
        /// The name that the certificates are for.
        "sni" => sni: String = "localhost" .old(&["internaltls.internalTLSSNI"]) .ignored();
    }
}

impl Choice for Format {
    const CHOICES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

section! {
    /// The process's own log lines.
    pub struct Log {
        /// `debug`, `info`, `warn`, `error`, or a list such as `info,wal=debug`.
        "level" => level: String = "info" .reloads();
        /// `text` is `key=value`, one line an event; `json` one object an event.
        "format" => format: Format = "text";
        /// Whether lines go to standard output.
        "stdout" => stdout: bool = "true";
    }
    sections {
        "file" => file: LogFile;
    }
}

section! {
    /// Files of log lines.
    pub struct LogFile {
        /// Their directory; empty writes none.
        "rootPath" => root_path: Option<String> = "";
        /// A file of this size is put aside.
        "maxSize" => max_size: Bytes = "300" .unit(Unit::Megabytes);
        /// A file put aside is removed after this many days; 0 keeps it.
        "maxAge" => max_age: u32 = "10" .range(0.0, 36500.0);
        /// Most files put aside; 0 is no bound.
        "maxBackups" => max_backups: u32 = "20";
    }
}
