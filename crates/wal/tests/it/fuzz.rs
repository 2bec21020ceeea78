//! The reader of the log on files that nobody wrote, and of checkpoints: an error or frames, never a panic, and never a frame that wasn't appended.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::World;
use base::disk::RealDisk;
use base::disk::simulated::SimulatedDisk;
use bytes::Bytes;
use types::id::{ChannelName, CollectionId, ShardId, WriterId};
use types::position::{LogId, Position};
use types::record::{Body, Control, Epoch, HEADER_BYTES, Header, Refusal};
use types::time::Timestamp;
use wal::Log;
use wal::checkpoint::format;
use wal::embedded::EmbeddedLog;
use wal::reader::{ReaderState, RecordReader};

use crate::fuzzing::fuzz;
use crate::logs::simulated;

const FILE_BYTES_MAX: u64 = 4 << 10;
const FRAMES: u64 = 60;

fn frame(i: u64) -> Bytes {
    Bytes::from(vec![i as u8; 20 + (i as usize * 37) % 300])
}

fn channels() -> [ChannelName; 2] {
    ["by-dev-elanus-dml_0", "by-dev-elanus-dml_1"].map(ChannelName::from)
}

/// Names and bytes of the files of a log of two channels, the oldest first; some of it truncated.
fn valid_files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    simulated(async {
        let world = World::simulated(1, Arc::new(RealDisk));
        let log = EmbeddedLog::open_with(&world, directory, FILE_BYTES_MAX).await.expect("the log opens");
        for channel in &channels() {
            log.open(channel).await.expect("a channel");
        }
        for i in 0..FRAMES {
            let channel = &channels()[(i % 2) as usize];
            let mut appender = log.appender(channel, 1).await.expect("an appender");
            let positions = appender.append(vec![frame(i)]).await.expect("an append");
            if i == FRAMES / 3 {
                log.truncate(channel, positions[0]).await.expect("a truncation");
            }
        }
    });
    let mut paths: Vec<_> = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    let named =
        |path: &PathBuf| (PathBuf::from(path.file_name().expect("a file has a name")), std::fs::read(path).expect("a file of the log"));
    paths.iter().map(named).collect()
}

/// Opens a log of these files and reads everything in it.
async fn read(files: impl Iterator<Item = (&Path, &[u8])>) {
    let disk = SimulatedDisk::new(1).process();
    let world = World::simulated(1, disk.clone());
    let directory = Path::new("/log");
    disk.create_directory(directory).await.expect("a directory");
    for (name, content) in files {
        let file = disk.open(&directory.join(name), true).await.expect("a file");
        file.write_at(0, vec![Bytes::copy_from_slice(content)]).await.expect("a write");
        file.sync().await.expect("a sync");
    }
    disk.sync_directory(directory).await.expect("a sync");
    let Ok(log) = EmbeddedLog::open_with(&world, directory, FILE_BYTES_MAX).await else { return };
    let appended: BTreeSet<Bytes> = (0..FRAMES).map(frame).collect();
    for channel in &channels() {
        let Ok(bounds) = log.open(channel).await.map(|_| log.bounds(channel)) else { continue };
        let Ok(bounds) = bounds.await else { continue };
        let Ok(mut reader) = log.reader(channel, bounds.start).await else { continue };
        while let Ok(frames) = reader.next_available().await {
            if frames.is_empty() {
                break;
            }
            assert!(frames.iter().all(|(_, frame)| appended.contains(frame)), "a frame that nobody appended");
        }
    }
}

#[test]
fn log_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = valid_files(directory.path());
    assert!(files.len() > 1, "new files are among them");
    // The first byte says which file the rest takes the place of.
    let valid: Vec<Vec<u8>> = files.iter().enumerate().map(|(i, (_, bytes))| [&[i as u8], &bytes[..]].concat()).collect();
    fuzz("files of the log", 500, &valid, |bytes| {
        let Some((which, bytes)) = bytes.split_first() else { return };
        let which = usize::from(*which) % files.len();
        let content = |i: usize| if i == which { bytes } else { &files[i].1 };
        simulated(read(files.iter().enumerate().map(|(i, (name, _))| (name.as_path(), content(i)))));
    });
}

fn record(number: u64, epoch: u64, (part, parts): (u16, u16), body: &Body) -> Vec<u8> {
    let header = Header {
        kind: body.kind(),
        number,
        epoch: Epoch { process: epoch, attempt: 1 },
        writer: WriterId(3),
        sequence: number,
        lowest_outstanding: 1,
        shard: ShardId::new(CollectionId(100), 0),
        schema_version: 1,
        timestamp: Timestamp(1_000 + number),
        part,
        parts,
    };
    header.frame(&body.encode()).to_vec()
}

/// Where a frame has its body's length, the body's checksum and its own: `docs/formats/record.md`.
const LENGTH_AT: usize = 80;
const BODY_CHECKSUM_AT: usize = 84;
const CHECKSUM_AT: usize = 124;

/// Frames one after the other, with their checksums made right: what a sequencer gone mad may have appended.
fn frames(mut bytes: &[u8]) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while bytes.len() >= HEADER_BYTES {
        let (header, rest) = bytes.split_at(HEADER_BYTES);
        let length = u32::from_le_bytes(header[LENGTH_AT..LENGTH_AT + 4].try_into().expect("four bytes")) as usize;
        let (body, rest) = rest.split_at(length.min(rest.len()));
        let mut header = header.to_vec();
        header[BODY_CHECKSUM_AT..BODY_CHECKSUM_AT + 4].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
        let checksum = crc32c::crc32c(&header[..CHECKSUM_AT]);
        header[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
        frames.push(Bytes::from([&header[..], body].concat()));
        bytes = rest;
    }
    frames
}

/// The rules above the log: whatever frames hold, numbers of valid records only rise, and each counts once.
#[test]
fn log_records() {
    let (insert, drop) = (Body::Control(Control::Truncate { generation: 1 }), Body::Control(Control::Drop));
    let refused = Body::Refused(Refusal { code: 100, reason: "gone".to_owned() });
    let epoch = |last_number| Body::Epoch { last_number };
    let one = (1, 1);
    let valid = [
        record(0, 1, one, &epoch(0)),
        record(1, 1, one, &insert),
        record(2, 1, (1, 2), &insert),
        record(3, 1, (2, 2), &insert),
        record(4, 1, one, &refused),
        record(0, 2, one, &epoch(4)),
        record(5, 2, (1, 3), &insert),
        record(0, 3, one, &epoch(5)),
        record(6, 3, one, &drop),
    ];
    fuzz("records of the log", 2_000, &[valid.concat()], |bytes| {
        let log = LogId(7);
        let start = ReaderState::at(Position::from_u64(log, 0), Epoch { process: 0, attempt: 0 }, 0, Timestamp(0));
        let mut reader = RecordReader::new(start);
        let mut last = 0;
        for (at, frame) in frames(bytes).iter().enumerate() {
            // Where the channel would stop, the reader goes on here: its state must bear it.
            let Ok(fed) = reader.feed(Position::from_u64(log, at as u64 + 1), frame) else { continue };
            if let Some(event) = fed.event {
                assert!(event.header().number > last, "{} after {last}", event.header().number);
                last = event.header().number;
            }
        }
    });
}

/// Every input also with its checksum made right.
#[test]
fn checkpoints() {
    let position = Position::from_u64(LogId(7), 3);
    let state = ReaderState::at(position, Epoch { process: 1, attempt: 2 }, 9, Timestamp(11));
    let valid = format::encode(&state).to_vec();
    fuzz("checkpoint", 3_000, &[valid], |bytes| {
        let mut sealed = bytes.to_vec();
        sealed.truncate(bytes.len().saturating_sub(4));
        sealed.extend_from_slice(&crc32c::crc32c(&sealed).to_le_bytes());
        for bytes in [bytes.to_vec(), sealed] {
            if let Ok(state) = format::decode(&Bytes::from(bytes)) {
                let again = format::decode(&format::encode(&state)).expect("own encoding");
                assert_eq!(format::encode(&again), format::encode(&state));
            }
        }
    });
}
