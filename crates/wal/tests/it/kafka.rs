//! The log on a real Kafka, where `ELANUS_TEST_KAFKA` names one (bootstrap servers).

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::World;
use types::id::ChannelName;
use wal::conformance::{self, Subject};
use wal::kafka::{KafkaConfig, KafkaLog};
use wal::log::Log;

/// The Kafka that the environment names; `None` where there is none, which CI doesn't let pass.
fn brokers() -> Option<String> {
    let found = std::env::var("ELANUS_TEST_KAFKA").ok();
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "CI names a Kafka in ELANUS_TEST_KAFKA");
    }
    found
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn conformance_and_restart() {
    let Some(brokers) = brokers() else {
        println!("skipped: no kafka");
        return;
    };
    runtime().block_on(async {
        let world = World::real();
        let prefix = format!("by-dev-{:08x}", world.random.u64() as u32);
        let config = KafkaConfig { brokers, ..Default::default() };
        let connect = async || KafkaLog::connect(&world, config.clone()).await.expect("Kafka answers");
        let subject = Subject { log: Arc::new(connect().await), prefix: prefix.clone(), faulty: false };
        conformance::check(&subject).await;
        let before = conformance::prepare_restart(&subject).await;
        let again = Subject { log: Arc::new(connect().await), prefix, faulty: false };
        conformance::check_after_restart(&again, before).await;
    });
}

/// A partition that the client sees before it has a leader counts for it as one that never gets any.
#[test]
fn topics_that_are_made_at_once_can_be_opened_at_once() {
    const TOPICS: usize = 32;
    /// Well below the time after which opening gives up.
    const PATIENCE: Duration = Duration::from_secs(14);
    let Some(brokers) = brokers() else {
        println!("skipped: no kafka");
        return;
    };
    runtime().block_on(async {
        let world = World::real();
        let prefix = format!("by-dev-{:08x}", world.random.u64() as u32);
        let log = KafkaLog::connect(&world, KafkaConfig { brokers, ..Default::default() }).await.expect("Kafka answers");
        let began = Instant::now();
        let names: Vec<ChannelName> = (0..TOPICS).map(|n| ChannelName::numbered(&prefix, n)).collect();
        let opened = futures::future::join_all(names.iter().map(|name| log.open(name))).await;
        for (name, opened) in names.iter().zip(opened) {
            assert!(opened.is_ok(), "{name}: {opened:?}");
        }
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    });
}
