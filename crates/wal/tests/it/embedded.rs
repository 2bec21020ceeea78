//! The embedded log on a real disk: conformance, restarts, torn tails, damage, and the time it takes to open.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use base::World;
use bytes::Bytes;
use types::id::ChannelName;
use types::position::Position;
use wal::conformance::{self, Subject};
use wal::embedded::{self, EmbeddedLog};
use wal::{Log, LogError};

fn real<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime").block_on(future)
}

async fn open(directory: &Path) -> EmbeddedLog {
    open_sized(directory, 256 << 10).await
}

async fn open_sized(directory: &Path, file_bytes_max: u64) -> EmbeddedLog {
    EmbeddedLog::open_with(&World::real(), directory, file_bytes_max).await.expect("the log opens")
}

/// Waits until the writer has let go of the directory: it ends with its last handle.
async fn reopen(directory: &Path) -> Result<EmbeddedLog, LogError> {
    loop {
        match EmbeddedLog::open_with(&World::real(), directory, 256 << 10).await {
            Err(LogError::Misconfigured(error)) if error.reason().contains("in use") => tokio::task::yield_now().await,
            opened => return opened,
        }
    }
}

/// Drops the log and waits until its writer has ended.
fn close(log: EmbeddedLog, directory: &Path) {
    drop(log);
    let lock = std::fs::File::open(directory.join("lock")).expect("the lock's file");
    lock.lock().expect("the lock");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files
}

async fn append(log: &EmbeddedLog, channel: &ChannelName, frames: Vec<Bytes>) -> Vec<Position> {
    log.appender(channel, 1).await.expect("an appender").append(frames).await.expect("an append")
}

async fn read_all(log: &EmbeddedLog, channel: &ChannelName, from: Position) -> Result<Vec<Bytes>, LogError> {
    let mut reader = log.reader(channel, from).await?;
    let mut frames = Vec::new();
    loop {
        let more = reader.next_available().await?;
        if more.is_empty() {
            return Ok(frames);
        }
        frames.extend(more.into_iter().map(|(_, frame)| frame));
    }
}

#[test]
fn conformance_and_restart() {
    real(async {
        let directory = tempfile::tempdir().expect("a directory");
        let subject = |log: EmbeddedLog| Subject { log: Arc::new(log), prefix: "conformance".into(), faulty: false };
        let log = open(directory.path()).await;
        assert!(matches!(EmbeddedLog::open(&World::real(), directory.path()).await, Err(LogError::Misconfigured(_))), "one writer");
        let first = subject(log);
        conformance::check(&first).await;
        let before = conformance::prepare_restart(&first).await;
        drop(first);
        let second = subject(reopen(directory.path()).await.expect("it opens again"));
        conformance::check_after_restart(&second, before).await;
    });
}

#[test]
fn truncation_removes_files_and_idle_channels_pin_nothing() {
    real(async {
        let directory = tempfile::tempdir().expect("a directory");
        let log = open(directory.path()).await;
        let (busy, idle) = (ChannelName::from("busy"), ChannelName::from("idle"));
        let id = log.open(&busy).await.expect("a channel");
        log.open(&idle).await.expect("a channel");
        let idle_end = append(&log, &idle, vec![Bytes::from_static(b"once")]).await[0].next();
        let mut last = Position::start(id);
        for _ in 0..40 {
            last = append(&log, &busy, vec![Bytes::from(vec![1; 50_000])]).await[0];
        }
        let many = files(directory.path()).len();
        assert!(many > 5, "{many} files");
        log.truncate(&busy, last).await.expect("cut");
        assert_eq!(files(directory.path()).len(), many, "the idle channel's frame is needed");
        log.truncate(&idle, idle_end).await.expect("cut to its end");
        // The answer comes before the files go; another group is written after that.
        append(&log, &idle, vec![Bytes::from_static(b"again")]).await;
        assert!(files(directory.path()).len() <= 2, "{:?}", files(directory.path()));
        drop(log);
        let log = reopen(directory.path()).await.expect("it opens again");
        assert_eq!(read_all(&log, &busy, last).await.expect("readable").len(), 1);
        assert!(matches!(read_all(&log, &busy, Position::start(id)).await, Err(LogError::Truncated { .. })));
        assert_eq!(read_all(&log, &idle, idle_end).await.expect("readable"), [Bytes::from_static(b"again")]);
    });
}

/// Writes `groups` appends to two channels, and gives the single file.
async fn written(directory: &Path, groups: usize) -> (ChannelName, ChannelName, Position, Position, PathBuf) {
    let log = open_sized(directory, 64 << 20).await;
    let (left, right) = (ChannelName::from("left"), ChannelName::from("right"));
    let starts = (log.open(&left).await.expect("a channel"), log.open(&right).await.expect("a channel"));
    for group in 0..groups {
        append(&log, &left, vec![Bytes::from(format!("left {group}"))]).await;
        append(&log, &right, vec![Bytes::from(format!("right {group}"))]).await;
    }
    close(log, directory);
    (left, right, Position::start(starts.0), Position::start(starts.1), files(directory).remove(0))
}

fn find(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).expect("the frame is in the file")
}

#[test]
fn a_torn_tail_is_cut_at_every_length() {
    real(async {
        let directory = tempfile::tempdir().expect("a directory");
        let (left, right, from_left, from_right, file) = written(directory.path(), 5).await;
        close(reopen(directory.path()).await.expect("whole"), directory.path());
        let whole = std::fs::read(&file).expect("the file");
        let last = find(&whole, "right 4") - 64;
        for length in (last..whole.len()).step_by(7) {
            for tail in [vec![], vec![0u8; 300], vec![0xff; 300]] {
                let mut torn = whole[..length].to_vec();
                torn.extend(tail);
                std::fs::write(&file, &torn).expect("written");
                let log = reopen(directory.path()).await.expect("a torn tail is no loss");
                assert_eq!(read_all(&log, &left, from_left).await.expect("whole").len(), 5, "cut to {length}");
                let there = read_all(&log, &right, from_right).await.expect("whole").len();
                assert!(there == 4 || (there == 5 && length >= last + 64 + 7), "{there} frames, cut to {length}");
                append(&log, &right, vec![Bytes::from_static(b"on")]).await;
                assert_eq!(read_all(&log, &right, from_right).await.expect("whole").len(), there + 1);
                close(log, directory.path());
            }
        }
    });
}

#[test]
fn damage_below_a_mark_is_loud_and_spares_others() {
    real(async {
        let directory = tempfile::tempdir().expect("a directory");
        let (left, right, from_left, from_right, file) = written(directory.path(), 6).await;
        let whole = std::fs::read(&file).expect("the file");
        let frame = find(&whole, "left 2");
        for at in [frame - 60, frame - 30, frame + 2] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            std::fs::write(&file, &damaged).expect("written");
            let log = reopen(directory.path()).await.expect("the others go on");
            let error = read_all(&log, &left, from_left).await.expect_err("a frame is lost");
            let LogError::Damaged(error) = error else { panic!("{error:?}") };
            assert!(error.reason().contains("channel left: frames 2 to 2") && error.reason().contains(".log"), "{error}");
            assert_eq!(read_all(&log, &right, from_right).await.expect("spared").len(), 6);
            let above = Position::from_u64(from_left.log, 3);
            assert_eq!(read_all(&log, &left, above).await.expect("above the hole").len(), 3);
            close(log, directory.path());
        }
        // The same damage in the last frame, whose mark was written: loss, not a torn tail.
        let mut damaged = whole.clone();
        damaged[find(&whole, "right 5")] ^= 1;
        std::fs::write(&file, &damaged).expect("written");
        let log = reopen(directory.path()).await.expect("the others go on");
        assert!(matches!(read_all(&log, &right, from_right).await, Err(LogError::Damaged(_))));
    });
}

#[test]
fn a_missing_file_is_loud() {
    real(async {
        let directory = tempfile::tempdir().expect("a directory");
        let log = open(directory.path()).await;
        let channel = ChannelName::from("c");
        let id = log.open(&channel).await.expect("a channel");
        for _ in 0..30 {
            append(&log, &channel, vec![Bytes::from(vec![2; 50_000])]).await;
        }
        drop(log);
        close(reopen(directory.path()).await.expect("whole"), directory.path());
        let all = files(directory.path());
        std::fs::remove_file(&all[2]).expect("removed");
        assert!(matches!(reopen(directory.path()).await, Err(LogError::Damaged(_))));
        // Without its oldest files the log opens, and the channel says what is gone.
        for file in &all[..2] {
            std::fs::remove_file(file).expect("removed");
        }
        let log = reopen(directory.path()).await.expect("what is left opens");
        assert!(matches!(read_all(&log, &channel, Position::start(id)).await, Err(LogError::Damaged(_))));
    });
}

#[test]
fn opening_is_fast() {
    real(async {
        const BYTES: usize = 256 << 20;
        let directory = tempfile::tempdir().expect("a directory");
        let world = World::real();
        let log = EmbeddedLog::open(&world, directory.path()).await.expect("the log opens");
        let channel = ChannelName::from("c");
        let id = log.open(&channel).await.expect("a channel");
        let frame = Bytes::from(vec![5u8; 4 << 10]);
        let mut appender = log.appender(&channel, 1).await.expect("an appender");
        for _ in 0..BYTES / (2 << 20) {
            appender.append(vec![frame.clone(); (2 << 20) / frame.len()]).await.expect("an append");
        }
        drop((log, appender));
        let log = loop {
            let started = Instant::now();
            match EmbeddedLog::open(&world, directory.path()).await {
                Ok(log) => {
                    println!("opened {BYTES} bytes in {:?}", started.elapsed());
                    break log;
                }
                Err(LogError::Misconfigured(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        };
        let started = Instant::now();
        let read = read_all(&log, &channel, Position::start(id)).await.expect("readable");
        println!("read {} frames in {:?}", read.len(), started.elapsed());
        assert_eq!(read.len(), BYTES / frame.len());
        let limit = embedded::FRAME_BYTES_MAX;
        assert_eq!(append(&log, &channel, vec![Bytes::from(vec![1; limit])]).await.len(), 1);
    });
}
