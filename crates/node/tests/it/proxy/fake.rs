//! The other roles, as small as they can be: names in maps, a sequencer that answers as `docs/protocol.md` §2 says and fails as it is told, rows in a list.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use expr::Scratch;
use node::proxy::Peers;
use parking_lot::Mutex;
use role::Call;
use role::data::*;
use role::index::{CreateIndex, IndexCoord, IndexStatus};
use role::query::*;
use role::root::*;
use tokio::sync::mpsc;
use types::batch::Batch;
use types::collection::{Collection, Partition};
use types::id::*;
use types::index_params::{IndexDefinition, Metric};
use types::record::{Body, Control, Keys, Refusal, Rows};
use types::schema::Field;
use types::time::Timestamp;
use types::value::Key;
use types::{Code, Error, Result};

/// What the sequencer does to one request instead of writing and answering it.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The stream ends before the request is stamped.
    LoseRequest,
    /// The request is written; the stream ends before the answer.
    LoseAnswer,
    /// Burns nothing.
    NotSequencer,
    /// No room: burns nothing.
    Busy,
    /// The writer's id has gone.
    Expire,
    /// Its outcome can't be told.
    Fail,
    /// Refused, durably.
    Refuse(Code),
    /// Written, answered twice.
    Twice,
    /// Neither written nor answered.
    Hang,
}

/// One written row.
#[derive(Clone, Debug)]
pub struct Row {
    pub key: Key,
    pub batch: Batch,
    pub partition: PartitionId,
    pub timestamp: Timestamp,
    pub dead: bool,
}

#[derive(Default)]
pub struct State {
    pub collections: BTreeMap<(String, String), Collection>,
    pub indexes: BTreeMap<CollectionId, Vec<IndexStatus>>,
    pub loaded: BTreeMap<CollectionId, Wanted>,
    pub rows: BTreeMap<ShardId, Vec<Row>>,
    /// Schema versions that the log has; a collection that isn't here is as old as its definition.
    pub versions: BTreeMap<CollectionId, u32>,
    pub faults: VecDeque<Fault>,
    /// Every (writer, sequence) that was stamped, in order of channel.
    pub stamped: BTreeMap<ChannelName, Vec<(WriterId, u64)>>,
    pub reads: Vec<Scope>,
    /// Query nodes beside node 3; each serves all.
    pub more_nodes: Vec<i64>,
    /// Those that fail at every read, and how.
    pub failing: BTreeMap<i64, Code>,
    /// Which node each read came to.
    pub asked: Vec<i64>,
    /// Failures of nodes' reads, first one first.
    pub read_faults: VecDeque<Code>,
    answers: BTreeMap<(ChannelName, WriterId, u64), Outcome>,
    expired: i64,
    pub writers: i64,
    next_id: i64,
    clock: u64,
}

#[derive(Default)]
pub struct Fake {
    pub state: Mutex<State>,
}

/// How the proxy reaches the fake's nodes.
pub struct Near(pub Arc<Fake>);

impl Peers for Near {
    fn data_node(&self, _: &Route) -> Result<Arc<dyn DataNode>> {
        Ok(Arc::new(Node(self.0.clone())))
    }

    fn query_node(&self, leader: &Leader) -> Result<Arc<dyn QueryNode>> {
        Ok(Arc::new(Reader { fake: self.0.clone(), node: leader.node.0 }))
    }
}

fn unused<T>() -> Result<T> {
    Err(Error::internal("no test asks for this"))
}

impl State {
    fn tick(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp::from_millis(1_000_000 + self.clock)
    }

    fn id(&mut self) -> i64 {
        self.next_id += 1;
        1_000 + self.next_id
    }

    /// Live rows of a collection.
    pub fn live(&self, collection: CollectionId) -> Vec<&Row> {
        let of = self.rows.iter().filter(|(shard, _)| shard.collection == collection);
        of.flat_map(|(_, rows)| rows).filter(|row| !row.dead).collect()
    }

    fn stamp(&mut self, channel: &ChannelName, writer: WriterId, request: &WriteRequest) -> Outcome {
        let timestamp = self.tick();
        self.stamped.entry(channel.clone()).or_default().push((writer, request.sequence));
        let body = Body::decode(request.kind, &request.body).expect("a proxy's own encoding");
        self.apply(request.shard, body, timestamp);
        Outcome::Written { timestamp }
    }

    fn apply(&mut self, shard: ShardId, body: Body, timestamp: Timestamp) {
        match body {
            Body::Insert(rows) => self.insert(shard, &rows, timestamp),
            Body::Delete(keys) => self.delete(shard, &keys, timestamp),
            Body::Upsert { keys, rows } => {
                self.delete(shard, &keys, timestamp);
                self.insert(shard, &rows, timestamp);
            }
            other => panic!("a proxy wrote {:?}", other.kind()),
        }
    }

    fn insert(&mut self, shard: ShardId, rows: &Rows, timestamp: Timestamp) {
        for (row, partition) in rows.partitions().enumerate() {
            let batch = rows.batch.take(&[row as u32]);
            let key = batch.columns().iter().find(|column| column.field == FieldId(100)).expect("tests have the key first").key(0).to_key();
            self.rows.entry(shard).or_default().push(Row { key, batch, partition, timestamp, dead: false });
        }
    }

    fn delete(&mut self, shard: ShardId, keys: &Keys, timestamp: Timestamp) {
        let column = types::column::Column::new(FieldId(0), keys.keys.clone());
        let below = keys.kills_below.unwrap_or(timestamp);
        for at in 0..column.rows() {
            for row in self.rows.entry(shard).or_default() {
                let meant = row.key.as_ref() == column.key(at) && keys.partition.is_none_or(|partition| partition == row.partition);
                row.dead |= meant && row.timestamp < below;
            }
        }
    }

    fn refusal(&self, request: &WriteRequest) -> Option<Refusal> {
        let known = self.collections.values().any(|collection| collection.id == request.shard.collection);
        let version = self.versions.get(&request.shard.collection).copied().unwrap_or(1);
        let code = match (known, request.schema_version >= version) {
            (false, _) => Code::COLLECTION_NOT_FOUND,
            (true, false) => Code::SCHEMA_MISMATCH,
            (true, true) => return None,
        };
        Some(Refusal { code: code.0, reason: code.text().to_owned() })
    }
}

struct Node(Arc<Fake>);

impl Node {
    /// The sequencer's answers to one request; `None` where it goes silent, `Err` where the stream ends.
    fn sequence(&self, channel: &ChannelName, writer: WriterId, request: &WriteRequest) -> Result<Vec<WriteAnswer>, ()> {
        let mut state = self.0.state.lock();
        let sequence = request.sequence;
        let decided = |outcome: &Outcome| WriteAnswer::Decided { sequence, outcome: outcome.clone() };
        if let Some(outcome) = state.answers.get(&(channel.clone(), writer, sequence)) {
            return Ok(vec![decided(outcome)]);
        }
        let fault = state.faults.pop_front();
        match fault {
            Some(Fault::NotSequencer) => return Ok(vec![WriteAnswer::NotSequencer]),
            Some(Fault::Busy) => return Ok(vec![WriteAnswer::OutOfOrder { expected: sequence }]),
            Some(Fault::Expire) => state.expired = writer.0,
            Some(Fault::LoseRequest) => return Err(()),
            Some(Fault::Hang) => return Ok(Vec::new()),
            Some(Fault::Fail) => {
                let refusal = Refusal { code: Code::DATA_INTEGRITY.0, reason: "the channel stopped".to_owned() };
                return Ok(vec![WriteAnswer::Failed { sequence, refusal }]);
            }
            _ => {}
        }
        if writer.0 <= state.expired {
            return Ok(vec![WriteAnswer::WriterExpired]);
        }
        let last = state.stamped.get(channel).into_iter().flatten().filter(|(of, _)| *of == writer).map(|(_, sequence)| *sequence).max();
        if last.is_none() && sequence != 1 {
            return Ok(vec![WriteAnswer::UnknownWriter]);
        }
        if sequence != last.unwrap_or(0) + 1 {
            return Ok(vec![WriteAnswer::OutOfOrder { expected: last.unwrap_or(0) + 1 }]);
        }
        let refusal = match &fault {
            Some(Fault::Refuse(code)) => Some(Refusal { code: code.0, reason: code.text().to_owned() }),
            _ => state.refusal(request),
        };
        let outcome = match refusal {
            Some(refusal) => {
                state.stamped.entry(channel.clone()).or_default().push((writer, sequence));
                Outcome::Refused(refusal)
            }
            None => state.stamp(channel, writer, request),
        };
        state.answers.insert((channel.clone(), writer, sequence), outcome.clone());
        match fault {
            Some(Fault::LoseAnswer) => Err(()),
            Some(Fault::Twice) => Ok(vec![decided(&outcome), decided(&outcome)]),
            _ => Ok(vec![decided(&outcome)]),
        }
    }
}

#[async_trait]
impl DataNode for Node {
    async fn open_stream(&self, _: &Call, channel: &ChannelName, writer: WriterId) -> Result<WriteStream> {
        let (requests, mut incoming) = mpsc::channel::<WriteRequest>(STREAM_BOUND);
        let (outgoing, answers) = mpsc::channel(STREAM_BOUND);
        let (node, channel) = (Node(self.0.clone()), channel.clone());
        tokio::spawn(async move {
            while let Some(request) = incoming.recv().await {
                let Ok(answers) = node.sequence(&channel, writer, &request) else { return };
                for answer in answers {
                    drop(outgoing.send(answer).await);
                }
            }
        });
        Ok(WriteStream { requests, answers })
    }

    async fn control(&self, _: &Call, _: &ChannelName, _: ShardId, _: Control) -> Result<Placed> {
        unused()
    }

    async fn barrier(&self, _: &Call, _: &ChannelName) -> Result<role::data::LogEnd> {
        unused()
    }

    async fn advance_clock(&self, _: &Call, _: &ChannelName, _: Timestamp) -> Result<()> {
        unused()
    }

    async fn flush(&self, _: &Call, _: ShardId) -> Result<Timestamp> {
        unused()
    }

    async fn assign(&self, _: &Call, _: &ChannelName, _: u64) -> Result<()> {
        unused()
    }

    async fn growing_rows(&self, _: &Call, _: ShardId) -> Result<BTreeMap<PartitionId, u64>> {
        unused()
    }
}

/// A query node.
struct Reader {
    fake: Arc<Fake>,
    node: i64,
}

impl Reader {
    /// Rows that a scope keeps, and when they were read.
    fn kept(&self, scope: &Scope) -> Result<(Vec<Row>, Timestamp)> {
        let mut state = self.fake.state.lock();
        state.reads.push(scope.clone());
        state.asked.push(self.node);
        if let Some(code) = state.failing.get(&self.node) {
            return Err(Error::about(*code, &[("node", &self.node)]));
        }
        if let Some(code) = state.read_faults.pop_front() {
            return Err(Error::about(code, &[("shard", &scope.shard)]));
        }
        let at = state.tick();
        let mut kept = Vec::new();
        for row in state.rows.get(&scope.shard).into_iter().flatten().filter(|row| !row.dead) {
            let in_partition = scope.partitions.as_ref().is_none_or(|partitions| partitions.contains(&row.partition));
            if in_partition && scope.filter.matches(&row.batch, 0, &mut Scratch::default())? {
                kept.push(row.clone());
            }
        }
        kept.sort_by(|a, b| a.key.cmp(&b.key).then(b.timestamp.cmp(&a.timestamp)));
        Ok((kept, at))
    }
}

/// The rows put under one another, cut down to some columns.
fn batch_of(rows: &[Row], output: &[FieldId]) -> Batch {
    let columns = |field: FieldId| rows.iter().map(move |row| row.batch.column(field).expect("every row has every column"));
    let concat = |field: &FieldId| types::column::Column::concat(&columns(*field).collect::<Vec<_>>());
    match rows.is_empty() {
        true => Batch::default(),
        false => Batch::new(rows.len(), output.iter().map(concat).collect()),
    }
}

#[async_trait]
impl QueryNode for Reader {
    async fn search(&self, _: &Call, request: SearchRequest) -> Result<SearchResponse> {
        let (rows, at) = self.kept(&request.scope)?;
        let mut hits = Vec::new();
        let mut found = Vec::new();
        let types::column::Values::FloatVector { dimension, data: queries } = &request.queries else { panic!("not floats") };
        for query in queries.chunks(*dimension) {
            let mut near: Vec<(f32, &Row)> = rows
                .iter()
                .map(|row| {
                    let column = row.batch.column(request.field).expect("every row has a vector");
                    let types::column::Values::FloatVector { data, .. } = &column.values else { panic!("not a vector") };
                    (data.iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum(), row)
                })
                .collect();
            near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.key.cmp(&b.1.key)));
            near.truncate(request.limit);
            hits.push(near.iter().map(|(score, row)| Hit { score: *score, key: row.key.clone(), timestamp: row.timestamp }).collect());
            found.extend(near.into_iter().map(|(_, row)| row.clone()));
        }
        Ok(SearchResponse { metric: Metric::L2, hits, rows: batch_of(&found, &request.scope.output), at })
    }

    async fn query(&self, _: &Call, request: QueryRequest) -> Result<QueryResponse> {
        let (mut rows, at) = self.kept(&request.scope)?;
        if request.count {
            return Ok(QueryResponse { count: Some(rows.len() as u64), rows: Batch::default(), timestamps: Vec::new(), at });
        }
        rows.dedup_by(|next, kept| next.key == kept.key);
        rows.truncate(request.limit.unwrap_or(usize::MAX));
        let timestamps = rows.iter().map(|row| row.timestamp).collect();
        Ok(QueryResponse { count: None, rows: batch_of(&rows, &request.scope.output), timestamps, at })
    }

    async fn serve(&self, _: &Call, _: ServeShard) -> Result<()> {
        unused()
    }

    async fn release(&self, _: &Call, _: ShardId) -> Result<()> {
        unused()
    }

    async fn serving(&self, _: &Call) -> Result<NodeServing> {
        unused()
    }
}

#[async_trait]
impl RootCoord for Fake {
    async fn create_collection(&self, _: &Call, request: CreateCollection) -> Result<()> {
        let mut state = self.state.lock();
        let (id, created) = (CollectionId(state.id()), state.tick());
        let partition = |name: &String, id: i64| Partition { id: PartitionId(id), name: name.clone(), created };
        let collection = Collection {
            id,
            database: DatabaseId(1),
            database_name: request.database.clone(),
            name: request.name.clone(),
            description: request.description,
            aliases: Vec::new(),
            schema: request.schema,
            channels: (0..request.shards.into()).map(|i| ChannelName::numbered("t", i)).collect(),
            partitions: request.partitions.iter().map(|name| partition(name, state.id())).collect(),
            consistency: request.consistency,
            properties: request.properties,
            created,
            updated: created,
        };
        state.collections.insert((request.database, request.name), collection);
        Ok(())
    }

    async fn drop_collection(&self, _: &Call, database: &str, name: &str) -> Result<()> {
        self.state.lock().collections.remove(&(database.to_owned(), name.to_owned()));
        Ok(())
    }

    async fn collection(&self, _: &Call, which: &CollectionRef) -> Result<Collection> {
        let state = self.state.lock();
        match which {
            CollectionRef::Name { database, name } => {
                let found = state.collections.get(&(database.clone(), name.clone()));
                found.cloned().ok_or_else(|| Error::about(Code::COLLECTION_NOT_FOUND, &[("database", database), ("collection", name)]))
            }
            CollectionRef::Id(id) => {
                let found = state.collections.values().find(|collection| collection.id == *id);
                found.cloned().ok_or_else(|| Error::about(Code::COLLECTION_NOT_FOUND, &[("collection", id)]))
            }
        }
    }

    async fn collections(&self, _: &Call, database: &str) -> Result<Vec<Collection>> {
        let state = self.state.lock();
        Ok(state.collections.values().filter(|collection| collection.database_name == database).cloned().collect())
    }

    async fn create_partition(&self, _: &Call, collection: CollectionId, name: &str) -> Result<()> {
        let mut state = self.state.lock();
        let (id, created) = (PartitionId(state.id()), state.tick());
        let found = state.collections.values_mut().find(|known| known.id == collection).expect("tests name what is there");
        if found.partition(name).is_none() {
            found.partitions.push(Partition { id, name: name.to_owned(), created });
        }
        Ok(())
    }

    async fn drop_partition(&self, _: &Call, collection: CollectionId, name: &str) -> Result<()> {
        let mut state = self.state.lock();
        let found = state.collections.values_mut().find(|known| known.id == collection).expect("tests name what is there");
        found.partitions.retain(|partition| partition.name != name);
        Ok(())
    }

    async fn add_field(&self, _: &Call, collection: CollectionId, field: Field) -> Result<()> {
        let mut state = self.state.lock();
        let found = state.collections.values_mut().find(|known| known.id == collection).expect("tests name what is there");
        let id = FieldId(found.schema.fields.iter().map(|field| field.id.0).max().unwrap_or(99) + 1);
        found.schema = found.schema.with_field(Field { id, ..field });
        Ok(())
    }

    async fn databases(&self, _: &Call) -> Result<Vec<String>> {
        Ok(vec!["default".to_owned()])
    }

    async fn allocate_ids(&self, _: &Call, count: u32) -> Result<Range<i64>> {
        let mut state = self.state.lock();
        state.next_id += i64::from(count);
        let end = 500_000 + state.next_id;
        Ok(end - i64::from(count)..end)
    }

    async fn allocate_timestamp(&self, _: &Call) -> Result<Timestamp> {
        Ok(self.state.lock().tick())
    }

    async fn register_proxy(&self, _: &Call, _: &str) -> Result<WriterId> {
        let mut state = self.state.lock();
        state.writers += 1;
        Ok(WriterId(state.writers))
    }
}

#[async_trait]
impl DataCoord for Fake {
    async fn routes(&self, _: &Call) -> Result<Vec<Route>> {
        let route =
            |i| Route { channel: ChannelName::numbered("t", i), node: NodeId(1), address: String::new(), process: 1, confirmed: true };
        Ok((0..4).map(route).collect())
    }

    async fn manifest(&self, _: &Call, _: ShardId) -> Result<CurrentManifest> {
        unused()
    }

    async fn shards_of_channel(&self, _: &Call, _: &ChannelName) -> Result<Vec<ShardId>> {
        unused()
    }

    async fn edit_manifest(&self, _: &Call, _: ShardId, _: ManifestEdit) -> Result<CurrentManifest> {
        unused()
    }

    async fn unknown_shards(&self, _: &Call, _: &[ShardId]) -> Result<Vec<ShardId>> {
        unused()
    }

    async fn extend_leases(&self, _: &Call, _: &[(ChannelName, u64)]) -> Result<Vec<Duration>> {
        unused()
    }

    async fn commit_checkpoint(&self, _: &Call, _: &ChannelName, _: CheckpointPointer) -> Result<()> {
        unused()
    }

    async fn checkpoint(&self, _: &Call, _: &ChannelName) -> Result<Option<CheckpointPointer>> {
        unused()
    }

    async fn flush(&self, _: &Call, _: CollectionId) -> Result<FlushStarted> {
        Ok(FlushStarted { timestamp: self.state.lock().tick(), segments: vec![SegmentId(9)] })
    }

    async fn is_flushed(&self, _: &Call, _: CollectionId, timestamp: Timestamp) -> Result<bool> {
        Ok(timestamp <= self.state.lock().tick())
    }

    async fn segments(&self, _: &Call, _: CollectionId) -> Result<Vec<SegmentInfo>> {
        Ok(Vec::new())
    }

    async fn statistics(&self, _: &Call, collection: CollectionId) -> Result<BTreeMap<PartitionId, u64>> {
        let mut counts = BTreeMap::new();
        for (_, rows) in self.state.lock().rows.iter().filter(|(shard, _)| shard.collection == collection) {
            rows.iter().for_each(|row| *counts.entry(row.partition).or_default() += 1);
        }
        Ok(counts)
    }
}

#[async_trait]
impl QueryCoord for Fake {
    async fn load(&self, _: &Call, request: LoadRequest) -> Result<()> {
        let wanted = request.partitions.map_or(Wanted::Collection, Wanted::Partitions);
        if request.replicas > 1 + self.state.lock().more_nodes.len() as u32 {
            return Err(Error::about(Code::RESOURCE_INSUFFICIENT, &[]).context(format!("when load {} replica count", request.replicas)));
        }
        self.state.lock().loaded.insert(request.collection, wanted);
        Ok(())
    }

    async fn release(&self, _: &Call, collection: CollectionId, _: Option<Vec<PartitionId>>) -> Result<()> {
        self.state.lock().loaded.remove(&collection);
        Ok(())
    }

    async fn load_state(&self, _: &Call, collection: CollectionId) -> Result<LoadState> {
        let wanted = self.state.lock().loaded.get(&collection).cloned();
        let (progress, replicas) = if wanted.is_some() { (100, 1 + self.state.lock().more_nodes.len() as u32) } else { (0, 0) };
        Ok(LoadState { progress, wanted, replicas, failure: None })
    }

    async fn leaders(&self, _: &Call, collection: CollectionId) -> Result<Vec<Leader>> {
        let state = self.state.lock();
        if !state.loaded.contains_key(&collection) {
            return Err(Error::about(Code::COLLECTION_NOT_LOADED, &[("collection", &collection)]));
        }
        let found = state.collections.values().find(|known| known.id == collection).expect("tests load what is there");
        let leaders = found.shards().flat_map(|(shard, _)| {
            let nodes = std::iter::once(&3).chain(&state.more_nodes);
            nodes.map(move |node| Leader { shard, node: NodeId(*node), address: node.to_string() })
        });
        Ok(leaders.collect())
    }
}

#[async_trait]
impl IndexCoord for Fake {
    async fn create_index(&self, _: &Call, request: CreateIndex) -> Result<()> {
        let mut state = self.state.lock();
        let definition = IndexDefinition { id: IndexId(state.id()), ..request.definition };
        let status = IndexStatus { definition, total_rows: 0, indexed_rows: 0, failure: None };
        state.indexes.entry(request.collection).or_default().push(status);
        Ok(())
    }

    async fn drop_index(&self, _: &Call, collection: CollectionId, name: &str) -> Result<()> {
        self.state.lock().indexes.entry(collection).or_default().retain(|index| index.definition.name != name);
        Ok(())
    }

    async fn indexes(&self, _: &Call, collection: CollectionId) -> Result<Vec<IndexStatus>> {
        Ok(self.state.lock().indexes.get(&collection).cloned().unwrap_or_default())
    }
}
