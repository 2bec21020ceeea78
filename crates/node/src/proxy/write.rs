//! Insert and upsert: check, complete, split by shard, encode once, send, and try again where the definition was old.
//!
//! A write is atomic per shard. One that a sequencer refuses because the proxy's definition was old is made anew from the fresh one and sent
//! as a new request, to the shards alone that have refused it: auto ids stay, so that no row is there twice.
//!
//! Deletes send through [`Sending`] too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use prost::Message;
use proto::milvus as m;
use proto::schema::{FieldData, IDs, LongArray, StringArray, field_data, i_ds};
use role::data::Outcome;
use role::root::CollectionRef;
use types::collection::Collection;
use types::column::{Column, Values};
use types::id::CollectionId;
use types::limits::WRITE_BYTES_MAX;
use types::record::{Body, Keys};
use types::time::Timestamp;
use types::{Code, Error, Result};

use super::columns::{self, Expected};
use super::context::Context;
use super::limits::Limits;
use super::route::{self, Group, Partitions};
use super::window::Write;
use super::{Proxy, partition, status};

/// Rows of one request.
pub const ROWS_MAX: usize = 1 << 24;
/// How often a write is made anew because its definition was old.
const ATTEMPTS_MAX: u32 = 8;
/// The wait where a sequencer refuses a definition than which rootcoord knows no newer one yet.
const REFUSED_WAIT: Duration = Duration::from_millis(50);
/// Work up to this size is done where the request is served; more goes to the CPU pool.
const INLINE_BYTES_MAX: usize = 256 << 10;

/// Insert.
pub async fn insert(proxy: &Proxy, context: Context, request: m::InsertRequest) -> Result<m::MutationResult> {
    let received = request.encoded_len();
    context.note(|figures| figures.received_bytes = received as u64);
    let job = Job {
        database: request.db_name,
        collection: request.collection_name,
        partition: request.partition_name,
        fields: request.fields_data,
        rows: request.num_rows as usize,
        schema_timestamp: Timestamp(request.schema_timestamp),
        upsert: false,
    };
    let named = named_rows(request.num_rows, received);
    Ok(result(named, false, write(proxy, &context, job).await))
}

/// Upsert: the keys' rows die and the new ones come at one timestamp.
pub async fn upsert(proxy: &Proxy, context: Context, request: m::UpsertRequest) -> Result<m::MutationResult> {
    let received = request.encoded_len();
    context.note(|figures| figures.received_bytes = received as u64);
    let named = named_rows(request.num_rows, received);
    if request.partial_update || !request.field_ops.is_empty() {
        let error = Error::new(Code::UNSUPPORTED, "partial update is not supported: unsupported operation");
        return Ok(result(named, true, Err(error)));
    }
    let job = Job {
        database: request.db_name,
        collection: request.collection_name,
        partition: request.partition_name,
        fields: request.fields_data,
        rows: request.num_rows as usize,
        schema_timestamp: Timestamp(request.schema_timestamp),
        upsert: true,
    };
    Ok(result(named, true, write(proxy, &context, job).await))
}

/// The rows that an answer names. A request may claim any number; one that is there takes a byte at least.
fn named_rows(claimed: u32, received_bytes: usize) -> u32 {
    claimed.min(u32::try_from(received_bytes).unwrap_or(u32::MAX))
}

/// The answer; every row is named as failed or succeeded.
fn result(rows: u32, upsert: bool, written: Result<Written>) -> m::MutationResult {
    let all = || (0..rows).collect();
    match written {
        Ok(written) => m::MutationResult {
            status: Some(status::success()),
            i_ds: Some(ids(&written.keys)),
            succ_index: all(),
            insert_cnt: rows.into(),
            upsert_cnt: if upsert { rows.into() } else { 0 },
            delete_cnt: if upsert { rows.into() } else { 0 },
            timestamp: written.timestamp.0,
            ..m::MutationResult::default()
        },
        Err(error) => m::MutationResult { status: Some(status::failure(&error)), err_index: all(), ..m::MutationResult::default() },
    }
}

/// Keys as the wire has them.
///
/// # Panics
/// If the values aren't keys.
pub fn ids(keys: &Values) -> IDs {
    let id_field = match keys {
        Values::Int64(keys) => i_ds::IdField::IntId(LongArray { data: keys.to_vec() }),
        Values::VarChar(keys) => i_ds::IdField::StrId(StringArray { data: keys.iter().map(str::to_owned).collect() }),
        other => panic!("a column of {} has no keys", other.data_type()),
    };
    IDs { id_field: Some(id_field) }
}

/// What a client wants written.
struct Job {
    database: String,
    collection: String,
    partition: String,
    fields: Vec<FieldData>,
    rows: usize,
    schema_timestamp: Timestamp,
    upsert: bool,
}

/// A write that is done.
struct Written {
    /// Of all rows, in the client's order.
    keys: Values,
    /// The greatest of the shards.
    timestamp: Timestamp,
}

async fn write(proxy: &Proxy, context: &Context, job: Job) -> Result<Written> {
    check_rows(job.rows)?;
    let mut collection = proxy.collection(context, &job.database, &job.collection).await?;
    let mut sending = Sending::new(proxy, context, context.collection(&job.database, &job.collection));
    let job = Arc::new(job);
    loop {
        let stale = match prepare(proxy, context, &job, &collection, &mut sending.progress).await {
            Ok(prepared) => {
                let keys = prepared.keys.clone();
                match sending.send(&collection, prepared.writes).await? {
                    None => {
                        context.note(|figures| figures.rows = job.rows as u64);
                        return Ok(Written { keys, timestamp: sending.progress.timestamp });
                    }
                    Some(refused) => refused,
                }
            }
            Err(error) => Stale::known_only_here(error)?,
        };
        collection = sending.refresh(&collection, stale).await?;
    }
}

fn check_rows(rows: usize) -> Result<()> {
    match rows {
        0 => Err(Error::expected("num_rows should be greater than 0", "invalid num_rows", 0)),
        1..=ROWS_MAX => Ok(()),
        _ => Err(Error::new(Code::PARAMETER_TOO_LARGE, format!("{rows} rows in one request, {ROWS_MAX} are allowed: parameter too large"))),
    }
}

/// A write's parts, ready to be sent.
struct Prepared {
    keys: Values,
    writes: Vec<(usize, Write)>,
}

async fn prepare(
    proxy: &Proxy,
    context: &Context,
    job: &Arc<Job>,
    collection: &Arc<Collection>,
    progress: &mut Progress,
) -> Result<Prepared> {
    if job.schema_timestamp != Timestamp::ZERO && job.schema_timestamp != collection.updated {
        return Err(Error::about(Code::SCHEMA_MISMATCH, &[("collection", &job.collection)]));
    }
    partition::refuse_names_with_key(collection, !job.partition.is_empty())?;
    if progress.drawn.is_none() && draws_keys(job, collection)? {
        progress.drawn = Some(draw(proxy, context, job, collection).await?.into());
    }
    let (job, collection, drawn) = (job.clone(), collection.clone(), progress.drawn.clone());
    let limits = proxy.config().limits.clone();
    let default_partition = proxy.config().default_partition.clone();
    let bytes = weight(&job.fields);
    let work = move || {
        encode(&Making { job: &job, collection: &collection, limits: &limits, default_partition: &default_partition }, drawn.as_deref())
    };
    if bytes <= INLINE_BYTES_MAX { work() } else { proxy.world.cpu.run(work).await }
}

/// Whether the server draws keys for the job's rows.
fn draws_keys(job: &Job, collection: &Collection) -> Result<bool> {
    let primary = collection.schema.primary();
    if !primary.auto_id || job.upsert {
        return Ok(primary.auto_id);
    }
    let allowed = collection.properties.get("allow_insert_auto_id").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    match (columns::is_given(&job.fields, primary), allowed) {
        (false, _) => Ok(true),
        (true, true) => Ok(false),
        (true, false) => Err(Error::invalid(format!(
            "can not assign primary field data when auto id enabled and allow_insert_auto_id is false {}",
            primary.name
        ))),
    }
}

/// Keys of new rows. Those of an upsert fall into the shards of the keys that they replace: a write is atomic in one shard only.
async fn draw(proxy: &Proxy, context: &Context, job: &Job, collection: &Collection) -> Result<Vec<i64>> {
    if !job.upsert {
        return proxy.ids.draw(&context.call, job.rows).await;
    }
    let (shards, primary) = (collection.channels.len(), collection.schema.primary());
    let expected = Expected { schema: &collection.schema, limits: &proxy.config().limits, rows: job.rows, drawn: None };
    let old = columns::given_keys(&expected, &job.fields)?;
    let wanted = route::shards_of(&old, shards);
    let text = primary.data_type == types::schema::DataType::VarChar;
    proxy.ids.draw_for_shards(&context.call, &wanted, shards, text).await
}

/// What an encoding is made from.
struct Making<'a> {
    job: &'a Job,
    collection: &'a Collection,
    limits: &'a Limits,
    default_partition: &'a str,
}

fn encode(making: &Making<'_>, drawn: Option<&[i64]>) -> Result<Prepared> {
    let Making { job, collection, limits, default_partition } = *making;
    let schema = &collection.schema;
    let expected = Expected { schema, limits, rows: job.rows, drawn };
    let batch = columns::batch(&expected, &job.fields)?;
    if batch.bytes() > WRITE_BYTES_MAX {
        let bytes = batch.bytes();
        return Err(Error::new(
            Code::PARAMETER_TOO_LARGE,
            format!("{bytes} bytes in one request, {WRITE_BYTES_MAX} are allowed: parameter too large"),
        ));
    }
    let new_keys = batch.column(schema.primary().id).ok_or_else(|| Error::internal("a batch without keys"))?;
    let old_keys = match (job.upsert, drawn) {
        (true, Some(_)) => Some(columns::given_keys(&expected, &job.fields)?),
        (true, None) => Some(new_keys.clone()),
        (false, _) => None,
    };
    if let Some(keys) = &old_keys {
        check_distinct(keys)?;
    }
    let partitions = match schema.partition_key() {
        Some(field) => {
            let key = batch.column(field.id).ok_or_else(|| Error::internal("a batch without its partition key"))?;
            Partitions::Each(route::partitions_of(key, collection)?)
        }
        None if job.partition.is_empty() => Partitions::One(partition::existing(collection, default_partition)?),
        None => Partitions::One(partition::existing(collection, &job.partition)?),
    };
    let shards = collection.channels.len();
    let groups = route::group(&route::shards_of(new_keys, shards), &partitions, shards);
    let write = |group: &Group| {
        let rows = group.take(&batch);
        let body = match &old_keys {
            None => Body::Insert(rows),
            Some(keys) => Body::Upsert { keys: upsert_keys(group.take_keys(keys), &partitions), rows },
        };
        (group.shard, part(collection, group.shard, &body))
    };
    Ok(Prepared { keys: new_keys.values.clone(), writes: groups.iter().map(write).collect() })
}

/// Where no key routes rows, an upsert replaces rows of its own partition only, as Milvus does.
fn upsert_keys(keys: Column, partitions: &Partitions) -> Keys {
    let partition = match partitions {
        Partitions::One(partition) => Some(*partition),
        Partitions::Each(_) => None,
    };
    Keys { keys: keys.values, partition, kills_below: None }
}

/// A body as one shard's write.
pub fn part(collection: &Collection, shard: usize, body: &Body) -> Write {
    Write {
        shard: types::id::ShardId::new(collection.id, shard as u16),
        schema_version: collection.schema.version,
        kind: body.kind(),
        body: body.encode(),
    }
}

fn check_distinct(keys: &Column) -> Result<()> {
    let mut seen = foldhash::HashSet::default();
    match (0..keys.rows()).all(|row| seen.insert(keys.key(row))) {
        true => Ok(()),
        false => Err(Error::invalid("duplicate primary keys are not allowed in the same batch")),
    }
}

/// Bytes of a request's columns, about: what decides where they are worked on.
fn weight(fields: &[FieldData]) -> usize {
    let of = |data: &FieldData| match &data.field {
        Some(field_data::Field::Vectors(vectors)) => prost::Message::encoded_len(vectors),
        Some(field_data::Field::Scalars(scalars)) => prost::Message::encoded_len(scalars),
        _ => 0,
    };
    fields.iter().map(of).sum()
}

/// Sends the parts of a write to their shards' channels, and goes on where a fresher definition is needed.
pub struct Sending<'a> {
    proxy: &'a Proxy,
    context: &'a Context,
    which: CollectionRef,
    attempts: u32,
    /// What is done already.
    pub progress: Progress,
}

/// What earlier attempts at a write have brought.
#[derive(Default)]
pub struct Progress {
    /// Of which collection: another one under the same name begins anew.
    of: Option<CollectionId>,
    /// Keys that were drawn for the rows.
    drawn: Option<Arc<[i64]>>,
    /// Shards that hold their part.
    pub done: BTreeSet<usize>,
    /// The greatest timestamp of a part.
    pub timestamp: Timestamp,
}

/// Why an attempt needs a fresher definition.
pub enum Stale {
    /// By what the proxy knows: if there is nothing newer, the error is the client's answer.
    Local(Error),
    /// By the sequencer, which may know more than rootcoord tells yet.
    Refused(Error),
}

impl Stale {
    /// An error that a fresher definition may do away with; any other one is returned as it is.
    ///
    /// # Errors
    /// The error itself.
    pub fn known_only_here(error: Error) -> Result<Self> {
        if is_stale(error.code()) { Ok(Self::Local(error)) } else { Err(error) }
    }
}

fn is_stale(code: Code) -> bool {
    matches!(code, Code::COLLECTION_NOT_FOUND | Code::PARTITION_NOT_FOUND | Code::SCHEMA_MISMATCH)
}

impl<'a> Sending<'a> {
    /// Nothing sent yet.
    pub fn new(proxy: &'a Proxy, context: &'a Context, which: CollectionRef) -> Self {
        Self { proxy, context, which, attempts: 0, progress: Progress::default() }
    }

    /// Sends those of `writes` (by shard) that aren't done; what comes back asks for a fresher definition.
    ///
    /// # Errors
    /// The first failure that a fresher definition doesn't help against.
    pub async fn send(&mut self, collection: &Collection, writes: Vec<(usize, Write)>) -> Result<Option<Stale>> {
        self.progress.of = Some(collection.id);
        let open = writes.into_iter().filter(|(shard, _)| !self.progress.done.contains(shard));
        let (streams, call) = (&self.proxy.streams, &self.context.call);
        let send = |(shard, write): (usize, Write)| async move { (shard, streams.write(call, &collection.channels[shard], write).await) };
        let began = self.proxy.world.clock.now();
        let outcomes = join_all(open.map(send)).await;
        self.context.note(|figures| figures.shards += self.proxy.world.clock.now() - began);
        let mut refused = None;
        let mut failed = None;
        for (shard, outcome) in outcomes {
            match outcome {
                Ok(Outcome::Written { timestamp }) => {
                    self.progress.done.insert(shard);
                    self.progress.timestamp = self.progress.timestamp.max(timestamp);
                }
                Ok(Outcome::Refused(refusal)) if is_stale(Code(refusal.code)) => refused = Some(Stale::Refused(refusal.to_error())),
                Ok(Outcome::Refused(refusal)) => failed = failed.or(Some(refusal.to_error())),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(refused),
        }
    }

    /// The definition to try again with.
    ///
    /// # Errors
    /// Why the last attempt failed, if there is no newer definition or there were too many attempts.
    pub async fn refresh(&mut self, collection: &Arc<Collection>, stale: Stale) -> Result<Arc<Collection>> {
        let (error, local) = match stale {
            Stale::Local(error) => (error, true),
            Stale::Refused(error) => (error, false),
        };
        self.attempts += 1;
        if self.attempts >= ATTEMPTS_MAX {
            return Err(error);
        }
        let fresh = self.proxy.cache.refresh(&self.context.call, &self.which, collection).await?;
        if fresh == *collection {
            if local {
                return Err(error);
            }
            self.proxy.world.clock.sleep(REFUSED_WAIT).await;
        }
        if self.progress.of.is_some_and(|of| of != fresh.id) {
            self.progress = Progress::default();
        }
        Ok(fresh)
    }
}

/// Keys by shard, for a delete.
pub fn keys_by_shard(keys: &Column, shards: usize) -> BTreeMap<usize, Values> {
    let mut rows: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (row, shard) in route::shards_of(keys, shards).into_iter().enumerate() {
        rows.entry(shard).or_default().push(row as u32);
    }
    rows.into_iter().map(|(shard, rows)| (shard, keys.values.take(&rows))).collect()
}
