//! The log on a real Kafka, where `ELANUS_TEST_KAFKA` names one (bootstrap servers).

use std::sync::Arc;

use base::World;
use wal::conformance::{self, Subject};
use wal::kafka::{KafkaConfig, KafkaLog};

#[test]
fn conformance_and_restart() {
    let Ok(brokers) = std::env::var("ELANUS_TEST_KAFKA") else {
        assert!(std::env::var("CI").is_err(), "CI names a Kafka in ELANUS_TEST_KAFKA");
        println!("skipped: no kafka");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
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
