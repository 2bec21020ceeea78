//! Settings that change while the server runs: at SIGHUP, and by themselves when the file changes.

use std::io::Write;
use std::net::TcpStream;

use crate::binary::Start;
use crate::client::Client;

#[test]
fn what_can_change_changes_and_the_rest_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("milvus.yaml");
    let text = |interval: &str, rest: &str| {
        let data = directory.path().join("data");
        format!("localStorage: {{path: '{}'}}\nelanus: {{reloadInterval: {interval}{rest}", data.display())
    };
    let mut server = Start::standalone().config(directory.path(), &text("1h", "}\n")).serving();
    let mut client = Client::connect(&server.clients());
    client.create("four_letters_and_more");

    // At SIGHUP: limits of requests, the size of a flush, the level of the log.
    let changed = "}\nproxy: {maxNameLength: 8}\nqueryCoord: {autoBalance: false}\nrootCoord: {dmlChannelNum: 3}\nquotaAndLimits: {limits: {maxCollectionNum: 2}}\nlog: {level: debug}\n";
    std::fs::write(&file, text("1h", changed)).expect("it can be written");
    server.signal("HUP");
    server.line("message=\"settings have changed\"");
    for key in ["proxy.maxNameLength", "quotaAndLimits.limits.maxCollectionNum", "log.level"] {
        assert!(server.line("settings have changed").contains(key), "{key}");
    }
    assert!(server.line("wait for a restart").contains("rootCoord.dmlChannelNum"));
    assert!(server.line("settings in the files have changed that aren't acted upon yet").contains("queryCoord.autoBalance"));
    // A connection that breaks off is worth a line at this level alone.
    let mut broken = TcpStream::connect(server.clients()).expect("it listens");
    broken.write_all(b"this is no HTTP\r\n\r\n").expect("it reads");
    server.line("level=debug");
    let refused = client.try_create("nine_more");
    assert!(refused.reason.contains("the length of a collection name must be less than 8"), "{refused:?}");
    client.create("short");
    let refused = client.try_create("third");
    assert!(refused.reason.contains("maxCollectionNum=2"), "{refused:?}");

    // A file that can't be read changes nothing.
    std::fs::write(&file, text("1h", "}\nproxy: {maxNameLength: none}\n")).expect("it can be written");
    server.signal("HUP");
    assert!(server.line("settings can't be read").contains("proxy.maxNameLength is"));
    assert_ne!(client.try_create("nine_more").code, 0);
    server.stop();
}

#[test]
fn a_flush_size_is_followed_without_a_signal() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("milvus.yaml");
    let text = |megabytes: u32| {
        let data = directory.path().join("data");
        format!("localStorage: {{path: '{}'}}\nelanus: {{reloadInterval: 100ms, flush: {{shardBytes: {megabytes}}}}}\n", data.display())
    };
    let mut server = Start::standalone().config(directory.path(), &text(64)).serving();
    let mut client = Client::connect(&server.clients());
    client.create("rows");
    std::fs::write(&file, text(1)).expect("it can be written");
    server.line("settings have changed");
    // Some 2 MB, far below the first limit and above the second.
    client.insert("rows", 0..60_000);
    server.line("message=flushed");
    server.stop();
}

#[test]
fn what_isnt_there_and_would_be_relied_on_refuses_the_start() {
    let check = |text: &str, key: &str| {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let (code, said) = Start::standalone().config(directory.path(), text).data(&data).spawn().end();
        assert_eq!(code, Some(1), "{text}: {said}");
        assert!(said.contains(key) && said.contains("set it to false"), "{text}: {said}");
        assert!(!data.exists(), "{text}: nothing was begun");
    };
    check("common: {security: {authorizationEnabled: true}}", "common.security.authorizationEnabled is \"true\"");
    check("quotaAndLimits: {limitWriting: {forceDeny: true}}", "quotaAndLimits.limitWriting.forceDeny is \"true\"");
}

#[test]
fn a_stop_that_has_no_time_to_flush_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = |text: &str| Start::standalone().config(directory.path(), text).data(&directory.path().join("data"));
    let mut server = start("dataNode: {gracefulStopTimeout: 0}\n").serving();
    let mut client = Client::connect(&server.clients());
    client.create("rows");
    client.index("rows");
    client.load("rows");
    client.insert("rows", 0..1_000);
    drop(client);
    assert!(server.stop().contains("not everything was flushed before the end"));
    let mut server = start("{}").serving();
    assert_eq!(Client::connect(&server.clients()).count("rows"), 1_000);
    assert!(!server.stop().contains("not everything was flushed"));
}

#[test]
fn clients_are_served_at_the_address_that_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = |ip: &str| {
        let text = format!("proxy: {{ip: '{ip}'}}\nqueryCoord: {{autoBalance: false}}\n");
        Start::standalone().config(directory.path(), &text).data(&directory.path().join("data"))
    };
    let mut server = start("127.0.0.1").serving();
    assert!(server.line("message=ready").contains("address=127.0.0.1:"));
    assert!(server.line("aren't acted upon yet").contains("queryCoord.autoBalance"));
    server.stop();
    // An address of documentation, which no machine has.
    let (code, said) = start("192.0.2.1").spawn().end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("can't listen on 192.0.2.1:0 (key proxy.ip, proxy.port): that isn't an address of this machine"), "{said}");
}
