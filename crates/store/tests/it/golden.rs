//! Files that an earlier build wrote: they stay readable. `tests/golden` is written once, by `write_golden`, and never again.

use std::path::PathBuf;

use bytes::Bytes;
use store::delete_file::DeleteFile;
use store::manifest::{FileKind, Manifest, Segment};
use store::quarantine_file::QuarantineFile;
use store::segment_file::{PageCache, SegmentReader};
use types::blob::MemoryBlob;
use types::schema::Schema;

use crate::sample::{self, KeyType, assert_same};
use crate::{deletes, manifests};

const ROWS: usize = 1_100;
const SEED: u64 = 20;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden(name: &str) -> Bytes {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("golden file {name}: {error}")).into()
}

/// Golden segments with their schemas.
fn segments() -> [(&'static str, Schema); 3] {
    [
        ("segment-1-int", sample::first_schema(KeyType::Int)),
        ("segment-1-text", sample::first_schema(KeyType::Text)),
        ("segment-1-more", sample::more_schema()),
    ]
}

/// Every golden file with what this build would write.
fn files() -> Vec<(String, Bytes)> {
    let encode = |entries| store::delete_file::encode("delete", entries).expect("the sample agrees with itself").1;
    let mut files = vec![
        ("manifest-1".to_owned(), manifests::sample().encode().expect("the sample agrees with itself")),
        ("quarantine-1".to_owned(), manifests::quarantined().encode()),
        ("delete-1-int".to_owned(), encode(deletes::ints(40, SEED))),
        ("delete-1-text".to_owned(), encode(deletes::texts(40, SEED))),
    ];
    for (name, schema) in segments() {
        let encoded = sample::encoded(&schema, &sample::rows(&schema, ROWS, SEED));
        for (file, (_, bytes)) in encoded.segment.files.iter().zip(&encoded.objects) {
            files.push((format!("{name}/{}", file.kind), bytes.clone()));
        }
        files.push((format!("{name}/entry.json"), serde_json::to_vec_pretty(&encoded.segment).expect("an entry has a JSON form").into()));
    }
    files
}

#[test]
#[ignore = "writes golden files that aren't there; for a new version of a format"]
fn write_golden() {
    for (name, bytes) in files() {
        let path = path(&name);
        if !path.exists() {
            std::fs::create_dir_all(path.parent().expect("golden files have a directory")).expect("the checkout can be written");
            std::fs::write(path, bytes).expect("the checkout can be written");
        }
    }
}

/// Our own formats are written as ever: a change is a new version.
#[test]
fn own_formats_have_not_changed() {
    let own = ["manifest-1", "quarantine-1", "delete-1-int", "delete-1-text", "segment-1-int/keys", "segment-1-text/keys"];
    for (name, bytes) in files().into_iter().filter(|(name, _)| own.contains(&name.as_str())) {
        assert!(golden(&name) == bytes, "{name} is written in another way");
    }
}

#[test]
fn manifests_and_deletes_stay_readable() {
    assert_eq!(Manifest::decode("golden", &golden("manifest-1")).expect("a golden file"), manifests::sample());
    let quarantined = QuarantineFile::open(&MemoryBlob::new("quarantine-1", golden("quarantine-1"))).expect("a golden file");
    assert_eq!(quarantined, manifests::quarantined());
    for (name, mut entries) in [("delete-1-int", deletes::ints(40, SEED)), ("delete-1-text", deletes::texts(40, SEED))] {
        let file = DeleteFile::open(&MemoryBlob::new(name, golden(name))).expect("a golden file");
        entries.sort_by(|a, b| (&a.key, a.effective, a.kills_below, a.partition).cmp(&(&b.key, b.effective, b.kills_below, b.partition)));
        entries.dedup();
        assert_eq!(file.entries().collect::<Vec<_>>(), entries);
    }
}

#[test]
fn segments_stay_readable() {
    for (name, schema) in segments() {
        let rows = sample::rows(&schema, ROWS, SEED);
        let segment: Segment = serde_json::from_slice(&golden(&format!("{name}/entry.json"))).expect("a golden file");
        let objects: Vec<(String, Bytes)> =
            segment.files.iter().map(|file| (file.object.name.clone(), golden(&format!("{name}/{}", file.kind)))).collect();
        for (file, (_, bytes)) in segment.files.iter().zip(&objects) {
            file.object.verify(bytes.clone()).expect("a golden file");
        }
        let files = sample::blobs(&segment, &objects);
        let reader = SegmentReader::open(&segment, &schema, files, &PageCache::new(1 << 20)).expect("golden files");
        reader.scrub(&mut Default::default(), u64::MAX).expect("golden files");
        for column in rows.batch.columns() {
            assert_same(&reader.column(column.field).expect("golden files"), column, name);
        }
        assert_eq!(reader.stats().rows as usize, ROWS);
        assert!(segment.file(FileKind::Stats).is_some());
    }
}
