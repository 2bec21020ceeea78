//! Settings: names, precedence, values, warnings, and the files of this repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::config::{Bytes, Config, DeployMode, Limit, Loaded, MqType, Origin, Rate, Sources, StorageType, document, normalize};

fn load(sources: &Sources) -> Loaded {
    sources.load().unwrap_or_else(|error| panic!("{error}"))
}

fn with_file(text: &str) -> Sources {
    Sources::default().with_file("milvus.yaml", text)
}

fn problems(sources: &Sources) -> Vec<String> {
    sources.load().map(|_| ()).unwrap_err().problems
}

#[test]
fn defaults() {
    let config = Config::default();
    assert_eq!((config.proxy.port, config.proxy.internal_port, config.elanus.metrics_port), (19530, 19529, 9091));
    assert_eq!((config.root_coord.port, config.query_coord.port, config.data_coord.port), (53100, 19531, 13333));
    assert_eq!((config.index_coord.port, config.index_node.port), (31000, 21121));
    assert_eq!((config.query_node.port, config.data_node.port), (21123, 21124));
    assert_eq!(config.etcd.endpoints, ["localhost:2379"]);
    assert_eq!(config.etcd.request_timeout, Duration::from_secs(10));
    assert_eq!(config.minio.endpoint(), "http://localhost:9000");
    assert_eq!(config.minio.secret_access_key.expose(), "minioadmin");
    assert_eq!((config.mq.kind, config.common.storage_type), (MqType::Default, StorageType::Remote));
    assert_eq!(config.proxy.max_result_entries, Limit(None));
    assert_eq!(config.proxy.grpc.server_max_recv_size, Bytes(128 << 20));
    assert_eq!(config.common.graceful_time, Duration::from_secs(5));
    assert_eq!(config.data_coord.segment.max_size, Bytes(1 << 30));
    assert_eq!(config.quota.dml.insert_rate.max, Rate(None));
    assert_eq!((config.elanus.flush.shard_bytes, config.elanus.flush.log_bytes), (Bytes(64 << 20), Bytes(256 << 20)));
    assert!(!config.elanus.exact_stats && !config.elanus.auto_load && !config.elanus.unique_key);
    assert!(config.values().iter().all(|(_, _, origin)| origin.is_none()));
}

#[test]
fn names_match_whatever_their_case_and_dots() {
    for name in ["proxy.maxNameLength", "PROXY_MAXNAMELENGTH", "proxy/maxnamelength", "milvus.Proxy.MAX_NAME_LENGTH"] {
        assert_eq!(normalize(name), "proxymaxnamelength", "{name}");
    }
    let names: BTreeSet<_> = Config::keys().iter().map(|entry| normalize(&entry.path)).collect();
    assert_eq!(names.len(), Config::keys().len(), "no two keys look alike");
    let config = Config::from_text("Proxy:\n  MAXNAMELENGTH: 100\nmilvus.proxy.maxfieldnum: 7\n").unwrap();
    assert_eq!((config.proxy.max_name_length, config.proxy.max_field_num), (100, 7));
}

#[test]
fn sources_override_each_other() {
    let port = |sources: &Sources| load(sources).config.proxy.port;
    let origin = |sources: &Sources| load(sources).config.origin("proxy.port").map(ToString::to_string);
    let mut sources = Sources::default();
    assert_eq!((port(&sources), origin(&sources)), (19530, None));
    sources = sources.with_file("default.yaml", "proxy: {port: 1}");
    assert_eq!((port(&sources), origin(&sources)), (1, Some("default.yaml".to_owned())));
    sources = sources.with_file("user.yaml", "proxy: {port: 2}");
    assert_eq!((port(&sources), origin(&sources)), (2, Some("user.yaml".to_owned())));
    sources = sources.with_file("elanus.yaml", "proxy:\n  port:\n");
    assert_eq!(port(&sources), 2, "null says nothing");
    sources = sources.with_variable("PROXY_PORT", "3");
    assert_eq!((port(&sources), origin(&sources)), (3, Some("the environment variable PROXY_PORT".to_owned())));
    sources = sources.with_variable("MILVUS_CONF_PROXY_PORT", "4");
    assert_eq!(port(&sources), 4);
    assert!(load(&sources).warnings.is_empty());
}

#[test]
fn the_environment_as_deployments_set_it() {
    let sources = Sources::default()
        .with_variable("ETCD_ENDPOINTS", "etcd-0:2379, etcd-1:2379")
        .with_variable("etcd_rootpath", "x")
        .with_variable("MINIO_ADDRESS", "10.0.0.9:9001")
        .with_variable("COMMON_STORAGETYPE", "minio")
        .with_variable("COMMON_DEFAULTPARTITIONNAME", "all")
        .with_variable("MQ_TYPE", "woodpecker")
        .with_variable("PULSAR_ADDRESS", "pulsar://10.0.0.8:6651")
        .with_variable("ROOT_COORD_ADDRESS", "10.0.0.7:53100")
        .with_variable("METRICS_PORT", "9092")
        .with_variable("DEPLOY_MODE", "STANDALONE")
        .with_variable("MILVUS_GIT_BUILD_TAGS", "v2.6.0")
        .with_variable("MILVUS_SERVER_LABEL_ZONE", "east")
        .with_variable("MILVUS_CONF_LOG_LEVEL", "debug")
        .with_variable("PATH", "/bin")
        .with_variable("HOME", "/root")
        .with_variable("PROXY", "http://10.0.0.1:3128")
        .with_variable("MILVUSCONF", "/etc/milvus");
    let Loaded { config, warnings, .. } = load(&sources);
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.etcd.endpoints, ["etcd-0:2379", "etcd-1:2379"]);
    assert_eq!((config.etcd.root_path.as_str(), config.minio.endpoint().as_str()), ("x", "http://10.0.0.9:9001"));
    assert_eq!((config.common.storage_type, config.mq.kind), (StorageType::Remote, MqType::Woodpecker));
    assert!(config.common.default_partition_name == "all");
    assert_eq!(config.pulsar.url(), "pulsar://10.0.0.8:6651");
    assert_eq!(config.root_coord.advertised().as_deref(), Some("10.0.0.7:53100"));
    assert_eq!((config.elanus.metrics_port, config.elanus.deploy_mode), (9092, Some(DeployMode::Standalone)));
    assert_eq!((config.elanus.build_tag.as_str(), config.log.level.as_str()), ("v2.6.0", "debug"));
    assert_eq!(config.server_labels.get("zone").map(String::as_str), Some("east"));
}

#[test]
fn service_variables_of_kubernetes_are_no_settings() {
    let service = |name: &str| {
        Sources::default()
            .with_variable(&format!("{name}_PORT"), "tcp://10.96.0.12:9000")
            .with_variable(&format!("{name}_PORT_9000_TCP"), "tcp://10.96.0.12:9000")
            .with_variable(&format!("{name}_PORT_9000_TCP_ADDR"), "10.96.0.12")
            .with_variable(&format!("{name}_SERVICE_HOST"), "10.96.0.12")
            .with_variable(&format!("{name}_SERVICE_PORT"), "9000")
    };
    for name in ["MINIO", "PULSAR", "PROXY", "METRICS", "ROOTCOORD", "QUERYNODE", "ETCD"] {
        let loaded = load(&service(name));
        assert!(loaded.warnings.is_empty(), "{name}: {:?}", loaded.warnings);
        assert!(loaded.config.values().iter().all(|(_, _, origin)| origin.is_none()), "{name}");
    }
    let sources = service("MINIO").with_variable("MILVUS_CONF_MINIO_PORT", "9001");
    assert_eq!(load(&sources).config.minio.port, 9001);
    let wrong = Sources::default().with_variable("MINIO_PORT", "nine");
    assert_eq!(problems(&wrong).len(), 1, "what isn't a service's variable is a mistake");
}

#[test]
fn old_spellings() {
    let check = |text: &str, seen: fn(&Config) -> String, expected: &str| {
        let loaded = load(&with_file(text));
        assert_eq!(seen(&loaded.config), expected, "{text}");
        assert!(loaded.warnings.is_empty(), "{text}: {:?}", loaded.warnings);
    };
    check("messageQueue: kafka", |config| format!("{:?}", config.mq.kind), "Kafka");
    check("common: {chanNamePrefix: {cluster: shop}}", |config| config.msg_channel.chan_name_prefix.cluster.clone(), "shop");
    check("msgChannel: {chanNamePrefix: {cluster: shop}}", |config| config.msg_channel.chan_name_prefix.cluster.clone(), "shop");
    check("common: {storageType: opendal}", |config| format!("{:?}", config.common.storage_type), "Remote");
    check("rootCoord: {address: root}", |config| config.root_coord.advertised().unwrap(), "root:53100");
    check("queryCoord: {ip: '::1'}", |config| config.query_coord.advertised().unwrap(), "[::1]:19531");
    check("dataCoord: {enableActiveStandby: true}", |config| config.data_coord.enable_active_standby.to_string(), "true");
    check("proxy: {healthCheckTimetout: 500}", |config| format!("{:?}", config.proxy.health_check_timeout), "500ms");
    check("mq: {type: rocksmq}", |config| format!("{:?}", config.mq.kind), "Embedded");
    let both = |config: &Config| format!("{} {}", config.proxy.grpc.server_max_recv_size.0, config.data_node.grpc.server_max_recv_size.0);
    check("grpc: {serverMaxRecvSize: 64m}", both, "67108864 67108864");
    check("grpc: {serverMaxRecvSize: 64m}\nproxy: {grpc: {serverMaxRecvSize: 1024}}", both, "1024 67108864");
}

#[test]
fn an_old_name_in_a_later_file_beats_the_new_one_before_it() {
    let sources = Sources::default().with_file("milvus.yaml", "mq: {type: rocksmq}").with_file("user.yaml", "messageQueue: pulsar");
    assert_eq!(load(&sources).config.mq.kind, MqType::Pulsar);
    let same = load(&with_file("messageQueue: pulsar\nmq: {type: kafka}"));
    assert_eq!(same.config.mq.kind, MqType::Kafka);
    assert_eq!(same.warnings, ["milvus.yaml: messageQueue and mq.type are the same key, mq.type counts"]);
    assert!(load(&with_file("messageQueue: pulsar\nmq: {type: pulsar}")).warnings.is_empty(), "the same twice is no matter");
}

#[test]
fn nothing_is_not_set() {
    let loaded = load(&with_file("minio:\n  rootPath: ''\n  iamEndpoint:\n  port: null\nproxy:\n  ip: ~\n  accessLog:\nnonsense:\n"));
    assert_eq!((loaded.config.minio.root_path.as_str(), loaded.config.minio.port), ("files", 9000));
    assert_eq!((&loaded.config.minio.iam_endpoint, &loaded.config.proxy.ip), (&None, &None));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn unknown_names_are_named_once() {
    let text = "proxy:\n  accessLog:\n  localPath: /x\n  prot: 5\nqueryNode:\n  segcore: {chunkRows: 128}\nhello: 1\nproxy.port.x: 1\n";
    let loaded = load(&with_file(text));
    let expected = [
        "milvus.yaml: unknown key proxy.localPath (if proxy.accessLog.localPath is meant: is it indented as it should be?)",
        "milvus.yaml: unknown key proxy.prot (is proxy.port meant?)",
        "milvus.yaml: unknown key hello",
        "milvus.yaml: unknown key proxy.port.x (is proxy.port meant?)",
    ];
    assert_eq!(loaded.warnings, expected);
    assert_eq!(loaded.without_effect, ["queryNode.segcore.chunkRows"]);
    let variable = load(&Sources::default().with_variable("MILVUS_CONF_PROXY_PROT", "1").with_variable("PROXY_PROT", "1"));
    assert_eq!(variable.warnings, ["the environment variable MILVUS_CONF_PROXY_PROT: unknown key PROXY_PROT (is proxy.port meant?)"]);
    assert_eq!(
        load(&with_file("a: 1\nproxy: {port: 1}\nproxy: {port: 2}")).warnings[0],
        "milvus.yaml: proxy.port stands there more than once, the last one counts"
    );
}

#[test]
fn values_that_cant_be_read() {
    let check = |text: &str, expected: &str| assert_eq!(problems(&with_file(text)), [expected], "{text}");
    check("proxy: {port: 70000}", "proxy.port is \"70000\" in milvus.yaml: allowed is a whole number");
    check("proxy: {maxNameLength: 0}", "proxy.maxNameLength is \"0\" in milvus.yaml: allowed is a whole number; from 1 to 65535");
    check("proxy: {http: {enabled: yes please}}", "proxy.http.enabled is \"yes please\" in milvus.yaml: allowed is true or false");
    check(
        "mq: {type: rabbit}",
        "mq.type is \"rabbit\" in milvus.yaml: allowed is one of default, rocksmq, natsmq, pulsar, kafka, woodpecker",
    );
    check(
        "common: {gracefulTime: soon}",
        "common.gracefulTime is \"soon\" in milvus.yaml: allowed is a number (ms), or a duration such as 500ms, 5s, 1h30m",
    );
    check(
        "elanus: {flush: {shardBytes: 100k}}",
        "elanus.flush.shardBytes is \"100k\" in milvus.yaml: allowed is a number (MB), or a size such as 512k, 64m, 1g; from 1 to 16384 MB",
    );
    let variable = Sources::default().with_variable("PROXY_PORT", "x").with_file("a.yaml", "log: {format: xml}");
    assert_eq!(problems(&variable).len(), 2, "every problem is told at once");
    assert!(problems(&variable).iter().any(|problem| problem.contains("in the environment variable PROXY_PORT: ")));
    let broken = Sources::default().with_file("a.yaml", "a: [").with_file("b.yaml", "- x");
    assert_eq!(problems(&broken).len(), 2);
    assert!(problems(&broken)[0].starts_with("a.yaml: "), "{:?}", problems(&broken));
}

#[test]
fn what_isnt_there_yet_refuses_the_start_where_someone_would_rely_on_it() {
    let check = |text: &str, expected: &[&str]| {
        let found = with_file(text).load().map(|_| ()).map_or_else(|error| error.problems, |()| Vec::new());
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected) && found.contains("set it to "), "{text}: {found}");
        }
    };
    check(
        "common: {security: {authorizationEnabled: true, tlsMode: 1, internaltlsEnabled: 1}}",
        &[
            "common.security.authorizationEnabled is \"true\" in milvus.yaml: users and privileges aren't there yet",
            "common.security.tlsMode is \"1\" in milvus.yaml: TLS for clients isn't there yet",
            "common.security.internaltlsEnabled is \"1\" in milvus.yaml: TLS between roles isn't there yet",
        ],
    );
    check(
        "quotaAndLimits: {forceDenyAllDDL: true, limitWriting: {forceDeny: true}, limitReading: {forceDeny: true}}",
        &[
            "quotaAndLimits.forceDenyAllDDL is \"true\" in milvus.yaml: changes of definitions can't be denied",
            "quotaAndLimits.limitWriting.forceDeny is \"true\" in milvus.yaml: writes can't be denied",
            "quotaAndLimits.limitReading.forceDeny is \"true\" in milvus.yaml: reads can't be denied",
        ],
    );
    check("common: {security: {authorizationEnabled: false, tlsMode: 0}}\nquotaAndLimits: {limitWriting: {forceDeny: 0}}", &[]);
    let variable = Sources::default().with_variable("COMMON_SECURITY_AUTHORIZATIONENABLED", "true");
    assert!(problems(&variable)[0].contains("in the environment variable COMMON_SECURITY_AUTHORIZATIONENABLED: "));
}

#[test]
fn what_isnt_acted_upon_is_named_once() {
    let check = |text: &str, expected: &[&str]| {
        let loaded = load(&with_file(text));
        assert_eq!((loaded.ignored, loaded.warnings), (expected.iter().map(|name| (*name).to_owned()).collect(), vec![]), "{text}");
    };
    check("queryCoord: {autoBalance: true, port: 19531}\ndataCoord: {gc: {interval: 1h, dropTolerance: 10800}}", &[]);
    check("queryCoord: {autoBalance: false}\nproxy: {port: 1, maxUserNum: 7}", &["proxy.maxUserNum", "queryCoord.autoBalance"]);
    check("proxy: {accessLog: {formatters: {base: {format: x}}}}", &["proxy.accessLog.formatters.base.format"]);
    check(
        "quotaAndLimits: {dml: {enabled: true, insertRate: {max: 5}}}",
        &["quotaAndLimits.dml.enabled", "quotaAndLimits.dml.insertRate.max"],
    );
    // One of the keys that this name sets is acted upon.
    check("grpc: {serverMaxRecvSize: 1000000}", &[]);
    check("kafka: {producer: {client.id: x}}", &[]);
    check("cipherPlugin: {soPathGo: /x.so, kmsDefaultKey: ''}", &["cipherPlugin.soPathGo"]);
}

#[test]
fn values_with_units() {
    let text = "common: {gracefulTime: 7s, session: {ttl: 1m}}\nproxy: {http: {requestTimeoutMs: 100}}\n\
        data_coord: {segment: {maxSize: 512}, gc: {interval: 1h}}\npulsar: {maxMessageSize: 2m}\n\
        quotaAndLimits: {dml: {insertRate: {max: 1.5, db.max: 2}}, limitWriting: {diskProtection: {diskQuota: 100}}}\n";
    let config = Config::from_text(text).unwrap();
    assert_eq!((config.common.graceful_time, config.common.session.ttl), (Duration::from_secs(7), Duration::from_secs(60)));
    assert_eq!(config.proxy.http.request_timeout, Duration::from_millis(100));
    assert_eq!((config.data_coord.segment.max_size, config.pulsar.max_message_size), (Bytes(512 << 20), Bytes(2 << 20)));
    assert_eq!(config.data_coord.gc.interval, Duration::from_secs(3600));
    assert_eq!((config.quota.dml.insert_rate.max, config.quota.dml.insert_rate.db_max), (Rate(Some(1_572_864.0)), Rate(Some(2_097_152.0))));
    assert_eq!(config.quota.limit_writing.disk_protection.disk_quota, Limit(Some(100 << 20)));
}

#[test]
fn open_keys_keep_the_names_below_them() {
    let text = "kafka:\n  brokerList: a:9092,b:9092\n  producer:\n    client.id: dc\n    message.max.bytes: 1000\n\
        \x20 consumer: {fetch: {min.bytes: 1}}\n\
        proxy:\n  accessLog:\n    enable: true\n    formatters:\n      base: {format: '[$time_now] x'}\n\
        \x20     query: {format: y, methods: [Query, Search]}\n";
    let loaded = load(&with_file(text));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let Config { kafka, proxy, .. } = &loaded.config;
    assert_eq!(kafka.broker_list, ["a:9092", "b:9092"]);
    assert_eq!((kafka.producer["client.id"].as_str(), kafka.producer["message.max.bytes"].as_str()), ("dc", "1000"));
    assert_eq!(kafka.consumer["fetch.min.bytes"], "1");
    assert_eq!(proxy.access_log.formatters["base.format"], "[$time_now] x");
    assert_eq!(proxy.access_log.formatters["query.methods"], "Query,Search");
}

#[test]
fn secrets_are_not_shown() {
    let config =
        Config::from_text("minio: {secretAccessKey: hunter2}\nkafka: {saslPassword: hunter2}\netcd: {auth: {password: hunter2}}").unwrap();
    let shown: Vec<_> = config.values().into_iter().filter(|(_, text, _)| text.contains("hunter2")).collect();
    assert_eq!(shown, []);
    assert_eq!(config.minio.secret_access_key.expose(), "hunter2");
    let debug = format!("{config:?}");
    assert!(!debug.contains("hunter2"), "{debug}");
}

#[test]
fn addresses() {
    let minio = |text: &str| Config::from_text(&format!("minio: {{{text}}}")).unwrap().minio.endpoint();
    assert_eq!(minio("address: m"), "http://m:9000");
    assert_eq!(minio("address: m:1, useSSL: true"), "https://m:1");
    assert_eq!(minio("address: 'https://s3.amazonaws.com/'"), "https://s3.amazonaws.com");
    assert_eq!(minio("address: s3.eu-central-1.amazonaws.com, port: 443, useSSL: true"), "https://s3.eu-central-1.amazonaws.com:443");
    assert_eq!(minio("address: '[::1]:9001'"), "http://[::1]:9001");
    assert_eq!(minio("address: 'fe80::1'"), "http://[fe80::1]:9000");
    let pulsar = |text: &str| Config::from_text(&format!("pulsar: {{{text}}}")).unwrap().pulsar.url();
    assert_eq!(pulsar("address: p, port: 1"), "pulsar://p:1");
    assert_eq!(pulsar("address: 'pulsar+ssl://p'"), "pulsar+ssl://p:6650");
    assert_eq!(pulsar("address: 'pulsar://p:6651/'"), "pulsar://p:6651");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The file is written by `ELANUS_BLESS=1 cargo test -p base`.
#[test]
fn the_documented_file_is_the_table() {
    let path = repository().join("configs/elanus.yaml");
    if std::env::var_os("ELANUS_BLESS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == document(),
        "configs/elanus.yaml isn't what the table says: run the tests with ELANUS_BLESS=1 and look at the difference"
    );
}

#[test]
fn the_documented_file_sets_nothing_until_a_hash_is_taken_away() {
    let text = document();
    let as_it_is = load(&with_file(&text));
    assert!(as_it_is.config.values().iter().all(|(_, _, origin)| origin.is_none()));
    assert!(as_it_is.warnings.is_empty(), "{:?}", as_it_is.warnings);
    let uncover = |line: &str| {
        let content = line.trim_start();
        let is_key = content.starts_with('#') && content[1..].starts_with(|c: char| c.is_ascii_alphabetic());
        if is_key { line.replacen('#', "", 1) } else { line.to_owned() }
    };
    let uncovered: Vec<_> = text.lines().map(uncover).collect();
    let all = load(&with_file(&uncovered.join("\n")));
    assert!(all.warnings.is_empty(), "{:?}", all.warnings);
    for entry in Config::keys() {
        let origin = all.config.origin(&entry.path);
        assert_eq!(origin.is_some(), !entry.key.default.is_empty() && !entry.key.open, "{}", entry.path);
        assert!(!entry.key.doc.is_empty() && entry.key.doc.iter().all(|line| line.len() < 132), "{} is documented", entry.path);
        assert!(text.contains(&format!("#{}:", entry.path.rsplit('.').next().unwrap())), "{}", entry.path);
    }
    let shown = |config: &Config| config.values().into_iter().map(|(path, text, _)| (path, text)).collect::<Vec<_>>();
    assert_eq!(shown(&all.config), shown(&Config::default()), "what the file shows are the defaults");
}

#[test]
fn an_operators_file() {
    let text = std::fs::read_to_string(repository().join("configs/milvus.example.yaml")).unwrap();
    let Loaded { config, warnings, without_effect, ignored, .. } = load(&with_file(&text));
    const IGNORED: [&str; 2] = ["pulsar.address", "queryNode.enableDisk"];
    let expected = [
        "milvus.yaml: unknown key proxy.localPath (if proxy.accessLog.localPath is meant: is it indented as it should be?)",
        "milvus.yaml: unknown key proxy.filename (if proxy.accessLog.filename is meant: is it indented as it should be?)",
    ];
    assert_eq!(warnings, expected);
    assert_eq!((without_effect, ignored), (vec![], IGNORED.map(str::to_owned).to_vec()));
    assert_eq!(config.etcd.endpoints, ["etcd-lb:23790"]);
    assert_eq!(config.msg_channel.chan_name_prefix.cluster, "shop-milvus");
    assert_eq!(config.log.file.root_path.as_deref(), Some("/var/log/shop/system"));
    assert_eq!(config.query_coord.advertised().as_deref(), Some("querycoord:19531"));
    assert_eq!(config.proxy.access_log.filename, None);
    assert!(config.query_node.enable_disk);
}

#[test]
fn files_of_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let empty = Sources::of_process(Some(directory.path())).unwrap();
    assert!(load(&empty).warnings[0].contains("holds none of milvus.yaml"), "{:?}", load(&empty).warnings);
    std::fs::write(file("milvus.yaml"), "proxy: {port: 1, maxFieldNum: 1}").unwrap();
    std::fs::write(file("user.yaml"), "proxy: {port: 2}").unwrap();
    std::fs::write(file("default.yaml"), "proxy: {port: 3, maxShardNum: 3}").unwrap();
    std::fs::write(file("other.yaml"), "proxy: {port: 4}").unwrap();
    let config = load(&Sources::of_process(Some(directory.path())).unwrap()).config;
    assert_eq!((config.proxy.port, config.proxy.max_field_num, config.proxy.max_shard_num), (2, 1, 3));
    assert_eq!(config.origin("proxy.port"), Some(&Origin::File(file("user.yaml").display().to_string())));
    let single = load(&Sources::of_process(Some(&file("other.yaml"))).unwrap()).config;
    assert_eq!((single.proxy.port, single.proxy.max_field_num), (4, 256));
    let missing = Sources::of_process(Some(&file("absent.yaml"))).unwrap_err();
    assert!(missing.to_string().contains("absent.yaml: no such file"), "{missing}");
    std::fs::write(file("_test.yaml"), "x".repeat(5 << 20)).unwrap();
    assert!(Sources::of_process(Some(directory.path())).unwrap_err().to_string().contains("at most 4194304 are allowed"));
}
