//! Channels: who sequences them and where their checkpoints are.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::id::{ChannelName, NodeId};
use types::position::Position;

use super::shard::StoredObject;
use super::{decode_only, encode};
use crate::catalog::document::Document;
use crate::catalog::model::{Assignment, Checkpoint};

#[derive(Serialize, Deserialize)]
struct StoredAssignment {
    node: NodeId,
    process: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    lease_ms: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Document for Assignment {
    type Id = ChannelName;
    const KIND: &'static str = "assignment";
    const VERSION: u32 = 1;

    fn id(&self) -> ChannelName {
        self.channel.clone()
    }

    fn path(channel: &ChannelName) -> String {
        channel.to_string()
    }

    fn parse(path: &str) -> Option<ChannelName> {
        Some(path.into())
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        encode(&StoredAssignment { node: self.node, process: self.process, lease_ms: self.lease.as_millis() as u64 })
    }

    fn decode(channel: ChannelName, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let StoredAssignment { node, process, lease_ms } = decode_only::<Self, _>(version, json)?;
        Ok(Self { channel, node, process, lease: Duration::from_millis(lease_ms) })
    }
}

#[derive(Serialize, Deserialize)]
struct StoredCheckpoint {
    position: Position,
    process: u64,
    object: StoredObject,
}

impl Document for Checkpoint {
    type Id = ChannelName;
    const KIND: &'static str = "checkpoint";
    const VERSION: u32 = 1;

    fn id(&self) -> ChannelName {
        self.channel.clone()
    }

    fn path(channel: &ChannelName) -> String {
        channel.to_string()
    }

    fn parse(path: &str) -> Option<ChannelName> {
        Some(path.into())
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        encode(&StoredCheckpoint { position: self.position, process: self.process, object: (&self.object).into() })
    }

    fn decode(channel: ChannelName, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let StoredCheckpoint { position, process, object } = decode_only::<Self, _>(version, json)?;
        Ok(Self { channel, position, process, object: object.into() })
    }
}
