//! What Milvus left where we are to work: named at start, so that nobody waits for collections that only Milvus can read.
//!
//! Looks at names and counts alone. Invariant: nothing found here is read, changed or removed; a place that can't be looked at is passed over.

use std::path::{Path, PathBuf};

use base::World;
use base::config::Config;
use meta::etcd::EtcdMeta;
use store::object::s3::S3Store;

/// Milvus's folders of a local directory: its queue, its own etcd, its objects.
const FOLDERS: &[&str] = &["rdb_data", "rdb_data_meta_kv", "etcd/member", "default.etcd/member"];
/// Milvus's folders of objects.
const OBJECTS: &[&str] = &[
    "insert_log",
    "delta_log",
    "stats_log",
    "index_files",
    "bm25_stats",
    "text_log",
    "json_stats",
    "json_key_index_log",
    "part_stats",
    "analyze_stats",
    "wp",
];

/// Names what lies in the local directory and, as Milvus's images lay it out, in the one above it.
pub(super) async fn name_local(world: &World, config: &Config, data: Option<&Path>) {
    let path = data.map_or_else(|| PathBuf::from(&config.local_storage.path), Path::to_owned);
    let other = if data.is_some() { Some(path.join("data")) } else { path.parent().map(Path::to_owned) };
    for place in [Some(path), other].into_iter().flatten() {
        let mut found = Vec::new();
        for name in FOLDERS.iter().chain(OBJECTS) {
            if is_there(world, &place.join(name)).await {
                found.push(name.split('/').next().unwrap_or(name));
            }
        }
        say(&place.display().to_string(), &found);
    }
}

/// Names Milvus's keys below the root path.
pub(super) async fn name_in_etcd(meta: &EtcdMeta, config: &Config) {
    let etcd = &config.etcd;
    for part in [&etcd.meta_sub_path, &etcd.kv_sub_path] {
        match meta.count_beside(part).await {
            Ok(0) => {}
            Ok(keys) => say(&format!("etcd, {}/{part}", etcd.root_path), &[&format!("{keys} keys")]),
            Err(error) => tracing::debug!(%error, part = part.as_str(), "etcd doesn't tell what lies there"),
        }
    }
}

/// Names Milvus's folders beside ours in the bucket.
pub(super) async fn name_in_bucket(store: &S3Store, config: &Config) {
    match store.folders_beside().await {
        Ok(folders) => {
            let found: Vec<&str> = folders.iter().map(String::as_str).filter(|name| OBJECTS.contains(name)).collect();
            say(&format!("bucket {}, {}", config.minio.bucket_name, config.minio.root_path), &found);
        }
        Err(error) => tracing::debug!(%error, "the bucket doesn't tell what lies beside our objects"),
    }
}

fn say(place: &str, found: &[&str]) {
    if !found.is_empty() {
        tracing::warn!(place, found = found.join(", "), "Milvus left data here: it isn't read, and nothing of it is touched");
    }
}

/// Whether the parent of `path` lists it.
async fn is_there(world: &World, path: &Path) -> bool {
    let Some(parent) = path.parent() else { return false };
    world.disk.list(parent).await.is_ok_and(|paths| paths.iter().any(|one| one == path))
}
