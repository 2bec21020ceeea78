//! A shard at one version: everything that readers need beside the log above `flushed` (`docs/formats/manifest.md`).
//!
//! A manifest is immutable; meta points at the current one by name, length and checksum, and datacoord moves the pointer by
//! compare-and-swap. So a manifest is built from the one before by [`Manifest::successor`], changed as a value, and written under a
//! new name. What may change and when is `coord`'s business; here is what must hold of any one ([`Manifest::check`]).
//!
//! The body is JSON, so that an operator can read it; fields that later versions add are optional.
//!
//! Start at [`Manifest`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::blob::MemoryBlob;
use types::id::{FieldId, IndexId, JobId, PartitionId, SegmentId, ShardId};
use types::position::Position;
use types::record::Epoch;
use types::schema::Schema;
use types::time::Timestamp;
use types::{Error, Result};

use crate::frame::Format;
use crate::reference::ObjectRef;

/// The largest body: some 50,000 segments.
pub const MANIFEST_BYTES_MAX: u64 = 256 << 20;

pub(crate) const FORMAT: Format = Format { name: "manifest", magic: *b"ELM1", newest: 1, oldest: 1, body_bytes_max: MANIFEST_BYTES_MAX };

/// A shard at one version.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Which shard.
    pub shard: ShardId,
    /// Rises by one from manifest to manifest; the first is 1.
    pub version: u64,
    /// Whether the shard is there.
    pub state: ShardState,
    /// The schema at `flushed`; its version is in it.
    pub schema: Schema,
    /// How far the log is in `segments` and `deletes`, and what a reader that starts there must know.
    pub flushed: Flushed,
    /// The last truncation at or below `flushed`: generation 0 at timestamp 0 where there was none.
    #[serde(default)]
    pub truncated: Truncated,
    /// Partitions that a control record dropped. Their rows are dead, and a replayed drop changes nothing.
    #[serde(default)]
    pub dropped_partitions: BTreeSet<PartitionId>,
    /// Segments that readers see, ascending by id.
    pub segments: Vec<Segment>,
    /// Delete files that some segment may still need, ascending by their greatest `effective`.
    #[serde(default)]
    pub deletes: Vec<DeleteFileRef>,
    /// Imports, before and after their commit: what waits isn't seen, and a replayed commit changes nothing.
    #[serde(default)]
    pub imports: BTreeMap<JobId, Import>,
    /// Rows that ended at or below it may be in no segment any more: a read as of an earlier time would miss some.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kept_since: Timestamp,
    /// Named snapshots that this version answers for: compaction keeps the rows that they see.
    #[serde(default)]
    pub snapshots: BTreeMap<String, Snapshot>,
}

fn is_zero(timestamp: &Timestamp) -> bool {
    *timestamp == Timestamp::ZERO
}

/// Whether a shard is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardState {
    /// Its `create` record was read back.
    Created,
    /// Its `drop` record is at or below `flushed`: nothing is served, and nothing follows.
    Dropped,
}

/// The log's state where a manifest ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Flushed {
    /// Every record of the shard at or below it is in the manifest, none above.
    pub position: Position,
    /// The sequencer's epoch there: a reader that starts here voids what is of a lower one.
    pub epoch: Epoch,
    /// The channel's last record number there.
    pub number: u64,
    /// The shard's clock there: the timestamp of its last record at or below `position`, or a later one that was read.
    pub clock: Timestamp,
}

/// The last truncation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Truncated {
    /// Counts truncations.
    pub generation: u64,
    /// Rows with timestamps below it are dead.
    pub timestamp: Timestamp,
}

/// A sealed segment: rows sorted by partition, in files of one writer's attempt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// Drawn for each attempt to write it.
    pub id: SegmentId,
    /// Rows in the files, dead ones too. At least 1.
    pub rows: u32,
    /// Rows of each partition, in the order of the files.
    pub partitions: Vec<PartitionRows>,
    /// The least and greatest timestamp of its rows.
    pub timestamps: (Timestamp, Timestamp),
    /// The version of the schema that it was written under: fields that came later read as default or null.
    pub schema_version: u32,
    /// Rows killed by deletes that took effect at or below this aren't in the files; later deletes are resolved by readers.
    pub deletes_applied_to: Timestamp,
    /// For an imported segment: every row counts as written then, whatever the files say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<Timestamp>,
    /// Who made it.
    pub origin: Origin,
    /// The field by which rows are ordered inside of a partition, if a compaction clustered them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clustered_by: Option<FieldId>,
    /// Its files. One of each kind; a field that was filled in later has a vector file of a later attempt.
    pub files: Vec<SegmentFile>,
    /// Built indexes.
    #[serde(default)]
    pub indexes: Vec<IndexFile>,
}

/// Rows of one partition in a segment: one run, because rows are sorted by partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartitionRows {
    /// Which.
    pub partition: PartitionId,
    /// How many, dead ones too. At least 1.
    pub rows: u32,
}

/// Who made a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A flush of growing rows.
    Flush,
    /// A compaction. `level` counts how often its rows were rewritten.
    Compaction {
        /// 1 after the first.
        level: u32,
    },
    /// An import.
    Import {
        /// Which.
        job: JobId,
    },
}

/// One file of a segment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentFile {
    /// What it holds.
    pub kind: FileKind,
    /// The object.
    #[serde(flatten)]
    pub object: ObjectRef,
}

/// What a segment's file holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Fixed-width scalars, timestamps, partitions.
    Fixed,
    /// The vectors of one field.
    Vector(FieldId),
    /// Texts and JSON.
    Variable,
    /// Primary keys, sorted, with a filter.
    Keys,
    /// Zone maps, and checksums of the other files' blocks.
    Stats,
}

/// The file's own part of its name.
impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => f.write_str("fixed.arrow"),
            Self::Vector(field) => write!(f, "vec.{field}.arrow"),
            Self::Variable => f.write_str("var.parquet"),
            Self::Keys => f.write_str("keys"),
            Self::Stats => f.write_str("stats"),
        }
    }
}

/// A built index of a segment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IndexFile {
    /// The definition that it was built by.
    pub index: IndexId,
    /// The field that it indexes.
    pub field: FieldId,
    /// The container.
    #[serde(flatten)]
    pub object: ObjectRef,
}

/// A delete file of a shard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeleteFileRef {
    /// The object.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// Entries in it. At least 1.
    pub entries: u64,
    /// The least and greatest time at which entries take effect.
    pub effective: (Timestamp, Timestamp),
    /// The greatest `kills_below` of its entries: segments without older rows don't need it.
    pub kills_below_max: Timestamp,
}

/// An import of segments that were written beside the log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Import {
    /// Written, and not to be seen yet.
    Waiting {
        /// What the job made for this shard.
        segments: Vec<Segment>,
    },
    /// Its commit record is at or below `flushed`; the segments are among the manifest's.
    Committed {
        /// The record's timestamp.
        timestamp: Timestamp,
    },
}

/// A named snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Rows with timestamps up to it are seen.
    pub timestamp: Timestamp,
    /// The version that is pinned for it.
    pub version: u64,
}

impl Manifest {
    /// The first manifest of a shard, once its `create` record was read back at `flushed`.
    pub fn created(shard: ShardId, schema: Schema, flushed: Flushed) -> Self {
        Self {
            shard,
            version: 1,
            state: ShardState::Created,
            schema,
            flushed,
            truncated: Truncated::default(),
            dropped_partitions: BTreeSet::new(),
            segments: Vec::new(),
            deletes: Vec::new(),
            imports: BTreeMap::new(),
            kept_since: Timestamp::ZERO,
            snapshots: BTreeMap::new(),
        }
    }

    /// The same with the next version: to be changed, written and committed.
    pub fn successor(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    /// The segment `id`, if readers see it.
    pub fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.id == id)
    }

    /// Every object that the manifest needs: what a commit checks, GC keeps and a backup copies.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        let waiting = self.imports.values().flat_map(|import| match import {
            Import::Waiting { segments } => segments.as_slice(),
            Import::Committed { .. } => &[],
        });
        let segments = self.segments.iter().chain(waiting);
        segments.flat_map(Segment::objects).chain(self.deletes.iter().map(|file| &file.object))
    }

    /// Whether some segment may hold rows that `file` kills.
    pub fn needs(&self, file: &DeleteFileRef) -> bool {
        self.segments.iter().any(|segment| segment.needs(file))
    }

    /// The stored form.
    ///
    /// # Errors
    /// What [`Self::check`] says; more than [`MANIFEST_BYTES_MAX`].
    pub fn encode(&self) -> Result<Bytes> {
        self.check()?;
        let body = serde_json::to_vec(self).map_err(|error| Error::internal(format!("a manifest has no JSON form: {error}")))?;
        if body.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(Error::internal(format!("a manifest of {} bytes; {MANIFEST_BYTES_MAX} are the limit", body.len())));
        }
        Ok(FORMAT.encode(&body).freeze())
    }

    /// The reverse of [`Self::encode`]; `name` is the object's, for messages.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: damage, an unknown version, or a manifest that contradicts itself.
    pub fn decode(name: &str, bytes: &Bytes) -> Result<Self> {
        let wrong = |what: &dyn fmt::Display| Error::corrupt(format!("{name}: {what}"));
        let (_, body) = FORMAT.read(&MemoryBlob::new(name, bytes.clone()))?;
        let manifest: Self = serde_json::from_slice(&body).map_err(|error| wrong(&error))?;
        manifest.check().map_err(|error| wrong(&error))?;
        Ok(manifest)
    }

    /// Whether the manifest agrees with itself. Called before it is written and after it is read.
    ///
    /// # Errors
    /// `INTERNAL`, saying what doesn't hold.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::internal(format!("manifest {} of shard {}: {what}", self.version, self.shard)));
        if self.version == 0 {
            return wrong("versions begin at 1".into());
        }
        if self.segments.windows(2).any(|pair| pair[0].id >= pair[1].id) {
            return wrong("segments aren't in order".into());
        }
        if self.deletes.windows(2).any(|pair| pair[0].effective.1 > pair[1].effective.1) {
            return wrong("delete files aren't in order".into());
        }
        for segment in &self.segments {
            segment.check()?;
            if segment.timestamps.1 > self.flushed.clock {
                return wrong(format!("segment {} has rows of {}, after {}", segment.id, segment.timestamps.1, self.flushed.clock));
            }
        }
        for file in &self.deletes {
            if file.entries == 0 || file.effective.0 > file.effective.1 || file.kills_below_max > file.effective.1 {
                return wrong(format!("delete file {} has impossible figures", file.object.name));
            }
        }
        let mut names = BTreeSet::new();
        match self.objects().find(|object| !names.insert(&object.name)) {
            Some(twice) => wrong(format!("{} is named twice", twice.name)),
            None => Ok(()),
        }
    }
}

impl Segment {
    /// The file of a kind.
    pub fn file(&self, kind: FileKind) -> Option<&ObjectRef> {
        self.files.iter().find(|file| file.kind == kind).map(|file| &file.object)
    }

    /// The built index of a definition.
    pub fn index(&self, index: IndexId) -> Option<&IndexFile> {
        self.indexes.iter().find(|file| file.index == index)
    }

    /// Files and indexes.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.files.iter().map(|file| &file.object).chain(self.indexes.iter().map(|file| &file.object))
    }

    /// Bytes of files and indexes.
    pub fn bytes(&self) -> u64 {
        self.objects().map(|object| object.length).sum()
    }

    /// Whether it may hold rows that `file` kills: has older rows, and not every entry was applied.
    pub fn needs(&self, file: &DeleteFileRef) -> bool {
        file.effective.1 > self.deletes_applied_to && file.kills_below_max > self.timestamps.0
    }

    /// Whether the entry agrees with itself.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::internal(format!("segment {} of a manifest: {what}", self.id)));
        let rows: u64 = self.partitions.iter().map(|part| u64::from(part.rows)).sum();
        if rows == 0 || rows != u64::from(self.rows) || self.partitions.iter().any(|part| part.rows == 0) {
            return wrong("rows of its partitions don't add up");
        }
        if self.partitions.windows(2).any(|pair| pair[0].partition >= pair[1].partition) {
            return wrong("its partitions aren't in order");
        }
        if self.timestamps.0 > self.timestamps.1 {
            return wrong("its timestamps aren't a range");
        }
        if self.committed.is_some_and(|at| self.timestamps != (at, at)) {
            return wrong("its rows were committed at another time");
        }
        let mut kinds = BTreeSet::new();
        if !self.files.iter().all(|file| kinds.insert(file.kind)) {
            return wrong("two of its files are of one kind");
        }
        if ![FileKind::Fixed, FileKind::Keys, FileKind::Stats].iter().all(|kind| kinds.contains(kind)) {
            return wrong("a file is missing");
        }
        let mut indexes = BTreeSet::new();
        if !self.indexes.iter().all(|file| indexes.insert(file.index)) {
            return wrong("two files are of one index");
        }
        Ok(())
    }
}
