//! One run: a memory log, two nodes that may both think that they sequence, two proxies that retry, two readers, one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::disk::RealDisk;
use futures::FutureExt;
use parking_lot::Mutex;
use types::batch::Batch;
use types::column::{Column, Values};
use types::id::{ChannelName, FieldId, PartitionId, ShardId, WriterId};
use types::record::{Body, Control, Rows};
use types::schema::Schema;
use wal::memory::{Faults, MemoryLog, Personality};
use wal::planted::Planted;
use wal::reader::{Acknowledged, Surroundings, TailError};
use wal::writer::state::Limits;
use wal::writer::{Payload, Reply, SequencerOptions, StampedShards};
use wal::{Log, ReaderState, Sequencer, Tailer, WriteError, WriteRequest};

use super::view::{Manifest, Op, Shared, View, shard};
use crate::logs::simulated;

mod actions;
mod check;

const SHARDS: usize = 2;
const FRAME_BYTES_MAX: usize = 320;
/// Writes of one run.
const OPS_MAX: i64 = 14;

/// What is wrong on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bugs {
    pub planted: Planted,
    pub early_truncation: bool,
    pub controls_not_unflushed: bool,
    pub process_kept: bool,
    pub resends_under_new_id: bool,
}

/// What meta holds.
struct Meta {
    next_process: u64,
    next_writer: i64,
    checkpoint: ReaderState,
    manifests: BTreeMap<ShardId, Manifest>,
    schemas: [u32; SHARDS],
}

struct Node {
    sequencer: Option<Sequencer>,
    view: Shared,
    world: World,
    process: u64,
    flushes: Vec<(ShardId, Manifest)>,
}

struct Request {
    op: Op,
    shard: usize,
    schema: u32,
    rows: usize,
}

struct Proxy {
    writer: WriterId,
    next: u64,
    outstanding: BTreeMap<u64, Request>,
    node: Option<usize>,
    replies: Vec<(WriterId, u64, Reply)>,
    schemas: [u32; SHARDS],
}

struct Follower {
    tailer: Option<Tailer>,
    view: View,
    both: bool,
}

/// A question for the log's end, and what must be seen there.
struct Strong {
    reply: futures::future::BoxFuture<'static, Result<Acknowledged, WriteError>>,
    acknowledged: Vec<(Op, usize)>,
    at: Option<Acknowledged>,
}

struct Run {
    world: World,
    log: MemoryLog,
    channel: ChannelName,
    meta: Arc<Mutex<Meta>>,
    nodes: Vec<Node>,
    proxies: Vec<Proxy>,
    followers: Vec<Follower>,
    strong: Vec<Strong>,
    controls: Vec<Reply>,
    shard_of: BTreeMap<Op, usize>,
    acknowledged: BTreeSet<Op>,
    refused: BTreeSet<Op>,
    /// What a proxy was last told, for the text of a failure.
    last_error: Option<WriteError>,
    bugs: Bugs,
}

/// Meta and the sequencers, as a tailer asks them.
struct Around {
    meta: Arc<Mutex<Meta>>,
    newest: Option<Sequencer>,
}

#[async_trait::async_trait]
impl Surroundings for Around {
    async fn checkpoint(&self) -> Result<Option<ReaderState>, types::Error> {
        Ok(Some(self.meta.lock().checkpoint.clone()))
    }

    async fn acknowledged(&self) -> Option<Acknowledged> {
        self.newest.as_ref()?.acknowledged().ok()
    }
}

/// Runs a seed; gives how many writes were acknowledged.
pub fn run(seed: u64, personality: Personality, bugs: Bugs) -> Result<usize, String> {
    simulated(async {
        let world = World::simulated(seed, Arc::new(RealDisk));
        let mut run = Run::new(world, personality, bugs).await;
        run.log.set_faults(run.draw_faults());
        let steps = [60, 120, 240][run.below(3)];
        let off: BTreeSet<usize> = (0..run.below(4)).map(|_| run.below(actions::ACTIONS)).collect();
        for _ in 0..steps {
            run.step(&off).await?;
        }
        run.settle().await?;
        Ok(run.acknowledged.len())
    })
}

fn schema(version: u32) -> Schema {
    Schema { version, fields: Vec::new() }
}

fn insert(op: Op, rows: usize) -> Payload {
    let batch = Batch::new(rows, vec![Column::new(FieldId(100), Values::Int64(vec![op; rows].into()))]);
    Payload::new(Body::Insert(Rows::of_partition(PartitionId(1), batch)))
}

impl Run {
    async fn new(world: World, personality: Personality, bugs: Bugs) -> Self {
        let log = MemoryLog::with_frame_limit(&world, personality, FRAME_BYTES_MAX);
        let channel = ChannelName::numbered("model", 0);
        let start = ReaderState::beginning(log.open(&channel).await.expect("the memory log opens"));
        let manifests: BTreeMap<_, _> = (0..SHARDS).map(|i| (shard(i), Manifest::empty(&start))).collect();
        let meta = Meta { next_process: 1, next_writer: 3, checkpoint: start, manifests, schemas: [1; SHARDS] };
        let node = || Node { sequencer: None, view: Shared(Arc::default()), world: world.clone(), process: 0, flushes: Vec::new() };
        let proxy = |writer| Proxy {
            writer: WriterId(writer),
            next: 1,
            outstanding: BTreeMap::new(),
            node: None,
            replies: Vec::new(),
            schemas: [1; SHARDS],
        };
        let follower = || Follower { tailer: None, view: View::default(), both: true };
        let mut run = Self {
            nodes: vec![node(), node()],
            proxies: vec![proxy(1), proxy(2)],
            followers: vec![follower(), follower()],
            world,
            log,
            channel,
            meta: Arc::new(Mutex::new(meta)),
            strong: Vec::new(),
            controls: Vec::new(),
            shard_of: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            refused: BTreeSet::new(),
            last_error: None,
            bugs,
        };
        run.start_sequencer(0);
        run.nodes[0].sequencer.as_ref().expect("just started").serving().await.expect("nothing hinders it");
        for i in 0..SHARDS {
            run.send_schema(0, i).await;
        }
        run
    }

    fn below(&self, bound: usize) -> usize {
        self.world.random.below(bound as u64) as usize
    }

    /// Each kind of fault is off, rare or frequent in a run.
    fn draw_faults(&self) -> Faults {
        let draw = || [0.0, 0.0, 0.03, 0.2][self.below(4)];
        Faults {
            lost: draw(),
            unanswered: draw(),
            late: draw(),
            cut_short: draw(),
            repeated: draw(),
            offset_gap: draw(),
            middle: draw(),
            late_by: Duration::from_millis(500),
            latency: Duration::ZERO..Duration::from_millis(10),
            short_reads: self.world.random.chance(0.5),
        }
    }

    /// Starts a process on a node. What ran there dies; what runs on the other node may become a zombie.
    fn start_sequencer(&mut self, i: usize) {
        let mut meta = self.meta.lock();
        let node = &mut self.nodes[i];
        node.world.tasks.kill();
        node.world = self.world.clone();
        node.world.tasks = base::task::Tasks::simulated();
        if !(self.bugs.process_kept && node.process > 0) {
            node.process = meta.next_process;
        }
        meta.next_process += 1;
        // The checkpoint first, then the manifests.
        let start = meta.checkpoint.clone();
        let shards: Vec<_> = (0..SHARDS).map(shard).collect();
        node.view = Shared(Arc::new(Mutex::new(View::new(&meta.manifests, &shards, self.bugs.controls_not_unflushed))));
        node.flushes.clear();
        let mut limits = Limits::for_frames(FRAME_BYTES_MAX);
        limits.checkpoint_spacing = 1;
        let options = SequencerOptions {
            channel: self.channel.clone(),
            process: node.process,
            start,
            admission: Box::new(StampedShards::default()),
            surroundings: None,
            limits: Some(limits),
            planted: self.bugs.planted,
        };
        let log = Arc::new(self.log.for_node(i as u64));
        node.sequencer = Some(Sequencer::start(&node.world, log, Box::new(node.view.clone()), options));
    }

    fn start_follower(&mut self, i: usize, both: bool) {
        let (start, manifests) = {
            let meta = self.meta.lock();
            (meta.checkpoint.clone(), meta.manifests.clone())
        };
        let shards: Vec<_> = (0..if both { SHARDS } else { 1 }).map(shard).collect();
        let tailer = self.tailer(start);
        self.followers[i] = Follower { tailer: Some(tailer), view: View::new(&manifests, &shards, false), both };
    }

    fn tailer(&self, start: ReaderState) -> Tailer {
        let newest = self.nodes.iter().max_by_key(|node| node.process).and_then(|node| node.sequencer.clone());
        let around = Arc::new(Around { meta: self.meta.clone(), newest });
        let mut tailer = Tailer::new(&self.world, Arc::new(self.log.clone()), self.channel.clone(), start, around);
        tailer.plant(self.bugs.planted);
        tailer
    }

    /// Creates a shard or brings its schema up to meta's, if the node will; the answer comes when it comes.
    async fn send_schema(&mut self, node: usize, i: usize) {
        let version = self.meta.lock().schemas[i];
        let Some(sequencer) = &self.nodes[node].sequencer else { return };
        // Both are idempotent: whether the shard was created is the log's to say.
        let mut controls = vec![Control::Create { schema: schema(1), partitions: vec![PartitionId(1)] }];
        if version > 1 {
            controls.push(Control::Schema { schema: schema(version) });
        }
        let sequencer = sequencer.clone();
        for control in controls {
            let reply = sequencer.submit_control(shard(i), control).await;
            self.controls.push(reply);
        }
    }

    async fn send(&mut self, i: usize, sequence: u64) {
        let proxy = &mut self.proxies[i];
        let Some(sequencer) = proxy.node.and_then(|node| self.nodes[node].sequencer.as_ref()) else { return };
        let request = &proxy.outstanding[&sequence];
        let lowest = *proxy.outstanding.first_key_value().expect("the request is outstanding").0;
        let request = WriteRequest {
            writer: proxy.writer,
            sequence,
            lowest_outstanding: lowest,
            shard: shard(request.shard),
            schema_version: request.schema,
            payload: insert(request.op, request.rows),
        };
        let reply = sequencer.submit(request).await;
        proxy.replies.push((proxy.writer, sequence, reply));
    }

    async fn enqueue(&mut self, i: usize, op: Op, shard: usize, rows: usize) {
        let proxy = &mut self.proxies[i];
        let sequence = proxy.next;
        proxy.next += 1;
        let schema = proxy.schemas[shard];
        proxy.outstanding.insert(sequence, Request { op, shard, schema, rows });
        self.shard_of.insert(op, shard);
        self.send(i, sequence).await;
    }

    /// Looks at the answers that have come; `lost` says how often one gets lost on the way, in percent.
    async fn answers(&mut self, i: usize, lost: usize) {
        let replies = std::mem::take(&mut self.proxies[i].replies);
        for (writer, sequence, mut reply) in replies {
            let Some(answer) = (&mut reply).now_or_never() else {
                self.proxies[i].replies.push((writer, sequence, reply));
                continue;
            };
            if writer != self.proxies[i].writer || self.below(100) < lost {
                continue;
            }
            match answer {
                Ok(_) => {
                    if let Some(request) = self.proxies[i].outstanding.remove(&sequence) {
                        self.acknowledged.insert(request.op);
                    }
                }
                Err(WriteError::Refused { .. }) => {
                    let Some(request) = self.proxies[i].outstanding.remove(&sequence) else { continue };
                    self.refused.insert(request.op);
                    self.proxies[i].schemas = self.meta.lock().schemas;
                    // The same rows as a new request, under a name of their own so that the checker can tell.
                    self.enqueue(i, request.op + 1_000, request.shard, request.rows).await;
                }
                Err(WriteError::WriterExpired) => self.new_id(i).await,
                Err(error) => self.last_error = Some(error),
            }
        }
    }

    /// The proxy's session lapsed: what it waits for ends as "outcome unknown".
    async fn new_id(&mut self, i: usize) {
        let proxy = &mut self.proxies[i];
        {
            let mut meta = self.meta.lock();
            proxy.writer = WriterId(meta.next_writer);
            meta.next_writer += 1;
        }
        proxy.next = 1;
        let old = std::mem::take(&mut proxy.outstanding);
        if self.bugs.resends_under_new_id {
            for request in old.into_values() {
                self.enqueue(i, request.op, request.shard, request.rows).await;
            }
        }
    }

    async fn connect(&mut self, i: usize, node: usize) {
        self.proxies[i].node = Some(node);
        let outstanding: Vec<u64> = self.proxies[i].outstanding.keys().copied().collect();
        for sequence in outstanding {
            self.send(i, sequence).await;
        }
    }
}
