//! indexnode: builds one index of one segment, on the CPU pool, and writes its container; rewrites segments ([`compact`]).

mod compact;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base::World;
use base::cpu::CpuPool;
use base::metrics::{Counter, Histogram, Metrics, milvus};
use index::params::BuildParams;
use index::scalar::{self, ScalarKind};
use index::{BuildContext, Progress, VectorRows, Vectors, build};
use role::Call;
use role::index::{BuildTask, CompactionTask, IndexNode};
use store::manifest::{IndexFile, Segment};
use store::name::{self, AttemptId};
use store::object::StoreError;
use store::reference::ObjectRef;
use store::segment_file::{ScrubCursor, SegmentReader};
use types::index_params::IndexDefinition;
use types::{Error, Result};

use crate::opener::Opener;

/// The index node of a process.
pub struct IndexNodeRole {
    world: World,
    opener: Opener,
    pool: CpuPool,
    figures: BuildFigures,
    under_way: AtomicUsize,
}

/// What an index node counts of its builds.
struct BuildFigures {
    success: Counter,
    fail: Counter,
    whole: Histogram,
    computing: Histogram,
    saving: Histogram,
}

impl BuildFigures {
    fn new(metrics: &Metrics) -> Self {
        let (node, tasks) = (metrics.node(), metrics.family(&milvus::INDEXNODE_INDEX_TASK_COUNT));
        Self {
            success: tasks.with([node, "success"]),
            fail: tasks.with([node, "fail"]),
            whole: metrics.family(&milvus::INDEXNODE_BUILD_INDEX_LATENCY).with([node]),
            computing: metrics.family(&milvus::INDEXNODE_KNOWHERE_BUILD_INDEX_LATENCY).with([node]),
            saving: metrics.family(&milvus::INDEXNODE_SAVE_INDEX_LATENCY).with([node]),
        }
    }
}

impl IndexNodeRole {
    /// Builds on `pool`, which is not the one that searches run on.
    pub fn new(world: &World, opener: Opener, pool: CpuPool) -> Self {
        Self { world: world.clone(), opener, pool, figures: BuildFigures::new(&world.metrics), under_way: AtomicUsize::default() }
    }

    /// Builds that are under way.
    pub fn builds(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    async fn build_one(&self, call: &Call, task: BuildTask) -> Result<IndexFile> {
        let clock = &self.world.clock;
        let BuildTask { shard, segment, schema, definition } = task;
        let (index, field) = (definition.id, definition.field);
        let name = name::index_file(shard.collection, segment.id, index, AttemptId::draw(&self.world.random));
        let reader = self.opener.reader(&segment, &schema).await?;
        // An index of damaged vectors would outlive their repair.
        let reader = self.world.tasks.blocking(move || reader.scrub(&mut ScrubCursor::default(), u64::MAX).map(|_| reader)).await?;
        let progress = Arc::new(Progress::new());
        let guard = CancelOnDrop(progress.clone());
        let pool = self.pool.clone();
        // The same segment and definition give the same index, whoever builds it.
        let seed = segment.id.0 as u64 ^ (index.0 as u64).rotate_left(32);
        let built = self.pool.run(move || build_container(&reader, &definition, &BuildContext { pool: &pool, seed, progress: &progress }));
        let began = clock.now();
        let container = call.bound("an index build", built).await?;
        self.figures.computing.observe_duration(clock.now() - began);
        drop(guard);
        let object = ObjectRef::of(name, &container);
        let began = clock.now();
        self.opener.store().put(&object.name, container.into()).await.map_err(StoreError::into_error)?;
        self.figures.saving.observe_duration(clock.now() - began);
        Ok(IndexFile { index, field, object })
    }
}

#[async_trait]
impl IndexNode for IndexNodeRole {
    async fn build(&self, call: &Call, task: BuildTask) -> Result<IndexFile> {
        let began = self.world.clock.now();
        let _under_way = UnderWay::new(&self.under_way);
        let built = self.build_one(call, task).await;
        if built.is_ok() {
            self.figures.success.inc()
        } else {
            self.figures.fail.inc()
        }
        self.figures.whole.observe_duration(self.world.clock.now() - began);
        built
    }

    async fn compact(&self, call: &Call, task: CompactionTask) -> Result<Vec<Segment>> {
        let _under_way = UnderWay::new(&self.under_way);
        self.rewrite(call, task).await
    }
}

fn build_container(reader: &SegmentReader, definition: &IndexDefinition, context: &BuildContext<'_>) -> Result<Vec<u8>> {
    if let Some(kind) = ScalarKind::from_name(&definition.index_type) {
        return Ok(scalar::build(&reader.column(definition.field)?, kind)?.to_bytes());
    }
    let column = reader.vectors(definition.field)?;
    let data_type = column.values().data_type();
    let vectors = Vectors::of(column.values());
    let vectors = vectors.ok_or_else(|| Error::internal(format!("an index of {data_type} is to be built as one of vectors")))?;
    let params = BuildParams::from_definition(definition, data_type, vectors.dim())?;
    let rows = match column.row_map() {
        Some(map) => VectorRows::with_row_map(vectors, map, column.rows()),
        None => VectorRows::new(vectors),
    };
    let draft = build::build(&params, rows, context)?;
    Ok(draft.to_bytes())
}

/// A build whose caller went away ends at its next step.
struct CancelOnDrop(Arc<Progress>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Counts a build for as long as somebody waits for it.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
