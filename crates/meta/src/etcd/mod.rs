//! etcd as the store: keys below `<rootPath>/elanus/` of a cluster that others may use too.
//!
//! One connection at a time, to one endpoint; after a failure the next endpoint in turn is used ([`connection`]). Reads are tried again
//! within the request's time; a transaction only where it certainly wasn't sent, else its outcome is unknown. Every call asks for a member
//! that sees a leader, so that one cut off from its cluster is left. Watches reconnect ([`watch`]).
//!
//! Not here: a stream that keeps a lease alive (each [`Meta::keep_alive`] is a stream of one message: nothing to reconnect), elections.
//!
//! Invariants: a key outside of the prefix is never named, but for the count of [`EtcdMeta::count_beside`]; time-outs are this module's own, as a stream's headers may come and its
//! messages not.

mod connection;
mod error;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use bytes::Bytes;
use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp};

use crate::store::{Condition, Entry, LeaseId, Listing, Meta, MetaError, Revision, Transaction, Watch, Write};
use connection::Connection;
use error::Failure;

/// Keys of one page of a listing; fewer where values are so long that an answer would exceed [`ANSWER_BYTES_MAX`].
const PAGE_KEYS: i64 = 1_000;
/// Bytes of one answer that we take.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How often a listing begins anew because etcd compacted its revision in the middle.
const LIST_ATTEMPTS_MAX: usize = 5;

/// Where etcd is and how to speak to it.
#[derive(Clone)]
pub struct EtcdOptions {
    /// `host:port` or URLs (`etcd.endpoints`).
    pub endpoints: Vec<String>,
    /// Keys live below `<root_path>/elanus/` (`etcd.rootPath`).
    pub root_path: String,
    /// User and password (`etcd.auth.*`).
    pub user: Option<(String, String)>,
    /// TLS (`etcd.ssl.*`).
    pub tls: Option<EtcdTls>,
    /// Of one connection (`etcd.dialTimeout`).
    pub connect_timeout: Duration,
    /// Of one call with its repetitions (`etcd.requestTimeout`).
    pub request_timeout: Duration,
}

/// Certificates in PEM.
#[derive(Clone)]
pub struct EtcdTls {
    /// Who signs the servers' certificates.
    pub ca: Vec<u8>,
    /// Our certificate and its key, where servers want one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl EtcdOptions {
    /// Endpoints and root path with Milvus's time-outs, no user, no TLS.
    pub fn new(endpoints: Vec<String>, root_path: impl Into<String>) -> Self {
        Self {
            endpoints,
            root_path: root_path.into(),
            user: None,
            tls: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// The store. Clones share the connection.
#[derive(Clone)]
pub struct EtcdMeta {
    shared: Arc<Shared>,
}

struct Shared {
    world: World,
    /// `<rootPath>/`, where others have keys too.
    root: Vec<u8>,
    prefix: Vec<u8>,
    request_timeout: Duration,
    connection: Connection,
}

impl EtcdMeta {
    /// The store at these endpoints. Connects at the first call; nothing is sent here.
    ///
    /// # Errors
    /// [`MetaError::Damaged`] if there is no endpoint or a certificate can't be read.
    pub fn new(world: &World, options: EtcdOptions) -> Result<Self, MetaError> {
        let root = format!("{}/", options.root_path.trim_matches('/')).trim_start_matches('/').as_bytes().to_vec();
        let prefix = [&root[..], b"elanus/"].concat();
        let request_timeout = options.request_timeout;
        let connection = Connection::new(world.clock.clone(), options)?;
        Ok(Self { shared: Arc::new(Shared { world: world.clone(), root, prefix, request_timeout, connection }) })
    }

    /// Succeeds when the cluster answers: for start-up, which names what it waits for.
    pub async fn ping(&self) -> Result<(), MetaError> {
        self.get(b"ping").await.map(drop)
    }

    /// How many keys others have below `<rootPath>/<part>/`: to name at start what Milvus left there. None of them is read.
    ///
    /// # Errors
    /// [`MetaError::Unavailable`]; also where the user may not see those keys.
    pub async fn count_beside(&self, part: &str) -> Result<u64, MetaError> {
        let start = [&self.shared.root[..], part.as_bytes(), b"/"].concat();
        let options = GetOptions::new().with_range(end_of(&start)).with_count_only();
        let count = |client: etcd_client::Client| {
            let (start, options) = (start.clone(), options.clone());
            async move { client.kv_client().get(start, Some(options)).await }
        };
        let answer = self.shared.connection.read(self.shared.request_timeout, count).await?;
        Ok(u64::try_from(answer.count()).unwrap_or(0))
    }
}

impl Shared {
    fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix, key].concat()
    }

    fn entry(&self, found: &KeyValue) -> Entry {
        Entry {
            key: self.stripped(found.key()),
            value: Bytes::copy_from_slice(found.value()),
            created: Revision(found.create_revision()),
            modified: Revision(found.mod_revision()),
            lease: (found.lease() != 0).then_some(LeaseId(found.lease())),
        }
    }

    fn stripped(&self, key: &[u8]) -> Bytes {
        Bytes::copy_from_slice(key.strip_prefix(&*self.prefix).expect("etcd answers with keys that were asked for"))
    }

    /// One page of keys from `from` to the end of `prefix`, as of `revision` (0: now). `None`: the answer would be too long.
    async fn page(&self, from: Vec<u8>, end: &[u8], revision: i64, keys: i64) -> Result<Option<etcd_client::GetResponse>, Failure> {
        let options = GetOptions::new().with_range(end).with_revision(revision).with_limit(keys);
        let result = self
            .connection
            .read(self.request_timeout, |client| {
                let (from, options) = (from.clone(), options.clone());
                async move { client.kv_client().max_decoding_message_size(ANSWER_BYTES_MAX).get(from, Some(options)).await }
            })
            .await;
        match result {
            Ok(page) => Ok(Some(page)),
            Err(Failure::TooLong) if keys > 1 => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn list(&self, prefix: &[u8]) -> Result<Listing, Failure> {
        let start = self.key(prefix);
        let end = end_of(&start);
        let (mut from, mut revision, mut keys) = (start, 0, PAGE_KEYS);
        let mut entries = Vec::new();
        loop {
            let Some(page) = self.page(from.clone(), &end, revision, keys).await? else {
                keys = (keys / 4).max(1);
                continue;
            };
            if revision == 0 {
                revision = page.header().map_or(0, etcd_client::ResponseHeader::revision);
            }
            entries.extend(page.kvs().iter().map(|found| self.entry(found)));
            match page.kvs().last() {
                Some(last) if page.more() => from = [last.key(), &[0]].concat(),
                _ => return Ok(Listing { entries, revision: Revision(revision) }),
            }
        }
    }

    fn compare(&self, condition: &Condition) -> Compare {
        match condition {
            Condition::Absent(key) => Compare::create_revision(self.key(key), CompareOp::Equal, 0),
            Condition::Modified(key, revision) => Compare::mod_revision(self.key(key), CompareOp::Equal, revision.0),
            Condition::Created(key, revision) => Compare::create_revision(self.key(key), CompareOp::Equal, revision.0),
            Condition::Equals(key, value) => Compare::value(self.key(key), CompareOp::Equal, value.to_vec()),
        }
    }

    fn operation(&self, write: &Write) -> TxnOp {
        match write {
            Write::Put { key, value, lease } => {
                let options = lease.map(|lease| PutOptions::new().with_lease(lease.0));
                TxnOp::put(self.key(key), value.to_vec(), options)
            }
            Write::Delete(key) => TxnOp::delete(self.key(key), None),
        }
    }
}

/// The first key above all that begin with `prefix`. Ours end in a byte below 255: they begin with the store's own prefix.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while end.pop_if(|last| *last == u8::MAX).is_some() {}
    *end.last_mut().expect("the store's prefix is text") += 1;
    end
}

/// Revisions begin at 1, and etcd takes 0 for "absent": such a condition can't hold.
fn can_hold(condition: &Condition) -> bool {
    match condition {
        Condition::Modified(_, revision) | Condition::Created(_, revision) => revision.0 > 0,
        Condition::Absent(_) | Condition::Equals(..) => true,
    }
}

#[async_trait]
impl Meta for EtcdMeta {
    fn kind(&self) -> &'static str {
        "etcd"
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, MetaError> {
        let shared = &self.shared;
        let key = shared.key(key);
        let found = shared
            .connection
            .read(shared.request_timeout, |client| {
                let key = key.clone();
                async move { client.kv_client().max_decoding_message_size(ANSWER_BYTES_MAX).get(key, None).await }
            })
            .await?;
        Ok(found.kvs().first().map(|found| shared.entry(found)))
    }

    async fn list(&self, prefix: &[u8]) -> Result<Listing, MetaError> {
        let mut last = None;
        for _ in 0..LIST_ATTEMPTS_MAX {
            match self.shared.list(prefix).await {
                Ok(listing) => return Ok(listing),
                // Its revision went while it was read page by page.
                Err(Failure::Compacted) => last = Some(Failure::Compacted),
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(last.expect("there is at least one attempt").into())
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, MetaError> {
        transaction.check()?;
        if !transaction.conditions.iter().all(can_hold) {
            return Err(MetaError::Refused);
        }
        let shared = &self.shared;
        let compares: Vec<_> = transaction.conditions.iter().map(|condition| shared.compare(condition)).collect();
        let operations: Vec<_> = transaction.changes.iter().map(|write| shared.operation(write)).collect();
        let transaction = Txn::new().when(compares).and_then(operations);
        let answer = shared
            .connection
            .write(shared.request_timeout, |client| {
                let transaction = transaction.clone();
                async move { client.kv_client().txn(transaction).await }
            })
            .await?;
        if !answer.succeeded() {
            return Err(MetaError::Refused);
        }
        Ok(Revision(answer.header().map_or(0, etcd_client::ResponseHeader::revision)))
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Box<dyn Watch>, MetaError> {
        Ok(Box::new(watch::EtcdWatch::new(self.shared.clone(), prefix, from)))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, MetaError> {
        let shared = &self.shared;
        let seconds = i64::try_from(ttl.as_millis().div_ceil(1_000).max(1)).unwrap_or(i64::MAX);
        let granted = shared
            .connection
            .write(shared.request_timeout, |client| async move { client.lease_client().grant(seconds, None).await })
            .await?;
        Ok(LeaseId(granted.id()))
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), MetaError> {
        let shared = &self.shared;
        shared
            .connection
            .read(shared.request_timeout, |client| async move { client.lease_client().keep_alive(lease.0).await.map(drop) })
            .await?;
        Ok(())
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), MetaError> {
        let shared = &self.shared;
        shared.connection.write(shared.request_timeout, |client| async move { client.lease_client().revoke(lease.0).await }).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_above_all_its_keys() {
        assert_eq!(end_of(b"by-dev/elanus/"), b"by-dev/elanus0");
        assert_eq!(end_of(b"a\xff\xff"), b"b");
    }
}
