//! A sequencer and readers over the memory log: the plain path, step by step.

use std::sync::Arc;

use base::World;
use base::disk::RealDisk;
use parking_lot::Mutex;
use types::batch::Batch;
use types::column::{Column, Values};
use types::id::{ChannelName, CollectionId, FieldId, PartitionId, ShardId, WriterId};
use types::position::Position;
use types::record::{Body, Control, Keys, Rows};
use types::schema::Schema;
use types::time::Timestamp;
use wal::checkpoint;
use wal::memory::{MemoryLog, Personality};
use wal::reader::{Acknowledged, Surroundings};
use wal::writer::{Payload, SequencerOptions, StampedShards};
use wal::{Apply, Event, Log, ReaderState, Receipt, Sequencer, Tailer, WriteError, WriteRequest};

use crate::logs::simulated;

/// Keeps what it was given.
#[derive(Clone, Default)]
struct Applied {
    events: Arc<Mutex<Vec<Event>>>,
    flushed: Arc<Mutex<Position>>,
}

impl Apply for Applied {
    fn apply(&mut self, event: Event) {
        self.events.lock().push(event);
    }

    fn first_unflushed(&self) -> Option<Position> {
        let flushed = *self.flushed.lock();
        self.events.lock().iter().map(|event| event.span()).find(|span| span.last >= flushed).map(|span| span.first)
    }
}

struct Nobody;

#[async_trait::async_trait]
impl Surroundings for Nobody {
    async fn checkpoint(&self) -> Result<Option<ReaderState>, types::Error> {
        Ok(None)
    }

    async fn acknowledged(&self) -> Option<Acknowledged> {
        None
    }
}

fn shard() -> ShardId {
    ShardId::new(CollectionId(7), 0)
}

fn schema(version: u32) -> Schema {
    Schema { version, fields: Vec::new() }
}

fn insert(keys: &[i64], partition: i64) -> Payload {
    let batch = Batch::new(keys.len(), vec![Column::new(FieldId(100), Values::Int64(keys.to_vec().into()))]);
    Payload::new(Body::Insert(Rows::of_partition(PartitionId(partition), batch)))
}

fn request(writer: i64, sequence: u64, payload: Payload) -> WriteRequest {
    WriteRequest { writer: WriterId(writer), sequence, lowest_outstanding: 1, shard: shard(), schema_version: 1, payload }
}

struct Bench {
    world: World,
    log: MemoryLog,
    channel: ChannelName,
    start: ReaderState,
    applied: Applied,
}

impl Bench {
    async fn new(frame_bytes_max: usize) -> Self {
        let world = World::simulated(3, Arc::new(RealDisk));
        let log = MemoryLog::with_frame_limit(&world, Personality::Kafka, frame_bytes_max);
        let channel = ChannelName::numbered("by-dev", 0);
        let start = ReaderState::beginning(log.open(&channel).await.expect("the memory log opens"));
        Self { world, log, channel, start, applied: Applied::default() }
    }

    fn sequencer(&self, process: u64, applied: &Applied) -> Sequencer {
        let options = SequencerOptions {
            channel: self.channel.clone(),
            process,
            start: self.start.clone(),
            admission: Box::new(StampedShards::default()),
            surroundings: None,
            limits: None,
            planted: Default::default(),
        };
        Sequencer::start(&self.world, Arc::new(self.log.clone()), Box::new(applied.clone()), options)
    }

    async fn created(&self) -> (Sequencer, Receipt) {
        let sequencer = self.sequencer(1, &self.applied);
        let create = Control::Create { schema: schema(1), partitions: vec![PartitionId(1)] };
        let receipt = sequencer.control(shard(), create).await.expect("a shard is created");
        (sequencer, receipt)
    }
}

#[test]
fn requests_in_the_order_of_the_rules() {
    simulated(async {
        let bench = Bench::new(1 << 20).await;
        let (sequencer, created) = bench.created().await;
        assert_eq!(created.number, 1);
        let create = Control::Create { schema: schema(1), partitions: vec![] };
        assert_eq!(sequencer.control(shard(), create).await, Ok(created), "created once, told twice");
        assert_eq!(sequencer.write(request(5, 2, insert(&[1], 1))).await, Err(WriteError::UnknownWriter));
        let first = sequencer.write(request(5, 1, insert(&[1], 1))).await.expect("written");
        assert_eq!(sequencer.write(request(5, 1, insert(&[1], 1))).await, Ok(first), "a repeat is answered as before");
        assert_eq!(sequencer.write(request(5, 3, insert(&[1], 1))).await, Err(WriteError::OutOfOrder { expected: 2 }));
        let drop = Control::DropPartition { partition: PartitionId(1) };
        sequencer.control(shard(), drop).await.expect("dropped");
        let refused = sequencer.write(request(5, 2, insert(&[2], 1))).await.expect_err("the partition is gone");
        assert_eq!(sequencer.write(request(5, 2, insert(&[2], 1))).await.expect_err("still"), refused);
        assert!(matches!(&refused, WriteError::Refused { receipt: Some(_), .. }), "{refused:?}");
        let unknown = WriteRequest { shard: ShardId::new(CollectionId(8), 0), ..request(5, 3, insert(&[2], 1)) };
        assert_eq!(sequencer.write(unknown).await.expect_err("no such shard").to_error().code().0, 100);
        // A successor rebuilds the same answers from the log.
        let successor = bench.sequencer(2, &Applied::default());
        successor.serving().await.expect("it takes over");
        assert_eq!(successor.write(request(5, 1, insert(&[1], 1))).await, Ok(first));
        assert_eq!(successor.write(request(5, 2, insert(&[2], 1))).await, Err(refused));
        // The predecessor finds out by its next append, and burns nothing.
        assert_eq!(sequencer.write(request(5, 4, insert(&[3], 2))).await, Err(WriteError::NotSequencer));
        let moved = successor.write(request(5, 4, insert(&[3], 2))).await.expect("the successor takes it");
        assert!(moved.timestamp > first.timestamp);
    });
}

#[test]
fn newer_schemas_wait_and_sets_are_whole() {
    simulated(async {
        let bench = Bench::new(1_000).await;
        let (sequencer, _) = bench.created().await;
        let newer = |sequence, keys: &[i64]| WriteRequest { schema_version: 2, ..request(5, sequence, insert(keys, 1)) };
        let keys: Vec<i64> = (0..1_000).collect();
        let (held, follows) = (sequencer.submit(newer(1, &keys)).await, sequencer.submit(newer(2, &[1])).await);
        let schema = sequencer.control(shard(), Control::Schema { schema: schema(2) }).await.expect("the schema comes");
        let (held, follows) = (held.await.expect("held until then"), follows.await.expect("in order"));
        assert!(schema.number < held.number && held.number > schema.number + 8 && follows.number == held.number + 1);
        let barrier = sequencer.barrier().await.expect("it serves");
        assert!(barrier.position > follows.position);
        let later = Timestamp::from_millis(barrier.clock.millis() + 500);
        assert!(sequencer.clock_at_least(later).await.expect("half a second ahead").clock >= later);
        let far = Timestamp::from_millis(barrier.clock.millis() + 50_000);
        assert!(matches!(sequencer.clock_at_least(far).await, Err(WriteError::Invalid(_))));
        // A tailer from the start sees the same events.
        let log = Arc::new(bench.log.clone());
        let mut tailer = Tailer::new(&bench.world, log, bench.channel.clone(), bench.start.clone(), Arc::new(Nobody));
        let mut events = Vec::new();
        while tailer.state().clock < later {
            events.extend(tailer.next().await.expect("no loss"));
        }
        assert_eq!(events, *bench.applied.events.lock());
        let whole = events.iter().find(|event| event.header().number == held.number).expect("the set is there");
        let Event::Record { record, .. } = whole else { panic!("{whole:?}") };
        assert_eq!(record.body, *insert(&keys, 1).body());
    });
}

#[test]
fn checkpoints_are_exact_and_round_trip() {
    simulated(async {
        let mut bench = Bench::new(1 << 20).await;
        let (sequencer, created) = bench.created().await;
        let delete = Keys { keys: Values::Int64(vec![1].into()), partition: None, kills_below: None };
        sequencer.write(request(5, 1, insert(&[1], 1))).await.expect("written");
        assert_eq!(sequencer.checkpoint().await, Ok(None), "the create isn't in a manifest");
        *bench.applied.flushed.lock() = created.position.next();
        let second = sequencer.write(request(5, 2, Payload::new(Body::Delete(delete)))).await.expect("written");
        *bench.applied.flushed.lock() = second.position.next();
        let state = sequencer.checkpoint().await.expect("serving").expect("it advances");
        assert_eq!((state.position, state.number), (second.position.next(), second.number));
        assert_eq!(checkpoint::format::decode(&checkpoint::format::encode(&state)), Ok(state.clone()));
        bench.log.truncate(&bench.channel, state.position).await.expect("cut");
        bench.start = state;
        let successor = bench.sequencer(2, &Applied::default());
        assert_eq!(successor.write(request(5, 2, insert(&[9], 1))).await, Ok(second), "answers outlive the cut");
    });
}
