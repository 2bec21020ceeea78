//! The binary in the place of Milvus's: called by its name, with operators' files, variables and probes.

use std::path::PathBuf;

use crate::binary::{Start, get};
use crate::client::Client;

/// A file as operators have it: every section of a Swarm deployment, an `accessLog` whose keys slipped out of it, a queue that is named
/// twice, an empty value; but with storage of the process's own.
const OPERATORS: &str = "
etcd:
    endpoints: etcd-proxy:23790
    rootPath: an-insurer
    use:
        embed: true
metastore:
    type: etcd
minio:
    address: minio-proxy
    port: 9000
    accessKeyID: minioadmin
    secretAccessKey: minioadmin
    useSSL: false
    bucketName: milvus-bucket
    rootPath: file
    useIAM: false
    iamEndpoint:
mq:
    type: rocksmq
messageQueue: rocksmq
pulsar:
    address: broker
    port: 6650
    maxMessageSize: 5242880
rootCoord:
    address: rootcoord
    port: 53100
    enableActiveStandby: false  # Enable active-standby
proxy:
    port: 19530
    internalPort: 19529
    http:
        enabled: true
    accessLog:
    localPath: /milvus/access-logs
    filename: milvus_access_log.log # Log filename, leave empty to disable file log.
queryCoord:
    address: querycoord
    port: 19531

    enableActiveStandby: false  # Enable active-standby
queryNode:
    port: 21123
    enableDisk: true
indexCoord:
    address: indexcoord
    port: 31000
    enableActiveStandby: false
indexNode:
    port: 21121
    enableDisk: true
dataCoord:
    address: datacoord
    port: 13333
    enableActiveStandby: false
dataNode:
    port: 21124
log:
    level: info
    file:
        rootPath: \"LOGS\"
        maxSize: 300
        maxAge: 10
        maxBackups: 20
    format: text
common:
    chanNamePrefix:
        cluster: an-insurer
    storageType: local
localStorage:
    path: DATA
";

/// A directory as an image has it: `milvus` on a path of its own, `configs/milvus.yaml` in the working directory.
struct Image {
    directory: tempfile::TempDir,
    program: PathBuf,
}

impl Image {
    fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(at("bin")).expect("it can be made");
        std::fs::create_dir_all(at("configs")).expect("it can be made");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_elanus"), at("bin/milvus")).expect("it can be made");
        let text = config.replace("LOGS", &at("logs").display().to_string()).replace("DATA", &at("data").display().to_string());
        std::fs::write(at("configs/milvus.yaml"), text).expect("it can be written");
        let program = at("bin/milvus");
        Self { directory, program }
    }

    fn start(&self, arguments: &[&str]) -> Start {
        Start::called(&self.program).arguments(arguments).in_directory(self.directory.path())
    }
}

#[test]
fn operators_files_start_it_under_milvus_name() {
    let image = Image::new(OPERATORS);
    let mut server = image.start(&["run", "standalone", "-alias", "an-insurer"]).serving();
    for path in ["/livez", "/healthz", "/readyz"] {
        assert_eq!(server.get(path), (200, "OK".to_owned()), "{path}");
    }
    let (status, metrics) = server.get("/metrics");
    assert!(status == 200 && metrics.contains("# TYPE milvus_meta_op_count counter"), "{status} {metrics}");
    assert_eq!(Client::connect(&server.clients()).collections(), [""; 0]);
    // What slipped out of its section is named, each key once; what isn't acted upon in one line; and everything else is taken in silence.
    let warnings = server.stop();
    let warnings: Vec<&str> = warnings.lines().filter(|line| line.contains("level=warn")).collect();
    assert_eq!(warnings.len(), 3, "{}", warnings.join("\n"));
    for key in ["proxy.localPath", "proxy.filename", "pulsar.address, queryNode.enableDisk"] {
        assert!(warnings.iter().any(|line| line.contains(key)), "{key} isn't named in {}", warnings.join("\n"));
    }
    assert!(image.directory.path().join("data/elanus/meta.redb").exists(), "data is where the file says");
    assert!(image.directory.path().join("logs").read_dir().is_ok_and(|mut files| files.next().is_some()), "and so are lines of the log");
}

#[test]
fn metrics_port_is_a_variable() {
    let image = Image::new("localStorage: {path: DATA}\netcd: {use: {embed: true}}\n");
    // Held until the last moment, so that hardly anybody else can take it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback works");
    let port = listener.local_addr().expect("it listens").port();
    drop(listener);
    let mut server = image.start(&["run", "standalone"]).variable("METRICS_PORT", &port.to_string()).serving();
    assert_eq!(server.admin(), format!("127.0.0.1:{port}"));
    assert_eq!(get(&format!("127.0.0.1:{port}"), "/healthz"), (200, "OK".to_owned()));
    server.stop();
}

#[test]
fn wrong_settings_are_named() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("proxy: {maxNameLength: abc}", &[], &["proxy.maxNameLength is \"abc\" in", "milvus.yaml", "allowed is a whole number"]),
        ("mq: {type: carrier-pigeon}", &[], &["mq.type is \"carrier-pigeon\"", "one of default, rocksmq"]),
        ("log: {level: loud}", &[], &["\"loud\"", "debug, info, warn, error"]),
        ("etcd: {ssl: {enabled: true, tlsMinVersion: 0.9}}", &[], &["etcd.ssl.tlsMinVersion is \"0.9\"", "one of 1.0, 1, 1.1, 1.2, 1.3"]),
        ("etcd: {endpoints: 'e:1', ssl: {enabled: true, tlsCACert: nowhere.pem}}", &[], &["etcd.ssl.tlsCACert is \"nowhere.pem\""]),
        ("proxy: [", &[], &["milvus.yaml"]),
        ("", &["COMMON_SESSION_TTL", "0.01"], &["common.session.ttl is \"0.01\"", "the environment", "from 1 to 3600 s"]),
    ];
    for (text, variable, parts) in cases {
        let image = Image::new(&format!("localStorage: {{path: DATA}}\n{text}\n"));
        let mut start = image.start(&["run", "standalone"]);
        if let [name, value] = variable {
            start = start.variable(name, value);
        }
        let (code, said) = start.spawn().end();
        assert_eq!(code, Some(1), "{text}: {said}");
        for part in *parts {
            assert!(said.contains(part), "{text}: no {part:?} in {said}");
        }
        assert!(!image.directory.path().join("data").exists(), "{text}: nothing was begun");
    }
}

#[test]
fn roles_that_there_are_not_are_refused() {
    let image = Image::new("");
    let (code, said) = image.start(&["run", "cdc"]).spawn().end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("cdc") && said.contains("querynode") && said.contains("standalone"), "{said}");
}
