//! Reads a topic onwards, and checks of each record that it belongs to the log that was opened.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use types::id::ChannelName;
use types::position::{LogId, Position};
use types::{Code, Error};

use super::topic::{ADMIN_TIMEOUT, KeyTag, misconfigured, read_key, unavailable};
use super::{KafkaConfig, KafkaLog, PARTITION};
use crate::log::{LogError, Reader};

/// Records of one read.
const READ_RECORDS_MAX: usize = 1_024;
/// Bytes of one read.
const READ_BYTES_MAX: usize = 8 << 20;
/// How long a record below the high watermark may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct KafkaReader {
    log: KafkaLog,
    channel: ChannelName,
    consumer: StreamConsumer,
    position: Position,
    /// What the consumer said while records were drained.
    failure: Option<KafkaError>,
}

/// What came from the consumer.
enum Came {
    Record(Option<(Position, Bytes)>),
    End,
}

fn consumer_at(config: &KafkaConfig, channel: &ChannelName, offset: u64) -> Result<StreamConsumer, LogError> {
    let consumer: StreamConsumer = config.consumer().create().map_err(|error| misconfigured(format!("{error}")))?;
    let failed = |error| unavailable(format!("reading {channel}"), error);
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(channel.as_str(), PARTITION, Offset::Offset(offset as i64)).map_err(failed)?;
    consumer.assign(&assignment).map_err(failed)?;
    Ok(consumer)
}

/// The identity that the record at `offset`, or the next one, carries.
pub(super) async fn identity_at(config: &KafkaConfig, channel: &ChannelName, offset: u64) -> Result<LogId, LogError> {
    let consumer = consumer_at(config, channel, offset)?;
    let record = tokio::time::timeout(ADMIN_TIMEOUT, consumer.recv()).await;
    let record = record.map_err(|_| LogError::Unavailable(Error::timeout(format!("kafka: reading {channel}"))))?;
    let record = record.map_err(|error| unavailable(format!("reading {channel}"), error))?;
    let foreign = || misconfigured(format!("topic {channel} holds records of someone else: name another prefix (common.chanNamePrefix)"));
    read_key(record.key()).map(|(_, log)| log).ok_or_else(foreign)
}

impl KafkaReader {
    pub(super) fn new(log: KafkaLog, channel: &ChannelName, from: Position) -> Result<Self, LogError> {
        let consumer = consumer_at(&log.inner.config, channel, from.to_u64())?;
        Ok(Self { log, channel: channel.clone(), consumer, position: from, failure: None })
    }

    /// Takes a record in; frames only, the identity is skipped.
    fn take(&mut self, record: &impl Message) -> Result<Came, LogError> {
        let offset = u64::try_from(record.offset()).unwrap_or(0);
        let at = Position::from_u64(self.position.log, offset);
        let (tag, log) = match read_key(record.key()) {
            Some(key) => key,
            None => {
                let text = format!("kafka: the record at offset {offset} of topic {} isn't ours", self.channel);
                return Err(LogError::Damaged(Error::corrupt(text)));
            }
        };
        if at < self.position {
            return Ok(Came::Record(None));
        }
        // Another identity first: then this is another topic of the same name, unless it lost the race to be the first record.
        if log != self.position.log && tag == KeyTag::Frame {
            return Err(LogError::Shrunk { known: self.position, end: Position::from_u64(log, offset) });
        }
        self.position = at.next();
        if tag == KeyTag::Identity {
            return Ok(Came::Record(None));
        }
        let payload = Bytes::copy_from_slice(record.payload().unwrap_or_default());
        Ok(Came::Record(Some((at, payload))))
    }

    async fn receive(&mut self) -> Result<Came, LogError> {
        let received = match self.failure.take() {
            Some(error) => Err(error),
            None => self.consumer.recv().await.map(|record| record.detach()),
        };
        self.received(received).await
    }

    async fn received(&mut self, received: Result<rdkafka::message::OwnedMessage, KafkaError>) -> Result<Came, LogError> {
        match received {
            Ok(record) => self.take(&record),
            Err(KafkaError::PartitionEOF(_)) => Ok(Came::End),
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)) => {
                self.log.check(&self.channel, self.position).await?;
                let text = format!("kafka: offset {} of {} was out of range, and isn't now", self.position.to_u64(), self.channel);
                Err(LogError::Unavailable(Error::new(Code::IO_FAILED, text)))
            }
            Err(error) => Err(unavailable(format!("reading {}", self.channel), error)),
        }
    }

    /// Whatever else is here already; no waits, so that a dropped call loses nothing. A failure is kept for the next call.
    fn drain(&mut self, frames: &mut Vec<(Position, Bytes)>) -> Result<(), LogError> {
        let mut bytes = 0;
        while frames.len() < READ_RECORDS_MAX && bytes < READ_BYTES_MAX {
            let record = match self.consumer.recv().now_or_never().map(|record| record.map(|record| record.detach())) {
                Some(Ok(record)) => record,
                Some(Err(error)) => {
                    self.failure = Some(error);
                    break;
                }
                None => break,
            };
            if let Came::Record(Some(frame)) = self.take(&record)? {
                bytes += frame.1.len();
                frames.push(frame);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Reader for KafkaReader {
    async fn next(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        loop {
            if let Came::Record(Some(frame)) = self.receive().await? {
                let mut frames = vec![frame];
                self.drain(&mut frames)?;
                return Ok(frames);
            }
        }
    }

    async fn next_available(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        let high = self.log.check(&self.channel, self.position).await?;
        while self.position.to_u64() < high {
            let came = tokio::time::timeout(FETCH_TIMEOUT, self.receive()).await;
            let came = came.map_err(|_| LogError::Unavailable(Error::timeout(format!("kafka: reading {}", self.channel))))??;
            if let Came::Record(Some(frame)) = came {
                let mut frames = vec![frame];
                self.drain(&mut frames)?;
                return Ok(frames);
            }
        }
        Ok(Vec::new())
    }

    fn position(&self) -> Position {
        self.position
    }
}
