//! A client of the proxy under test: the requests that tests make, each in one line.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::cpu::CpuPool;
use node::proxy::{Config, Finished, Observe, Parts, Proxy, Roles};
use parking_lot::Mutex;
use prost::Message;
use proto::common::{KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue, Status};
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use proto::schema::scalar_field::Data;
use proto::schema::{
    CollectionSchema, DataType, FieldData, FieldSchema, FloatArray, JsonArray, LongArray, ScalarField, StringArray, VectorField,
    field_data, vector_field,
};
use role::Call;
use tonic::Request;
use types::id::CollectionId;

use super::fake::{Fake, Near, Row};

/// The proxy and what it speaks to.
pub struct Client {
    pub proxy: Arc<Proxy>,
    pub fake: Arc<Fake>,
    pub seen: Arc<Seen>,
}

/// Finished requests: function, code, database, collection.
#[derive(Default)]
pub struct Seen(pub Mutex<Vec<(&'static str, i32, String, String)>>);

impl Observe for Seen {
    fn finished(&self, request: &Finished<'_>) {
        self.0.lock().push((request.function, request.code, request.database.to_owned(), request.collection.to_owned()));
    }
}

/// The collection that tests use.
pub const COLLECTION: &str = "c";

pub fn pair(key: &str, value: &str) -> KeyValuePair {
    KeyValuePair { key: key.to_owned(), value: value.to_owned() }
}

/// `id` Int64 primary key, `v` two floats, `name` nullable VarChar, dynamic field.
pub fn fields(auto_id: bool) -> Vec<FieldSchema> {
    let field =
        |name: &str, data_type: DataType| FieldSchema { name: name.to_owned(), data_type: data_type as i32, ..FieldSchema::default() };
    vec![
        FieldSchema { is_primary_key: true, auto_id, ..field("id", DataType::Int64) },
        FieldSchema { type_params: vec![pair("dim", "2")], ..field("v", DataType::FloatVector) },
        FieldSchema { type_params: vec![pair("max_length", "8")], nullable: true, ..field("name", DataType::VarChar) },
    ]
}

pub fn scalars(name: &str, data_type: DataType, data: Data) -> FieldData {
    let field = Some(field_data::Field::Scalars(ScalarField { data: Some(data) }));
    FieldData { r#type: data_type as i32, field_name: name.to_owned(), field, ..FieldData::default() }
}

pub fn longs(name: &str, data: &[i64]) -> FieldData {
    scalars(name, DataType::Int64, Data::LongData(LongArray { data: data.to_vec() }))
}

pub fn texts(name: &str, data: &[&str]) -> FieldData {
    scalars(name, DataType::VarChar, Data::StringData(StringArray { data: data.iter().map(|text| (*text).to_owned()).collect() }))
}

pub fn dynamic(rows: &[&str]) -> FieldData {
    let data = rows.iter().map(|row| bytes::Bytes::copy_from_slice(row.as_bytes())).collect();
    FieldData { is_dynamic: true, ..scalars("$meta", DataType::Json, Data::JsonData(JsonArray { data })) }
}

pub fn vectors(rows: &[[f32; 2]]) -> FieldData {
    let floats = FloatArray::from(rows.concat());
    let field = Some(field_data::Field::Vectors(VectorField { dim: 2, data: Some(vector_field::Data::FloatVector(floats)) }));
    FieldData { r#type: DataType::FloatVector as i32, field_name: "v".to_owned(), field, ..FieldData::default() }
}

/// The numbers of an Int64 column.
pub fn numbers(data: &FieldData) -> Vec<i64> {
    match &data.field {
        Some(field_data::Field::Scalars(ScalarField { data: Some(Data::LongData(array)) })) => array.data.clone(),
        other => panic!("{} isn't a column of Int64: {other:?}", data.field_name),
    }
}

/// (code, error_code, reason) of a status; zeros and nothing for a success.
pub fn outcome(status: Option<&Status>) -> (i32, i32, String) {
    let status = status.expect("every answer has a status");
    (status.code, status.error_code, status.reason.clone())
}

pub fn ok(status: Option<&Status>) {
    assert_eq!(outcome(status), (0, 0, String::new()));
}

impl Client {
    pub async fn start() -> Self {
        let fake = Arc::new(Fake::default());
        let world = World { cpu: CpuPool::inline(), ..World::real() };
        let roles = Roles { root: fake.clone(), data: fake.clone(), query: fake.clone(), index: fake.clone() };
        let call = Call::within(&world, Duration::from_secs(5), "start");
        let seen = Arc::new(Seen::default());
        let parts = Parts { world, roles, peers: Arc::new(Near(fake.clone())), observe: seen.clone() };
        let proxy = Proxy::start(parts, Config::default(), &call).await.expect("the fake registers every proxy");
        Self { proxy, fake, seen }
    }

    /// With the collection made.
    pub async fn with_collection(shards: i32, auto_id: bool) -> Self {
        let client = Self::start().await;
        ok(Some(&client.create(COLLECTION, shards, fields(auto_id)).await));
        client
    }

    /// With the collection made, indexed and loaded.
    pub async fn with_loaded(shards: i32, auto_id: bool) -> Self {
        let client = Self::with_collection(shards, auto_id).await;
        let index = m::CreateIndexRequest {
            collection_name: COLLECTION.to_owned(),
            field_name: "v".to_owned(),
            extra_params: vec![pair("index_type", "FLAT"), pair("metric_type", "L2")],
            ..Default::default()
        };
        ok(Some(&client.proxy.create_index(Request::new(index)).await.expect("ok").into_inner()));
        ok(Some(&client.load().await));
        client
    }

    pub async fn create(&self, name: &str, shards: i32, fields: Vec<FieldSchema>) -> Status {
        let schema = CollectionSchema { name: name.to_owned(), fields, enable_dynamic_field: true, ..CollectionSchema::default() };
        let request = m::CreateCollectionRequest {
            collection_name: name.to_owned(),
            schema: schema.encode_to_vec().into(),
            shards_num: shards,
            consistency_level: 2,
            ..Default::default()
        };
        self.proxy.create_collection(Request::new(request)).await.expect("ok").into_inner()
    }

    pub async fn load(&self) -> Status {
        let request = m::LoadCollectionRequest { collection_name: COLLECTION.to_owned(), replica_number: 1, ..Default::default() };
        self.proxy.load_collection(Request::new(request)).await.expect("ok").into_inner()
    }

    pub async fn describe(&self, name: &str) -> m::DescribeCollectionResponse {
        let request = m::DescribeCollectionRequest { collection_name: name.to_owned(), ..Default::default() };
        self.proxy.describe_collection(Request::new(request)).await.expect("ok").into_inner()
    }

    /// Rows with the keys as vectors, `(key, key)`.
    pub async fn insert(&self, keys: &[i64]) -> m::MutationResult {
        let rows: Vec<[f32; 2]> = keys.iter().map(|&key| [key as f32; 2]).collect();
        self.insert_columns(vec![longs("id", keys), vectors(&rows)], keys.len()).await
    }

    pub async fn insert_columns(&self, fields_data: Vec<FieldData>, rows: usize) -> m::MutationResult {
        self.insert_with(m::InsertRequest { fields_data, num_rows: rows as u32, ..Default::default() }).await
    }

    pub async fn insert_with(&self, request: m::InsertRequest) -> m::MutationResult {
        let request = m::InsertRequest { collection_name: COLLECTION.to_owned(), ..request };
        self.proxy.insert(Request::new(request)).await.expect("ok").into_inner()
    }

    pub async fn upsert(&self, fields_data: Vec<FieldData>, rows: usize) -> m::MutationResult {
        let request = m::UpsertRequest { collection_name: COLLECTION.to_owned(), fields_data, num_rows: rows as u32, ..Default::default() };
        self.proxy.upsert(Request::new(request)).await.expect("ok").into_inner()
    }

    pub async fn delete(&self, expr: &str) -> m::MutationResult {
        let request = m::DeleteRequest { collection_name: COLLECTION.to_owned(), expr: expr.to_owned(), ..Default::default() };
        self.proxy.delete(Request::new(request)).await.expect("ok").into_inner()
    }

    pub async fn query(&self, expr: &str, output: &[&str], params: &[(&str, &str)]) -> m::QueryResults {
        let request = m::QueryRequest {
            collection_name: COLLECTION.to_owned(),
            expr: expr.to_owned(),
            output_fields: output.iter().map(|name| (*name).to_owned()).collect(),
            query_params: params.iter().map(|(key, value)| pair(key, value)).collect(),
            use_default_consistency: true,
            ..Default::default()
        };
        self.proxy.query(Request::new(request)).await.expect("ok").into_inner()
    }

    pub async fn search(
        &self,
        queries: &[[f32; 2]],
        params: &[(&str, &str)],
        change: impl FnOnce(&mut m::SearchRequest),
    ) -> m::SearchResults {
        let values = queries.iter().map(|query| query.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()).collect();
        let placeholder =
            PlaceholderValue { tag: "$0".to_owned(), r#type: PlaceholderType::FloatVector as i32, values, ..Default::default() };
        let group = PlaceholderGroup { placeholders: vec![placeholder] };
        let mut request = m::SearchRequest {
            collection_name: COLLECTION.to_owned(),
            search_params: params.iter().map(|(key, value)| pair(key, value)).collect(),
            search_input: Some(m::search_request::SearchInput::PlaceholderGroup(group.encode_to_vec().into())),
            ..Default::default()
        };
        change(&mut request);
        self.proxy.search(Request::new(request)).await.expect("ok").into_inner()
    }

    pub fn id(&self) -> CollectionId {
        let state = self.fake.state.lock();
        state.collections[&("default".to_owned(), COLLECTION.to_owned())].id
    }

    /// Live rows by key.
    pub fn rows(&self) -> Vec<Row> {
        let id = self.id();
        let mut rows: Vec<Row> = self.fake.state.lock().live(id).into_iter().cloned().collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// Keys of live rows, ascending.
    pub fn keys(&self) -> Vec<String> {
        self.rows().iter().map(|row| row.key.to_string()).collect()
    }
}
