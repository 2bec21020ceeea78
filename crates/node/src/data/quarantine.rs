//! Shards that can't be taken up or applied: their records are copied from the log to objects, so that the log may be cut, and tried again at
//! the next start.
//!
//! The copies are the memory of a quarantine. When a channel is taken up, a shard that has copies is given them first: if all can be applied (a
//! later version, a manifest that was put back), it is served again and they go with its next flush; else it is in quarantine as before.
//! Nothing else has to be remembered, in meta or elsewhere.
//!
//! Invariant: a record of a quarantined shard holds the checkpoint until a copy is durable, so each is in the log, in a copy, or in both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use role::Call;
use segment::Base;
use store::name::{self, AttemptId};
use store::object::StoreError;
use store::quarantine_file::{FRAMES_BYTES_MAX, Head, QuarantineFile};
use types::blob::MemoryBlob;
use types::id::{ChannelName, CollectionId, ShardId};
use types::position::Position;
use types::record::{Control, Frame, Record};
use types::{Code, Error, Result};
use wal::reader::assemble::Assembler;
use wal::reader::{ReaderState, RecordReader, Step};
use wal::{LogError, Span};

use super::{DataNodeRole, flush};
use crate::channel::Channel;
use crate::opener::is_damage;

/// Copies of each shard that has some, by name.
pub(super) type Copies = BTreeMap<ShardId, Vec<String>>;

/// Which shards have copies.
///
/// # Errors
/// The store's.
pub(super) async fn copies(node: &DataNodeRole) -> Result<Copies> {
    let mut copies = Copies::new();
    for object in node.parts.opener.store().list(name::QUARANTINE).await.map_err(StoreError::into_error)? {
        let mut parts = object.name.split('/').skip(1);
        let (Some(collection), Some(index)) = (parts.next(), parts.next()) else { continue };
        let (Ok(collection), Ok(index)) = (collection.parse(), index.parse()) else { continue };
        copies.entry(ShardId::new(CollectionId(collection), index)).or_default().push(object.name);
    }
    Ok(copies)
}

/// Takes a shard up from its manifest and its copies, or into quarantine.
///
/// # Errors
/// The coordinator or the store is away.
pub(super) async fn take_up(
    node: &DataNodeRole,
    call: &Call,
    channel: &Channel,
    start: &ReaderState,
    taken: (ShardId, &[String]),
) -> Result<()> {
    let (shard, copies) = taken;
    let dropped = start.shards.brought(shard, &Control::Drop).is_some();
    let manifest = match node.parts.refresher.manifest(call, shard).await {
        Ok(manifest) => manifest,
        Err(error) if is_damage(&error) => {
            channel.quarantine(shard, error, dropped, None);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    channel.add(shard, Base::of(&manifest));
    if copies.is_empty() {
        return Ok(());
    }
    match restore(node, channel, copies).await? {
        Ok(()) => {
            tracing::info!(%shard, copies = copies.len(), "a shard's quarantined records could be applied: it is served again");
            node.restored.lock().insert(shard, copies.to_vec());
        }
        Err((through, error)) => {
            channel.remove(shard);
            channel.quarantine(shard, error, dropped, through);
        }
    }
    Ok(())
}

/// Applies copied records; where they can't be applied, says why and up to where the copies go.
///
/// # Errors
/// The store is away.
async fn restore(node: &DataNodeRole, channel: &Channel, copies: &[String]) -> Result<Result<(), (Option<Position>, Error)>> {
    let mut frames: BTreeMap<Position, Bytes> = BTreeMap::new();
    let mut through = None;
    let mut damage = None;
    for name in copies {
        let read = match node.parts.opener.store().get(name).await {
            Ok(bytes) => QuarantineFile::open(&MemoryBlob::new(name.clone(), bytes)),
            Err(error) => Err(error.into_error()),
        };
        match read {
            Ok(file) => {
                through = through.max(Some(file.head.through));
                frames.extend(file.frames);
            }
            Err(error) if is_damage(&error) => damage = Some(error),
            Err(error) => return Err(error),
        }
    }
    let applied = damage.map_or(Ok(()), Err).and_then(|()| apply(channel, frames));
    Ok(applied.map_err(|error| (through, error)))
}

fn apply(channel: &Channel, frames: BTreeMap<Position, Bytes>) -> Result<()> {
    let mut assembler = Assembler::default();
    let mut first = None;
    for (at, bytes) in frames {
        let frame = Frame::decode(&bytes)?;
        let header = frame.header;
        if header.part == 1 {
            first = Some(at);
        }
        assembler.push(&header, frame.body);
        if header.part == header.parts {
            let record = Record { header, body: assembler.finish(&header)? };
            channel.restore(&record, Span { first: first.unwrap_or(at), last: at })?;
        }
    }
    Ok(())
}

/// Copies what quarantined shards have in the log alone.
///
/// # Errors
/// The log's, the store's; the next look tries again, and the checkpoint waits.
pub(super) async fn copy(node: &DataNodeRole, call: &Call, name: &ChannelName, channel: &Channel) -> Result<()> {
    let wanted: BTreeMap<ShardId, (Position, Error)> =
        channel.uncopied().into_iter().map(|(shard, from, why)| (shard, (from, why))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    // While the log is replayed more comes with every moment.
    if !node.is_serving(name) {
        return Err(Error::new(Code::SERVICE_NOT_READY, format!("channel {name} isn't read to its end yet: service not ready")));
    }
    let through = channel.progress().borrow().position;
    let start = node.parts.followers.starting_point(call, name).await?;
    let failed = |error: LogError| error.to_error(name);
    let mut reader = node.parts.log.reader(name, start.position).await.map_err(failed)?;
    let mut copying =
        Copying { node, name, wanted: &wanted, through, records: RecordReader::new(start), open: Vec::new(), gathered: BTreeMap::new() };
    while reader.position() <= through {
        let frames = reader.next_available().await.map_err(failed)?;
        if frames.is_empty() {
            break;
        }
        for (at, bytes) in frames {
            copying.take(at, bytes).await?;
        }
    }
    for (&shard, (_, reason)) in &wanted {
        let gathered = copying.gathered.remove(&shard).unwrap_or_default();
        copying.put(shard, gathered.frames, through).await?;
        channel.copied(shard, through);
        tracing::warn!(%shard, error = %reason, "a quarantined shard's records are copied to objects");
    }
    Ok(())
}

struct Copying<'a> {
    node: &'a DataNodeRole,
    name: &'a ChannelName,
    wanted: &'a BTreeMap<ShardId, (Position, Error)>,
    through: Position,
    records: RecordReader,
    /// Frames of the set that isn't whole yet.
    open: Vec<(Position, Bytes)>,
    gathered: BTreeMap<ShardId, Gathered>,
}

#[derive(Default)]
struct Gathered {
    frames: Vec<(Position, Bytes)>,
    bytes: usize,
}

impl Copying<'_> {
    async fn take(&mut self, at: Position, bytes: Bytes) -> Result<()> {
        if at > self.through {
            return Ok(());
        }
        let fed = self.records.feed(at, &bytes).map_err(|error| error.to_error(self.name))?;
        match fed.step {
            Step::Void(_) => return Ok(()),
            Step::Epoch => {
                self.open.clear();
                return Ok(());
            }
            Step::Part | Step::Complete { .. } if fed.header.part == 1 => self.open.clear(),
            Step::Part | Step::Complete { .. } => {}
        }
        self.open.push((at, bytes));
        let shard = fed.header.shard;
        let wanted = self.wanted.get(&shard).is_some_and(|(from, _)| at >= *from);
        if !matches!(fed.step, Step::Complete { .. }) || !fed.header.kind.is_of_shard() || !wanted {
            return Ok(());
        }
        let gathered = self.gathered.entry(shard).or_default();
        gathered.bytes += self.open.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        gathered.frames.append(&mut self.open);
        if gathered.bytes >= FRAMES_BYTES_MAX {
            let frames = std::mem::take(gathered).frames;
            self.put(shard, frames, at).await?;
        }
        Ok(())
    }

    async fn put(&self, shard: ShardId, frames: Vec<(Position, Bytes)>, through: Position) -> Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        let reason = self.wanted.get(&shard).map(|(_, reason)| reason.to_string()).unwrap_or_default();
        let file = QuarantineFile { head: Head { shard, channel: self.name.clone(), reason, through }, frames };
        let name = name::quarantine_file(shard, AttemptId::draw(&self.node.parts.world.random));
        self.node.parts.opener.store().put(&name, file.encode()).await.map_err(StoreError::into_error)
    }
}

/// Flushes shards whose copies were applied, as soon as the log is read beyond them, and lets go of the copies.
/// False while some have to wait.
pub(super) async fn settle_restored(node: &DataNodeRole) -> bool {
    let restored: BTreeSet<ShardId> = node.restored.lock().keys().copied().collect();
    for shard in restored {
        if let Err(error) = flush::shard(node, shard).await {
            tracing::info!(%shard, %error, "a shard with restored records isn't flushed yet");
            continue;
        }
        let copies = node.restored.lock().remove(&shard).unwrap_or_default();
        for name in copies {
            // One that stays is read at the next start, and holds nothing that the manifest doesn't.
            if let Err(error) = node.parts.opener.store().delete(&name).await {
                tracing::warn!(%shard, object = %name, %error, "a copy of restored records can't be deleted");
            }
        }
    }
    node.restored.lock().is_empty()
}

/// The channel's shards, each from its manifest.
///
/// # Errors
/// As [`take_up`].
pub(super) async fn take_up_all(node: &DataNodeRole, call: &Call, channel: &Arc<Channel>, start: &ReaderState) -> Result<()> {
    let copies = copies(node).await?;
    for shard in node.parts.coordinator.shards_of_channel(call, channel.name()).await? {
        take_up(node, call, channel, start, (shard, copies.get(&shard).map_or(&[], Vec::as_slice))).await?;
    }
    Ok(())
}
