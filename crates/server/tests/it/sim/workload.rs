//! What clients do in a run, and what they check: every acknowledged operation is there exactly once, one without an answer once or not at all,
//! and nothing else is.

use std::time::Duration;

use base::random::Random;
use types::Code;

use super::client::{At, Client, Failure, Row, vector_of};
use super::cluster::Cluster;
use super::coverage::Event;
use super::model::{Model, Snapshot, check_snapshot};

/// The collection that all clients write to.
pub const MAIN: &str = "main";
/// One that comes and goes while it is written to.
pub const BRIEF: &str = "brief";
/// Clients at once.
pub const CLIENTS: usize = 4;
/// Operations of each.
const OPERATIONS: u64 = 520;
/// Keys of a client lie in a range of its own.
const KEYS: i64 = 1_000_000;
/// Rows of one write.
const ROWS_MAX: u64 = 12;
/// Reads at a timestamp that are repeated.
const SNAPSHOTS: usize = 3;
/// How long a healed cluster may take until all can be read.
const RECOVERY_MAX: Duration = Duration::from_secs(120);

/// Makes and loads the collection; needs a cluster without faults.
pub async fn prepare(cluster: &Cluster) -> Result<(), String> {
    let client = Client::new(cluster);
    let clock = &cluster.world().clock;
    for _ in 0..100 {
        let made = async {
            client.create(MAIN, 2).await?;
            client.index(MAIN).await?;
            client.load(MAIN).await?;
            client.count(MAIN, "key >= 0").await
        };
        match made.await {
            Ok(0) => return Ok(()),
            Ok(count) => return Err(format!("a new collection has {count} rows")),
            Err(failure) => tracing::info!(?failure, "not prepared yet"),
        }
        clock.sleep(Duration::from_millis(300)).await;
    }
    Err("the collection can't be made and loaded".to_owned())
}

/// One client.
pub struct Worker {
    id: usize,
    cluster: Cluster,
    client: Client,
    random: Random,
    model: Model,
    snapshots: Vec<Snapshot>,
    next_value: i64,
    /// The greatest timestamp that was acknowledged.
    latest: u64,
}

impl Worker {
    pub fn new(id: usize, cluster: &Cluster, random: Random) -> Self {
        Self {
            id,
            cluster: cluster.clone(),
            client: Client::new(cluster),
            random,
            model: Model::default(),
            snapshots: Vec::new(),
            next_value: 1 + id as i64,
            latest: 0,
        }
    }

    fn range(&self) -> String {
        let (low, high) = (self.id as i64 * KEYS, (self.id as i64 + 1) * KEYS);
        format!("key >= {low} and key < {high}")
    }

    /// All operations of the client.
    pub async fn run(mut self) -> Self {
        for _ in 0..OPERATIONS {
            if self.cluster.verdict().is_over() {
                break;
            }
            if let Err(violation) = self.operation().await {
                self.look_again(&violation).await;
                self.cluster.verdict().violate(format!("client {}: {violation}", self.id));
            }
            self.cluster.coverage().count(Event::Operation);
            self.pause().await;
        }
        self
    }

    /// Logs whether what was wrong stays wrong: a read that came too early heals, a loss doesn't.
    async fn look_again(&self, violation: &str) {
        if !tracing::enabled!(tracing::Level::INFO) {
            return;
        }
        tracing::error!(at = self.cluster.world().clock.wall_ms(), client = self.id, violation, "a violation");
        self.cluster.world().clock.sleep(Duration::from_secs(5)).await;
        let rows = self.client.query(MAIN, &self.range(), At::Strong).await;
        let again = rows.map(|rows| {
            let mut rows: Vec<(i64, i64)> = rows.into_iter().map(|row| (row.key, row.value)).collect();
            rows.retain(|(key, _)| violation.contains(&key.to_string()));
            rows
        });
        tracing::error!(?again, "the same keys later");
    }

    async fn pause(&self) {
        let wait = if self.random.chance(0.05) { self.random.below(500) } else { self.random.below(20) };
        self.cluster.world().clock.sleep(Duration::from_millis(wait)).await;
    }

    async fn operation(&mut self) -> Result<(), String> {
        match self.random.below(100) {
            0..30 => self.insert().await,
            30..45 => self.upsert().await,
            45..55 => self.delete("").await,
            // One that reads first, at a barrier.
            55..57 => self.delete(" and value > 0").await,
            57..72 => self.read_some().await,
            72..76 => self.read_all().await,
            76..79 => self.count().await,
            79..87 => self.search().await,
            87..92 => self.snapshot().await,
            92..95 => self.brief().await,
            95..97 => self.read_loosely().await,
            _ => self.flush().await,
        }
    }

    fn value(&mut self) -> i64 {
        self.next_value += CLIENTS as i64;
        self.next_value
    }

    fn some_of(&self, mut keys: Vec<i64>, most: u64) -> Vec<i64> {
        let count = 1 + self.random.below(most) as usize;
        let mut some = Vec::new();
        while some.len() < count && !keys.is_empty() {
            some.push(keys.swap_remove(self.random.below(keys.len() as u64) as usize));
        }
        some.sort_unstable();
        some
    }

    /// Folds the outcome of a write into the model.
    fn written(&mut self, outcome: Result<u64, Failure>, keys: &[i64], state: Option<i64>) -> Result<(), String> {
        self.cluster.coverage().trace(u64::from(outcome.is_ok()) ^ (self.id as u64) << 8 ^ state.unwrap_or(-1) as u64);
        tracing::info!(at = self.cluster.world().clock.wall_ms(), client = self.id, ?keys, ?state, ?outcome, "written");
        match outcome {
            Ok(timestamp) => {
                if self.cluster.is_meta_away() {
                    self.cluster.coverage().count(Event::WrittenWithoutMeta);
                }
                self.latest = self.latest.max(timestamp);
                keys.iter().for_each(|key| self.model.is(*key, state));
                Ok(())
            }
            Err(failure) => {
                self.cluster.coverage().count(Event::Unanswered);
                keys.iter().for_each(|key| self.model.may_be(*key, state));
                not_lost(failure)
            }
        }
    }

    async fn insert(&mut self) -> Result<(), String> {
        let value = self.value();
        let mut keys = if self.random.chance(0.3) { self.some_of(self.model.certain(false), 4) } else { Vec::new() };
        for _ in 0..1 + self.random.below(ROWS_MAX) {
            let key = self.id as i64 * KEYS + self.random.below(20_000) as i64;
            if self.model.is_new(key) && !keys.contains(&key) {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        let outcome = self.client.write(MAIN, &keys, value, false).await;
        self.written(outcome, &keys, Some(value))
    }

    async fn upsert(&mut self) -> Result<(), String> {
        let value = self.value();
        let mut keys = self.some_of(self.model.certain(true), 6);
        keys.extend(self.some_of(self.model.certain(false), 2));
        if keys.is_empty() {
            return Ok(());
        }
        let outcome = self.client.write(MAIN, &keys, value, true).await;
        self.written(outcome, &keys, Some(value))
    }

    async fn delete(&mut self, and: &str) -> Result<(), String> {
        let keys = self.some_of(self.model.certain(true), 6);
        if keys.is_empty() {
            return Ok(());
        }
        let outcome = self.client.delete(MAIN, &format!("key in {keys:?}{and}")).await;
        self.written(outcome, &keys, None)
    }

    async fn read_some(&mut self) -> Result<(), String> {
        let all = self.model.possibilities().into_iter().map(|(key, _)| key).collect();
        let keys = self.some_of(all, 10);
        if keys.is_empty() {
            return Ok(());
        }
        match self.client.query(MAIN, &format!("key in {keys:?}"), At::Strong).await {
            Ok(rows) => self.checked(Some(&keys), &rows),
            Err(failure) => not_lost(failure),
        }
    }

    async fn read_all(&mut self) -> Result<(), String> {
        match self.client.query(MAIN, &self.range(), At::Strong).await {
            Ok(rows) => self.checked(None, &rows),
            Err(failure) => not_lost(failure),
        }
    }

    fn checked(&mut self, keys: Option<&[i64]>, rows: &[Row]) -> Result<(), String> {
        if self.cluster.is_meta_away() {
            self.cluster.coverage().count(Event::ReadWithoutMeta);
        }
        rows.iter().for_each(|row| self.cluster.coverage().trace(row.key as u64 ^ (row.value as u64) << 32));
        self.model.check(keys, rows)
    }

    async fn count(&mut self) -> Result<(), String> {
        match self.client.count(MAIN, &self.range()).await {
            Ok(count) => {
                let (least, most) = self.model.counts();
                match (least..=most).contains(&count) {
                    true => Ok(()),
                    false => Err(format!("count(*) is {count}, and must be {least} … {most}")),
                }
            }
            Err(failure) => not_lost(failure),
        }
    }

    async fn search(&mut self) -> Result<(), String> {
        let keys = self.some_of(self.model.certain(true), 1);
        let Some(key) = keys.first().copied() else { return Ok(()) };
        let Some(Some(value)) = self.model.certain_state(key) else { return Ok(()) };
        match self.client.search(MAIN, vector_of(key, value), &self.range(), 3).await {
            Ok(found) => match found.iter().any(|(hit, distance)| *hit == key && *distance == 0.0) {
                true => Ok(()),
                false => Err(format!("a search for the vector of key {key} finds {found:?}")),
            },
            Err(failure) => not_lost(failure),
        }
    }

    /// Reads at a timestamp and keeps the answer, or repeats an earlier one.
    async fn snapshot(&mut self) -> Result<(), String> {
        if self.snapshots.len() == SNAPSHOTS || (!self.snapshots.is_empty() && self.random.chance(0.5)) {
            let which = self.random.below(self.snapshots.len() as u64) as usize;
            let snapshot = self.snapshots[which].clone();
            return match self.client.query(MAIN, &self.range(), At::Snapshot(snapshot.at)).await {
                Ok(rows) => {
                    self.cluster.coverage().count(Event::Snapshot);
                    if self.random.chance(0.4) {
                        self.snapshots.swap_remove(which);
                    }
                    check_snapshot(&snapshot, &rows)
                }
                Err(failure) => not_lost(failure),
            };
        }
        if self.latest == 0 {
            return Ok(());
        }
        match self.client.query(MAIN, &self.range(), At::Snapshot(self.latest)).await {
            Ok(rows) => {
                let at = self.latest;
                self.snapshots.push(Snapshot { at, rows: rows.iter().map(|row| (row.key, row.value)).collect() });
                // Nothing of this client was acknowledged above the timestamp; what got no answer may lie on either side of it.
                let acknowledged = self.model.acknowledged();
                self.checked(Some(&acknowledged), &rows)
            }
            Err(failure) => not_lost(failure),
        }
    }

    /// A collection that comes and goes: its late writes are refused, in the log.
    async fn brief(&mut self) -> Result<(), String> {
        let value = self.value();
        let keys: Vec<i64> = (0..3).map(|i| self.id as i64 * KEYS + i).collect();
        let writes = async {
            for _ in 0..4 {
                self.client.write(BRIEF, &keys, value, false).await?;
            }
            Ok(())
        };
        let outcome = match self.random.below(5) {
            0 => self.client.create(BRIEF, 1).await,
            1 => self.client.drop_collection(BRIEF).await,
            _ => writes.await,
        };
        outcome.or_else(not_lost)
    }

    /// What is applied may be old, never wrong.
    async fn read_loosely(&mut self) -> Result<(), String> {
        match self.client.query(MAIN, &self.range(), At::Eventually).await {
            Ok(rows) => {
                let mut keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
                keys.dedup();
                match keys.len() == rows.len() && !keys.iter().any(|key| self.model.is_new(*key)) {
                    true => Ok(()),
                    false => Err("a loose read has a key twice, or one that was never written".to_owned()),
                }
            }
            Err(failure) => not_lost(failure),
        }
    }

    async fn flush(&mut self) -> Result<(), String> {
        self.client.flush(MAIN).await.map(drop).or_else(not_lost)
    }

    /// After everything was mended: all must be there.
    pub async fn verify(mut self) {
        let clock = self.cluster.world().clock.clone();
        let end = clock.now() + RECOVERY_MAX;
        loop {
            let failure = match self.client.query(MAIN, &self.range(), At::Strong).await {
                Ok(rows) => {
                    let checked = self.checked(None, &rows);
                    let counted = self.count().await;
                    if let Err(violation) = checked.and(counted) {
                        self.cluster.verdict().violate(format!("client {} at the end: {violation}", self.id));
                    }
                    return;
                }
                Err(failure) => failure,
            };
            if clock.now() > end {
                return self.cluster.verdict().violate(format!("client {} can't read at the end: {failure:?}", self.id));
            }
            clock.sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Failures are part of the run, except those that say that something was lost.
fn not_lost(failure: Failure) -> Result<(), String> {
    match &failure {
        // Writers' entries live for an hour, and no run lasts so long.
        Failure::Refused(_, text) if text.contains("forgotten this proxy") => Err(format!("a sequencer lost its writers' table: {text}")),
        Failure::Refused(code, text) if *code == Code::DATA_INTEGRITY.0 || text.contains("acknowledged writes") => {
            Err(format!("the server says that it lost something: {text}"))
        }
        _ => Ok(()),
    }
}
