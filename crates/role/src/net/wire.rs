//! Domain values as envelopes: JSON, and bulk beside it.

use bytes::Bytes;
use proto::elanus::role::{CallReply, Envelope, Failure, call_reply::Outcome};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use types::batch::Batch;
use types::column::Column;
use types::id::{FieldId, ShardId};
use types::index_params::Metric;
use types::record::Kind;
use types::time::Timestamp;
use types::{Code, Error, Result};

use crate::data::WriteRequest;
use crate::query::{Hit, QueryResponse, Scope, SearchRequest, SearchResponse};

/// A value that can cross the wire.
pub(crate) trait Wire: Sized {
    fn pack(self) -> Envelope;
    fn unpack(envelope: Envelope) -> Result<Self>;
}

/// A value that is all JSON.
pub(crate) struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> Wire for Json<T> {
    fn pack(self) -> Envelope {
        envelope(&self.0, Vec::new())
    }

    fn unpack(envelope: Envelope) -> Result<Self> {
        head(&envelope).map(Self)
    }
}

fn envelope<T: Serialize>(value: &T, parts: Vec<Bytes>) -> Envelope {
    let head = serde_json::to_vec(value).expect("role types have string keys and finite numbers");
    Envelope { head: head.into(), parts }
}

fn head<T: DeserializeOwned>(envelope: &Envelope) -> Result<T> {
    serde_json::from_slice(&envelope.head).map_err(|error| Error::internal(format!("a message of a role can't be read: {error}")))
}

fn part(envelope: &Envelope, index: usize) -> Result<&Bytes> {
    envelope.parts.get(index).ok_or_else(|| Error::internal(format!("a message of a role lacks part {index}")))
}

#[derive(Serialize, Deserialize)]
struct WriteHead {
    shard: ShardId,
    sequence: u64,
    lowest_outstanding: u64,
    schema_version: u32,
    kind: Kind,
}

impl Wire for WriteRequest {
    fn pack(self) -> Envelope {
        let Self { shard, sequence, lowest_outstanding, schema_version, kind, body } = self;
        envelope(&WriteHead { shard, sequence, lowest_outstanding, schema_version, kind }, vec![body])
    }

    fn unpack(envelope: Envelope) -> Result<Self> {
        let WriteHead { shard, sequence, lowest_outstanding, schema_version, kind } = head(&envelope)?;
        Ok(Self { shard, sequence, lowest_outstanding, schema_version, kind, body: part(&envelope, 0)?.clone() })
    }
}

#[derive(Serialize, Deserialize)]
struct SearchHead {
    scope: Scope,
    field: FieldId,
    limit: usize,
    metric: Option<Metric>,
    params: serde_json::Map<String, serde_json::Value>,
}

impl Wire for SearchRequest {
    fn pack(self) -> Envelope {
        let Self { scope, field, queries, limit, metric, params } = self;
        let queries = Batch::new(queries.slots(), vec![Column::new(field, queries)]);
        envelope(&SearchHead { scope, field, limit, metric, params }, vec![queries.encode()])
    }

    fn unpack(envelope: Envelope) -> Result<Self> {
        let SearchHead { scope, field, limit, metric, params } = head(&envelope)?;
        let queries = Batch::decode(part(&envelope, 0)?)?;
        match queries.column(field) {
            Some(Column { validity: None, values, .. }) if values.data_type().is_vector() => {
                Ok(Self { scope, field, queries: values.clone(), limit, metric, params })
            }
            _ => Err(Error::internal("a search without vectors to search for")),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct HitsHead {
    metric: Metric,
    at: Timestamp,
    hits: Vec<Vec<Hit>>,
}

impl Wire for SearchResponse {
    fn pack(self) -> Envelope {
        let Self { metric, hits, rows, at } = self;
        envelope(&HitsHead { metric, at, hits }, vec![rows.encode()])
    }

    fn unpack(envelope: Envelope) -> Result<Self> {
        let HitsHead { metric, at, hits } = head(&envelope)?;
        Ok(Self { metric, hits, rows: Batch::decode(part(&envelope, 0)?)?, at })
    }
}

#[derive(Serialize, Deserialize)]
struct RowsHead {
    count: Option<u64>,
    timestamps: Vec<Timestamp>,
    at: Timestamp,
}

impl Wire for QueryResponse {
    fn pack(self) -> Envelope {
        let Self { count, rows, timestamps, at } = self;
        envelope(&RowsHead { count, timestamps, at }, vec![rows.encode()])
    }

    fn unpack(envelope: Envelope) -> Result<Self> {
        let RowsHead { count, timestamps, at } = head(&envelope)?;
        Ok(Self { count, rows: Batch::decode(part(&envelope, 0)?)?, timestamps, at })
    }
}

/// A result as a reply.
pub(crate) fn reply<T: Wire>(result: Result<T>) -> CallReply {
    let outcome = match result {
        Ok(value) => Outcome::Value(value.pack()),
        Err(error) => Outcome::Failure(Failure { code: error.code().0, reason: error.reason().to_owned() }),
    };
    CallReply { outcome: Some(outcome) }
}

/// The reverse of [`reply`].
pub(crate) fn result<T: Wire>(reply: CallReply) -> Result<T> {
    match reply.outcome {
        Some(Outcome::Value(value)) => T::unpack(value),
        Some(Outcome::Failure(failure)) => Err(Error::new(Code(failure.code), failure.reason)),
        None => Err(Error::internal("a reply without an outcome")),
    }
}
