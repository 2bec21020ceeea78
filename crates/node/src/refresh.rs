//! Taking a shard of this process over to its current manifest: after a flush, a built index, a load.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use role::Call;
use role::data::{CurrentManifest, DataCoord};
use segment::Base;
use store::manifest::Manifest;
use store::object::StoreError;
use store::reference::ObjectRef;
use types::Result;
use types::id::ShardId;

use crate::channel::Channel;
use crate::opener::Opener;

/// Takes shards over.
pub struct Refresher {
    coordinator: Arc<dyn DataCoord>,
    opener: Opener,
    /// Shards whose segments are served here: others go over to a manifest without opening anything.
    served: Mutex<BTreeMap<ShardId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Refresher {
    /// Reads manifests through `coordinator` and opens segments through `opener`.
    pub fn new(coordinator: Arc<dyn DataCoord>, opener: Opener) -> Arc<Self> {
        Arc::new(Self { coordinator, opener, served: Mutex::default() })
    }

    /// Whether the segments of a shard are to be open here.
    pub fn set_served(&self, shard: ShardId, served: bool) {
        let mut shards = self.served.lock();
        if served {
            shards.entry(shard).or_default();
        } else {
            shards.remove(&shard);
        }
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
    /// As [`Self::manifest`]; segments that can't be opened, by name: the shard stays with what it has.
    pub async fn refresh(&self, call: &Call, channel: &Channel, shard: ShardId) -> Result<()> {
        let turn = self.served.lock().get(&shard).cloned();
        let serve = turn.is_some();
        let turn = turn.unwrap_or_default();
        let _turn = turn.lock().await;
        let manifest = self.manifest(call, shard).await?;
        let clock = manifest.flushed.clock;
        // A manifest that was made of the create record alone is reached by any shard.
        channel.wait(call, "the log up to a manifest", |progress| manifest.version == 0 || progress.clock >= clock).await?;
        let open = channel.reader(shard)?.versions.load().sealed.clone();
        let sealed = if serve { Some(self.opener.segments(&manifest, &open).await?) } else { None };
        channel.adopt(shard, &Base::of(&manifest), sealed)
    }
}
