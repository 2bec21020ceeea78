//! The one writer: takes what waits, makes it in one commit of the file, tells watches, answers.
//!
//! A transaction of a group sees what those before it in the group did. Nobody is answered before the commit is durable, the refused neither: what
//! refused them may not have happened. After a failed commit all of the group are told that their outcome is unknown, and the file is
//! opened again before the next one; if the commit turns out to be there, watches are told [`MetaError::Compacted`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use bytes::Bytes;
use redb::{ReadableTable, Table, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::file::{ENTRIES, Opened, REVISION, STATE, StoreFile, storage};
use super::{Live, row};
use crate::lease::LeasedKeys;
use crate::store::{Change, Condition, Entry, LeaseId, MetaError, Revision, Transaction, Write};

/// Transactions of one commit.
const GROUP_MAX: usize = 256;
/// The wait before a file that failed, or keys of ended leases that couldn't be removed, are tried again.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// What a caller wants.
pub(super) struct Request {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Result<Revision, MetaError>>,
}

/// See [`Request`].
pub(super) enum Work {
    /// A transaction.
    Commit(Transaction),
    /// Nothing, after the keys of the leases that had ended before.
    Barrier,
    /// The end: the file is closed after the group that this is in.
    Close,
}

/// The writer's state, on whichever thread it works.
pub(super) struct Writer {
    file: StoreFile,
    live: Arc<Live>,
    revision: Revision,
    leased: LeasedKeys,
    /// Leases that have ended and whose keys are still there.
    ended: BTreeSet<LeaseId>,
    /// A commit has failed: nobody knows what the file holds.
    failed: bool,
    /// The file was closed for good.
    closed: bool,
}

/// What a group has done so far; nothing of it holds before the commit.
struct Group<'t, 'f> {
    file: &'f StoreFile,
    table: Table<'t, &'static [u8], &'static [u8]>,
    revision: Revision,
    changes: Vec<(Revision, Vec<Change>)>,
    moves: Vec<Move>,
}

/// Key, lease before, lease after.
type Move = (Bytes, Option<LeaseId>, Option<LeaseId>);

/// What a group did and what its transactions are told, once it is durable.
struct Done {
    results: Vec<Result<Revision, MetaError>>,
    revision: Revision,
    changes: Vec<(Revision, Vec<Change>)>,
    moves: Vec<Move>,
}

/// Why a group can't go on, as opposed to what one of its transactions is told.
type GroupResult<T> = Result<T, MetaError>;

/// Takes requests until the last sender is gone or the file is closed.
pub(super) async fn run(world: World, mut writer: Writer, mut waiting: mpsc::Receiver<Request>) {
    let live = writer.live.clone();
    loop {
        let mut group = Vec::new();
        let retry = writer.failed || !writer.ended.is_empty();
        let deadline = if retry { Some(world.clock.now() + RETRY_WAIT) } else { live.leases.lock().next_deadline() };
        let woken = async {
            match deadline {
                Some(deadline) => world.clock.sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            taken = waiting.recv_many(&mut group, GROUP_MAX) => if taken == 0 { return },
            () = woken => {}
            () = live.leases_changed.notified() => {}
        }
        writer.ended.extend(live.leases.lock().take_ended(world.clock.now()));
        if group.is_empty() && writer.ended.is_empty() && !writer.failed {
            continue;
        }
        writer = world.tasks.blocking(move || writer.work(group)).await;
        if writer.closed {
            return;
        }
    }
}

impl Writer {
    pub(super) fn new(file: StoreFile, live: Arc<Live>, opened: Opened) -> Self {
        Self { file, live, revision: opened.revision, leased: opened.leased, ended: BTreeSet::new(), failed: false, closed: false }
    }

    /// Blocks: makes a group and answers it.
    fn work(mut self, requests: Vec<Request>) -> Self {
        let (work, answers): (Vec<_>, Vec<_>) = requests.into_iter().map(|request| (request.work, request.answer)).unzip();
        let results = self.recover().and_then(|()| self.commit(&work));
        if work.iter().any(|work| matches!(work, Work::Close)) {
            self.file.close();
            self.closed = true;
        }
        match results {
            Ok(results) => {
                for (answer, result) in answers.into_iter().zip(results) {
                    // Who no longer waits doesn't want the answer.
                    drop(answer.send(result));
                }
            }
            Err(error) => {
                self.failed = true;
                tracing::error!(file = %self.file.path().display(), error = %error, "meta commit failed");
                for answer in answers {
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
        self
    }

    /// After a failure: opens the file again, and finds out whether the last commit is there.
    fn recover(&mut self) -> Result<(), MetaError> {
        if !self.failed {
            return Ok(());
        }
        let opened = self.file.reopen()?;
        if opened.revision != self.revision {
            self.live.log.lock().forget_below(opened.revision.next());
            self.live.tick.send_modify(|tick| *tick += 1);
        }
        (self.revision, self.leased, self.failed) = (opened.revision, opened.leased, false);
        Ok(())
    }

    /// One commit of the file. An error means that the outcome of all is unknown.
    fn commit(&mut self, work: &[Work]) -> GroupResult<Vec<Result<Revision, MetaError>>> {
        let file = self.file.clone();
        let failed = |error: redb::Error| file.failed(error);
        let database = file.database()?;
        let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
        let done = self.fill(&transaction, work)?;
        if done.changes.is_empty() {
            transaction.abort().map_err(|error| failed(error.into()))?;
        } else {
            let mut state = transaction.open_table(STATE).map_err(|error| failed(error.into()))?;
            state.insert(REVISION, done.revision.0).map_err(|error| failed(storage(error)))?;
            drop(state);
            transaction.commit().map_err(|error| failed(error.into()))?;
        }
        self.revision = done.revision;
        self.ended.clear();
        for (key, old, new) in done.moves {
            self.leased.moved(&key, old, new);
        }
        self.publish(done.changes);
        Ok(done.results)
    }

    /// What the group does, inside of its commit.
    fn fill(&self, transaction: &WriteTransaction, work: &[Work]) -> GroupResult<Done> {
        let table = transaction.open_table(ENTRIES).map_err(|error| self.file.failed(error.into()))?;
        let mut group = Group { file: &self.file, table, revision: self.revision, changes: Vec::new(), moves: Vec::new() };
        for lease in &self.ended {
            let deletes: Vec<_> = self.leased.of(*lease).into_iter().map(Write::Delete).collect();
            group.make(&deletes)?;
        }
        let mut results = Vec::with_capacity(work.len());
        for work in work {
            results.push(match work {
                Work::Commit(transaction) => group.transact(transaction, &self.live)?,
                Work::Barrier | Work::Close => Ok(group.revision),
            });
        }
        Ok(Done { results, revision: group.revision, changes: group.changes, moves: group.moves })
    }

    fn publish(&self, changes: Vec<(Revision, Vec<Change>)>) {
        if changes.is_empty() {
            return;
        }
        let mut log = self.live.log.lock();
        for (revision, changes) in changes {
            log.push(revision, changes);
        }
        drop(log);
        self.live.tick.send_modify(|tick| *tick += 1);
    }
}

impl Group<'_, '_> {
    fn get(&self, key: &[u8]) -> GroupResult<Option<Entry>> {
        let found = self.table.get(key).map_err(|error| self.file.failed(storage(error)))?;
        found.map(|value| row::decode(key, value.value()).ok_or_else(|| self.file.damaged_row(key))).transpose()
    }

    fn holds(&self, condition: &Condition) -> GroupResult<bool> {
        Ok(match condition {
            Condition::Absent(key) => self.get(key)?.is_none(),
            Condition::Modified(key, revision) => self.get(key)?.is_some_and(|entry| entry.modified == *revision),
            Condition::Created(key, revision) => self.get(key)?.is_some_and(|entry| entry.created == *revision),
            Condition::Equals(key, value) => self.get(key)?.is_some_and(|entry| entry.value == *value),
        })
    }

    fn transact(&mut self, transaction: &Transaction, live: &Live) -> GroupResult<Result<Revision, MetaError>> {
        for condition in &transaction.conditions {
            if !self.holds(condition)? {
                return Ok(Err(MetaError::Refused));
            }
        }
        let dead = |change: &Write| matches!(change, Write::Put { lease: Some(lease), .. } if !live.leases.lock().is_live(*lease));
        if transaction.changes.iter().any(dead) {
            return Ok(Err(MetaError::LeaseLost));
        }
        self.make(&transaction.changes)?;
        Ok(Ok(self.revision))
    }

    fn make(&mut self, writes: &[Write]) -> GroupResult<()> {
        let revision = self.revision.next();
        let mut changes = Vec::new();
        for write in writes {
            let old = self.get(write.key())?;
            match write {
                Write::Put { key, value, lease } => {
                    let created = old.as_ref().map_or(revision, |entry| entry.created);
                    let entry = Entry { key: key.clone(), value: value.clone(), created, modified: revision, lease: *lease };
                    self.table.insert(&**key, &*row::encode(&entry)).map_err(|error| self.file.failed(storage(error)))?;
                    self.moves.push((key.clone(), old.and_then(|entry| entry.lease), *lease));
                    changes.push(Change::Put(entry));
                }
                Write::Delete(key) => {
                    if let Some(old) = old {
                        self.table.remove(&**key).map_err(|error| self.file.failed(storage(error)))?;
                        self.moves.push((key.clone(), old.lease, None));
                        changes.push(Change::Delete { key: key.clone(), revision });
                    }
                }
            }
        }
        if !changes.is_empty() {
            self.revision = revision;
            self.changes.push((revision, changes));
        }
        Ok(())
    }
}
