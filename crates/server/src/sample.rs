//! What is true at the moment of a scrape: numbers of collections, segments, rows; how far the log is applied.
//!
//! Read from the roles when somebody asks, counted nowhere, so it can't drift. Not here: what happened ([`crate::observe`]).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base::World;
use base::metrics::{Family, Gauge, Metric, Metrics, milvus, process};
use coord::figures::{CollectionFigures, Figures};
use types::id::CollectionId;

use crate::roles::RoleSet;
use crate::status::Status;
use crate::wiring::{Seats, Workers};

/// What a flush makes is of this level in Milvus's words.
const LEVEL: &str = "L1";
const GROWING: &str = "Growing";
const SEALED: &str = "Sealed";
const FLUSHED: &str = "Flushed";

const LOG_END: Metric<Gauge, 1> = Metric::gauge(
    "elanus_log_end_number",
    "Number of the last record that is acknowledged, per channel that this process sequences.",
    ["channel_name"],
);
const LOG_APPLIED: Metric<Gauge, 1> =
    Metric::gauge("elanus_log_applied_number", "Number of the last record that is applied here, per channel.", ["channel_name"]);
const UNFLUSHED: Metric<Gauge, 1> =
    Metric::gauge("elanus_unflushed_bytes", "Bytes of rows and deletes in memory that no segment holds, per channel.", ["channel_name"]);

const UNREADABLE: Metric<Gauge, 0> =
    Metric::gauge("elanus_unreadable_shards", "Shards whose manifest can't be read, as their coordinator finds when it is asked.", []);

/// Whom a scrape asks.
pub struct Roles {
    /// What is run.
    pub run: RoleSet,
    /// Coordinators, while they lead.
    pub seats: Seats,
    /// Growing rows, sequencers, loaded segments, builds.
    pub workers: Workers,
}

/// Renders metrics. Before the roles are there it has only what was counted.
pub struct Sampler {
    world: World,
    roles: OnceLock<Roles>,
    /// One scrape at a time sets gauges and reads them back.
    turn: tokio::sync::Mutex<()>,
}

impl Sampler {
    /// Of a process whose roles come later.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), roles: OnceLock::new(), turn: tokio::sync::Mutex::default() }
    }

    /// The roles are there. Only the first call counts.
    pub fn watch(&self, roles: Roles) {
        self.roles.get_or_init(|| roles);
    }

    /// What the process is and holds now.
    pub fn status(&self, waiting: Vec<String>) -> Status {
        Status::of(self.world.metrics.node(), waiting, self.roles.get())
    }

    /// Everything, in Prometheus's text format.
    pub async fn render(&self) -> String {
        let _turn = self.turn.lock().await;
        let metrics = &self.world.metrics;
        process::sample(metrics);
        if let Some(roles) = self.roles.get() {
            sample(metrics, roles).await;
        }
        metrics.encode()
    }
}

/// Gauges with all their label sets.
#[derive(Default)]
struct Values<const N: usize>(BTreeMap<[String; N], f64>);

impl<const N: usize> Values<N> {
    fn add(&mut self, labels: [&str; N], value: f64) {
        *self.0.entry(labels.map(str::to_owned)).or_default() += value;
    }

    fn set(self, metrics: &Metrics, metric: &Metric<Gauge, N>) {
        let family: Family<Gauge, N> = metrics.family(metric);
        family.set_all(&self.0);
    }
}

async fn sample(metrics: &Metrics, roles: &Roles) {
    // What nodes of this process hold is known whoever leads.
    of_logs(metrics, roles);
    let figures = match roles.seats.root.present() {
        Some(leading) => leading.figures().await,
        // What was set at the scrape before would look like now.
        None => Figures::default(),
    };
    let growing = of_shards(metrics, roles, &figures);
    of_cluster(metrics, &figures);
    of_storage(metrics, &figures, &growing);
}

fn of_cluster(metrics: &Metrics, figures: &Figures) {
    let one = |metric: &Metric<Gauge, 0>, value: usize| metrics.family(metric).with([]).set(value as f64);
    one(&milvus::ROOTCOORD_PROXY_NUM, figures.proxies);
    one(&milvus::ROOTCOORD_DATABASE_NUM, figures.databases);
    one(&milvus::ROOTCOORD_PARTITION_NUM, figures.collections.iter().map(|collection| collection.partitions).sum());
    one(&milvus::ROOTCOORD_DML_CHANNEL_NUM, figures.channels);
    one(&milvus::QUERYCOORD_QUERYNODE_NUM, figures.query_nodes);
    one(&UNREADABLE, figures.unreadable_shards);
    one(&milvus::QUERYCOORD_COLLECTION_NUM, figures.collections.iter().filter(|collection| collection.loaded).count());
    let mut collections = Values::default();
    for collection in &figures.collections {
        collections.add([&collection.database], 1.0);
    }
    collections.set(metrics, &milvus::ROOTCOORD_COLLECTION_NUM);
}

/// Growing rows of each collection, and in how many shards there are any.
type GrowingRows = BTreeMap<CollectionId, (u64, usize)>;

fn of_storage(metrics: &Metrics, figures: &Figures, growing: &GrowingRows) {
    let (mut segments, mut rows, mut bytes, mut index_bytes) = (Values::default(), Values::default(), Values::default(), Values::default());
    let (mut entities, mut indexed) = (Values::default(), Values::default());
    let counted = figures.collections.iter().filter(|_| figures.stored);
    for CollectionFigures { id, database, name, loaded, stored, .. } in counted {
        let (growing_rows, growing_segments) = growing.get(id).copied().unwrap_or_default();
        let id = &id.to_string();
        segments.add([FLUSHED, LEVEL, "false"], stored.segments as f64);
        segments.add([GROWING, LEVEL, "false"], growing_segments as f64);
        rows.add([database, id, name, FLUSHED], stored.rows as f64);
        bytes.add([database, id, FLUSHED], stored.bytes as f64);
        index_bytes.add([database, name, id], stored.index_bytes as f64);
        let all = (stored.rows + growing_rows) as f64;
        entities.add([database, name, "total"], all);
        entities.add([database, name, "loaded"], if *loaded { all } else { 0.0 });
        for (index, rows) in &stored.indexed_rows {
            indexed.add([database, name, index, "true"], *rows as f64);
        }
    }
    segments.set(metrics, &milvus::DATACOORD_SEGMENT_NUM);
    rows.set(metrics, &milvus::DATACOORD_STORED_ROWS_NUM);
    bytes.set(metrics, &milvus::DATACOORD_STORED_BINLOG_SIZE);
    index_bytes.set(metrics, &milvus::DATACOORD_STORED_INDEX_FILES_SIZE);
    entities.set(metrics, &milvus::ROOTCOORD_ENTITY_NUM);
    indexed.set(metrics, &milvus::ROOTCOORD_INDEXED_ENTITY_NUM);
}

fn of_shards(metrics: &Metrics, roles: &Roles, figures: &Figures) -> GrowingRows {
    let node = metrics.node();
    let names: BTreeMap<CollectionId, &CollectionFigures> = figures.collections.iter().map(|figures| (figures.id, figures)).collect();
    let (mut segments, mut entities, mut sizes) = (Values::default(), Values::default(), Values::default());
    let mut growing = GrowingRows::new();
    for channel in roles.workers.channels.all() {
        for (version, bytes) in channel.versions() {
            // A collection that is being dropped has no name any more.
            let Some(collection) = names.get(&version.id.collection) else { continue };
            let id = &version.id.collection.to_string();
            let growing_rows: usize = version.growing.chunks.iter().map(|chunk| chunk.rows()).sum();
            let sealed_rows: usize = version.sealed.iter().map(|segment| segment.reader().rows()).sum();
            for (state, count, rows) in
                [(GROWING, usize::from(growing_rows > 0), growing_rows), (SEALED, version.sealed.len(), sealed_rows)]
            {
                segments.add([node, id, state, LEVEL], count as f64);
                entities.add([&collection.database, &collection.name, node, id, state], rows as f64);
            }
            sizes.add([node, id, GROWING], bytes as f64);
            let sum = growing.entry(version.id.collection).or_default();
            *sum = (sum.0 + growing_rows as u64, sum.1 + usize::from(growing_rows > 0));
        }
    }
    segments.set(metrics, &milvus::QUERYNODE_SEGMENT_NUM);
    entities.set(metrics, &milvus::QUERYNODE_ENTITY_NUM);
    sizes.set(metrics, &milvus::QUERYNODE_ENTITY_SIZE);
    growing
}

/// How far each channel is, and what of it is in memory alone.
fn of_logs(metrics: &Metrics, roles: &Roles) {
    let (mut applied, mut unflushed) = (Values::default(), Values::default());
    for channel in roles.workers.channels.all() {
        let bytes: usize = channel.versions().iter().map(|(_, bytes)| bytes).sum();
        applied.add([channel.name().as_str()], channel.progress().borrow().number as f64);
        unflushed.add([channel.name().as_str()], bytes as f64);
    }
    applied.set(metrics, &LOG_APPLIED);
    unflushed.set(metrics, &UNFLUSHED);
    let mut end = Values::default();
    for (channel, number) in roles.workers.data.iter().flat_map(|data| data.acknowledged()) {
        end.add([channel.as_str()], number as f64);
    }
    end.set(metrics, &LOG_END);
    if let Some(query) = &roles.workers.query {
        metrics.family(&milvus::QUERYNODE_COLLECTION_NUM).with([metrics.node()]).set(query.served().len() as f64);
    }
}
