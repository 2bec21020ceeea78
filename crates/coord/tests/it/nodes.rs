//! A node of every role, as small as it can be: keeps shards' states, notes what it was asked for, and fails where it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use parking_lot::Mutex;
use role::Call;
use role::data::*;
use role::index::{BuildTask, CompactionTask, IndexNode};
use role::proxy::Proxy;
use role::query::*;
use role::root::Changed;
use store::manifest::{Flushed, IndexFile, Segment, SegmentFile, ShardState, Truncated};
use store::reference::ObjectRef;
use types::id::*;
use types::position::{LogId, Position};
use types::record::{Control, Epoch};
use types::schema::Schema;
use types::time::Timestamp;
use types::{Code, Error, Result};

#[derive(Clone)]
struct Shard {
    schema: Schema,
    flushed: Flushed,
    state: ShardState,
}

#[derive(Default)]
struct State {
    next: u64,
    shards: BTreeMap<ShardId, Shard>,
    calls: Vec<String>,
    failures: BTreeMap<String, usize>,
    /// What it holds; each shard takes a byte.
    held: BTreeMap<ShardId, HeldShard>,
    bytes_max: u64,
    serve_takes: Duration,
}

/// A node.
pub struct Node {
    world: World,
    state: Mutex<State>,
    coordinator: Mutex<Option<Weak<dyn DataCoord>>>,
}

impl Node {
    pub fn new(world: &World) -> Arc<Self> {
        let state = State { next: 1, bytes_max: u64::MAX, ..State::default() };
        Arc::new(Self { world: world.clone(), state: Mutex::new(state), coordinator: Mutex::default() })
    }

    /// Whom flushes are committed with.
    pub fn set_coordinator(&self, coordinator: &Arc<dyn DataCoord>) {
        *self.coordinator.lock() = Some(Arc::downgrade(coordinator));
    }

    /// Has the next `times` calls of an operation (`flush`, or `flush 1000v1`) fail.
    pub fn fail(&self, operation: &str, times: usize) {
        self.state.lock().failures.insert(operation.to_owned(), times);
    }

    /// Has it take that many shards and no more.
    pub fn set_room(&self, shards: u64) {
        self.state.lock().bytes_max = shards;
    }

    /// How long it takes to serve a shard.
    pub fn set_serve_takes(&self, takes: Duration) {
        self.state.lock().serve_takes = takes;
    }

    /// The shards that it serves.
    pub fn served(&self) -> Vec<ShardId> {
        self.state.lock().held.values().filter(|held| held.is_serving).map(|held| held.request.shard).collect()
    }

    /// What was asked for so far.
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().calls.clone()
    }

    /// How often something was asked for that begins so.
    pub fn count(&self, operation: &str) -> usize {
        self.calls().iter().filter(|call| call.starts_with(operation)).count()
    }

    fn begin(&self, name: &str, of: &dyn std::fmt::Display) -> Result<()> {
        let mut state = self.state.lock();
        let call = format!("{name} {of}");
        state.calls.push(call.clone());
        for key in [name, &call] {
            if let Some(left) = state.failures.get_mut(key)
                && *left > 0
            {
                *left -= 1;
                return Err(Error::new(Code::IO_FAILED, format!("{call} fails: IO failed")));
            }
        }
        Ok(())
    }

    fn place(&self) -> Flushed {
        let mut state = self.state.lock();
        state.next += 1;
        let next = state.next;
        Flushed {
            position: Position::from_u64(LogId(7), next),
            epoch: Epoch { process: 1, attempt: 0 },
            number: next,
            clock: Timestamp(next << 18),
        }
    }
}

#[async_trait]
impl DataNode for Node {
    async fn open_stream(&self, _: &Call, _: &ChannelName, _: WriterId) -> Result<WriteStream> {
        Err(Error::internal("nobody writes here"))
    }

    async fn control(&self, _: &Call, channel: &ChannelName, shard: ShardId, control: Control) -> Result<Placed> {
        self.begin("control", &format_args!("{channel} {shard}"))?;
        let flushed = self.place();
        let mut state = self.state.lock();
        match control {
            Control::Create { schema, .. } => {
                state.shards.entry(shard).or_insert(Shard { schema, flushed, state: ShardState::Created });
            }
            Control::Drop => match state.shards.get_mut(&shard) {
                Some(shard) => shard.state = ShardState::Dropped,
                None => return Err(Error::about(Code::COLLECTION_NOT_FOUND, &[])),
            },
            _ => {}
        }
        Ok(Placed { position: flushed.position, epoch: flushed.epoch, number: flushed.number, timestamp: flushed.clock })
    }

    async fn barrier(&self, _: &Call, _: &ChannelName) -> Result<LogEnd> {
        Err(Error::internal("nobody reads here"))
    }

    async fn advance_clock(&self, _: &Call, _: &ChannelName, _: Timestamp) -> Result<()> {
        Ok(())
    }

    async fn flush(&self, call: &Call, shard: ShardId) -> Result<Timestamp> {
        self.begin("flush", &shard)?;
        // What other flushes do meanwhile.
        self.world.clock.sleep(std::time::Duration::from_millis(5)).await;
        let known = self.state.lock().shards.get(&shard).cloned();
        let known = known.ok_or_else(|| Error::about(Code::CHANNEL_MISROUTED, &[("shard", &shard)]))?;
        let flushed = self.place();
        let edit = FlushEdit {
            from: known.flushed,
            flushed,
            segments: Vec::new(),
            deletes: None,
            schema: known.schema.clone(),
            truncated: Truncated::default(),
            dropped_partitions: Default::default(),
            state: known.state,
        };
        let coordinator = self.coordinator.lock().as_ref().and_then(Weak::upgrade).expect("a term has begun");
        coordinator.edit_manifest(call, shard, ManifestEdit::Flush(Box::new(edit))).await?;
        let mut state = self.state.lock();
        state.calls.push(format!("flushed {shard}"));
        match known.state {
            ShardState::Dropped => drop(state.shards.remove(&shard)),
            ShardState::Created => drop(state.shards.insert(shard, Shard { flushed, ..known })),
        }
        Ok(flushed.clock)
    }

    async fn assign(&self, _: &Call, channel: &ChannelName, _: u64) -> Result<()> {
        self.begin("assign", channel)
    }

    async fn growing_rows(&self, _: &Call, _: ShardId) -> Result<BTreeMap<PartitionId, u64>> {
        Ok(BTreeMap::new())
    }
}

#[async_trait]
impl QueryNode for Node {
    async fn search(&self, _: &Call, _: SearchRequest) -> Result<SearchResponse> {
        Err(Error::internal("nobody searches here"))
    }

    async fn query(&self, _: &Call, _: QueryRequest) -> Result<QueryResponse> {
        Err(Error::internal("nobody queries here"))
    }

    async fn serve(&self, _: &Call, request: ServeShard) -> Result<()> {
        let begun = self.begin("serve", &request.shard);
        let takes = self.state.lock().serve_takes;
        self.world.clock.sleep(takes).await;
        let mut state = self.state.lock();
        let is_serving = begun.is_ok() || state.held.get(&request.shard).is_some_and(|held| held.is_serving);
        if state.bytes_max < state.held.len() as u64 + u64::from(!state.held.contains_key(&request.shard)) {
            return Err(Error::new(Code::MEMORY_LIMIT, "no room: memory limit exceeded"));
        }
        state.held.insert(request.shard, HeldShard { request, is_serving });
        begun
    }

    async fn release(&self, _: &Call, shard: ShardId) -> Result<()> {
        self.begin("release", &shard)?;
        self.state.lock().held.remove(&shard);
        Ok(())
    }

    async fn serving(&self, _: &Call) -> Result<NodeServing> {
        self.begin("serving", &"all")?;
        let state = self.state.lock();
        let memory = Memory { limit_bytes: state.bytes_max, used_bytes: state.held.len() as u64 };
        Ok(NodeServing { shards: state.held.values().cloned().collect(), memory })
    }
}

#[async_trait]
impl IndexNode for Node {
    async fn build(&self, _: &Call, task: BuildTask) -> Result<IndexFile> {
        self.begin("build", &task.segment.id)?;
        self.world.clock.sleep(std::time::Duration::from_secs(10)).await;
        let name = format!("index/{}", task.segment.id);
        Ok(IndexFile { index: task.definition.id, field: task.definition.field, object: ObjectRef { name, length: 1, checksum: 1 } })
    }

    async fn compact(&self, _: &Call, task: CompactionTask) -> Result<Vec<Segment>> {
        let ids: Vec<String> = task.segments.iter().map(|segment| segment.id.to_string()).collect();
        self.begin("compact", &ids.join(" "))?;
        let mut merged = task.segments[0].clone();
        merged.id = task.ids[0];
        merged.rows = task.segments.iter().map(|segment| segment.rows).sum();
        merged.partitions[0].rows = merged.rows;
        merged.deletes_applied_to = task.applied_to;
        let name = |file: &SegmentFile| format!("segment/{}/{}/{}", task.shard.collection, merged.id, file.kind);
        let files =
            merged.files.iter().map(|file| SegmentFile { kind: file.kind, object: ObjectRef { name: name(file), ..file.object.clone() } });
        merged.files = files.collect();
        Ok(vec![merged])
    }
}

#[async_trait]
impl Proxy for Node {
    async fn invalidate(&self, _: &Call, changed: &Changed) -> Result<()> {
        self.begin("invalidate", &changed.collection)
    }
}
