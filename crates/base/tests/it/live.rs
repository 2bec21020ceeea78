//! Settings that change while the process runs.

use std::path::Path;
use std::time::Duration;

use base::clock::Clock;
use base::config::{Config, LiveConfig, Sources};

fn live(sources: Sources) -> LiveConfig {
    let loaded = sources.load().unwrap();
    LiveConfig::new(sources, &loaded)
}

#[test]
fn files_are_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("milvus.yaml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("proxy: {port: 1, maxFieldNum: 10}");
    let live = live(Sources::of_process(Some(directory.path())).unwrap());
    assert_eq!(live.reread().unwrap(), None);
    write("proxy: {port: 2, maxFieldNum: 20}");
    let change = live.reread().unwrap().unwrap();
    assert_eq!((change.applied, change.after_restart), (vec!["proxy.maxFieldNum".to_owned()], vec!["proxy.port".to_owned()]));
    assert_eq!((live.current().proxy.max_field_num, live.current().proxy.port), (20, 1));
    write("proxy: {port: 1, maxFieldNum: 20, maxUserNum: 7}");
    let change = live.reread().unwrap().unwrap();
    assert_eq!((change.applied, change.after_restart, change.ignored), (vec![], vec![], vec!["proxy.maxUserNum".to_owned()]));
    write("common: {security: {authorizationEnabled: true}}");
    assert!(live.reread().unwrap_err().to_string().contains("users and privileges aren't there yet"));
    write("proxy: [");
    assert!(live.reread().is_err());
    assert_eq!(live.current().proxy.max_field_num, 20);
    write("{}");
    let change = live.reread().unwrap().unwrap();
    assert_eq!(change.applied, ["proxy.maxFieldNum"]);
    assert_eq!((live.current().proxy.max_field_num, live.current().proxy.port), (256, 1), "a default that waits for a restart waits too");
}

#[tokio::test]
async fn files_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("milvus.yaml");
    let write =
        |path: &Path, level: &str| std::fs::write(path, format!("elanus: {{reloadInterval: 100ms}}\nlog: {{level: {level}}}")).unwrap();
    write(&path, "info");
    let live = live(Sources::of_process(Some(directory.path())).unwrap());
    let mut changes = live.subscribe();
    let following = tokio::spawn({
        let live = live.clone();
        async move { live.follow_files(Clock::real(), &tokio::sync::Notify::new()).await }
    });
    write(&path, "debug");
    let seen = tokio::time::timeout(Duration::from_secs(30), changes.wait_for(|config| config.log.level == "debug")).await;
    assert!(seen.is_ok());
    following.abort();
}

#[tokio::test]
async fn files_are_read_when_somebody_asks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("milvus.yaml");
    let write = |level: &str| std::fs::write(&path, format!("elanus: {{reloadInterval: 1h}}\nlog: {{level: {level}}}")).unwrap();
    write("info");
    let live = live(Sources::of_process(Some(directory.path())).unwrap());
    let (mut changes, asked) = (live.subscribe(), std::sync::Arc::new(tokio::sync::Notify::new()));
    let following = tokio::spawn({
        let (live, asked) = (live.clone(), asked.clone());
        async move { live.follow_files(Clock::real(), &asked).await }
    });
    write("debug");
    asked.notify_one();
    let seen = tokio::time::timeout(Duration::from_secs(30), changes.wait_for(|config| config.log.level == "debug")).await;
    assert!(seen.is_ok());
    following.abort();
}

#[test]
fn what_is_current_is_seen_by_all_and_held_by_each() {
    let first = base::config::Current::new(1);
    let (second, held) = (first.clone(), first.get());
    second.set(2);
    assert_eq!((*held, *first.get()), (1, 2));
}

#[test]
fn fixed_settings_stay() {
    let live = LiveConfig::fixed(Config::from_text("proxy: {maxFieldNum: 3}").unwrap());
    assert_eq!(live.current().proxy.max_field_num, 3);
    assert_eq!(live.reread().unwrap(), None);
}
