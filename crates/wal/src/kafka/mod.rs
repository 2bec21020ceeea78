//! The log on Kafka: one topic of one partition per channel; a position is an offset.
//!
//! - [`config`]: how to reach it. - [`topic`]: what a topic must be, and how it is known again. - [`appender`], [`reader`]: the two ends.
//!
//! Anyone may append: fencing is by epochs in the records. librdkafka may report a duplicate as success without an offset, and may write twice at
//! a change of leader; both end as an unknown outcome or as repeats that numbers void (`docs/protocol.md` §6).

mod appender;
pub mod config;
mod reader;
mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use parking_lot::Mutex;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use types::id::ChannelName;
use types::position::{LogId, Position};
use types::{Code, Error};

pub use config::{KafkaConfig, KafkaSecurity};

use self::topic::{ADMIN_TIMEOUT, unavailable};
use crate::log::{Appender, Bounds, Log, LogError, Reader};

/// Between two looks at a topic that was just made.
const CREATION_PAUSE: Duration = Duration::from_millis(50);
/// Below this offset nothing is deleted: processes that opened an empty topic at once may each have left an identity there, and the lowest counts.
const IDENTITIES_END: u64 = 16;
/// The only partition.
const PARTITION: i32 = 0;
/// Bytes of a record besides its payload, at most: batch header, record header, key.
const OVERHEAD_BYTES: usize = 512;
/// `message.max.bytes` where a broker doesn't tell.
const MESSAGE_BYTES_DEFAULT: usize = 1_048_588;

/// A handle on a cluster.
#[derive(Clone)]
pub struct KafkaLog {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    config: KafkaConfig,
    admin: AdminClient<DefaultClientContext>,
    /// For watermarks; reads nothing.
    watcher: Arc<StreamConsumer>,
    message_bytes_max: usize,
    brokers: usize,
    opened: Mutex<BTreeMap<ChannelName, LogId>>,
}

impl KafkaLog {
    /// Connects, and learns the cluster's limits.
    ///
    /// # Errors
    /// [`LogError::Misconfigured`] for settings that librdkafka refuses; [`LogError::Unavailable`] if no broker answers: wait and try again.
    pub async fn connect(world: &World, config: KafkaConfig) -> Result<Self, LogError> {
        let refused = |error: KafkaError| topic::misconfigured(format!("{error}"));
        let admin: AdminClient<DefaultClientContext> = config.admin().create().map_err(refused)?;
        let watcher: Arc<StreamConsumer> = Arc::new(config.consumer().create().map_err(refused)?);
        let asked = watcher.clone();
        let metadata = world.tasks.blocking(move || asked.fetch_metadata(None, ADMIN_TIMEOUT)).await;
        let metadata = metadata.map_err(|error| unavailable(format!("brokers {}", config.brokers), error))?;
        let brokers: Vec<i32> = metadata.brokers().iter().map(|broker| broker.id()).collect();
        let first = brokers.first().copied().ok_or_else(|| no_broker(&config.brokers))?;
        let settings = topic::described(&admin, ResourceSpecifier::Broker(first)).await?;
        let message_bytes_max = settings.get("message.max.bytes").and_then(|value| value.parse().ok()).unwrap_or(MESSAGE_BYTES_DEFAULT);
        let brokers = brokers.len();
        let inner = Inner { world: world.clone(), config, admin, watcher, message_bytes_max, brokers, opened: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Low and high watermark of a channel.
    ///
    /// The client takes a partition that it once saw without a leader for one that will never have any, until its metadata is fifteen minutes old: a
    /// topic that was just made, or a broker that went. So it is made to look again.
    async fn watermarks(&self, channel: &ChannelName) -> Result<(u64, u64), LogError> {
        let (low, high) = match self.fetch_watermarks(channel).await {
            Err(error) if is_leaderless(&error) => {
                self.partitions(channel).await?;
                self.fetch_watermarks(channel).await
            }
            fetched => fetched,
        }
        .map_err(|error| unavailable(format!("watermarks of {channel}"), error))?;
        Ok((low.max(0) as u64, high.max(0) as u64))
    }

    async fn fetch_watermarks(&self, channel: &ChannelName) -> Result<(i64, i64), KafkaError> {
        let (watcher, name) = (self.inner.watcher.clone(), channel.clone());
        self.inner.world.tasks.blocking(move || watcher.fetch_watermarks(name.as_str(), PARTITION, ADMIN_TIMEOUT)).await
    }

    /// [`Self::watermarks`] of a topic that was just made: it isn't known to every broker at once, and may be unknown again for a moment.
    async fn settled_watermarks(&self, channel: &ChannelName) -> Result<(u64, u64), LogError> {
        let clock = &self.inner.world.clock;
        let deadline = clock.now() + ADMIN_TIMEOUT;
        loop {
            match self.watermarks(channel).await {
                Ok(watermarks) => return Ok(watermarks),
                Err(error) if clock.now() >= deadline => return Err(error),
                Err(_) => clock.sleep(CREATION_PAUSE).await,
            }
        }
    }

    async fn partitions(&self, channel: &ChannelName) -> Result<usize, LogError> {
        let (watcher, name) = (self.inner.watcher.clone(), channel.clone());
        let asked = self.inner.world.tasks.blocking(move || watcher.fetch_metadata(Some(name.as_str()), ADMIN_TIMEOUT)).await;
        let metadata = asked.map_err(|error| unavailable(format!("topic {channel}"), error))?;
        Ok(metadata.topics().first().map_or(0, |topic| topic.partitions().len()))
    }

    fn known(&self, channel: &ChannelName) -> Result<LogId, LogError> {
        let unknown = || LogError::Unavailable(Error::new(Code::TOPIC_NOT_FOUND, format!("channel {channel} was never opened")));
        self.inner.opened.lock().get(channel).copied().ok_or_else(unknown)
    }

    /// Checks a reader's place against the watermarks; gives the high one.
    async fn check(&self, channel: &ChannelName, from: Position) -> Result<u64, LogError> {
        let log = self.known(channel)?;
        let (low, high) = self.watermarks(channel).await?;
        let position = |offset| Position::from_u64(log, offset);
        if from.log != log || from.to_u64() > high {
            return Err(LogError::Shrunk { known: from, end: position(high) });
        }
        if from.to_u64() < low {
            return Err(LogError::Truncated { asked: from, start: position(low) });
        }
        Ok(high)
    }

    /// The identity in the topic's lowest record, writing one into an empty topic.
    async fn identity(&self, channel: &ChannelName) -> Result<LogId, LogError> {
        let (mut low, mut high) = self.settled_watermarks(channel).await?;
        if high == 0 {
            let id = LogId(self.inner.world.random.u128());
            appender::KafkaAppender::new(&self.inner.config, self.inner.message_bytes_max, channel, id)?.append_identity().await?;
            (low, high) = self.settled_watermarks(channel).await?;
        }
        if low >= high {
            let text = format!("topic {channel} is empty, and had {high} records: someone else deleted them");
            return Err(LogError::Damaged(Error::corrupt(format!("kafka: {text}"))));
        }
        reader::identity_at(&self.inner.config, channel, low).await
    }
}

/// Whether an error may come from metadata that is out of date.
fn is_leaderless(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, UnknownPartition, UnknownTopicOrPartition};
    let codes = [LeaderNotAvailable, NotLeaderForPartition, UnknownPartition, UnknownTopicOrPartition];
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code))
}

fn no_broker(brokers: &str) -> LogError {
    LogError::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, format!("kafka: no broker answers at {brokers}")))
}

#[async_trait]
impl Log for KafkaLog {
    fn kind(&self) -> &'static str {
        "kafka"
    }

    fn frame_bytes_max(&self) -> usize {
        self.inner.message_bytes_max - OVERHEAD_BYTES
    }

    async fn open(&self, channel: &ChannelName) -> Result<LogId, LogError> {
        if let Ok(log) = self.known(channel) {
            return Ok(log);
        }
        let inner = &self.inner;
        topic::create(&inner.admin, channel.as_str(), inner.brokers, inner.message_bytes_max).await?;
        self.settled_watermarks(channel).await?;
        let partitions = self.partitions(channel).await?;
        if partitions > 1 {
            let text = format!("topic {channel} has {partitions} partitions, a channel is one: delete it, it will be made as it must be");
            return Err(topic::misconfigured(text));
        }
        let settings = topic::described(&inner.admin, ResourceSpecifier::Topic(channel.as_str())).await?;
        topic::check(channel.as_str(), &settings, inner.message_bytes_max)?;
        let log = self.identity(channel).await?;
        self.inner.opened.lock().insert(channel.clone(), log);
        Ok(log)
    }

    async fn appender(&self, channel: &ChannelName, _process: u64) -> Result<Box<dyn Appender>, LogError> {
        let log = self.known(channel)?;
        Ok(Box::new(appender::KafkaAppender::new(&self.inner.config, self.inner.message_bytes_max, channel, log)?))
    }

    async fn reader(&self, channel: &ChannelName, from: Position) -> Result<Box<dyn Reader>, LogError> {
        self.check(channel, from).await?;
        Ok(Box::new(reader::KafkaReader::new(self.clone(), channel, from)?))
    }

    async fn bounds(&self, channel: &ChannelName) -> Result<Bounds, LogError> {
        let log = self.known(channel)?;
        let (low, high) = self.watermarks(channel).await?;
        Ok(Bounds { start: Position::from_u64(log, low), end: Position::from_u64(log, high) })
    }

    async fn truncate(&self, channel: &ChannelName, position: Position) -> Result<(), LogError> {
        let (low, high) = self.watermarks(channel).await?;
        // The last record stays: it carries the log's identity.
        let to = position.to_u64().min(high.saturating_sub(1));
        if to <= low.max(IDENTITIES_END) {
            return Ok(());
        }
        let failed = |error| unavailable(format!("deleting records of {channel}"), error);
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(channel.as_str(), PARTITION, Offset::Offset(to as i64)).map_err(failed)?;
        let options = AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT)).operation_timeout(Some(ADMIN_TIMEOUT));
        let deleted = self.inner.admin.delete_records(&offsets, &options).await.map_err(failed)?;
        for element in deleted.elements() {
            element.error().map_err(failed)?;
        }
        Ok(())
    }
}
