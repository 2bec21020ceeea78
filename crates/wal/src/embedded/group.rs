//! The writer task: one group at a time, each with one sync for all that wait. Idle, it sleeps.

use base::disk::Lock;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use types::id::ChannelName;
use types::position::{LogId, Position};

use super::format::ChannelLine;
use super::physical::{Item, Physical};
use crate::log::LogError;

/// Bytes of one group, unless a single append is larger.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// Jobs of one group.
const GROUP_JOBS_MAX: usize = 1_024;

pub(super) type Answer<T> = oneshot::Sender<Result<T, LogError>>;

/// What the writer is asked.
pub(super) enum Job {
    Append { channel: u32, frames: Vec<Bytes>, answer: Answer<Vec<Position>> },
    Open { name: ChannelName, answer: Answer<LogId> },
    Truncate { channel: u32, start: u64, answer: Answer<()> },
}

/// What a job waits for, in order of its items.
enum Waiting {
    Frames(u32, usize, Answer<Vec<Position>>),
    Channel(LogId, Answer<LogId>),
    Truncation(Answer<()>),
}

/// Runs until the last handle on the log goes; holds the directory's lock.
pub(super) async fn run(mut physical: Physical, mut jobs: mpsc::Receiver<Job>, lock: Box<dyn Lock>) {
    while let Some(first) = jobs.recv().await {
        let mut group = Group::default();
        group.add(&physical, first);
        while group.bytes < GROUP_BYTES_MAX && group.waiting.len() < GROUP_JOBS_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            group.add(&physical, job);
        }
        group.commit(&mut physical).await;
    }
    drop(lock);
}

#[derive(Default)]
struct Group {
    items: Vec<Item>,
    waiting: Vec<Waiting>,
    bytes: usize,
}

impl Group {
    fn add(&mut self, physical: &Physical, job: Job) {
        match job {
            Job::Append { channel, frames, answer } => {
                self.bytes += frames.iter().map(Bytes::len).sum::<usize>();
                self.waiting.push(Waiting::Frames(channel, frames.len(), answer));
                self.items.extend(frames.into_iter().map(|frame| Item::Frame(channel, frame)));
            }
            Job::Truncate { channel, start, answer } => {
                self.items.push(Item::Truncate(channel, start));
                self.waiting.push(Waiting::Truncation(answer));
            }
            Job::Open { name, answer } => self.open(physical, name, answer),
        }
    }

    /// Makes a channel, unless it is there or comes with this group.
    fn open(&mut self, physical: &Physical, name: ChannelName, answer: Answer<LogId>) {
        let index = physical.index.lock();
        let known = index.names.get(&name).and_then(|channel| index.channels.get(channel)).map(|channel| channel.log);
        let new = || self.items.iter().filter_map(|item| if let Item::Channel(line) = item { Some(line) } else { None });
        if let Some(log) = known.or_else(|| new().find(|line| line.name == name).map(|line| line.log)) {
            self.waiting.push(Waiting::Channel(log, answer));
            return;
        }
        let highest = index.channels.last_key_value().map(|(channel, _)| *channel).max(new().map(|line| line.channel).max());
        let channel = highest.map_or(0, |highest| highest + 1);
        let line = ChannelLine { channel, log: LogId(physical.world.random.u128()), start: 0, next: 0, name };
        self.waiting.push(Waiting::Channel(line.log, answer));
        self.items.push(Item::Channel(line));
    }

    async fn commit(self, physical: &mut Physical) {
        let truncates = self.items.iter().any(|item| matches!(item, Item::Truncate(..)));
        let committed = if self.items.is_empty() { Ok(Vec::new()) } else { physical.commit(&self.items).await };
        match committed {
            Ok(indexes) => answer_all(physical, self.waiting, indexes),
            Err(error) => {
                tracing::error!(?error, "a group of the log has an unknown outcome");
                fail_all(self.waiting, &error);
            }
        }
        physical.mark().await;
        if truncates {
            physical.remove_unneeded().await;
        }
    }
}

/// Who left doesn't need an answer: `send` may fail everywhere here.
fn answer_all(physical: &Physical, waiting: Vec<Waiting>, indexes: Vec<u64>) {
    let mut indexes = indexes.into_iter();
    for waiting in waiting {
        match waiting {
            Waiting::Frames(channel, count, answer) => {
                let log = physical.index.lock().channels.get(&channel).map(|channel| channel.log).unwrap_or_default();
                let positions = indexes.by_ref().take(count).map(|index| Position::from_u64(log, index)).collect();
                drop(answer.send(Ok(positions)));
            }
            Waiting::Channel(log, answer) => drop(answer.send(Ok(log))),
            Waiting::Truncation(answer) => drop(answer.send(Ok(()))),
        }
    }
}

fn fail_all(waiting: Vec<Waiting>, error: &LogError) {
    for waiting in waiting {
        match waiting {
            Waiting::Frames(_, _, answer) => drop(answer.send(Err(error.clone()))),
            Waiting::Channel(_, answer) => drop(answer.send(Err(error.clone()))),
            Waiting::Truncation(answer) => drop(answer.send(Err(error.clone()))),
        }
    }
}
