//! What the simulated disk loses, and that it never loses more than it may.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use base::disk::simulated::{Flaws, SimulatedDisk};
use base::disk::{Disk, File};
use base::fault::{Fault, Rates};
use base::random::Random;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

const SEEDS: u64 = 300;

async fn write(file: &Arc<dyn File>, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_at(offset, vec![Bytes::copy_from_slice(bytes)]).await
}

async fn all(disk: &SimulatedDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), false).await.ok()?;
    Some(file.read_at(0, usize::MAX).await.unwrap().to_vec())
}

/// A file `/f` that holds `bytes`, durably.
async fn with_file(seed: u64, bytes: &[u8]) -> (SimulatedDisk, Arc<dyn File>) {
    let disk = SimulatedDisk::new(seed);
    let file = disk.open(Path::new("/f"), true).await.unwrap();
    write(&file, 0, bytes).await.unwrap();
    file.sync().await.unwrap();
    disk.sync_directory(Path::new("/")).await.unwrap();
    (disk, file)
}

/// Random writes, cuts and syncs, then a crash: each byte must be one that it could be.
async fn crash_keeps_the_contract(seed: u64) -> Outcome {
    let random = Random::seeded(seed);
    let (disk, file) = with_file(seed, &[b'-'; 3000]).await;
    let mut durable = vec![b'-'; 3000];
    let mut seen = durable.clone();
    // What each place held since the last sync, and which lengths there were.
    let mut possible: Vec<BTreeSet<u8>> = Vec::new();
    let mut lengths = BTreeSet::from([3000]);
    for step in 0..random.below(12) {
        match random.below(6) {
            0 => {
                file.sync().await.unwrap();
                durable = seen.clone();
                possible.clear();
                lengths = BTreeSet::from([seen.len()]);
            }
            1 => {
                let length = random.below(4000) as usize;
                file.set_len(length as u64).await.unwrap();
                seen.resize(length, 0);
                lengths.insert(length);
            }
            _ => {
                let (offset, count) = (random.below(3500) as usize, 1 + random.below(1500) as usize);
                let letter = b'a' + step as u8;
                write(&file, offset as u64, &vec![letter; count]).await.unwrap();
                seen.resize(seen.len().max(offset + count), 0);
                seen[offset..offset + count].fill(letter);
                possible.resize(possible.len().max(offset + count), BTreeSet::new());
                for bytes in &mut possible[offset..offset + count] {
                    bytes.insert(letter);
                }
                lengths.insert(offset + count);
            }
        }
    }
    disk.crash();
    let after = all(&disk, "/f").await.unwrap_or_else(|| panic!("seed {seed}: the file is lost"));
    let is_synced = possible.is_empty() && lengths.len() == 1;
    let (shortest, longest) = (*lengths.first().unwrap(), *lengths.last().unwrap());
    let longest = longest.max(durable.len());
    assert!(after.len() <= longest, "seed {seed}: {} bytes, at most {longest} were ever there", after.len());
    assert!(after.len() >= shortest.min(durable.len()), "seed {seed}: {} bytes, at least {shortest} were there", after.len());
    for (i, byte) in after.iter().enumerate() {
        let old = durable.get(i).copied().unwrap_or(0);
        let may_be_zero = shortest <= i;
        let written = possible.get(i).is_some_and(|bytes| bytes.contains(byte));
        assert!(*byte == old || written || (may_be_zero && *byte == 0), "seed {seed}: byte {i} is {byte}");
    }
    if is_synced {
        assert_eq!(after, durable, "seed {seed}: nothing waited for a sync");
        return Outcome::Synced;
    }
    match after {
        after if after == durable => Outcome::AllLost,
        after if after == seen => Outcome::AllKept,
        _ => Outcome::Torn,
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Outcome {
    Synced,
    AllLost,
    AllKept,
    Torn,
}

#[tokio::test(start_paused = true)]
async fn crashes_lose_any_part_of_what_isnt_synced_and_nothing_else() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        outcomes.insert(crash_keeps_the_contract(seed).await);
    }
    assert_eq!(outcomes.len(), 4, "every kind of crash occurs: {outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_seed_gives_its_disk() {
    async fn run(seed: u64) -> (Vec<u8>, u64) {
        let (disk, file) = with_file(seed, &[1; 5000]).await;
        disk.faults().set_rates(Rates { fail_before: 0.2, ..Rates::NONE });
        for i in 0..20 {
            let _ = write(&file, i * 300, &[i as u8; 700]).await;
        }
        disk.faults().pause();
        disk.crash();
        (all(&disk, "/f").await.unwrap(), disk.operations().bytes_written)
    }
    for seed in 0..20 {
        assert_eq!(run(seed).await, run(seed).await, "seed {seed}");
    }
    assert_ne!(run(1).await, run(2).await);
}

#[tokio::test(start_paused = true)]
async fn writes_are_torn_within_a_sector() {
    let mut is_torn = false;
    for seed in 0..SEEDS {
        let (disk, file) = with_file(seed, &[0; 512]).await;
        write(&file, 0, &[255; 512]).await.unwrap();
        disk.crash();
        let after = all(&disk, "/f").await.unwrap();
        let kept = after.iter().filter(|byte| **byte == 255).count();
        assert_eq!(after.iter().filter(|byte| **byte == 0).count(), 512 - kept, "seed {seed}");
        is_torn |= kept > 0 && kept < 512;
    }
    assert!(is_torn);
}

#[tokio::test(start_paused = true)]
async fn names_are_lost_until_their_directory_is_synced() {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        disk.create_directory(Path::new("/d")).await.unwrap();
        let old = disk.open(Path::new("/d/old"), true).await.unwrap();
        write(&old, 0, b"old").await.unwrap();
        old.sync().await.unwrap();
        disk.sync_directory(Path::new("/d")).await.unwrap();
        let new = disk.open(Path::new("/d/new"), true).await.unwrap();
        write(&new, 0, b"new").await.unwrap();
        new.sync().await.unwrap();
        disk.rename(Path::new("/d/new"), Path::new("/d/old")).await.unwrap();
        let other = disk.open(Path::new("/d/other"), true).await.unwrap();
        other.sync().await.unwrap();
        disk.crash();
        let content = all(&disk, "/d/old").await.unwrap_or_else(|| panic!("seed {seed}: a rename lost its target"));
        assert!(content == b"old" || content == b"new", "seed {seed}: {content:?}");
        let names = disk.list(Path::new("/d")).await.unwrap();
        assert!(!(content == b"new" && names.contains(&"/d/new".into())), "seed {seed}: a rename was done by half");
        found.insert((content, names.len()));
    }
    // Old or new content, each with the created name or without, and the renamed file under its first name.
    assert!(found.len() >= 5, "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn synced_names_stay() {
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        disk.create_directory(Path::new("/d")).await.unwrap();
        for name in ["/d/a", "/d/b"] {
            disk.open(Path::new(name), true).await.unwrap().sync().await.unwrap();
        }
        disk.rename(Path::new("/d/a"), Path::new("/d/c")).await.unwrap();
        disk.remove(Path::new("/d/b")).await.unwrap();
        disk.sync_directory(Path::new("/d")).await.unwrap();
        disk.crash();
        assert_eq!(disk.list(Path::new("/d")).await.unwrap(), [Path::new("/d/c")], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rename_across_directories_is_durable_with_its_target() {
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        for directory in ["/x", "/y"] {
            disk.create_directory(Path::new(directory)).await.unwrap();
        }
        disk.open(Path::new("/x/f"), true).await.unwrap().sync().await.unwrap();
        disk.rename(Path::new("/x/f"), Path::new("/y/f")).await.unwrap();
        disk.sync_directory(Path::new("/y")).await.unwrap();
        disk.crash();
        assert_eq!(disk.files(), [Path::new("/y/f")], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_old_files_and_locks_are_dead() {
    for power in [true, false] {
        let disk = SimulatedDisk::new(5);
        let process = disk.process();
        let file = process.open(Path::new("/f"), true).await.unwrap();
        let lock = process.lock(Path::new("/lock")).await.unwrap();
        write(&file, 0, b"seen").await.unwrap();
        if power {
            disk.crash()
        } else {
            disk.kill()
        }
        assert!(write(&file, 0, b"x").await.is_err());
        assert!(file.read_at(0, 1).await.is_err() && file.sync().await.is_err() && file.len().await.is_err());
        assert!(file.set_len(0).await.is_err());
        assert!(process.open(Path::new("/f"), true).await.is_err() && process.list(Path::new("/")).await.is_err());
        assert!(process.rename(Path::new("/f"), Path::new("/g")).await.is_err() && process.lock(Path::new("/l")).await.is_err());

        let next = disk.process();
        let held = next.lock(Path::new("/lock")).await.unwrap();
        drop(lock);
        assert!(next.lock(Path::new("/lock")).await.is_err(), "the dead process's guard frees nothing");
        drop(held);
        if !power {
            assert_eq!(all(&disk, "/f").await.unwrap(), b"seen", "a process's end loses nothing");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_under_way_at_a_crash_fails() {
    let disk = SimulatedDisk::new(5);
    disk.faults().set_rates(Rates { delay: 1.0, delay_least: Duration::from_secs(1), delay_most: Duration::from_secs(1), ..Rates::NONE });
    let file = disk.open(Path::new("/f"), true).await.unwrap();
    let writing = tokio::spawn(async move { write(&file, 0, b"x").await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    disk.crash();
    assert!(writing.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn power_goes_at_each_operation() {
    // Create, write, sync, sync the directory: four changes. Power goes at each in turn.
    for changes in 0..5 {
        let disk = SimulatedDisk::new(9);
        disk.power_off_after(changes);
        let steps = async {
            let file = disk.open(Path::new("/f"), true).await?;
            write(&file, 0, b"x").await?;
            file.sync().await?;
            disk.sync_directory(Path::new("/")).await
        };
        assert_eq!(steps.await.is_ok(), changes >= 4, "{changes}");
        assert_eq!(disk.is_off(), changes < 4);
        assert_eq!(disk.list(Path::new("/")).await.is_err(), changes < 4, "without power nothing answers");
        disk.crash();
        let after = all(&disk, "/f").await;
        assert!(changes < 4 || after == Some(b"x".to_vec()), "{changes}: {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_leaves_any_part_and_reopening_tells_the_truth() {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let (disk, file) = with_file(seed, b"old").await;
        disk.faults().schedule("sync", 1, Fault::FailBefore);
        write(&file, 0, b"new").await.unwrap();
        assert_eq!(file.sync().await.unwrap_err().raw_os_error(), Some(5));
        // The trap: the same sync again answers well, and promises nothing.
        file.sync().await.unwrap();
        let read = all(&disk, "/f").await.unwrap();
        disk.crash();
        let after = all(&disk, "/f").await.unwrap();
        assert_eq!(read, after, "seed {seed}: what is read after reopening is on the disk");
        found.insert(after);
    }
    assert!(found.contains(&b"old"[..]) && found.contains(&b"new"[..]) && found.len() > 2, "{found:?}");

    let (disk, file) = with_file(1, b"old").await;
    disk.faults().schedule("sync", 1, Fault::FailAfter);
    write(&file, 0, b"new").await.unwrap();
    assert!(file.sync().await.is_err());
    assert_eq!(disk.durable(Path::new("/f")).unwrap(), b"new", "a sync may fail though all is durable");
}

#[tokio::test(start_paused = true)]
async fn faults_of_single_calls() {
    let (disk, file) = with_file(1, b"0123456789").await;
    for operation in ["read", "write", "open", "rename", "list"] {
        disk.faults().schedule(operation, 1, Fault::FailBefore);
    }
    assert!(file.read_at(0, 1).await.is_err() && file.read_at(0, 1).await.is_ok());
    assert!(disk.open(Path::new("/f"), false).await.is_err() && disk.open(Path::new("/f"), false).await.is_ok());
    assert!(disk.rename(Path::new("/f"), Path::new("/g")).await.is_err());
    assert_eq!(disk.list(Path::new("/")).await.unwrap_err().raw_os_error(), Some(5));
    assert_eq!(disk.list(Path::new("/")).await.unwrap(), [Path::new("/f")]);
    assert!(write(&file, 0, b"abcdefghij").await.is_err());
    let after = all(&disk, "/f").await.unwrap();
    let kept = after.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    assert_eq!(after[kept..], b"0123456789"[kept..], "a write that fails leaves a beginning of itself");

    disk.faults().schedule("rename", 1, Fault::FailAfter);
    assert!(disk.rename(Path::new("/f"), Path::new("/g")).await.is_err());
    assert_eq!(disk.files(), [Path::new("/g")], "a call may fail though it took effect");
    let before = tokio::time::Instant::now();
    disk.faults().set_operation_rates(
        "read",
        Rates { delay: 1.0, delay_least: Duration::from_millis(20), delay_most: Duration::from_millis(30), ..Rates::NONE },
    );
    file.read_at(0, 1).await.unwrap();
    assert!((20..=31).contains(&before.elapsed().as_millis()), "slow I/O takes simulated time");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk() {
    let (disk, file) = with_file(1, &[1; 100]).await;
    let other = disk.open(Path::new("/other"), true).await.unwrap();
    disk.set_flaws(Flaws { capacity: Some(150), ..Flaws::default() });
    write(&file, 0, &[2; 100]).await.unwrap();
    assert_eq!(write(&other, 0, &[3; 60]).await.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(other.len().await.unwrap(), 50, "what fits is written");
    assert_eq!(write(&file, 100, &[2; 1]).await.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(other.set_len(51).await.unwrap_err().kind(), io::ErrorKind::StorageFull);
    other.set_len(10).await.unwrap();
    write(&file, 100, &[2; 40]).await.unwrap();
    disk.remove(Path::new("/f")).await.unwrap();
    write(&other, 10, &[3; 140]).await.unwrap();
    disk.set_flaws(Flaws { capacity: Some(0), ..Flaws::default() });
    write(&other, 0, &[4; 150]).await.unwrap();
    assert!(write(&other, 150, &[4]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn flipped_bits() {
    let differing = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_ones()).sum::<u32>();
    let (disk, file) = with_file(1, &[0; 64]).await;
    disk.set_flaws(Flaws { flip_on_read: 1.0, ..Flaws::default() });
    assert_eq!(differing(&file.read_at(0, 64).await.unwrap()), 1);
    disk.set_flaws(Flaws::default());
    assert_eq!(differing(&file.read_at(0, 64).await.unwrap()), 0, "once");

    write(&file, 0, &[0; 32]).await.unwrap();
    disk.corrupt(Path::new("/f"), 5).unwrap();
    assert_eq!(differing(&file.read_at(5, 1).await.unwrap()), 1);
    file.sync().await.unwrap();
    disk.crash();
    assert_eq!(differing(&all(&disk, "/f").await.unwrap()), 1, "for good");
    assert_eq!(disk.corrupt(Path::new("/f"), 64).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(disk.corrupt(Path::new("/g"), 0).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn planted_bugs_lose_what_was_promised() {
    let lost = |flaws: Flaws| async move {
        let mut lost = 0;
        for seed in 0..20 {
            let disk = SimulatedDisk::new(seed);
            disk.set_flaws(flaws);
            let file = disk.open(Path::new("/f"), true).await.unwrap();
            write(&file, 0, b"kept").await.unwrap();
            file.sync().await.unwrap();
            disk.sync_directory(Path::new("/")).await.unwrap();
            disk.crash();
            lost += u32::from(all(&disk, "/f").await != Some(b"kept".to_vec()));
        }
        lost
    };
    assert_eq!(lost(Flaws::default()).await, 0);
    assert!(lost(Flaws { skip_sync: true, ..Flaws::default() }).await > 0);
    assert!(lost(Flaws { skip_directory_sync: true, ..Flaws::default() }).await > 0);
}

#[tokio::test(start_paused = true)]
async fn operations_are_counted() {
    let (disk, file) = with_file(1, &[0; 10]).await;
    file.read_at(0, 4).await.unwrap();
    file.set_len(3).await.unwrap();
    disk.rename(Path::new("/f"), Path::new("/g")).await.unwrap();
    disk.remove(Path::new("/g")).await.unwrap();
    disk.crash();
    let counted = disk.operations();
    assert_eq!((counted.opens, counted.reads, counted.writes, counted.lengths, counted.syncs), (1, 1, 1, 1, 1));
    assert_eq!((counted.directory_syncs, counted.renames, counted.removes, counted.crashes), (1, 1, 1, 1));
    assert_eq!((counted.bytes_read, counted.bytes_written), (4, 10));
}
