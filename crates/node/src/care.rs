//! Care for what is open: a scrub compares it with its checksums, and what is quarantined is looked at again until it is mended.
//!
//! Mapped files aren't compared when they are opened, or a restart would read everything. So each segment and index file is read once soon
//! after it was opened ([`SCRUB_DELAY`]) and once a day from then on, slowly; damage quarantines the segment, or has the index built anew.
//! Two tasks do this and end with the [`Refresher`] that they belong to.
//!
//! Not here: what a gap means for reads (`segment::gap`), what opens files ([`crate::opener`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::World;
use base::metrics::{Counter, Metric};
use index::any::AnyIndex;
use index::file::Scrub;
use parking_lot::Mutex;
use role::Call;
use role::data::ManifestEdit;
use store::manifest::IndexFile;
use store::segment_file::{ScrubCursor, SegmentReader};
use tokio::sync::Notify;
use tokio::time::Instant;
use types::id::{SegmentId, ShardId};
use types::{Code, Error, Result};

use crate::channels::Channels;
use crate::opener::{Opened, is_damage};
use crate::refresh::Refresher;

/// Between opening and the scrub: a start isn't slowed by it.
const SCRUB_DELAY: Duration = Duration::from_secs(10);
/// Between two scrubs of the same file.
const SCRUB_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// Read at once.
const SCRUB_STEP_BYTES: u64 = 4 << 20;
/// Between two steps: some 80 MB a second at most.
const STEP_PAUSE: Duration = Duration::from_millis(50);
/// Between two looks at what is quarantined.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// Between two whole comparisons of a segment that a scrub condemned.
const ACQUIT_PAUSE: Duration = Duration::from_secs(30);
/// How long one look may take.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// Bytes compared.
const SCRUBBED: Metric<Counter, 0> = Metric::counter("elanus_scrubbed_bytes_total", "Bytes that the scrub compared.", []);
/// Damage found.
const DAMAGED: Metric<Counter, 0> = Metric::counter("elanus_scrub_damage_total", "Segments and indexes that the scrub found damaged.", []);

/// What is to be looked at, and when.
pub(crate) struct Care {
    world: World,
    work: Mutex<Work>,
    changed: Notify,
    scrubs_changed: Notify,
}

#[derive(Default)]
struct Work {
    /// By due time; the number keeps those of one instant apart. One entry each time that a segment or an index was opened; one that is open no
    /// longer goes when it is due.
    scrubs: BTreeMap<(Instant, u64), Subject>,
    number: u64,
    /// Shards with gaps, or whose last turn failed.
    again: BTreeSet<ShardId>,
    /// Index files that are to go from their manifests, by the object's name.
    damaged_indexes: BTreeMap<String, (ShardId, SegmentId, IndexFile)>,
    /// When condemned segments were compared last.
    compared: BTreeMap<SegmentId, Instant>,
}

/// What a scrub reads.
#[derive(Clone)]
struct Subject {
    shard: ShardId,
    segment: SegmentId,
    what: What,
}

#[derive(Clone)]
enum What {
    Files(Weak<SegmentReader>),
    Index(IndexFile, Weak<AnyIndex>),
}

impl Care {
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), work: Mutex::default(), changed: Notify::new(), scrubs_changed: Notify::new() }
    }

    /// Starts the tasks.
    pub fn start(refresher: &Arc<Refresher>, channels: Arc<Channels>) {
        let world = refresher.world().clone();
        world.tasks.spawn(mend(Arc::downgrade(refresher), channels.clone())).detach();
        world.tasks.spawn(scrub(Arc::downgrade(refresher), channels)).detach();
    }

    /// Looks at a shard's manifest again soon.
    pub fn look_again(&self, shard: ShardId) {
        if self.work.lock().again.insert(shard) {
            self.changed.notify_one();
        }
    }

    /// Takes over what a shard opened.
    pub fn opened(&self, shard: ShardId, opened: Opened) {
        let Opened { fresh_segments, fresh_indexes, damaged_indexes, missing_indexes, .. } = opened;
        let due = self.world.clock.now() + SCRUB_DELAY;
        let files = fresh_segments.iter().map(|sealed| (sealed.id(), What::Files(Arc::downgrade(sealed.shared_reader()))));
        let indexes = fresh_indexes.into_iter().map(|(segment, file, opened)| (segment, What::Index(file, Arc::downgrade(&opened))));
        for (segment, what) in files.chain(indexes) {
            self.scrub_at(due, Subject { shard, segment, what });
        }
        if !damaged_indexes.is_empty() {
            let mut work = self.work.lock();
            for (segment, file) in damaged_indexes {
                work.damaged_indexes.insert(file.object.name.clone(), (shard, segment, file));
            }
            drop(work);
            self.changed.notify_one();
        }
        if missing_indexes {
            self.look_again(shard);
        }
    }

    fn scrub_at(&self, due: Instant, subject: Subject) {
        let mut work = self.work.lock();
        work.number += 1;
        let number = work.number;
        work.scrubs.insert((due, number), subject);
        drop(work);
        self.scrubs_changed.notify_one();
    }

    /// The next scrub that is due, or when one is.
    fn next_scrub(&self) -> Result<Subject, Option<Instant>> {
        let mut work = self.work.lock();
        match work.scrubs.first_entry() {
            Some(first) if first.key().0 <= self.world.clock.now() => Ok(first.remove()),
            Some(first) => Err(Some(first.key().0)),
            None => Err(None),
        }
    }

    fn is_idle(&self) -> bool {
        let work = self.work.lock();
        work.again.is_empty() && work.damaged_indexes.is_empty()
    }
}

/// Looks again at what is quarantined, and has damaged indexes removed from their manifests.
async fn mend(refresher: Weak<Refresher>, channels: Arc<Channels>) {
    let Some(first) = refresher.upgrade() else { return };
    let (world, care) = (first.world().clone(), first.care().clone());
    drop(first);
    while !world.tasks.is_stopping() {
        let Some(alive) = refresher.upgrade() else { return };
        let damaged = std::mem::take(&mut care.work.lock().damaged_indexes);
        for (shard, segment, file) in damaged.into_values() {
            remove_index(&alive, shard, segment, file).await;
        }
        let again = std::mem::take(&mut care.work.lock().again);
        for shard in again {
            look(&alive, &channels, shard).await;
        }
        drop(alive);
        let idle = care.is_idle();
        tokio::select! {
            biased;
            () = world.tasks.stopping() => return,
            () = care.changed.notified(), if idle => {}
            () = world.clock.sleep(LOOK_PAUSE), if !idle => {}
        }
    }
}

async fn remove_index(refresher: &Refresher, shard: ShardId, segment: SegmentId, file: IndexFile) {
    let call = Call::within(refresher.world(), LOOK_MAX, "damaged index");
    let name = file.object.name.clone();
    let edit = ManifestEdit::RemoveDamagedIndex { segment, index: file.index, object: name.clone() };
    match refresher.coordinator().edit_manifest(&call, shard, edit).await {
        Ok(_) => {
            tracing::warn!(%shard, %segment, object = %name, "a damaged index is removed, and built anew");
        }
        Err(error) => {
            tracing::warn!(%shard, %segment, object = %name, %error, "a damaged index can't be removed yet");
            refresher.care().look_again(shard);
        }
    }
}

async fn look(refresher: &Refresher, channels: &Channels, shard: ShardId) {
    let Some(channel) = channels.of_shard(shard) else {
        refresher.opener().condemned().retain(shard, None);
        return refresher.tell(shard, Vec::new());
    };
    let call = Call::within(refresher.world(), LOOK_MAX, "quarantine");
    let looked = async {
        acquit(refresher, &call, shard).await?;
        refresher.refresh(&call, &channel, shard).await
    };
    if let Err(error) = looked.await {
        tracing::debug!(%shard, %error, "a shard can't be looked at now");
        if channel.reader(shard).is_ok() {
            refresher.care().look_again(shard);
        }
    }
}

/// Compares condemned segments of a shard anew.
async fn acquit(refresher: &Refresher, call: &Call, shard: ShardId) -> Result<()> {
    let manifest = refresher.manifest(call, shard).await?;
    let now = refresher.world().clock.now();
    for entry in &manifest.segments {
        if refresher.opener().condemned().segment(entry.id).is_none() {
            continue;
        }
        let recently = |at: &Instant| now < *at + ACQUIT_PAUSE;
        if refresher.care().work.lock().compared.get(&entry.id).is_some_and(recently) {
            continue;
        }
        let result = refresher.opener().acquit(refresher.world(), &manifest, entry).await;
        let mut work = refresher.care().work.lock();
        match result {
            Ok(()) => work.compared.remove(&entry.id),
            Err(_) => work.compared.insert(entry.id, now),
        };
    }
    let mut work = refresher.care().work.lock();
    work.compared.retain(|segment, _| refresher.opener().condemned().segment(*segment).is_some());
    Ok(())
}

/// Compares what is open, one file after the other.
async fn scrub(refresher: Weak<Refresher>, channels: Arc<Channels>) {
    let Some(first) = refresher.upgrade() else { return };
    let (world, care) = (first.world().clone(), first.care().clone());
    drop(first);
    while !world.tasks.is_stopping() {
        let subject = match care.next_scrub() {
            Ok(subject) => subject,
            Err(due) => {
                let due = due.unwrap_or_else(|| world.clock.now() + SCRUB_PAUSE);
                tokio::select! {
                    biased;
                    () = world.tasks.stopping() => return,
                    () = care.scrubs_changed.notified() => {}
                    () = world.clock.sleep_until(due) => {}
                }
                continue;
            }
        };
        let Some(alive) = refresher.upgrade() else { return };
        match compare(&alive, &subject).await {
            Ok(true) => care.scrub_at(world.clock.now() + SCRUB_PAUSE, subject),
            Ok(false) => {}
            Err(error) if is_damage(&error) => condemn(&alive, &channels, subject, error).await,
            Err(error) => {
                tracing::warn!(shard = %subject.shard, segment = %subject.segment, %error, "a scrub couldn't read");
                care.scrub_at(world.clock.now() + LOOK_MAX, subject);
            }
        }
    }
}

/// False where it isn't open any more.
async fn compare(refresher: &Refresher, subject: &Subject) -> Result<bool> {
    let world = refresher.world();
    match &subject.what {
        What::Files(reader) => {
            let reader = reader.clone();
            let step = move |cursor: &mut ScrubCursor| reader.upgrade().map(|reader| reader.scrub(cursor, SCRUB_STEP_BYTES));
            in_steps(world, ScrubCursor::default(), (step, ScrubCursor::bytes)).await
        }
        What::Index(file, opened) => {
            if opened.strong_count() == 0 {
                return Ok(false);
            }
            let blob = refresher.opener().source().blob(&file.object).await?;
            let opened = opened.clone();
            let step = move |scrub: &mut Scrub| opened.upgrade().map(|_| scrub.step(&*blob, SCRUB_STEP_BYTES));
            in_steps(world, Scrub::default(), (step, Scrub::bytes)).await
        }
    }
}

/// Steps with pauses until one says that it was the last, or `None`: there is nothing to compare any more. `bytes` of the progress are counted.
async fn in_steps<P, S>(world: &World, mut progress: P, (mut step, bytes): (S, fn(&P) -> u64)) -> Result<bool>
where
    P: Send + 'static,
    S: Fn(&mut P) -> Option<Result<bool>> + Send + 'static,
{
    let scrubbed = world.metrics.family(&SCRUBBED).with([]);
    loop {
        let before = bytes(&progress);
        let ((back, same), done) = world
            .tasks
            .blocking(move || {
                let done = step(&mut progress);
                ((progress, step), done)
            })
            .await;
        (progress, step) = (back, same);
        match done {
            None => return Ok(false),
            Some(done) => {
                scrubbed.add(bytes(&progress) - before);
                if done? {
                    return Ok(true);
                }
            }
        }
        world.clock.sleep(STEP_PAUSE).await;
    }
}

/// Quarantines what a scrub found damaged: the shard goes over to its manifest without it.
async fn condemn(refresher: &Refresher, channels: &Channels, subject: Subject, error: Error) {
    let Subject { shard, segment, what } = subject;
    // What was let go of meanwhile may be collected: no damage.
    let call = Call::within(refresher.world(), LOOK_MAX, "scrub");
    let needed = match refresher.manifest(&call, shard).await {
        Ok(manifest) => manifest.segments.iter().filter(|entry| entry.id == segment).any(|entry| match &what {
            What::Files(_) => true,
            What::Index(file, _) => entry.indexes.iter().any(|there| there.object.name == file.object.name),
        }),
        Err(error) => error.code() != Code::COLLECTION_NOT_FOUND,
    };
    if !needed {
        return;
    }
    tracing::error!(%shard, %segment, %error, "a scrub found damage");
    refresher.world().metrics.family(&DAMAGED).with([]).inc();
    let condemned = refresher.opener().condemned();
    match what {
        What::Files(_) => condemned.condemn_segment((shard, segment), error),
        What::Index(file, _) => {
            refresher.opener().source().forget([&file.object]);
            condemned.condemn_index(shard, &file.object.name, error);
        }
    }
    look(refresher, channels, shard).await;
}
