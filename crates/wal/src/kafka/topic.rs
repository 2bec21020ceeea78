//! A topic as a log: made so that nothing is deleted behind our back, refused where others made it otherwise, and known again by an identity.
//!
//! Kafka's topic ids aren't shown by every broker that users run, so the identity lies in the records: each key is a tag and 16 bytes. The first
//! record of a topic has nothing else; of several that race to write it the lowest offset wins. The last record is never deleted, so there is
//! always one to ask.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use types::position::LogId;
use types::{Code, Error};

use crate::log::LogError;

/// How long an administrative call may take.
pub(super) const ADMIN_TIMEOUT: Duration = Duration::from_secs(15);

/// What a record's key says besides the identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KeyTag {
    /// The payload is a frame.
    Frame = 0,
    /// The record only carries the identity.
    Identity = 1,
}

/// A record's key.
pub(super) fn key(tag: KeyTag, log: LogId) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = tag as u8;
    key[1..].copy_from_slice(&log.0.to_be_bytes());
    key
}

/// The reverse of [`key`]; `None` for a record that isn't ours.
pub(super) fn read_key(key: Option<&[u8]>) -> Option<(KeyTag, LogId)> {
    let key: &[u8; 17] = key?.try_into().ok()?;
    let tag = match key[0] {
        0 => KeyTag::Frame,
        1 => KeyTag::Identity,
        _ => return None,
    };
    let mut id = [0; 16];
    id.copy_from_slice(&key[1..]);
    Some((tag, LogId(u128::from_be_bytes(id))))
}

/// A failure of the client, as what an operator reads.
pub(super) fn unavailable(what: impl std::fmt::Display, error: KafkaError) -> LogError {
    LogError::Unavailable(Error::io(format!("kafka: {what}"), error))
}

pub(super) fn misconfigured(text: String) -> LogError {
    LogError::Misconfigured(Error::new(Code::INVALID_PARAMETER, format!("kafka: {text}")))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT)).operation_timeout(Some(ADMIN_TIMEOUT))
}

/// What a topic is made with.
fn settings(replicas: i32, message_bytes_max: usize) -> BTreeMap<&'static str, String> {
    let mut settings = BTreeMap::from([
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", "-1".to_owned()),
        ("retention.bytes", "-1".to_owned()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("max.message.bytes", message_bytes_max.to_string()),
    ]);
    if replicas > 1 {
        settings.insert("min.insync.replicas", "2".to_owned());
    }
    settings
}

/// Makes the topic; one that is there already is no error.
pub(super) async fn create(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
    brokers: usize,
    message_bytes_max: usize,
) -> Result<(), LogError> {
    const REPLICAS: usize = 3;
    let replicas = brokers.clamp(1, REPLICAS) as i32;
    let settings = settings(replicas, message_bytes_max);
    let mut new = NewTopic::new(topic, 1, TopicReplication::Fixed(replicas));
    for (key, value) in &settings {
        new = new.set(key, value);
    }
    let created = admin.create_topics([&new], &options()).await.map_err(|error| unavailable(format!("creating topic {topic}"), error))?;
    match created.into_iter().next() {
        Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
            Err(unavailable(format!("creating topic {topic}"), KafkaError::AdminOp(code)))
        }
        _ => Ok(()),
    }
}

/// A setting of a topic or a broker.
pub(super) async fn described(
    admin: &AdminClient<DefaultClientContext>,
    resource: ResourceSpecifier<'_>,
) -> Result<BTreeMap<String, String>, LogError> {
    let name = format!("settings of {resource:?}");
    let described = admin.describe_configs([&resource], &options()).await.map_err(|error| unavailable(&name, error))?;
    let resource = match described.into_iter().next() {
        Some(Ok(resource)) => resource,
        Some(Err(code)) => return Err(unavailable(&name, KafkaError::AdminOp(code))),
        None => return Ok(BTreeMap::new()),
    };
    Ok(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
}

/// Refuses a topic that would lose records, or take none of ours.
pub(super) fn check(topic: &str, settings: &BTreeMap<String, String>, message_bytes_max: usize) -> Result<(), LogError> {
    let expected =
        [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1"), ("unclean.leader.election.enable", "false")];
    for (key, value) in expected {
        match settings.get(key) {
            Some(actual) if actual != value => {
                return Err(misconfigured(format!("topic {topic} has {key}={actual}, which can lose records: set {key}={value}")));
            }
            _ => {}
        }
    }
    let limit = settings.get("max.message.bytes").and_then(|value| value.parse::<usize>().ok());
    match limit {
        Some(limit) if limit < message_bytes_max => {
            Err(misconfigured(format!("topic {topic} has max.message.bytes={limit}: set it to {message_bytes_max}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_settings() {
        for tag in [KeyTag::Frame, KeyTag::Identity] {
            assert_eq!(read_key(Some(&key(tag, LogId(77)))), Some((tag, LogId(77))));
        }
        assert_eq!(read_key(None), None);
        assert_eq!(read_key(Some(&[9; 17])), None);
        let ours: BTreeMap<String, String> = settings(3, 1_000).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        assert_eq!(check("t", &ours, 1_000), Ok(()));
        for (key, value) in [("retention.ms", "604800000"), ("cleanup.policy", "compact"), ("max.message.bytes", "999")] {
            let mut others = ours.clone();
            others.insert(key.to_owned(), value.to_owned());
            let Err(LogError::Misconfigured(error)) = check("t", &others, 1_000) else { panic!("{key}={value} is refused") };
            assert!(error.reason().contains(key), "{error}");
        }
    }
}
