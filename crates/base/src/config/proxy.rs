//! Keys of the proxy: its ports, the limits that it enforces, its access log.

use std::collections::BTreeMap;
use std::time::Duration;

use super::key::Unit;
use super::section::section;
use super::value::{Bytes, Limit};

section! {
    /// The proxy: what clients connect to.
    pub struct Proxy {
        /// Address for clients to connect to, or a name of it: it must be one of this machine's. Empty is every one.
        "ip" => ip: Option<String> = "";
        /// Host, or `host:port`, under which the other roles reach it; empty finds one.
        "address" => address: Option<String> = "" .ignored();
        /// Port for clients: gRPC and REST.
        "port" => port: u16 = "19530";
        /// Port for the other roles.
        "internalPort" => internal_port: u16 = "19529";
        /// Longest name of a collection, partition, field, alias, in bytes.
        "maxNameLength" => max_name_length: u32 = "255" .range(1.0, 65535.0) .reloads();
        /// Most fields of a collection.
        "maxFieldNum" => max_field_num: u32 = "256" .range(1.0, 4096.0) .reloads();
        /// Most vector fields of a collection.
        "maxVectorFieldNum" => max_vector_field_num: u32 = "10" .range(1.0, 256.0) .reloads();
        /// Most shards of a collection.
        "maxShardNum" => max_shard_num: u32 = "16" .range(1.0, 1024.0) .reloads();
        /// Most dimensions of a vector.
        "maxDimension" => max_dimension: u32 = "32768" .range(1.0, 1048576.0) .reloads();
        /// Most elements of an array.
        "maxArrayCapacity" => max_array_capacity: u32 = "4096" .range(1.0, 1048576.0) .reloads();
        /// Longest `max_length` of a VARCHAR field, in bytes.
        "maxVarCharLength" => max_var_char_length: u32 = "65535" .range(1.0, 16777216.0) .reloads();
        /// Longest text of a TEXT field, in bytes.
        "maxTextLength" => max_text_length: u32 = "2097152" .range(1.0, 67108864.0) .ignored();
        /// Longest text of an index's parameters, in bytes.
        "maxIndexParamsSize" => max_index_params_size: Bytes = "102400" .unit(Unit::Bytes) .reloads();
        /// Longest description of a collection.
        "maxCollectionDescriptionLength" => max_collection_description_length: u32 = "1024" .reloads();
        /// Longest description of a role.
        "maxRoleDescriptionLength" => max_role_description_length: u32 = "1024" .ignored();
        /// Longest description of a user.
        "maxUserDescriptionLength" => max_user_description_length: u32 = "1024" .ignored();
        /// Shortest password.
        "minPasswordLength" => min_password_length: u32 = "6" .range(0.0, 72.0) .ignored();
        /// Longest password; bcrypt looks at no more than 72 bytes.
        "maxPasswordLength" => max_password_length: u32 = "72" .range(1.0, 72.0) .ignored();
        /// Longest name of a user.
        "maxUsernameLength" => max_username_length: u32 = "32" .range(1.0, 1024.0) .ignored();
        /// Most users.
        "maxUserNum" => max_user_num: u32 = "100" .ignored();
        /// Most roles beside the built-in ones.
        "maxRoleNum" => max_role_num: u32 = "10" .ignored();
        /// Most rows of one answer to a search, over all its query vectors.
        "maxResultEntries" => max_result_entries: Limit = "-1" .ignored();
        /// Most groups of one aggregation.
        "maxSearchAggregationResultEntries" => max_search_aggregation_result_entries: Limit = "10000" .ignored();
        /// Whether a collection must have a partition key.
        "mustUsePartitionKey" => must_use_partition_key: bool = "false" .ignored();
        /// Whether partition names of a search are regular expressions.
        "partitionNameRegexp" => partition_name_regexp: bool = "false" .ignored();
        /// Whether a privilege on a collection holds for its aliases.
        "resolveAliasForPrivilege" => resolve_alias_for_privilege: bool = "true" .ignored();
        /// Requests that take longer are counted and logged as slow.
        "slowQuerySpanInSeconds" => slow_query_span: Duration = "1" .unit(Unit::Seconds) .reloads();
        /// How often connections are looked at.
        "connectionCheckIntervalSeconds" => connection_check_interval: Duration = "120" .unit(Unit::Seconds) .ignored();
        /// A client that said nothing for so long is forgotten.
        "connectionClientInfoTTLSeconds" => connection_client_info_ttl: Duration = "86400" .unit(Unit::Seconds) .ignored();
        /// Most clients that are remembered.
        "maxConnectionNum" => max_connection_num: u32 = "10000" .range(1.0, 10000000.0) .ignored();
        /// How long a stop waits for requests that are under way.
        "gracefulStopTimeout" => graceful_stop_timeout: Duration = "30" .unit(Unit::Seconds);
        /// How long a health check waits for the other roles.
        "healthCheckTimeout" => health_check_timeout: Duration = "3000" .unit(Unit::Milliseconds)
            .old(&["proxy.healthCheckTimetout"]) .ignored();
    }
    sections {
        "nameValidation" => name_validation: AllowedChars;
        "roleNameValidation" => role_name_validation: AllowedChars;
        "http" => http: ProxyHttp;
        "grpc" => grpc: ProxyGrpc;
        "accessLog" => access_log: AccessLog;
    }
}

section! {
    /// Characters that names may have beside letters, digits and `_`.
    pub struct AllowedChars {
        /// The characters, one after the other.
        "allowedChars" => allowed_chars: String = "$" .ignored();
    }
}

section! {
    /// REST.
    pub struct ProxyHttp {
        /// Whether REST is served.
        "enabled" => enabled: bool = "true";
        /// A port of its own; empty shares `proxy.port`.
        "port" => port: Option<u16> = "";
        /// Whether Int64 values stand in answers as numbers where a request says nothing; else as texts.
        "acceptTypeAllowInt64" => accept_type_allow_int64: bool = "true";
        /// How long a request may take where it says nothing.
        "requestTimeoutMs" => request_timeout: Duration = "30000" .unit(Unit::Milliseconds);
        /// How long the head of a request may take.
        "readHeaderTimeout" => read_header_timeout: Duration = "5s" .unit(Unit::Seconds) .ignored();
        /// An idle connection is closed after this time.
        "idleTimeout" => idle_timeout: Duration = "300s" .unit(Unit::Seconds) .ignored();
        /// Whether the console is served.
        "enableWebUI" => enable_web_ui: bool = "true" .ignored();
    }
}

section! {
    /// Sizes of the proxy's messages.
    pub struct ProxyGrpc {
        /// Largest answer to a client.
        "serverMaxSendSize" => server_max_send_size: Bytes = "268435456" .unit(Unit::Bytes) .old(&["grpc.serverMaxSendSize"]);
        /// Largest request of a client.
        "serverMaxRecvSize" => server_max_recv_size: Bytes = "134217728" .unit(Unit::Bytes) .old(&["grpc.serverMaxRecvSize"]);
        /// Largest request to a proxy.
        "clientMaxSendSize" => client_max_send_size: Bytes = "268435456" .unit(Unit::Bytes) .old(&["grpc.clientMaxSendSize"]) .ignored();
        /// Largest answer of a proxy.
        "clientMaxRecvSize" => client_max_recv_size: Bytes = "67108864" .unit(Unit::Bytes) .old(&["grpc.clientMaxRecvSize"]) .ignored();
    }
}

section! {
    /// One line per finished request.
    pub struct AccessLog {
        /// Whether it is written.
        "enable" => enable: bool = "false" .ignored();
        /// The file's name; empty is standard output.
        "filename" => filename: Option<String> = "" .ignored();
        /// The file's directory.
        "localPath" => local_path: String = "/tmp/milvus_access" .ignored();
        /// A file of this size is put aside; 0 is no bound.
        "maxSize" => max_size: Bytes = "64" .unit(Unit::Megabytes) .ignored();
        /// A file of this age is put aside; 0 is no bound.
        "rotatedTime" => rotated_time: Duration = "0" .unit(Unit::Seconds) .ignored();
        /// Most files put aside; 0 is no bound.
        "maxBackups" => max_backups: u32 = "8" .ignored();
        /// Lines are gathered up to this size before they are written.
        "cacheSize" => cache_size: Bytes = "0" .unit(Unit::Bytes) .ignored();
        /// Gathered lines wait no longer than this.
        "cacheFlushInterval" => cache_flush_interval: Duration = "3" .unit(Unit::Seconds) .ignored();
        /// Whether files put aside are copied to the object store.
        "minioEnable" => minio_enable: bool = "false" .ignored();
        /// Where they are put there, below `minio.rootPath`.
        "remotePath" => remote_path: String = "access_log/" .ignored();
        /// Copies are removed after this time; 0 keeps them.
        "remoteMaxTime" => remote_max_time: Duration = "0" .unit(Unit::Hours) .ignored();
        /// Formats: `<name>.format`, and `<name>.methods` for those that they are used for. `base` is used for all others.
        "formatters" => formatters: BTreeMap<String, String> = "" .ignored();
    }
}
