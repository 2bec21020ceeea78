//! Which backends a process uses, and why.

use std::path::Path;

use base::config::{Backends, Config, Deployment, LogBackend, MetaBackend, ObjectsBackend, Sources};

const STANDALONE: Deployment<'_> = Deployment { standalone: true, data: None };
const CLUSTER: Deployment<'_> = Deployment { standalone: false, data: None };

fn config(text: &str) -> Config {
    Config::from_text(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The choice in short: metadata, log, objects; or the problems.
fn choose(config: &Config, deployment: Deployment<'_>) -> String {
    let backends = match Backends::choose(config, deployment) {
        Ok(backends) => backends,
        Err(error) => return format!("refused: {error}"),
    };
    let path = |path: &Path| path.display().to_string();
    let meta = match &backends.meta {
        MetaBackend::Embedded(file) => path(file),
        MetaBackend::Etcd => "etcd".to_owned(),
    };
    let log = match &backends.log {
        LogBackend::Embedded(directory) => path(directory),
        LogBackend::Kafka => "kafka".to_owned(),
        LogBackend::Pulsar => "pulsar".to_owned(),
        LogBackend::Objects => "objects".to_owned(),
    };
    let objects = match &backends.objects {
        ObjectsBackend::Local(directory) => path(directory),
        ObjectsBackend::Remote => "s3".to_owned(),
    };
    format!("{meta} {log} {objects}")
}

#[test]
fn standalone() {
    let check = |text: &str, expected: &str| {
        assert_eq!(choose(&config(&format!("localStorage: {{path: /d}}\n{text}")), STANDALONE), expected, "{text}")
    };
    let (meta, log, objects) = ("/d/elanus/meta.redb", "/d/elanus/log", "/d/elanus/objects");
    check("", &format!("{meta} {log} {objects}"));
    check("etcd: {endpoints: e:2379}", &format!("etcd {log} {objects}"));
    check("etcd: {endpoints: [e:2379, f:2379]}", &format!("etcd {log} {objects}"));
    check("etcd: {endpoints: e:2379, use: {embed: true}}", &format!("{meta} {log} {objects}"));
    check("etcd: {rootPath: x}", &format!("{meta} {log} {objects}"));
    check("minio: {address: m}", &format!("{meta} {log} s3"));
    check("minio: {address: m}\ncommon: {storageType: local}", &format!("{meta} {log} {objects}"));
    check("minio: {bucketName: b}\ncommon: {storageType: remote}", &format!("{meta} {log} {objects}"));
    check("mq: {type: pulsar}", &format!("{meta} pulsar {objects}"));
    check("mq: {type: kafka}\nkafka: {brokerList: k:9092}", &format!("{meta} kafka {objects}"));
    check("mq: {type: kafka}", "refused: mq.type in test.yaml asks for Kafka, and kafka.brokerList isn't set");
    check("mq: {type: rocksmq}", &format!("{meta} {log} {objects}"));
    check("mq: {type: woodpecker}", &format!("{meta} objects {objects}"));
    check("mq: {type: default}\npulsar: {address: p}\nkafka: {brokerList: k:9092}", &format!("{meta} {log} {objects}"));
    check("messageQueue: pulsar", &format!("{meta} pulsar {objects}"));
    check("metastore: {type: tikv}", "refused: metastore.type is tikv: etcd, or the embedded store, is allowed");
    check(
        "metastore: {type: tikv}\nmq: {type: kafka}",
        "refused: metastore.type is tikv: etcd, or the embedded store, is allowed\n\
        mq.type in test.yaml asks for Kafka, and kafka.brokerList isn't set",
    );
}

#[test]
fn a_directory_on_the_command_line_embeds_everything() {
    let named = config("etcd: {endpoints: e:2379}\nminio: {address: m}\nmq: {type: kafka}\nmetastore: {type: tikv}");
    let deployment = Deployment { standalone: true, data: Some(Path::new("/x")) };
    assert_eq!(choose(&named, deployment), "/x/meta.redb /x/log /x/objects");
    let text = Backends::choose(&named, deployment).unwrap().to_string();
    let expected = "\
metadata: embedded in /x/meta.redb: the command line gives the directory /x; etcd.endpoints in test.yaml isn't used
log: embedded in /x/log: the command line gives the directory /x; mq.type in test.yaml isn't used
objects: files in /x/objects: the command line gives the directory /x; minio.address in test.yaml isn't used
cache: /x/cache";
    assert_eq!(text, expected);
}

#[test]
fn cluster() {
    let check = |text: &str, expected: &str| assert_eq!(choose(&config(text), CLUSTER), expected, "{text}");
    check("", "etcd objects s3");
    check("pulsar: {address: p}\nkafka: {brokerList: k:9092}", "etcd pulsar s3");
    check("kafka: {brokerList: k:9092}", "etcd kafka s3");
    check("mq: {type: kafka}\nkafka: {brokerList: k:9092}\npulsar: {address: p}", "etcd kafka s3");
    check("mq: {type: woodpecker}", "etcd objects s3");
    check("common: {storageType: local}\nlocalStorage: {path: /nfs}", "etcd objects /nfs/elanus/objects");
    check(
        "mq: {type: rocksmq}",
        "refused: mq.type in test.yaml asks for a log in one process's own files: \
        roles in several processes need kafka, pulsar or woodpecker",
    );
    check("etcd: {use: {embed: true}}", "refused: etcd.use.embed is true: roles in several processes need an etcd of their own");
}

#[test]
fn the_environment_names_backends_too() {
    let sources = Sources::default()
        .with_variable("ETCD_ENDPOINTS", "e:2379")
        .with_variable("MINIO_ADDRESS", "m:9000")
        .with_variable("PULSAR_ADDRESS", "pulsar://p:6650");
    let config = sources.load().unwrap().config;
    let expected = "\
metadata: etcd at e:2379: etcd.endpoints in the environment variable ETCD_ENDPOINTS
log: Pulsar at pulsar://p:6650: pulsar.address in the environment variable PULSAR_ADDRESS
objects: http://m:9000, bucket a-bucket: minio.address in the environment variable MINIO_ADDRESS
cache: /var/lib/milvus/data/elanus/cache";
    assert_eq!(Backends::choose(&config, CLUSTER).unwrap().to_string(), expected);
    // The variables of Milvus's own script for one container.
    let embedded = Sources::default()
        .with_variable("ETCD_USE_EMBED", "true")
        .with_variable("ETCD_DATA_DIR", "/var/lib/milvus/etcd")
        .with_variable("COMMON_STORAGETYPE", "local")
        .with_variable("DEPLOY_MODE", "STANDALONE");
    let loaded = embedded.load().unwrap();
    let text = Backends::choose(&loaded.config, STANDALONE).unwrap();
    assert_eq!(text.meta_reason(), "embedded in /var/lib/milvus/data/elanus/meta.redb: etcd.use.embed is true");
    assert_eq!(text.log_reason(), "embedded in /var/lib/milvus/data/elanus/log: mq.type isn't set, so no queue is asked for");
    let objects = "files in /var/lib/milvus/data/elanus/objects: common.storageType in the environment variable COMMON_STORAGETYPE";
    assert_eq!(text.objects_reason(), objects);
}
