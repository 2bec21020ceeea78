//! What clients send: the requests of a Milvus SDK to any proxy that listens, as tasks of that process, so that a killed process answers nobody.

use std::time::Duration;

use base::random::Random;
use futures::future::BoxFuture;
use node::proxy::status::Reply;
use prost::Message;
use proto::common::{KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue};
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use proto::schema::scalar_field::Data;
use proto::schema::{
    CollectionSchema, DataType, FieldData, FieldSchema, FloatArray, LongArray, ScalarField, StringArray, VectorField, field_data, i_ds,
    vector_field,
};
use tonic::{Request, Response};

use super::cluster::Cluster;

/// How long a client waits.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A multiple of the numbers of proxies that there are.
const PROXIES_MAX: u64 = 60;
/// Numbers of a vector.
pub const DIMENSION: usize = 2;

/// Why a request has no good answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Failure {
    /// None came, or one that leaves open what became of it.
    Unanswered(String),
    /// The server refuses it: a code and a text.
    Refused(i32, String),
}

/// A row, as the workload makes and reads it.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    pub key: i64,
    /// Which write made it.
    pub value: i64,
    /// A function of `value`.
    pub text: String,
}

/// The text of a write: long ones make records of several parts.
pub fn text_of(value: i64) -> String {
    let length = if value % 11 == 0 { 3_000 } else { (value % 7) as usize };
    format!("{value}:{}", "x".repeat(length))
}

/// The vector of a row.
pub fn vector_of(key: i64, value: i64) -> [f32; DIMENSION] {
    [(key % 100_000) as f32, (value % 1_000_000) as f32]
}

/// A client.
#[derive(Clone)]
pub struct Client {
    cluster: Cluster,
    /// Chooses proxies.
    random: Random,
}

/// Where reads read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum At {
    /// All that was acknowledged.
    Strong,
    /// What is applied.
    Eventually,
    /// At a timestamp.
    Snapshot(u64),
}

fn pair(key: &str, value: &str) -> KeyValuePair {
    KeyValuePair { key: key.to_owned(), value: value.to_owned() }
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    request
}

type Answer<T> = BoxFuture<'static, Result<Response<T>, tonic::Status>>;

impl Client {
    pub fn new(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone(), random: cluster.world().random.fork() }
    }

    async fn call<T: Reply + Send + 'static>(
        &self,
        send: impl FnOnce(std::sync::Arc<node::proxy::Proxy>) -> Answer<T>,
    ) -> Result<T, Failure> {
        let Some((world, proxy)) = self.cluster.proxy(self.random.below(PROXIES_MAX) as usize) else {
            self.cluster.world().clock.sleep(Duration::from_millis(100)).await;
            return Err(Failure::Unanswered("nobody listens".to_owned()));
        };
        let task = world.tasks.spawn(send(proxy));
        // A paused process doesn't even say that time is up.
        let answer = self.cluster.world().within(2 * TIMEOUT, task.join()).await;
        let answer = match answer {
            Some(Some(Ok(answer))) => answer.into_inner(),
            Some(Some(Err(status))) => return Err(Failure::Refused(-1, status.to_string())),
            Some(None) | None => return Err(Failure::Unanswered("the connection was lost".to_owned())),
        };
        match answer.status() {
            Some(status) if status.code != 0 => Err(Failure::Refused(status.code, status.reason.clone())),
            _ => Ok(answer),
        }
    }

    pub async fn create(&self, name: &str, shards: i32) -> Result<(), Failure> {
        let field =
            |name: &str, data_type: DataType| FieldSchema { name: name.to_owned(), data_type: data_type as i32, ..FieldSchema::default() };
        let fields = vec![
            FieldSchema { is_primary_key: true, ..field("key", DataType::Int64) },
            field("value", DataType::Int64),
            FieldSchema { type_params: vec![pair("max_length", "65535")], ..field("text", DataType::VarChar) },
            FieldSchema { type_params: vec![pair("dim", &DIMENSION.to_string())], ..field("vector", DataType::FloatVector) },
        ];
        let schema = CollectionSchema { name: name.to_owned(), fields, ..CollectionSchema::default() };
        let message = m::CreateCollectionRequest {
            collection_name: name.to_owned(),
            schema: schema.encode_to_vec().into(),
            shards_num: shards,
            ..Default::default()
        };
        self.call(|proxy| Box::pin(async move { proxy.create_collection(request(message)).await })).await.map(drop)
    }

    pub async fn drop_collection(&self, name: &str) -> Result<(), Failure> {
        let message = m::DropCollectionRequest { collection_name: name.to_owned(), ..Default::default() };
        self.call(|proxy| Box::pin(async move { proxy.drop_collection(request(message)).await })).await.map(drop)
    }

    pub async fn index(&self, name: &str) -> Result<(), Failure> {
        let message = m::CreateIndexRequest {
            collection_name: name.to_owned(),
            field_name: "vector".to_owned(),
            extra_params: vec![pair("index_type", "IVF_FLAT"), pair("metric_type", "L2"), pair("params", "{\"nlist\": 4}")],
            ..Default::default()
        };
        self.call(|proxy| Box::pin(async move { proxy.create_index(request(message)).await })).await.map(drop)
    }

    pub async fn load(&self, name: &str) -> Result<(), Failure> {
        let message = m::LoadCollectionRequest { collection_name: name.to_owned(), replica_number: 1, ..Default::default() };
        self.call(|proxy| Box::pin(async move { proxy.load_collection(request(message)).await })).await.map(drop)
    }

    /// The timestamp up to which all is flushed.
    pub async fn flush(&self, name: &str) -> Result<u64, Failure> {
        let message = m::FlushRequest { collection_names: vec![name.to_owned()], ..Default::default() };
        let answer = self.call(|proxy| Box::pin(async move { proxy.flush(request(message)).await })).await?;
        Ok(answer.coll_flush_ts.get(name).copied().unwrap_or_default())
    }

    pub async fn is_flushed(&self, name: &str, flush_ts: u64) -> Result<bool, Failure> {
        let message = m::GetFlushStateRequest { collection_name: name.to_owned(), flush_ts, ..Default::default() };
        self.call(|proxy| Box::pin(async move { proxy.get_flush_state(request(message)).await })).await.map(|answer| answer.flushed)
    }

    /// Rows with this value; the write's timestamp.
    pub async fn write(&self, name: &str, keys: &[i64], value: i64, upsert: bool) -> Result<u64, Failure> {
        let (fields_data, num_rows) = (columns(keys, value), keys.len() as u32);
        let collection_name = name.to_owned();
        let answer = if upsert {
            let message = m::UpsertRequest { collection_name, fields_data, num_rows, ..Default::default() };
            self.call(|proxy| Box::pin(async move { proxy.upsert(request(message)).await })).await?
        } else {
            let message = m::InsertRequest { collection_name, fields_data, num_rows, ..Default::default() };
            self.call(|proxy| Box::pin(async move { proxy.insert(request(message)).await })).await?
        };
        Ok(answer.timestamp)
    }

    /// Deletes what a filter keeps; the delete's timestamp.
    pub async fn delete(&self, name: &str, filter: &str) -> Result<u64, Failure> {
        let message = m::DeleteRequest { collection_name: name.to_owned(), expr: filter.to_owned(), ..Default::default() };
        let answer = self.call(|proxy| Box::pin(async move { proxy.delete(request(message)).await })).await?;
        Ok(answer.timestamp)
    }

    /// Rows that a filter keeps.
    pub async fn query(&self, name: &str, filter: &str, at: At) -> Result<Vec<Row>, Failure> {
        let mut message = query(name, filter, at);
        message.output_fields = ["key", "value", "text"].map(str::to_owned).to_vec();
        message.query_params.push(pair("limit", "16384"));
        let answer = self.send_query(message).await?;
        let column = |name: &str| answer.fields_data.iter().find(|field| field.field_name == name);
        let longs = |name: &str| column(name).map(numbers).unwrap_or_default();
        let texts = column("text").map(strings).unwrap_or_default();
        let rows = longs("key").into_iter().zip(longs("value")).zip(texts);
        Ok(rows.map(|((key, value), text)| Row { key, value, text }).collect())
    }

    /// How many rows a filter keeps.
    pub async fn count(&self, name: &str, filter: &str) -> Result<i64, Failure> {
        let mut message = query(name, filter, At::Strong);
        message.output_fields = vec!["count(*)".to_owned()];
        let answer = self.send_query(message).await?;
        Ok(answer.fields_data.first().map(numbers).and_then(|counts| counts.first().copied()).unwrap_or(-1))
    }

    async fn send_query(&self, message: m::QueryRequest) -> Result<m::QueryResults, Failure> {
        self.call(|proxy| Box::pin(async move { proxy.query(request(message)).await })).await
    }

    /// Keys and distances of the nearest rows, strongly.
    pub async fn search(&self, name: &str, vector: [f32; DIMENSION], filter: &str, limit: usize) -> Result<Vec<(i64, f32)>, Failure> {
        let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        let placeholder = PlaceholderValue {
            tag: "$0".to_owned(),
            r#type: PlaceholderType::FloatVector as i32,
            values: vec![bytes.into()],
            ..Default::default()
        };
        let group = PlaceholderGroup { placeholders: vec![placeholder] };
        let params = [("anns_field", "vector"), ("topk", &limit.to_string()), ("params", "{\"nprobe\": 4}"), ("metric_type", "L2")];
        let message = m::SearchRequest {
            collection_name: name.to_owned(),
            dsl: filter.to_owned(),
            dsl_type: 1,
            nq: 1,
            search_params: params.iter().map(|(key, value)| pair(key, value)).collect(),
            search_input: Some(m::search_request::SearchInput::PlaceholderGroup(group.encode_to_vec().into())),
            ..Default::default()
        };
        let answer = self.call(|proxy| Box::pin(async move { proxy.search(request(message)).await })).await?;
        let found = answer.results.unwrap_or_default();
        let keys = match found.ids.and_then(|ids| ids.id_field) {
            Some(i_ds::IdField::IntId(keys)) => keys.data,
            _ => Vec::new(),
        };
        Ok(keys.into_iter().zip(found.scores).collect())
    }
}

fn query(name: &str, filter: &str, at: At) -> m::QueryRequest {
    let (guarantee_timestamp, iterator) = match at {
        At::Strong => (0, "False"),
        At::Eventually => (1, "False"),
        At::Snapshot(timestamp) => (timestamp, "True"),
    };
    m::QueryRequest {
        collection_name: name.to_owned(),
        expr: filter.to_owned(),
        guarantee_timestamp,
        query_params: vec![pair("iterator", iterator)],
        ..Default::default()
    }
}

fn columns(keys: &[i64], value: i64) -> Vec<FieldData> {
    let scalars = |name: &str, data_type: DataType, data: Data| {
        let field = Some(field_data::Field::Scalars(ScalarField { data: Some(data) }));
        FieldData { r#type: data_type as i32, field_name: name.to_owned(), field, ..FieldData::default() }
    };
    let longs = |name: &str, data: Vec<i64>| scalars(name, DataType::Int64, Data::LongData(LongArray { data }));
    let texts = vec![text_of(value); keys.len()];
    let floats: Vec<f32> = keys.iter().flat_map(|key| vector_of(*key, value)).collect();
    let vectors = VectorField { dim: DIMENSION as i64, data: Some(vector_field::Data::FloatVector(FloatArray::from(floats))) };
    let field = Some(field_data::Field::Vectors(vectors));
    vec![
        longs("key", keys.to_vec()),
        longs("value", vec![value; keys.len()]),
        scalars("text", DataType::VarChar, Data::StringData(StringArray { data: texts })),
        FieldData { r#type: DataType::FloatVector as i32, field_name: "vector".to_owned(), field, ..FieldData::default() },
    ]
}

fn numbers(data: &FieldData) -> Vec<i64> {
    match &data.field {
        Some(field_data::Field::Scalars(ScalarField { data: Some(Data::LongData(array)) })) => array.data.clone(),
        _ => Vec::new(),
    }
}

fn strings(data: &FieldData) -> Vec<String> {
    match &data.field {
        Some(field_data::Field::Scalars(ScalarField { data: Some(Data::StringData(array)) })) => array.data.clone(),
        _ => Vec::new(),
    }
}
