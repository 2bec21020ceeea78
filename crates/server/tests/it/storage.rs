//! Storage at start: what is waited for, what is refused, what is left alone; and what the metrics say of it afterwards.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use crate::binary::{Start, files, nobody};

/// Settings that name external storage at these addresses.
fn external(directory: &Path, etcd: &str, kafka: &str, s3: &str) -> String {
    format!(
        "etcd: {{endpoints: '{etcd}', rootPath: elanus-start-test, requestTimeout: 300}}\n\
         mq: {{type: kafka}}\nkafka: {{brokerList: '{kafka}'}}\n\
         minio: {{address: '{s3}', bucketName: b, requestTimeoutMs: 300}}\n\
         localStorage: {{path: '{}'}}\n",
        directory.display()
    )
}

#[test]
fn what_is_away_is_waited_for_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let (etcd, kafka, s3) = (nobody(), nobody(), nobody());
    let text = external(directory.path(), &etcd.to_string(), &kafka.to_string(), &s3.to_string());
    let mut server = Start::standalone().config(directory.path(), &text).spawn();
    server.line(&format!("waiting for metadata: etcd at {etcd}"));
    let (status, body) = server.get("/healthz");
    assert_eq!(status, 503, "{body}");
    for named in [format!("etcd at {etcd}"), format!("Kafka at {kafka}"), format!("http://{s3}, bucket b"), "etcd.endpoints in".to_owned()]
    {
        assert!(body.contains(&named), "no {named} in {body}");
    }
    assert_eq!(server.get("/readyz").0, 503);
    assert_eq!(server.get("/livez").0, 200, "the process is well, what it needs is not");
    assert!(files(directory.path()).iter().all(|(file, _)| file.ends_with("milvus.yaml")), "nothing is put in the place of what is away");
    server.signal("TERM");
    let (code, said) = server.end();
    assert_eq!(code, Some(0), "a process that waits can be stopped: {said}");
}

/// Passes each connection to `address` on to `target`, both ways, for the rest of the test's process.
fn relay(address: SocketAddr, target: String) {
    let listener = TcpListener::bind(address).expect("the port is free still");
    let pass = |from: &TcpStream, to: &TcpStream| {
        let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
        std::thread::spawn(move || {
            // Either end may go at any time.
            drop(copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Write));
        });
    };
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(&target).expect("the server of the tests is there");
            pass(&near, &far);
            pass(&far, &near);
        }
    });
}

#[test]
fn what_comes_back_is_used() {
    let target = match std::env::var("ELANUS_TEST_ETCD") {
        Ok(endpoints) if !endpoints.is_empty() => endpoints.split(',').next().unwrap_or_default().to_owned(),
        _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("CI has no etcd: ELANUS_TEST_ETCD isn't set"),
        _ => {
            println!("skipped: no etcd");
            return;
        }
    };
    let directory = tempfile::tempdir().expect("a directory");
    let etcd = nobody();
    let root = format!("elanus-start-{}", etcd.port());
    let text = format!(
        "etcd: {{endpoints: '{etcd}', rootPath: {root}, requestTimeout: 300}}\nlocalStorage: {{path: '{}'}}\n",
        directory.path().display()
    );
    let mut server = Start::standalone().config(directory.path(), &text).spawn();
    server.line(&format!("waiting for metadata: etcd at {etcd}"));
    assert_eq!(server.get("/healthz").0, 503);
    relay(etcd, target);
    server.line("reached metadata: etcd");
    server.line("message=ready");
    assert_eq!(server.get("/healthz"), (200, "OK".to_owned()));
    server.stop();
}

/// An endpoint and what follows it after a comma, from a variable; `None` where it isn't set, which CI doesn't let pass.
#[expect(clippy::print_stdout, reason = "a test says that it skips")]
fn guarded(variable: &str, what: &str) -> Option<(String, String)> {
    let value = std::env::var(variable).unwrap_or_default();
    if let Some((endpoint, rest)) = value.split_once(',') {
        return Some((endpoint.to_owned(), rest.to_owned()));
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI has no etcd with {what}: {variable} isn't set");
    println!("skipped: no etcd with {what}");
    None
}

/// Starts over this etcd under a root path of its own, serves, stops.
fn serves_over(endpoint: &str, settings: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, root) = (directory.path().display(), nobody().port());
    let text = format!("etcd: {{endpoints: '{endpoint}', rootPath: elanus-start-{root}, {settings}}}\nlocalStorage: {{path: '{data}'}}\n");
    let mut server = Start::standalone().config(directory.path(), &text).serving();
    assert!(server.line("message=storage").contains(&format!("etcd at {endpoint}")));
    server.stop();
}

#[test]
fn etcd_with_tls() {
    let Some((endpoint, certificates)) = guarded("ELANUS_TEST_ETCD_TLS", "TLS") else { return };
    let files = [("tlsCACert", "ca.pem"), ("tlsCert", "client.pem"), ("tlsKey", "client.key")];
    let files: Vec<String> = files.iter().map(|(key, file)| format!("{key}: '{certificates}/{file}'")).collect();
    serves_over(&endpoint, &format!("ssl: {{enabled: true, {}}}", files.join(", ")));
}

#[test]
fn etcd_with_users() {
    let Some((endpoint, user)) = guarded("ELANUS_TEST_ETCD_USER", "users") else { return };
    let (name, password) = user.split_once(':').expect("a name and a password");
    serves_over(&endpoint, &format!("auth: {{enabled: true, userName: '{name}', password: '{password}'}}"));
}

#[test]
fn metadata_that_is_gone_is_no_new_beginning() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    Start::standalone().data(&data).serving().stop();
    std::fs::remove_file(data.join("meta.redb")).expect("it was there");
    let before = files(&data);
    let (code, said) = Start::standalone().data(&data).spawn().end();
    assert_ne!(code, Some(0), "{said}");
    for part in ["meta.redb is missing, but the log in", "bring it back from a backup", "nothing was changed"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert_eq!(files(&data), before);
    // Nor is a new file in its place: nobody has ever worked on that metadata.
    std::fs::create_dir_all(data.join("objects/segment/1")).expect("it can be made");
    std::fs::write(data.join("objects/segment/1/x"), "x").expect("it can be written");
    let other = directory.path().join("other");
    Start::standalone().data(&other).serving().stop();
    std::fs::remove_dir_all(data.join("log")).expect("it was there");
    let (code, said) = Start::standalone().data(&data).spawn().end();
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("but the objects in"), "{said}");
}

#[test]
fn a_second_process_is_refused_and_touches_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut first = Start::standalone().data(directory.path()).serving();
    let before = files(directory.path());
    let (code, said) = Start::standalone().data(directory.path()).spawn().end();
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("is in use by another process") && said.contains("meta.lock is locked"), "{said}");
    assert_eq!(files(directory.path()), before);
    assert_eq!(first.get("/healthz"), (200, "OK".to_owned()), "the first one serves on");
    first.stop();
    // Everything was let go of.
    Start::standalone().data(directory.path()).serving().stop();
}

#[test]
fn what_milvus_left_is_named_and_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let left = ["rdb_data/000004.log", "rdb_data_meta_kv/CURRENT", "etcd/member/snap/db", "data/insert_log/449/1/2", "data/index_files/5"];
    for file in left {
        let file = directory.path().join(file);
        std::fs::create_dir_all(file.parent().expect("it has one")).expect("it can be made");
        std::fs::write(&file, "milvus").expect("it can be written");
    }
    let there = files(directory.path());
    let text = format!("localStorage: {{path: '{}'}}\n", directory.path().join("data").display());
    let elsewhere = tempfile::tempdir().expect("a directory");
    let mut server = Start::standalone().config(elsewhere.path(), &text).serving();
    for found in ["found=\"rdb_data, rdb_data_meta_kv, etcd\"", "found=\"insert_log, index_files\""] {
        assert!(server.line(found).contains("Milvus left data here"), "{found}");
    }
    server.stop();
    let ours = directory.path().join("data/elanus");
    let after: Vec<_> = files(directory.path()).into_iter().filter(|(file, _)| !file.starts_with(&ours)).collect();
    assert_eq!(after, there);
}

#[test]
fn operations_on_storage_are_counted_and_timed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = Start::standalone().data(directory.path()).serving();
    let (status, body) = server.get("/metrics");
    assert_eq!(status, 200);
    let value = |series: &str| {
        let line = body.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_else(|| panic!("no {series} in:\n{body}"))
    };
    for series in [
        r#"milvus_meta_op_count{meta_op_type="txn",status="success"}"#,
        r#"milvus_meta_request_latency_count{meta_op_type="txn"}"#,
        r#"milvus_msgstream_op_count{message_op_type="produce",status="success"}"#,
        r#"milvus_msgstream_request_latency_count{message_op_type="produce"}"#,
        r#"milvus_msgstream_op_count{message_op_type="consume",status="success"}"#,
        r#"milvus_storage_op_count{persistent_data_op_type="list",status="success"}"#,
        r#"milvus_storage_request_latency_count{persistent_data_op_type="list"}"#,
        r#"elanus_log_bytes_total{op="append"}"#,
    ] {
        assert!(value(series) > 0.0, "{series} is 0");
    }
    assert_eq!(value(r#"milvus_meta_op_count{meta_op_type="txn",status="fail"}"#), 0.0);
    server.stop();
}
