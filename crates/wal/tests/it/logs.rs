//! The conformance suite on each log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::World;
use base::disk::RealDisk;
use types::id::ChannelName;
use wal::Log;
use wal::conformance::{self, Subject};
use wal::fault::{FaultyLog, LogFaults};
use wal::memory::{Faults, MemoryLog, Personality};
use wal::metered::{MeteredLog, Passed, Recorder};

fn subject(log: Arc<dyn Log>, faulty: bool) -> Subject {
    Subject { log, prefix: "conformance".into(), faulty }
}

/// A runtime whose time moves when every task waits.
pub fn simulated<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime").block_on(future)
}

#[test]
fn memory_in_every_personality() {
    for personality in [Personality::Plain, Personality::Kafka, Personality::Pulsar] {
        simulated(async {
            let world = World::simulated(1, Arc::new(RealDisk));
            conformance::check(&subject(Arc::new(MemoryLog::new(&world, personality)), false)).await;
        });
    }
}

#[test]
fn memory_with_faults() {
    for seed in 0..20 {
        for personality in [Personality::Plain, Personality::Kafka, Personality::Pulsar] {
            println!("seed {seed} {personality:?}");
            simulated(async {
                let world = World::simulated(seed, Arc::new(RealDisk));
                let log = MemoryLog::new(&world, personality);
                let fault = 0.1;
                log.set_faults(Faults {
                    latency: Duration::ZERO..Duration::from_millis(5),
                    lost: fault,
                    unanswered: fault,
                    cut_short: fault,
                    repeated: fault,
                    offset_gap: fault,
                    middle: fault,
                    short_reads: true,
                    // What lands late would move under the suite's feet.
                    late: 0.0,
                    late_by: Duration::ZERO,
                });
                conformance::check(&subject(Arc::new(log), true)).await;
            });
        }
    }
}

#[test]
fn decorated_logs_are_logs() {
    #[derive(Default)]
    struct Counts(AtomicUsize, AtomicUsize);
    impl Recorder for Counts {
        fn appended(&self, _: &ChannelName, append: Passed, durable: bool) {
            self.0.fetch_add(if durable { append.frames } else { 0 }, Ordering::Relaxed);
        }
        fn read(&self, _: &ChannelName, read: Passed) {
            self.1.fetch_add(read.frames, Ordering::Relaxed);
        }
        fn read_failed(&self, _: &ChannelName) {}
    }
    simulated(async {
        let world = World::simulated(1, Arc::new(RealDisk));
        let memory = Arc::new(MemoryLog::new(&world, Personality::Plain));
        let faults = LogFaults { append_lost: 0.1, append_unanswered: 0.1, ..LogFaults::default() };
        let counts = Arc::new(Counts::default());
        let metered = Arc::new(MeteredLog::new(&world, memory, counts.clone()));
        conformance::check(&subject(Arc::new(FaultyLog::new(&world, metered, faults)), true)).await;
        assert!(counts.0.load(Ordering::Relaxed) > 200 && counts.1.load(Ordering::Relaxed) > 400);
    });
}
