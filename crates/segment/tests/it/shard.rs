//! Drives a shard and the model with the same records.

use std::sync::Arc;

use base::cpu::CpuPool;
use base::random::Random;
use expr::{Options, Plan};
use index::params::{IndexKind, Purpose, SearchParams};
use segment::compact::{Compaction, Cut};
use segment::{Base, ControlState, Gap, Sealed, Segments, Shard, query, search};
use store::manifest::{Flushed, Manifest, Origin};
use store::segment_file::{NewSegment, PageCache, SegmentReader, SegmentRows, encode};
use types::batch::Batch;
use types::blob::{Blob, MemoryBlob};
use types::column::{Column, Values};
use types::delete::DeleteEntry;
use types::id::{CollectionId, FieldId, PartitionId, SegmentId, ShardId, WriterId};
use types::index_params::Metric;
use types::position::{LogId, Position};
use types::record::{Body, Control, Epoch, Header, Keys, Record, Rows};
use types::schema::{DataType, Field, FieldKind, Schema};
use types::time::Timestamp;
use types::value::{Key, Value};

use crate::model::{Delete, Model, Row};

const LOG: LogId = LogId(9);
const SEEDS: u64 = 60;
const STEPS: usize = 120;
const KEYS: u64 = 25;
/// Fields that come later have ids above it.
const ADDED: FieldId = FieldId(110);

fn field(id: i64, name: &str, data_type: DataType, kind: FieldKind, dimension: Option<u32>) -> Field {
    Field {
        id: FieldId(id),
        name: name.to_owned(),
        description: String::new(),
        data_type,
        kind,
        auto_id: false,
        nullable: false,
        default: None,
        dimension,
        max_length: None,
        element_type: None,
        max_capacity: None,
        type_params: Default::default(),
    }
}

fn schema() -> Schema {
    Schema {
        version: 1,
        fields: vec![
            field(100, "id", DataType::Int64, FieldKind::Primary, None),
            field(101, "number", DataType::Int64, FieldKind::Plain, None),
            field(102, "vector", DataType::FloatVector, FieldKind::Plain, Some(2)),
        ],
    }
}

struct World {
    random: Random,
    shard: Shard,
    model: Model,
    log: Vec<(Record, Position)>,
    manifest: Manifest,
    files: Vec<(store::manifest::Segment, Vec<(String, bytes::Bytes)>)>,
    flushed_deletes: Vec<DeleteEntry>,
    /// Segments whose files are damaged now.
    damaged: Vec<SegmentId>,
    /// What a slow reader holds, with the partitions that were dropped by then.
    held: Option<(Arc<segment::Version>, usize)>,
    clock: u64,
    next_number: i64,
    next_segment: i64,
}

fn flushed(position: u64, clock: u64) -> Flushed {
    Flushed {
        position: Position::from_u64(LOG, position),
        epoch: Epoch { process: 1, attempt: 0 },
        number: position,
        clock: Timestamp(clock),
    }
}

fn reader_of(
    (segment, objects): &(store::manifest::Segment, Vec<(String, bytes::Bytes)>),
    schema: &Schema,
    pages: &PageCache,
) -> SegmentReader {
    let blobs = segment.files.iter().map(|file| {
        let (name, bytes) = objects.iter().find(|(name, _)| *name == file.object.name).expect("every file was written");
        (file.kind, Arc::new(MemoryBlob::new(name.clone(), bytes.clone())) as Arc<dyn Blob>)
    });
    SegmentReader::open(segment, schema, blobs.collect(), pages).expect("own files")
}

impl World {
    fn new(seed: u64) -> Self {
        let id = ShardId::new(CollectionId(1), 0);
        let manifest = Manifest::created(id, schema(), flushed(1, 1));
        Self {
            random: Random::seeded(seed),
            shard: Shard::new(id, Base::of(&manifest)),
            model: Model::default(),
            log: Vec::new(),
            manifest,
            files: Vec::new(),
            flushed_deletes: Vec::new(),
            damaged: Vec::new(),
            held: None,
            clock: 1,
            next_number: 0,
            next_segment: 100,
        }
    }

    fn record(&mut self, body: Body) {
        self.clock += 1 + self.random.below(3);
        let position = Position::from_u64(LOG, 2 + self.log.len() as u64);
        let header = Header {
            kind: body.kind(),
            number: position.to_u64(),
            epoch: Epoch { process: 1, attempt: 0 },
            writer: WriterId(1),
            sequence: position.to_u64(),
            lowest_outstanding: 0,
            shard: self.shard.id(),
            schema_version: 1,
            timestamp: Timestamp(self.clock),
            part: 1,
            parts: 1,
        };
        let record = Record { header, body };
        self.shard.apply(&record, position, position).expect("the record fits");
        self.shard.publish();
        self.log.push((record, position));
    }

    fn rows(&mut self, keys: &[i64]) -> Rows {
        let partition = PartitionId(1 + self.random.below(3) as i64);
        let (mut numbers, mut vectors) = (Vec::new(), Vec::new());
        for &key in keys {
            let vector = [self.random.below(8) as f32, self.random.below(8) as f32];
            // The record's timestamp is known only when it is stamped: see `stamp`.
            self.model.rows.push(Row { key, partition, timestamp: Timestamp::MAX, number: self.next_number, vector });
            numbers.push(self.next_number);
            vectors.extend(vector);
            self.next_number += 1;
        }
        let columns = vec![
            Column::new(FieldId(100), Values::Int64(keys.to_vec().into())),
            Column::new(FieldId(101), Values::Int64(numbers.into())),
            Column::new(FieldId(102), Values::FloatVector { dimension: 2, data: vectors.into() }),
        ];
        Rows::of_partition(partition, Batch::new(keys.len(), columns))
    }

    fn stamp(&mut self, body: Body) {
        let deletes = match &body {
            Body::Delete(keys) | Body::Upsert { keys, .. } => Some(keys.clone()),
            _ => None,
        };
        self.record(body);
        let now = Timestamp(self.clock);
        for row in self.model.rows.iter_mut().filter(|row| row.timestamp == Timestamp::MAX) {
            row.timestamp = now;
        }
        let Some(Keys { keys: Values::Int64(keys), partition, kills_below }) = deletes else { return };
        for &key in keys.iter() {
            self.model.deletes.push(Delete { key, partition, effective: now, kills_below: kills_below.unwrap_or(now) });
        }
    }

    fn keys(&mut self) -> Vec<i64> {
        let mut keys: Vec<i64> = (0..1 + self.random.below(6)).map(|_| self.random.below(KEYS) as i64).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn flush(&mut self) {
        let writes = self.random.chance(0.5);
        self.flush_during(writes);
    }

    fn flush_during(&mut self, writes: bool) {
        let progress = flushed(1 + self.log.len() as u64, self.clock);
        let Some(set) = self.shard.begin_flush(progress) else { return };
        // Records that come while the files are written must stay.
        if writes {
            self.write();
        }
        let (batch, timestamps, partitions) = set.sorted_rows();
        if !timestamps.is_empty() {
            let new = NewSegment {
                collection: CollectionId(1),
                id: self.segment_id(),
                schema: &set.state.schema,
                deletes_applied_to: Timestamp::ZERO,
                origin: Origin::Flush,
                clustered_by: None,
            };
            let encoded = encode(&new, &SegmentRows { batch, timestamps, partitions }).expect("rows fit their schema");
            self.manifest.segments.push(encoded.segment.clone());
            self.files.push((encoded.segment, encoded.objects));
        }
        self.flushed_deletes.extend(set.deletes);
        self.manifest = Manifest {
            flushed: set.progress,
            schema: (*set.state.schema).clone(),
            dropped_partitions: set.state.dropped_partitions.clone(),
            segments: self.manifest.segments.clone(),
            ..self.manifest.successor()
        };
        let segments = self.open();
        self.shard.adopt(&Base::of(&self.manifest), Some(segments));
    }

    fn segment_id(&mut self) -> SegmentId {
        self.next_segment += 1;
        SegmentId(self.next_segment - 1)
    }

    /// Some segments are rewritten; what ended before a time of their past goes.
    fn compact(&mut self) {
        let applied_to = Timestamp(self.random.below(self.manifest.flushed.clock.0 + 1));
        let random = &self.random;
        let (inputs, kept): (Vec<_>, Vec<_>) =
            self.files.drain(..).partition(|(segment, _)| !self.damaged.contains(&segment.id) && random.chance(0.7));
        self.files = kept;
        let applied_to = applied_to.max(self.manifest.kept_since);
        let deletes: Vec<DeleteEntry> = self.flushed_deletes.iter().filter(|entry| entry.effective <= applied_to).cloned().collect();
        let pages = PageCache::new(1 << 20);
        let sealed: Vec<Sealed> = inputs
            .iter()
            .map(|file| {
                Sealed::new(reader_of(file, &self.manifest.schema, &pages), schema().primary().clone(), Vec::new(), &deletes)
                    .expect("own keys")
            })
            .collect();
        let cut = Cut {
            bytes_max: 1 + self.random.below(4_000),
            own_bytes: 1 + self.random.below(4_000),
            segments_max: 1 + self.random.below(4) as usize,
        };
        let state = ControlState::of(&self.manifest);
        let compaction = Compaction::plan(&sealed, &state, cut).expect("few segments");
        assert!(compaction.len() <= cut.segments_max);
        for output in 0..compaction.len() {
            let new = NewSegment {
                collection: CollectionId(1),
                id: self.segment_id(),
                schema: &state.schema,
                deletes_applied_to: applied_to,
                origin: Origin::Compaction { level: 1 },
                clustered_by: None,
            };
            let encoded = encode(&new, &compaction.rows(output).expect("own files")).expect("rows fit their schema");
            self.files.push((encoded.segment, encoded.objects));
        }
        // Records came meanwhile, and a flush may have.
        if self.random.chance(0.5) {
            self.write();
        }
        let kept_for = self.files.iter().map(|(segment, _)| segment.deletes_applied_to).min().unwrap_or(Timestamp::MAX);
        self.flushed_deletes.retain(|entry| entry.effective > kept_for);
        let mut segments: Vec<_> = self.files.iter().map(|(segment, _)| segment.clone()).collect();
        segments.sort_by_key(|segment| segment.id);
        self.manifest = Manifest { segments, kept_since: applied_to, ..self.manifest.successor() };
        let segments = self.open();
        self.shard.adopt(&Base::of(&self.manifest), Some(segments));
    }

    fn open(&self) -> Segments {
        let pages = PageCache::new(1 << 20);
        let version = self.shard.versions().load_full();
        let keeps = self.random.chance(0.7);
        let open = |file: &(store::manifest::Segment, Vec<(String, bytes::Bytes)>)| {
            // As a node does: what is open stays open.
            if let Some(known) = version.sealed.iter().find(|sealed| keeps && sealed.id() == file.0.id) {
                return known.clone();
            }
            let reader = reader_of(file, &self.manifest.schema, &pages);
            Arc::new(Sealed::new(reader, schema().primary().clone(), Vec::new(), &self.flushed_deletes).expect("own keys"))
        };
        let (damaged, whole): (Vec<_>, Vec<_>) = self.files.iter().partition(|(segment, _)| self.damaged.contains(&segment.id));
        let gap = |(segment, _): &(store::manifest::Segment, _)| Gap::of_entry(segment, types::Error::corrupt("its file"));
        Segments { sealed: whole.into_iter().map(open).collect(), gaps: damaged.into_iter().map(gap).collect() }
    }

    /// Some files are damaged, or whole again, and the shard looks at them anew.
    fn damage_or_mend(&mut self) {
        let random = &self.random;
        self.held = None;
        self.damaged = self.files.iter().map(|(segment, _)| segment.id).filter(|_| random.chance(0.2)).collect();
        let segments = self.open();
        self.shard.adopt(&Base::of(&self.manifest), Some(segments));
    }

    /// Another process: manifest, then the log from the beginning (what is flushed must be skipped).
    fn restart(&mut self) {
        self.shard = Shard::new(self.shard.id(), Base::of(&self.manifest));
        let segments = self.open();
        self.shard.adopt(&Base::of(&self.manifest), Some(segments));
        for (record, position) in &self.log {
            self.shard.apply(record, *position, *position).expect("it fitted before");
        }
        self.shard.publish();
    }

    /// One more field, null or with a default. Writers go on without it, as older ones do.
    fn change_schema(&mut self) {
        let schema = self.shard.state().schema.clone();
        let id = ADDED.0 + i64::from(schema.version);
        let default = schema.version.is_multiple_of(2).then_some(Value::Int(id));
        let added = field(id, &format!("added {id}"), DataType::Int64, FieldKind::Plain, None);
        self.stamp(Body::Control(Control::Schema { schema: schema.with_field(Field { nullable: true, default, ..added }) }));
    }

    /// Fields that were added read as null or default in every row, wherever it is.
    fn check_added(&self) {
        let version = self.shard.versions().load_full();
        for part in version.parts(false) {
            let all: Vec<u32> = (0..part.rows() as u32).collect();
            for field in version.state.schema.fields.iter().filter(|field| field.id >= ADDED) {
                let expected = match &field.default {
                    Some(value) => Column::new(field.id, Values::repeated(DataType::Int64, value, all.len()).expect("a number")),
                    None => Column::nulls(field, all.len()),
                };
                assert_eq!(part.take(field.id, &all).expect("rows can be read"), expected, "field {}", field.id);
            }
        }
    }

    fn write(&mut self) {
        let keys = self.keys();
        match self.random.below(10) {
            0..5 => {
                let rows = self.rows(&keys);
                self.stamp(Body::Insert(rows));
            }
            5..7 => {
                let partition = self.random.chance(0.3).then(|| PartitionId(1 + self.random.below(3) as i64));
                let kills_below = self.random.chance(0.3).then(|| Timestamp(self.clock.saturating_sub(self.random.below(20))));
                self.stamp(Body::Delete(Keys { keys: Values::Int64(keys.into()), partition, kills_below }));
            }
            7..9 => {
                let dead = Keys { keys: Values::Int64(keys.clone().into()), partition: None, kills_below: None };
                let rows = self.rows(&keys);
                self.stamp(Body::Upsert { keys: dead, rows });
            }
            _ => {
                if self.random.chance(0.1) {
                    let partition = PartitionId(1 + self.random.below(3) as i64);
                    self.stamp(Body::Control(Control::DropPartition { partition }));
                    self.model.dropped.push(partition);
                }
            }
        }
    }

    fn check(&mut self) {
        let version = self.shard.versions().load_full();
        let at = if self.random.chance(0.5) { version.clock } else { Timestamp(self.random.below(self.clock + 1)) };
        let pool = CpuPool::inline();
        self.check_query(&version, at, &pool);
        self.check_search(&version, at, &pool);
        match self.held.take() {
            Some((held, dropped)) if dropped == self.model.dropped.len() => {
                let at = Timestamp(self.random.below(held.clock.0 + 1));
                self.check_query(&held, held.clock, &pool);
                self.check_search(&held, at, &pool);
                self.held = self.random.chance(0.8).then_some((held, dropped));
            }
            _ if self.random.chance(0.3) => self.held = Some((version, self.model.dropped.len())),
            _ => {}
        }
    }

    fn check_query(&mut self, version: &segment::Version, at: Timestamp, pool: &CpuPool) {
        let bound = self.random.below(KEYS) as i64;
        let plan = Plan::compile(&format!("id < {bound}"), &schema(), &Options::default()).expect("a plain filter");
        let wanted = query::Query { filter: &plan, partitions: None, at, ignore_growing: false };
        // What can't be read in full is refused: an answer is always the model's.
        let count = match query::count(version, &wanted, pool) {
            Err(_) if !self.damaged.is_empty() || at < version.kept_since => return,
            count => count.expect("own files"),
        };
        assert!(at >= version.kept_since, "rows of {at} aren't kept");
        assert_eq!(count, self.model.visible(at).iter().filter(|row| row.key < bound).count() as u64, "count at {at}");
        let found = query::rows(version, &wanted, None, pool).expect("own files");
        let places: Vec<_> = found.iter().map(|row| row.place).collect();
        let fetch = query::Fetch { places: &places, fields: &[FieldId(101)], ignore_growing: false, bytes_max: 1 << 20, what: "query" };
        let columns = query::fetch(version, &fetch).expect("own files");
        let Values::Int64(numbers) = &columns.columns()[0].values else { panic!("numbers are Int64") };
        let actual: Vec<(Key, i64)> = found.iter().zip(numbers.iter()).map(|(row, number)| (row.key.clone(), *number)).collect();
        let youngest = self.model.youngest(at);
        let expected: Vec<(Key, i64)> = youngest.range(..bound).map(|(key, row)| (Key::Int(*key), row.number)).collect();
        assert_eq!(actual, expected, "rows at {at}");
    }

    fn check_search(&mut self, version: &segment::Version, at: Timestamp, pool: &CpuPool) {
        let query = [self.random.below(8) as f32, self.random.below(8) as f32];
        let limit = 1 + self.random.below(6) as usize;
        let request = search::Search {
            field: FieldId(102),
            queries: query[..].into(),
            limit,
            metric: Metric::L2,
            params: &SearchParams::defaults(IndexKind::Flat, Purpose::Nearest { k: limit }),
            filter: &Plan::always(),
            partitions: None,
            at,
            ignore_growing: false,
            cancelled: None,
        };
        let found = match search::search(version, &request, pool) {
            Err(_) if !self.damaged.is_empty() || at < version.kept_since => return,
            found => found.expect("own files"),
        };
        let actual: Vec<(f32, Key)> = found[0].iter().map(|row| (row.distance, row.key.clone())).collect();
        let expected: Vec<(f32, Key)> =
            self.model.nearest(query, at).into_iter().take(limit).map(|(distance, key)| (distance, Key::Int(key))).collect();
        assert_eq!(actual, expected, "nearest at {at}");
    }
}

#[test]
fn agrees_with_the_model_through_flushes_compactions_and_restarts() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                match world.random.below(16) {
                    14 => world.compact(),
                    0 => world.flush(),
                    1 => world.restart(),
                    2 => world.damage_or_mend(),
                    3 => world.change_schema(),
                    _ => world.write(),
                }
                world.check();
                world.check_added();
            }
        });
        assert!(outcome.is_ok(), "seed {seed} disagrees with the model");
    }
}

#[test]
fn of_many_rows_at_one_distance_the_smallest_keys_are_found() {
    // Some sixty keys at each point, and limits so small that not all of them are fetched.
    let mut world = World::new(2);
    // In an order that has nothing to do with their size.
    let keys: Vec<i64> = (0..4_000).map(|i| i * 1_237 % 4_000).collect();
    for (i, keys) in keys.chunks(100).enumerate() {
        let rows = world.rows(keys);
        world.stamp(Body::Insert(rows));
        if i == 10 || i == 25 {
            world.flush();
        }
    }
    let version = world.shard.versions().load_full();
    for _ in 0..100 {
        world.check_search(&version, version.clock, &CpuPool::inline());
    }
}

#[test]
fn the_first_unflushed_record_is_never_above_one_that_no_manifest_holds() {
    let mut world = World::new(1);
    assert_eq!(world.shard.first_unflushed(), None);
    for _ in 0..600 {
        let rows = world.rows(&[1]);
        world.stamp(Body::Insert(rows));
    }
    let first = world.log[0].1;
    assert_eq!(world.shard.first_unflushed(), Some(first));
    world.flush();
    let unflushed = world.log.iter().find(|(_, position)| *position > world.manifest.flushed.position).map(|(_, position)| *position);
    assert_eq!(world.shard.first_unflushed(), unflushed);
}

#[test]
fn a_read_that_a_quarantined_segment_concerns_is_refused_by_name_and_no_other() {
    let mut world = World::new(2);
    let mut insert = |partition: i64| {
        let rows = world.rows(&[partition]);
        let rows = Rows::of_partition(PartitionId(partition), rows.batch);
        world.stamp(Body::Insert(rows));
        world.flush_during(false);
        Timestamp(world.clock)
    };
    let (first, second) = (insert(1), insert(2));
    world.damaged = vec![world.files[1].0.id];
    world.restart();
    let check = |version: &segment::Version, partitions: Option<&[i64]>, at: Timestamp, expected: Result<u64, &str>| {
        let partitions: Option<Vec<PartitionId>> = partitions.map(|ids| ids.iter().map(|id| PartitionId(*id)).collect());
        let plan = Plan::always();
        let wanted = query::Query { filter: &plan, partitions: partitions.as_deref(), at, ignore_growing: false };
        match (query::count(version, &wanted, &CpuPool::inline()), expected) {
            (Ok(count), Ok(expected)) => assert_eq!(count, expected),
            (Err(error), Err(fragment)) => assert!(error.reason().contains(fragment), "{error}"),
            (count, expected) => panic!("{count:?} instead of {expected:?}"),
        }
    };
    let gone = "segment 101 of shard 1v0 is quarantined, its 1 rows of partition 2 can't be read";
    let version = world.shard.versions().load_full();
    check(&version, None, version.clock, Err(gone));
    check(&version, Some(&[2]), version.clock, Err(gone));
    check(&version, Some(&[1, 2]), second, Err(gone));
    check(&version, Some(&[1]), version.clock, Ok(1));
    check(&version, None, first, Ok(1));
    world.stamp(Body::Control(Control::DropPartition { partition: PartitionId(2) }));
    let version = world.shard.versions().load_full();
    check(&version, None, version.clock, Ok(1));
    world.damaged.clear();
    world.restart();
    let version = world.shard.versions().load_full();
    check(&version, None, second, Ok(1));
}
