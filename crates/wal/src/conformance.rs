//! What every [`Log`] must do, as a suite that runs on each implementation (`tests/it`).
//!
//! The log is used through its trait alone; channels have names of their own, so that a shared broker can serve many runs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use types::id::ChannelName;
use types::position::{LogId, Position};

use crate::log::{Appender, Log, LogError};

/// A log under test.
#[derive(Clone)]
pub struct Subject {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Begins every channel's name.
    pub prefix: String,
    /// Whether appends fail at random: then only what faults leave true is checked.
    pub faulty: bool,
}

/// How long a frame may take from its acknowledgement to a waiting reader.
const READ_LIMIT: Duration = Duration::from_secs(20);
/// How often a faulty append is tried.
const TRIES_MAX: usize = 200;

impl Subject {
    fn channel(&self, name: &str) -> ChannelName {
        ChannelName::from(format!("{}-{name}", self.prefix).as_str())
    }

    async fn opened(&self, name: &str) -> (ChannelName, LogId) {
        let channel = self.channel(name);
        let log = self.log.open(&channel).await.expect("a channel opens");
        assert_eq!(self.log.open(&channel).await.expect("a channel opens again"), log, "a channel has one identity");
        (channel, log)
    }

    /// Appends until it is acknowledged; a faulty log may hold frames more often than once.
    async fn append(&self, channel: &ChannelName, frames: &[Bytes]) -> Vec<Position> {
        for _ in 0..TRIES_MAX {
            let mut appender = self.log.appender(channel, 1).await.expect("an appender");
            match appender.append(frames.to_vec()).await {
                Ok(positions) => return positions,
                Err(error) => assert!(self.faulty, "an append failed: {error:?}"),
            }
        }
        panic!("no append of {TRIES_MAX} was acknowledged");
    }

    async fn read_all(&self, channel: &ChannelName, from: Position) -> Vec<(Position, Bytes)> {
        let mut reader = self.log.reader(channel, from).await.expect("a reader");
        let mut frames = Vec::new();
        loop {
            let more = reader.next_available().await.expect("a read");
            if more.is_empty() {
                return frames;
            }
            frames.extend(more);
        }
    }
}

/// Runs everything.
pub async fn check(subject: &Subject) {
    acknowledged_frames_are_read_in_order(subject).await;
    positions_rise_and_begin_reads(subject).await;
    a_waiting_reader_wakes(subject).await;
    channels_are_apart(subject).await;
    large_and_empty_frames(subject).await;
    truncation_is_loud(subject).await;
    a_log_that_ends_early_is_loud(subject).await;
    two_appenders_share_one_order(subject).await;
}

fn frames(tag: &str, count: usize) -> Vec<Bytes> {
    (0..count).map(|i| Bytes::from(format!("{tag}-{i:05}-{}", "x".repeat(i * 7 % 300)))).collect()
}

/// What was acknowledged lies at its position, whole, and everyone reads one order.
async fn acknowledged_frames_are_read_in_order(subject: &Subject) {
    let (channel, log) = subject.opened("order").await;
    let mut expected = Vec::new();
    for group in 0..20 {
        let sent = frames(&format!("group{group}"), 1 + group * 3 % 11);
        let positions = subject.append(&channel, &sent).await;
        assert_eq!(positions.len(), sent.len(), "each frame has a position");
        expected.extend(positions.into_iter().zip(sent));
    }
    assert!(expected.windows(2).all(|pair| pair[0].0 < pair[1].0), "positions rise in order of the calls");
    let read = subject.read_all(&channel, Position::start(log)).await;
    assert_eq!(read, subject.read_all(&channel, Position::start(log)).await, "two readers agree");
    let mut rest = read.iter();
    for frame in &expected {
        assert!(rest.any(|other| other == frame), "acknowledged frame at {} is read where it was acknowledged", frame.0);
    }
    if !subject.faulty {
        assert_eq!(read, expected, "nothing else is there");
    }
    let bounds = subject.log.bounds(&channel).await.expect("bounds");
    assert!(bounds.start <= read[0].0 && bounds.end > read[read.len() - 1].0, "bounds hold all frames");
}

/// A reader begins at the frame of its position, or at the next one.
async fn positions_rise_and_begin_reads(subject: &Subject) {
    let (channel, log) = subject.opened("positions").await;
    subject.append(&channel, &frames("p", 30)).await;
    let all = subject.read_all(&channel, Position::start(log)).await;
    for i in [0, 1, 13, all.len() - 1] {
        assert_eq!(subject.read_all(&channel, all[i].0).await, all[i..], "from a frame's position on");
        assert_eq!(subject.read_all(&channel, all[i].0.next()).await, all[i + 1..], "from above a frame on");
    }
    let mut reader = subject.log.reader(&channel, all[0].0).await.expect("a reader");
    assert_eq!(reader.position(), all[0].0);
    let first = reader.next().await.expect("frames");
    assert_eq!(reader.position(), first[first.len() - 1].0.next(), "a reader stands above what it gave");
}

/// A read at the end waits, and wakes for what comes; a dropped read loses nothing.
async fn a_waiting_reader_wakes(subject: &Subject) {
    let (channel, log) = subject.opened("waits").await;
    let mut reader = subject.log.reader(&channel, Position::start(log)).await.expect("a reader");
    assert_eq!(reader.next_available().await.expect("an empty log"), vec![]);
    let gives_up = tokio::time::timeout(Duration::from_millis(20), reader.next()).await;
    assert!(gives_up.is_err(), "nothing is there");
    let sent = frames("w", 3);
    let (appended, first) = tokio::join!(subject.append(&channel, &sent), tokio::time::timeout(READ_LIMIT, reader.next()));
    let mut read = first.expect("the reader wakes").expect("frames");
    let last = appended[appended.len() - 1];
    while read.last().is_none_or(|(at, _)| *at < last) {
        read.extend(tokio::time::timeout(READ_LIMIT, reader.next()).await.expect("the reader wakes").expect("frames"));
    }
    assert!(appended.iter().zip(&sent).all(|(at, frame)| read.contains(&(*at, frame.clone()))), "acknowledged frames came");
}

/// Frames of one channel are not seen in another, however they lie on disk.
async fn channels_are_apart(subject: &Subject) {
    const CHANNELS: usize = 5;
    let mut opened = Vec::new();
    for i in 0..CHANNELS {
        opened.push(subject.opened(&format!("apart{i}")).await);
    }
    for round in 0..6 {
        let appends = opened.iter().enumerate().map(|(i, (channel, _))| {
            let sent = frames(&format!("channel{i}-{round}"), 1 + (i + round) % 3);
            async move { subject.append(channel, &sent).await }
        });
        futures::future::join_all(appends).await;
    }
    for (i, (channel, log)) in opened.iter().enumerate() {
        let read = subject.read_all(channel, Position::start(*log)).await;
        assert!(read.len() >= 6 && read.iter().all(|(_, frame)| frame.starts_with(format!("channel{i}-").as_bytes())));
        assert!(opened.iter().all(|(other, id)| other == channel || id != log), "channels have identities of their own");
    }
}

/// The largest frame is taken, a larger one refused without harm.
async fn large_and_empty_frames(subject: &Subject) {
    let (channel, log) = subject.opened("large").await;
    let limit = subject.log.frame_bytes_max();
    let sent = vec![Bytes::from(vec![7; limit]), Bytes::from(vec![8; 200])];
    subject.append(&channel, &sent).await;
    let mut appender = subject.log.appender(&channel, 2).await.expect("an appender");
    let refused = appender.append(vec![Bytes::from(vec![9; limit + 1])]).await;
    assert_eq!(refused, Err(LogError::FrameTooLarge { bytes: limit + 1, limit }));
    let read = subject.read_all(&channel, Position::start(log)).await;
    assert!(read.iter().any(|(_, frame)| *frame == sent[0]) && read.iter().all(|(_, frame)| frame.len() <= limit));
}

/// Below the cut reading is an error; at the cut and above everything is there.
async fn truncation_is_loud(subject: &Subject) {
    let (channel, log) = subject.opened("cut").await;
    subject.append(&channel, &frames("t", 40)).await;
    let all = subject.read_all(&channel, Position::start(log)).await;
    let cut = all[25].0;
    let mut slow = subject.log.reader(&channel, all[10].0).await.expect("a reader");
    subject.log.truncate(&channel, cut).await.expect("truncation");
    subject.log.truncate(&channel, all[3].0).await.expect("a lower truncation changes nothing");
    assert_eq!(subject.read_all(&channel, cut).await, all[25..], "nothing at or above is cut");
    let start = subject.log.bounds(&channel).await.expect("bounds").start;
    assert!(start <= cut, "never more than asked");
    if start > all[10].0 {
        let late = match subject.log.reader(&channel, all[10].0).await {
            Ok(mut reader) => reader.next().await,
            Err(error) => Err(error),
        };
        assert!(matches!(late, Err(LogError::Truncated { .. })), "{late:?}");
        // What a reader had fetched before the cut it may still give, but no gap.
        match slow.next().await {
            Ok(read) => assert_eq!(read[0], all[10]),
            Err(error) => assert!(matches!(error, LogError::Truncated { .. }), "{error:?}"),
        }
    }
    let positions = subject.append(&channel, &frames("after", 2)).await;
    assert!(positions[0] > all[all.len() - 1].0, "positions are never used again");
}

/// A position above the end, or of another log, says so.
async fn a_log_that_ends_early_is_loud(subject: &Subject) {
    let (channel, log) = subject.opened("ends").await;
    let positions = subject.append(&channel, &frames("e", 3)).await;
    let above = Position::from_u64(log, positions[2].to_u64() + 100_000);
    let other = Position { log: LogId(log.0 ^ 1), ..positions[1] };
    for from in [above, other] {
        let read = match subject.log.reader(&channel, from).await {
            Ok(mut reader) => reader.next_available().await,
            Err(error) => Err(error),
        };
        assert!(matches!(read, Err(LogError::Shrunk { .. })), "{read:?}");
    }
}

/// Two appenders of one channel: what either had acknowledged lies in its order. A fenced one may fail.
async fn two_appenders_share_one_order(subject: &Subject) {
    let (channel, log) = subject.opened("two").await;
    let mut old: Box<dyn Appender> = subject.log.appender(&channel, 1).await.expect("an appender");
    let first = old.append(frames("old", 2)).await;
    let mut new = subject.log.appender(&channel, 2).await.expect("a second appender");
    let second = new.append(frames("new", 2)).await;
    let third = old.append(frames("stale", 2)).await;
    let read = subject.read_all(&channel, Position::start(log)).await;
    let mut acknowledged = Vec::new();
    for (positions, tag) in [(first, "old"), (second, "new"), (third, "stale")] {
        acknowledged.extend(positions.into_iter().flatten().zip(frames(tag, 2)));
    }
    assert!(subject.faulty || acknowledged.len() >= 4, "the newest appender is never fenced");
    assert!(acknowledged.iter().all(|frame| read.contains(frame)), "acknowledged frames are there");
}

/// Writes frames, for a restart between this and [`check_after_restart`].
pub async fn prepare_restart(subject: &Subject) -> (LogId, Vec<(Position, Bytes)>) {
    let (channel, log) = subject.opened("restart").await;
    for i in 0..10 {
        subject.append(&channel, &frames(&format!("r{i}"), 7)).await;
    }
    (log, subject.read_all(&channel, Position::start(log)).await)
}

/// The same log is there: identity, frames, positions; and it goes on above them.
pub async fn check_after_restart(subject: &Subject, before: (LogId, Vec<(Position, Bytes)>)) {
    let (channel, log) = subject.opened("restart").await;
    assert_eq!(log, before.0, "a channel keeps its identity");
    assert_eq!(subject.read_all(&channel, Position::start(log)).await, before.1, "frames and positions outlive a restart");
    let positions = subject.append(&channel, &frames("again", 2)).await;
    assert!(positions[0] > before.1[before.1.len() - 1].0, "appends go on above");
}
