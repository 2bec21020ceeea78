//! Taking a shard of this process over to its current manifest: after a flush, a built index, a load, and when something was mended.
//!
//! Segments that can't be opened become gaps of the shard and are looked at again by [`crate::care`], as is a shard whose turn failed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::World;
use base::metrics::{Gauge, Metric};
use parking_lot::Mutex;
use role::Call;
use role::data::{CurrentManifest, DataCoord};
use role::query::Memory;
use segment::{Base, Gap};
use store::manifest::Manifest;
use store::object::StoreError;
use store::reference::ObjectRef;
use types::Result;
use types::id::ShardId;

use crate::admission::{Admission, MemoryLimits};
use crate::care::Care;
use crate::channel::Channel;
use crate::channels::Channels;
use crate::opener::{Known, Opened, Opener};

/// Quarantined segments of this process.
const QUARANTINED: Metric<Gauge, 0> =
    Metric::gauge("elanus_quarantined_segments", "Segments that can't be read: reads that would need them are refused.", []);

/// Takes shards over.
pub struct Refresher {
    world: World,
    coordinator: Arc<dyn DataCoord>,
    opener: Opener,
    /// Shards whose segments are served here: others go over to a manifest without opening anything.
    served: Mutex<BTreeMap<ShardId, Arc<Turn>>>,
    quarantined: Mutex<BTreeMap<ShardId, Vec<Gap>>>,
    admission: Admission,
    care: Arc<Care>,
}

/// One refresh of a shard at a time; inside: whether its segments were opened once.
type Turn = tokio::sync::Mutex<bool>;

impl Refresher {
    /// Reads manifests through `coordinator` and opens segments through `opener` as far as memory is admitted; looks after what is open in
    /// `channels` from now on.
    pub fn start(
        world: &World,
        coordinator: Arc<dyn DataCoord>,
        opener: Opener,
        channels: Arc<Channels>,
        limits: MemoryLimits,
    ) -> Arc<Self> {
        let refresher = Arc::new(Self {
            world: world.clone(),
            coordinator,
            opener,
            served: Mutex::default(),
            quarantined: Mutex::default(),
            admission: Admission::new(limits, channels.clone()),
            care: Arc::new(Care::new(world)),
        });
        Care::start(&refresher, channels);
        refresher
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn coordinator(&self) -> &Arc<dyn DataCoord> {
        &self.coordinator
    }

    pub(crate) fn opener(&self) -> &Opener {
        &self.opener
    }

    pub(crate) fn care(&self) -> &Arc<Care> {
        &self.care
    }

    /// Whether the segments of a shard are to be open here.
    pub fn set_served(&self, shard: ShardId, served: bool) {
        let mut shards = self.served.lock();
        if served {
            shards.entry(shard).or_default();
        } else {
            shards.remove(&shard);
            self.admission.leave(shard);
        }
    }

    /// Memory of what is served.
    pub fn memory(&self) -> Memory {
        self.admission.memory()
    }

    /// Whether they are.
    pub fn is_served(&self, shard: ShardId) -> bool {
        self.served.lock().contains_key(&shard)
    }

    /// The current manifest.
    ///
    /// # Errors
    /// The coordinator's; a missing or damaged object, by name.
    pub async fn manifest(&self, call: &Call, shard: ShardId) -> Result<Manifest> {
        match self.coordinator.manifest(call, shard).await? {
            CurrentManifest::Start(manifest) => Ok(*manifest),
            CurrentManifest::Object(pointer) => {
                let bytes = self.opener.store().get(&pointer.name).await.map_err(StoreError::into_error)?;
                let reference = ObjectRef { name: pointer.name, length: pointer.length, checksum: pointer.checksum };
                Manifest::decode(&reference.name, &reference.verify(bytes)?)
            }
        }
    }

    /// Has a shard go over to its current manifest, once its log is applied that far.
    ///
    /// # Errors
    /// As [`Self::manifest`], or the store is away: the shard stays with what it has, and is looked at again. `MEMORY_LIMIT`,
    /// `DISK_LIMIT`: there is no room for it here.
    pub async fn refresh(&self, call: &Call, channel: &Channel, shard: ShardId) -> Result<()> {
        let result = self.take_over(call, channel, shard).await;
        // A quarantined shard, or one that is gone, has nothing to look at.
        if result.is_err() && channel.reader(shard).is_ok() {
            self.care.look_again(shard);
        }
        result
    }

    async fn take_over(&self, call: &Call, channel: &Channel, shard: ShardId) -> Result<()> {
        let turn = self.served.lock().get(&shard).cloned();
        let serve = turn.is_some();
        let turn = turn.unwrap_or_default();
        let mut opened_once = turn.lock().await;
        let manifest = self.manifest(call, shard).await?;
        let clock = manifest.flushed.clock;
        // A manifest that was made of the create record alone is reached by any shard.
        channel.wait(call, "the log up to a manifest", |progress| manifest.version == 0 || progress.clock >= clock).await?;
        let version = channel.reader(shard)?.versions.load_full();
        let known = Known { version: &version, serving: *opened_once && version.is_open };
        if serve {
            self.admission.admit(&manifest, known.serving)?;
        }
        let mut opened = if serve { self.opener.segments(&manifest, &known).await? } else { Opened::default() };
        channel.adopt(shard, &Base::of(&manifest), serve.then(|| std::mem::take(&mut opened.segments)))?;
        *opened_once = serve;
        self.opener.condemned().retain(shard, Some(&manifest));
        // Deletes that no manifest holds may have shown more damage.
        let gaps = channel.reader(shard)?.versions.load().gaps.to_vec();
        self.tell(shard, gaps);
        self.care.opened(shard, opened);
        Ok(())
    }

    /// Names what is quarantined since the last look, and what isn't any more; a shard that is gone has no gaps.
    pub(crate) fn tell(&self, shard: ShardId, gaps: Vec<Gap>) {
        let mut quarantined = self.quarantined.lock();
        let before = quarantined.remove(&shard).unwrap_or_default();
        let is_in = |gaps: &[Gap], gap: &Gap| gaps.iter().any(|other| other.segment == gap.segment);
        for gap in gaps.iter().filter(|gap| !is_in(&before, gap)) {
            tracing::error!(%shard, segment = %gap.segment, rows = gap.rows, error = %gap.error, "a segment is quarantined");
        }
        for gap in before.iter().filter(|gap| !is_in(&gaps, gap)) {
            tracing::info!(%shard, segment = %gap.segment, "a segment isn't quarantined any more");
        }
        if !gaps.is_empty() {
            self.care.look_again(shard);
            quarantined.insert(shard, gaps);
        }
        let count: usize = quarantined.values().map(Vec::len).sum();
        self.world.metrics.family(&QUARANTINED).with([]).set(count as f64);
    }
}
