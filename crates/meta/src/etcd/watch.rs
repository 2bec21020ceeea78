//! A watch that outlives its streams: after any end of one, a clean one too, it goes on from the last revision + 1.
//!
//! etcd puts all events of a revision in one answer (fragments aren't asked for), so an answer is whole revisions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use etcd_client::{EventType, WatchOptions, WatchResponse, WatchStream};

use super::error::Failure;
use super::{ANSWER_BYTES_MAX, Shared, end_of};
use crate::store::{Change, MetaError, Revision, Watch};

/// Before a stream is opened again, doubled up to [`REOPEN_WAIT_MAX`].
const REOPEN_WAIT: Duration = Duration::from_millis(20);
/// See [`REOPEN_WAIT`].
const REOPEN_WAIT_MAX: Duration = Duration::from_secs(2);

pub(super) struct EtcdWatch {
    shared: Arc<Shared>,
    prefix: Bytes,
    next: Revision,
    stream: Option<Stream>,
    wait: Duration,
}

struct Stream {
    messages: WatchStream,
    generation: u64,
    endpoint: String,
}

/// What an answer of etcd means for us.
enum Heard {
    Changes(Vec<Change>),
    /// Nothing for us, but the stream lives.
    Nothing,
    /// The stream is over.
    Over,
}

impl EtcdWatch {
    pub(super) fn new(shared: Arc<Shared>, prefix: &[u8], from: Revision) -> Self {
        // etcd takes 0 for "from now on".
        let next = from.max(Revision(1));
        Self { shared, prefix: Bytes::copy_from_slice(prefix), next, stream: None, wait: REOPEN_WAIT }
    }

    async fn open(&self) -> Result<Stream, Failure> {
        let connected = self.shared.connection.client().await?;
        let start = self.shared.key(&self.prefix);
        let options = WatchOptions::new().with_range(end_of(&start)).with_start_revision(self.next.0).with_progress_notify();
        let mut client = connected.client.watch_client().max_decoding_message_size(ANSWER_BYTES_MAX);
        let opened = tokio::time::timeout(self.shared.request_timeout, client.watch(start, Some(options))).await;
        let (generation, endpoint) = (connected.generation(), connected.endpoint);
        let failure = match opened {
            Ok(Ok(messages)) => return Ok(Stream { messages, generation, endpoint }),
            Ok(Err(error)) => Failure::new(&endpoint, &error),
            Err(_) => Failure::timed_out(&endpoint),
        };
        if failure.is_trouble() {
            self.shared.connection.leave(generation);
        }
        Err(failure)
    }

    fn hear(&mut self, answer: &WatchResponse) -> Result<Heard, MetaError> {
        if answer.compact_revision() > 0 {
            return Err(MetaError::Compacted);
        }
        if answer.canceled() {
            tracing::debug!(reason = answer.cancel_reason(), "etcd ended a watch");
            return Ok(Heard::Over);
        }
        let mut changes = Vec::with_capacity(answer.events().len());
        for event in answer.events() {
            let Some(found) = event.kv() else { continue };
            self.next = self.next.max(Revision(found.mod_revision()).next());
            changes.push(match event.event_type() {
                EventType::Put => Change::Put(self.shared.entry(found)),
                EventType::Delete => Change::Delete { key: self.shared.stripped(found.key()), revision: Revision(found.mod_revision()) },
            });
        }
        if !changes.is_empty() {
            return Ok(Heard::Changes(changes));
        }
        // A notification of progress: nothing of ours is below, so that a quiet watch isn't overtaken by compaction.
        if !answer.created()
            && let Some(header) = answer.header()
        {
            self.next = self.next.max(Revision(header.revision()).next());
        }
        Ok(Heard::Nothing)
    }

    async fn pause(&mut self) {
        self.shared.world.clock.sleep(self.wait).await;
        self.wait = (self.wait * 2).min(REOPEN_WAIT_MAX);
    }
}

#[async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<Change>, MetaError> {
        loop {
            let Some(stream) = &mut self.stream else {
                match self.open().await {
                    Ok(stream) => self.stream = Some(stream),
                    Err(Failure::Compacted) => return Err(MetaError::Compacted),
                    Err(failure) => {
                        tracing::debug!(?failure, "etcd watch can't be opened yet");
                        self.pause().await;
                    }
                }
                continue;
            };
            let answer = stream.messages.message().await;
            let (generation, endpoint) = (stream.generation, stream.endpoint.clone());
            let heard = match answer {
                Ok(Some(answer)) => self.hear(&answer)?,
                Ok(None) => Heard::Over,
                Err(error) => match Failure::new(&endpoint, &error) {
                    Failure::Compacted => return Err(MetaError::Compacted),
                    failure => {
                        tracing::debug!(?failure, "etcd watch broke off");
                        self.shared.connection.leave(generation);
                        Heard::Over
                    }
                },
            };
            match heard {
                Heard::Changes(changes) => {
                    self.wait = REOPEN_WAIT;
                    return Ok(changes);
                }
                Heard::Nothing => self.wait = REOPEN_WAIT,
                Heard::Over => {
                    self.stream = None;
                    self.pause().await;
                }
            }
        }
    }
}
