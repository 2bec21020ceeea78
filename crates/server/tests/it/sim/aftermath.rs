//! What must come to hold once everything was mended and nobody writes: that nothing is lost isn't enough if nothing goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use meta::catalog::Catalog;
use types::id::CollectionId;

use super::client::Client;
use super::cluster::Cluster;
use super::workload::{BRIEF, MAIN};

/// Files of the embedded log at rest: the open one, and what a checkpoint needn't have passed yet.
const LOG_FILES_MAX: usize = 2;
/// How long it may take.
const SETTLED_MAX: Duration = Duration::from_secs(120);

/// Waits until the cluster is at rest.
///
/// # Errors
/// What still isn't as it must be.
pub async fn settled(cluster: &Cluster) -> Result<(), String> {
    let clock = cluster.world().clock.clone();
    let end = clock.now() + SETTLED_MAX;
    loop {
        match at_rest(cluster).await {
            Ok(()) => return Ok(()),
            Err(why) if clock.now() > end => return Err(format!("after everything was mended: {why}")),
            Err(_) => clock.sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn at_rest(cluster: &Cluster) -> Result<(), String> {
    let client = Client::new(cluster);
    // What a client does that flushes and waits for it.
    let timestamp = client.flush(MAIN).await.map_err(|failure| format!("a flush fails: {failure:?}"))?;
    match client.is_flushed(MAIN, timestamp).await {
        Ok(true) => {}
        other => return Err(format!("a flush up to {timestamp} isn't confirmed: {other:?}")),
    }
    // The other collection may have gone; if it is there, its rows hold the log.
    drop(client.flush(BRIEF).await);
    let log_files = cluster.disk().files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "log")).count();
    if log_files > LOG_FILES_MAX {
        return Err(format!("the log has {log_files} files although everything is flushed"));
    }
    let catalog = Catalog::new(cluster.meta(), cluster.world().clock.clone());
    let loaded = catalog.load().await.map_err(|error| format!("the catalog can't be read: {error}"))?;
    if !loaded.intents.is_empty() {
        let open: Vec<_> = loaded.intents.values().map(|intent| &intent.value).collect();
        let states: Vec<_> = loaded.collections.values().map(|found| (found.value.id, found.value.state)).collect();
        return Err(format!("operations are open: {open:?}; collections: {states:?}"));
    }
    let known: BTreeSet<CollectionId> = loaded.collections.keys().copied().collect();
    let orphans: Vec<_> = loaded.loads.keys().filter(|collection| !known.contains(collection)).collect();
    if !orphans.is_empty() {
        return Err(format!("loads of collections that are gone: {orphans:?}"));
    }
    for (name, channels) in cluster.channels() {
        let sum: usize = channels.all().iter().flat_map(|channel| channel.unflushed_bytes()).map(|(_, bytes)| bytes).sum();
        let counted = channels.unflushed_bytes();
        if sum != counted {
            return Err(format!("{name} counts {counted} unflushed bytes, and has {sum}"));
        }
    }
    Ok(())
}
