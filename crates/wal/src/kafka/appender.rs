//! Appends to a topic: an idempotent producer of its own for each appender, so that what an earlier one still sends isn't mixed with it.

use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use types::id::ChannelName;
use types::position::{LogId, Position};
use types::{Code, Error};

use super::topic::{KeyTag, key, misconfigured, unavailable};
use super::{KafkaConfig, OVERHEAD_BYTES, PARTITION};
use crate::log::{Appender, LogError};

pub(super) struct KafkaAppender {
    producer: FutureProducer,
    channel: ChannelName,
    log: LogId,
    frame_bytes_max: usize,
}

impl KafkaAppender {
    pub(super) fn new(config: &KafkaConfig, message_bytes_max: usize, channel: &ChannelName, log: LogId) -> Result<Self, LogError> {
        let producer = config.producer(message_bytes_max).create().map_err(|error| misconfigured(format!("{error}")))?;
        Ok(Self { producer, channel: channel.clone(), log, frame_bytes_max: message_bytes_max - OVERHEAD_BYTES })
    }

    fn send(&self, tag: KeyTag, payload: &[u8]) -> Result<DeliveryFuture, LogError> {
        let key = key(tag, self.log);
        let record = FutureRecord::to(self.channel.as_str()).partition(PARTITION).key(&key[..]).payload(payload);
        self.producer.send_result(record).map_err(|(error, _)| unavailable(format!("appending to {}", self.channel), error))
    }

    async fn delivered(&self, delivery: DeliveryFuture) -> Result<Position, LogError> {
        let gone = || LogError::Unavailable(Error::new(Code::IO_FAILED, format!("kafka: the producer of {} went away", self.channel)));
        let delivery = delivery.await.map_err(|_| gone())?;
        let delivery = delivery.map_err(|(error, _)| unavailable(format!("appending to {}", self.channel), error))?;
        // A duplicate is reported as success without an offset: where the record lies, only reading tells.
        let offset = u64::try_from(delivery.offset).map_err(|_| {
            LogError::Unavailable(Error::new(Code::IO_FAILED, format!("kafka: an append to {} has no offset", self.channel)))
        })?;
        Ok(Position::from_u64(self.log, offset))
    }

    /// Writes the first record of an empty topic.
    pub(super) async fn append_identity(&self) -> Result<(), LogError> {
        let delivery = self.send(KeyTag::Identity, &[])?;
        self.delivered(delivery).await.map(|_| ())
    }
}

#[async_trait]
impl Appender for KafkaAppender {
    async fn append(&mut self, frames: Vec<Bytes>) -> Result<Vec<Position>, LogError> {
        let limit = self.frame_bytes_max;
        if let Some(frame) = frames.iter().find(|frame| frame.len() > limit) {
            return Err(LogError::FrameTooLarge { bytes: frame.len(), limit });
        }
        let mut deliveries = Vec::with_capacity(frames.len());
        for frame in &frames {
            deliveries.push(self.send(KeyTag::Frame, frame)?);
        }
        let mut positions: Vec<Position> = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let position = self.delivered(delivery).await?;
            if positions.last().is_some_and(|last| position <= *last) {
                let text = format!("kafka: offsets of appends to {} don't rise", self.channel);
                return Err(LogError::Unavailable(Error::new(Code::IO_FAILED, text)));
            }
            positions.push(position);
        }
        Ok(positions)
    }
}
