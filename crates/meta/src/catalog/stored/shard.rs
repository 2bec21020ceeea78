//! Shards: where their log begins and which manifest is the current one.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::id::{CollectionId, ShardId};
use types::position::Position;
use types::record::Epoch;
use types::time::Timestamp;

use super::{decode_only, encode};
use crate::catalog::document::{Document, number, parse_number};
use crate::catalog::model::{ManifestPointer, ObjectPointer, Shard, ShardStart};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredObject {
    name: String,
    length: u64,
    crc: u32,
}

impl From<&ObjectPointer> for StoredObject {
    fn from(object: &ObjectPointer) -> Self {
        Self { name: object.name.clone(), length: object.length, crc: object.checksum }
    }
}

impl From<StoredObject> for ObjectPointer {
    fn from(object: StoredObject) -> Self {
        Self { name: object.name, length: object.length, checksum: object.crc }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredShard {
    start: StoredStart,
    #[serde(default)]
    manifest: Option<StoredManifest>,
}

#[derive(Serialize, Deserialize)]
struct StoredStart {
    position: Position,
    epoch: Epoch,
    number: u64,
    clock: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredManifest {
    version: u64,
    object: StoredObject,
}

impl Document for Shard {
    type Id = ShardId;
    const KIND: &'static str = "shard";
    const VERSION: u32 = 1;

    fn id(&self) -> ShardId {
        self.id
    }

    fn path(id: &ShardId) -> String {
        format!("{}/{:05}", number(id.collection.0), id.index)
    }

    fn parse(path: &str) -> Option<ShardId> {
        let (collection, index) = path.split_once('/')?;
        let digits = index.len() == 5 && index.bytes().all(|byte| byte.is_ascii_digit());
        Some(ShardId::new(CollectionId(parse_number(collection)?), index.parse().ok().filter(|_| digits)?))
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        let ShardStart { position, epoch, number, clock } = self.start;
        encode(&StoredShard {
            start: StoredStart { position, epoch, number, clock },
            manifest: self.manifest.as_ref().map(|m| StoredManifest { version: m.version, object: (&m.object).into() }),
        })
    }

    fn decode(id: ShardId, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let StoredShard { start, manifest } = decode_only::<Self, _>(version, json)?;
        let StoredStart { position, epoch, number, clock } = start;
        let manifest = manifest.map(|m| ManifestPointer { version: m.version, object: m.object.into() });
        Ok(Self { id, start: ShardStart { position, epoch, number, clock }, manifest })
    }
}
