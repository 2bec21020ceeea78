//! What both disks do alike, as long as nothing goes wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::disk::simulated::SimulatedDisk;
use base::disk::{Disk, RealDisk};
use bytes::Bytes;

async fn conforms(disk: Arc<dyn Disk>, root: &Path) {
    let directory = root.join("a/b");
    let kind = |error: io::Error| error.kind();
    let missing = |result: io::Result<()>| assert_eq!(result.map_err(kind), Err(io::ErrorKind::NotFound));

    missing(disk.list(&directory).await.map(drop));
    missing(disk.open(&directory.join("f"), true).await.map(drop));
    missing(disk.sync_directory(&directory).await);
    disk.create_directory(&directory).await.unwrap();
    disk.create_directory(&directory).await.unwrap();
    missing(disk.open(&directory.join("f"), false).await.map(drop));
    missing(disk.rename(&directory.join("f"), &directory.join("g")).await);
    missing(disk.remove(&directory.join("f")).await);

    let file = disk.open(&directory.join("f"), true).await.unwrap();
    assert_eq!(file.len().await.unwrap(), 0);
    file.write_at(2, vec![Bytes::from_static(b"hel"), Bytes::new(), Bytes::from_static(b"lo")]).await.unwrap();
    file.sync().await.unwrap();
    assert_eq!(file.len().await.unwrap(), 7);
    assert_eq!(file.read_at(0, 100).await.unwrap(), &b"\0\0hello"[..]);
    assert_eq!(file.read_at(3, 2).await.unwrap(), &b"el"[..]);
    assert_eq!(file.read_at(7, 2).await.unwrap(), &b""[..]);
    assert_eq!(file.read_at(u64::from(u32::MAX), 2).await.unwrap(), &b""[..]);
    file.set_len(4).await.unwrap();
    file.set_len(6).await.unwrap();
    assert_eq!(file.read_at(0, usize::MAX).await.unwrap(), &b"\0\0he\0\0"[..]);

    let again = disk.open(&directory.join("f"), true).await.unwrap();
    assert_eq!(again.len().await.unwrap(), 6, "opening doesn't cut");
    drop(disk.open(&directory.join("0"), true).await.unwrap());
    assert_eq!(disk.list(&directory).await.unwrap(), [directory.join("0"), directory.join("f")]);
    assert_eq!(disk.list(root).await.unwrap(), [root.join("a")], "directories are listed too");
    assert!(disk.open(&directory, false).await.is_err(), "a directory is no file");

    disk.rename(&directory.join("f"), &directory.join("0")).await.unwrap();
    disk.sync_directory(&directory).await.unwrap();
    assert_eq!(disk.list(&directory).await.unwrap(), [directory.join("0")]);
    file.write_at(0, vec![Bytes::from_static(b"X")]).await.unwrap();
    let moved = disk.open(&directory.join("0"), false).await.unwrap();
    assert_eq!(moved.read_at(0, 4).await.unwrap(), &b"X\0he"[..], "an open file is the same under its new name");
    disk.remove(&directory.join("0")).await.unwrap();
    assert_eq!(moved.read_at(0, 1).await.unwrap(), &b"X"[..], "an open file outlives its name");
    assert_eq!(disk.list(&directory).await.unwrap(), Vec::<PathBuf>::new());

    let lock = disk.lock(&root.join("lock")).await.unwrap();
    assert_eq!(disk.lock(&root.join("lock")).await.map(drop).map_err(kind), Err(io::ErrorKind::WouldBlock));
    drop(lock);
    drop(disk.lock(&root.join("lock")).await.unwrap());
}

#[tokio::test]
async fn real() {
    let directory = tempfile::tempdir().unwrap();
    conforms(Arc::new(RealDisk), directory.path()).await;
}

#[tokio::test(start_paused = true)]
async fn simulated() {
    let disk = SimulatedDisk::new(3);
    disk.create_directory(Path::new("/data")).await.unwrap();
    conforms(disk.process(), Path::new("/data")).await;
    conforms(Arc::new(disk), Path::new("")).await;
}
