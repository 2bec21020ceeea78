//! The readers of metadata on what nobody wrote: the catalog's values, and the embedded store's file.

use base::World;
use bytes::Bytes;
use meta::catalog::Loaded;
use meta::redb::{FILE_NAME, RedbMeta, RedbOptions};
use meta::store::{Entry, Listing, Meta, Revision, Transaction};

use crate::fuzzing::fuzz;
use crate::golden::GOLDEN;

fn listing(key: &str, value: Vec<u8>) -> Listing {
    let entry = Entry {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: value.into(),
        created: Revision(5),
        modified: Revision(7),
        lease: None,
    };
    Listing { entries: vec![entry], revision: Revision(7) }
}

/// A value with its checksum made right, where it is an envelope at all.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let (Some(start), Some(end)) = (text.find("\"d\":"), text.rfind('}')) else { return bytes.to_vec() };
    let Some(document) = text.get(start + 4..end) else { return bytes.to_vec() };
    format!("{{\"v\":1,\"crc\":{},\"d\":{document}}}", crc32c::crc32c(document.as_bytes())).into_bytes()
}

#[test]
fn catalog() {
    let lines: Vec<(&str, &str)> = GOLDEN.lines().filter_map(|line| line.split_once(' ')).collect();
    // The first byte says under which key the rest stands.
    let valid: Vec<Vec<u8>> = lines.iter().enumerate().map(|(i, (_, value))| [&[i as u8], value.as_bytes()].concat()).collect();
    fuzz("catalog", 5_000, &valid, |bytes| {
        let Some((which, value)) = bytes.split_first() else { return };
        let key = lines[usize::from(*which) % lines.len()].0;
        for value in [value.to_vec(), sealed(value)] {
            let listing = listing(key, value);
            let loaded = Loaded::from_listing(&listing);
            if let Some((key, error)) = loaded.damaged.first_key_value() {
                assert!(error.reason().contains(&*String::from_utf8_lossy(key)), "{error}");
            }
        }
    });
}

/// redb checks little of its own, and asserts much: what it does with a damaged file ends as an error, not as the process's end.
#[test]
fn embedded_file() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let world = runtime.block_on(async { World::real() });
    let file = directory.path().join(FILE_NAME);
    runtime.block_on(async {
        let meta = RedbMeta::open(&world, directory.path(), RedbOptions::default()).await.expect("it opens");
        for i in 0..50 {
            meta.commit(Transaction::new().put(format!("a/{i:02}"), vec![i; 100])).await.expect("a commit");
        }
        meta.close().await;
    });
    let valid = std::fs::read(&file).expect("it is there");
    fuzz("embedded metadata", 60, &[valid], |bytes| {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(FILE_NAME), bytes).expect("it can be written");
        runtime.block_on(async {
            let Ok(meta) = RedbMeta::open(&world, directory.path(), RedbOptions::default()).await else { return };
            if let Ok(listing) = meta.list(b"a/").await {
                let right = |entry: &Entry| entry.value.len() == 100 && entry.value.iter().all(|byte| *byte == entry.value[0]);
                assert!(listing.entries.iter().all(right), "a value that nobody wrote");
            }
            meta.close().await;
        });
    });
}
