//! Writers, sequencers and readers at random over the memory log: takeovers, zombies, lost and late appends, retries, restarts, flushes,
//! checkpoints, truncation. The checker's rule: what was acknowledged is there exactly once, what was refused is nowhere, nothing is twice,
//! timestamps rise, and all readers agree. Bugs planted on purpose must be found (`docs/protocol.md` names the rule that each breaks).

mod view;
mod world;

use wal::memory::Personality;
use wal::planted::Planted;

use self::world::{Bugs, run};

/// Seeds of a run without bugs, for each personality.
const SEEDS: u64 = 60;
/// Seeds within which a planted bug must show.
const SEEDS_TO_CATCH: u64 = 400;

const PERSONALITIES: [Personality; 3] = [Personality::Plain, Personality::Kafka, Personality::Pulsar];

#[test]
fn the_rules_hold() {
    let first: u64 = std::env::var("ELANUS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let count = std::env::var("ELANUS_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(SEEDS);
    let mut acknowledged = 0;
    for seed in first..first + count {
        for personality in PERSONALITIES {
            match run(seed, personality, Bugs::default()) {
                Ok(writes) => acknowledged += writes,
                Err(violation) => panic!("seed {seed}, {personality:?}: {violation}"),
            }
        }
    }
    println!("{acknowledged} acknowledged writes in {count} seeds of each personality");
    assert!(acknowledged as u64 > 10 * count, "the runs do something");
}

#[test]
fn planted_bugs_are_caught() {
    let plant = |planted: Planted| Bugs { planted, ..Bugs::default() };
    let none = Planted::default();
    let bugs = [
        ("ignored epoch", plant(Planted { ignored_epoch: true, ..none })),
        ("answer before durable", plant(Planted { answer_before_durable: true, ..none })),
        ("writers' table lost at takeover", plant(Planted { writers_lost_at_takeover: true, ..none })),
        ("refusal in memory", plant(Planted { refusal_in_memory: true, ..none })),
        ("gap accepted", plant(Planted { gap_accepted: true, ..none })),
        ("timestamps kept", plant(Planted { keeps_timestamps: true, ..none })),
        ("clock of the Epoch only", plant(Planted { clock_of_epoch_only: true, ..none })),
        ("a set outlives an Epoch", plant(Planted { set_outlives_epoch: true, ..none })),
        ("gap unread", plant(Planted { gap_unread: true, ..none })),
        ("checkpoint of now", plant(Planted { checkpoint_of_now: true, ..none })),
        ("early truncation", Bugs { early_truncation: true, ..Bugs::default() }),
        ("control records don't hold the checkpoint", Bugs { controls_not_unflushed: true, ..Bugs::default() }),
        ("a restarted process keeps its e", Bugs { process_kept: true, ..Bugs::default() }),
        ("a new id for outstanding requests", Bugs { resends_under_new_id: true, ..Bugs::default() }),
    ];
    for (name, bugs) in bugs {
        let caught = (0..SEEDS_TO_CATCH).find_map(|seed| {
            let personality = PERSONALITIES[seed as usize % PERSONALITIES.len()];
            let violation = run(seed, personality, bugs).err()?;
            Some((seed, violation))
        });
        match caught {
            Some((seed, violation)) => println!("{name}: seed {seed}: {violation}"),
            None => panic!("{name}: not caught in {SEEDS_TO_CATCH} seeds"),
        }
    }
}
