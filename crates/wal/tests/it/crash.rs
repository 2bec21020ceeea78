//! The embedded log on a disk that loses whatever it may: power goes at any operation, syncs fail, and what was acknowledged is there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base::World;
use base::disk::simulated::{Flaws, SimulatedDisk};
use base::fault::Rates;
use base::random::Random;
use bytes::Bytes;
use types::id::ChannelName;
use types::position::{LogId, Position};
use wal::embedded::EmbeddedLog;
use wal::{Log, LogError};

use crate::logs::simulated;

const ROUNDS: usize = 6;
const SEEDS: u64 = 150;
/// Seeds within which a disk that doesn't sync must show.
const SEEDS_TO_CATCH: u64 = 50;

/// What one channel must hold.
#[derive(Default)]
struct Expected {
    log: Option<LogId>,
    acknowledged: BTreeMap<u64, Bytes>,
    /// The highest truncation that was asked for.
    start: u64,
}

struct Run {
    random: Random,
    channels: Vec<(ChannelName, Expected)>,
}

impl Run {
    /// Opens, checks, and appends until the power goes.
    async fn round(&mut self, log: &EmbeddedLog, disk: &SimulatedDisk) -> Result<(), String> {
        for i in 0..self.channels.len() {
            self.check(log, i).await?;
        }
        disk.power_off_after(self.random.below(60));
        while !disk.is_off() {
            let i = self.random.below(self.channels.len() as u64) as usize;
            let (name, expected) = &mut self.channels[i];
            let Ok(id) = log.open(name).await else { continue };
            if expected.log.is_some_and(|log| log != id) && !expected.acknowledged.is_empty() {
                return Err(format!("channel {name} has another identity"));
            }
            expected.log = Some(id);
            if self.random.below(8) == 0 {
                let last = expected.acknowledged.last_key_value().map_or(0, |(index, _)| *index);
                expected.start = expected.start.max(last);
                let _ = log.truncate(name, Position::from_u64(id, expected.start)).await;
                continue;
            }
            let frames: Vec<Bytes> = (0..1 + self.random.below(4)).map(|_| self.frame()).collect();
            let name = self.channels[i].0.clone();
            let appended = log.appender(&name, 1).await.map_err(|error| format!("{error:?}"))?.append(frames.clone()).await;
            if let Ok(positions) = appended {
                let known = positions.iter().map(|position| position.to_u64()).zip(frames);
                self.channels[i].1.acknowledged.extend(known);
            }
        }
        Ok(())
    }

    fn frame(&self) -> Bytes {
        let mut bytes = vec![self.random.u64() as u8; self.random.below(700) as usize];
        bytes.extend(self.random.u64().to_le_bytes());
        bytes.into()
    }

    async fn check(&self, log: &EmbeddedLog, i: usize) -> Result<(), String> {
        let (name, expected) = &self.channels[i];
        let Some(id) = expected.log.filter(|_| !expected.acknowledged.is_empty()) else { return Ok(()) };
        let failed = |error: LogError| format!("channel {name}: {error:?}");
        let mut reader = log.reader(name, Position::from_u64(id, expected.start)).await.map_err(failed)?;
        let mut read = BTreeMap::new();
        loop {
            let frames = reader.next_available().await.map_err(failed)?;
            if frames.is_empty() {
                break;
            }
            read.extend(frames.into_iter().map(|(position, frame)| (position.to_u64(), frame)));
        }
        let lost = expected.acknowledged.range(expected.start..).find(|(index, frame)| read.get(index) != Some(frame));
        lost.map_or(Ok(()), |(index, _)| Err(format!("channel {name}: acknowledged frame {index} isn't there")))
    }
}

fn run(seed: u64, flaws: Flaws) -> Result<(), String> {
    simulated(async {
        let disk = SimulatedDisk::new(seed);
        disk.set_flaws(flaws);
        let random = Random::seeded(seed ^ 0x5eed);
        let channels = ["left", "right"].map(|name| (ChannelName::from(name), Expected::default())).into();
        let rates = if seed.is_multiple_of(2) { Rates::NONE } else { Rates { fail_before: 0.05, fail_after: 0.05, ..Rates::NONE } };
        let mut run = Run { random, channels };
        for round in 0..=ROUNDS {
            let world = World::simulated(seed + 1_000 * round as u64, disk.process());
            let opened = EmbeddedLog::open_with(&world, Path::new("/log"), 4_096).await;
            let log = opened.map_err(|error| format!("round {round}: {error:?}"))?;
            for operation in ["sync", "write", "sync_directory"] {
                disk.faults().set_operation_rates(operation, rates);
            }
            run.round(&log, &disk).await.map_err(|what| format!("round {round}: {what}"))?;
            world.tasks.kill();
            for operation in ["sync", "write", "sync_directory"] {
                disk.faults().set_operation_rates(operation, Rates::NONE);
            }
            disk.crash();
        }
        Ok(())
    })
}

#[test]
fn what_was_acknowledged_outlives_crashes() {
    for seed in 0..SEEDS {
        if let Err(violation) = run(seed, Flaws::default()) {
            panic!("seed {seed}: {violation}");
        }
    }
}

#[test]
fn a_skipped_sync_is_caught() {
    for flaws in [Flaws { skip_sync: true, ..Flaws::default() }, Flaws { skip_directory_sync: true, ..Flaws::default() }] {
        let caught = (0..SEEDS_TO_CATCH).find_map(|seed| run(seed, flaws).err().map(|violation| (seed, violation)));
        match caught {
            Some((seed, violation)) => println!("{flaws:?}: seed {seed}: {violation}"),
            None => panic!("{flaws:?}: not caught in {SEEDS_TO_CATCH} seeds"),
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_written() {
    simulated(async {
        let disk = SimulatedDisk::new(7);
        let channel = ChannelName::from("c");
        let mut positions = Vec::new();
        for seed in 0..5 {
            let world = World::simulated(seed, disk.process());
            let log = EmbeddedLog::open_with(&world, Path::new("/log"), 4_096).await.expect("it opens");
            let id = log.open(&channel).await.expect("a channel");
            let mut appender = log.appender(&channel, 1).await.expect("an appender");
            positions.extend(appender.append(vec![Bytes::from(vec![1; 900]); 3]).await.expect("an append"));
            let mut reader = Arc::new(log).reader(&channel, Position::start(id)).await.expect("a reader");
            let mut read = 0;
            while read < positions.len() {
                read += reader.next().await.expect("a read").len();
            }
            assert_eq!(read, positions.len());
            world.tasks.kill();
            disk.kill();
        }
    });
}
