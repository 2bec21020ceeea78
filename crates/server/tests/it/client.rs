//! A client of a test: the few requests of a small job, on one connection.

use prost::Message;
use proto::common::{ConsistencyLevel, KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue, Status};
use proto::milvus as m;
use proto::milvus::milvus_service_client::MilvusServiceClient;
use proto::schema as s;
use tonic::transport::{Channel, Endpoint};

/// Dimensions of the vectors of [`Client::create`]'s collections.
pub const DIMENSION: usize = 4;

/// A client that asks one thing after the other.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    client: MilvusServiceClient<Channel>,
}

/// Runs a call and gives its answer.
macro_rules! ask {
    ($self:ident.$call:ident($request:expr)) => {{
        let answer = $self.runtime.block_on($self.client.$call($request));
        answer.expect("the server answers").into_inner()
    }};
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
    pairs.iter().map(|(key, value)| KeyValuePair { key: (*key).to_owned(), value: (*value).to_owned() }).collect()
}

fn ok(status: Option<Status>) {
    let status = status.unwrap_or_default();
    assert_eq!(status.code, 0, "{status:?}");
}

/// The vector of the row with this key.
fn vector(key: i64) -> Vec<f32> {
    (0..DIMENSION).map(|i| key as f32 + i as f32).collect()
}

impl Client {
    pub fn connect(address: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("it is an address");
        let channel = runtime.block_on(endpoint.connect()).expect("the server listens");
        Self { runtime, client: MilvusServiceClient::new(channel) }
    }

    pub fn collections(&mut self) -> Vec<String> {
        let answer = ask!(self.show_collections(m::ShowCollectionsRequest::default()));
        ok(answer.status);
        answer.collection_names
    }

    /// A collection with the key `id` and the vector `v`; gives the status.
    pub fn try_create(&mut self, name: &str) -> Status {
        let field = |name: &str, data_type: s::DataType| s::FieldSchema {
            name: name.to_owned(),
            data_type: data_type as i32,
            is_primary_key: data_type == s::DataType::Int64,
            type_params: if data_type == s::DataType::Int64 { vec![] } else { pairs(&[("dim", &DIMENSION.to_string())]) },
            ..s::FieldSchema::default()
        };
        let fields = vec![field("id", s::DataType::Int64), field("v", s::DataType::FloatVector)];
        let schema = s::CollectionSchema { name: name.to_owned(), fields, ..s::CollectionSchema::default() };
        ask!(self.create_collection(m::CreateCollectionRequest {
            collection_name: name.to_owned(),
            schema: schema.encode_to_vec().into(),
            shards_num: 1,
            consistency_level: ConsistencyLevel::Strong as i32,
            ..m::CreateCollectionRequest::default()
        }))
    }

    pub fn create(&mut self, name: &str) {
        ok(Some(self.try_create(name)));
    }

    pub fn insert(&mut self, name: &str, keys: std::ops::Range<i64>) {
        let column = |name: &str, data_type: s::DataType, field| s::FieldData {
            r#type: data_type as i32,
            field_name: name.to_owned(),
            field: Some(field),
            ..s::FieldData::default()
        };
        let ids = s::ScalarField { data: Some(s::scalar_field::Data::LongData(s::LongArray { data: keys.clone().collect() })) };
        let floats: Vec<f32> = keys.clone().flat_map(vector).collect();
        let vectors = s::VectorField { dim: DIMENSION as i64, data: Some(s::vector_field::Data::FloatVector(s::FloatArray::from(floats))) };
        let answer = ask!(self.insert(m::InsertRequest {
            collection_name: name.to_owned(),
            num_rows: keys.clone().count() as u32,
            fields_data: vec![
                column("id", s::DataType::Int64, s::field_data::Field::Scalars(ids)),
                column("v", s::DataType::FloatVector, s::field_data::Field::Vectors(vectors)),
            ],
            ..m::InsertRequest::default()
        }));
        ok(answer.status);
    }

    pub fn flush(&mut self, name: &str) {
        let answer = ask!(self.flush(m::FlushRequest { collection_names: vec![name.to_owned()], ..m::FlushRequest::default() }));
        ok(answer.status);
    }

    pub fn index(&mut self, name: &str) {
        let status = ask!(self.create_index(m::CreateIndexRequest {
            collection_name: name.to_owned(),
            field_name: "v".to_owned(),
            index_name: "by_v".to_owned(),
            extra_params: pairs(&[("index_type", "FLAT"), ("metric_type", "L2")]),
            ..m::CreateIndexRequest::default()
        }));
        ok(Some(status));
    }

    pub fn load(&mut self, name: &str) {
        self.load_on(name, 0);
    }

    /// Loads with a number of replicas; 0 names none.
    pub fn load_on(&mut self, name: &str, replica_number: i32) {
        let request = m::LoadCollectionRequest { collection_name: name.to_owned(), replica_number, ..m::LoadCollectionRequest::default() };
        ok(Some(ask!(self.load_collection(request))));
    }

    /// The query nodes of a collection with one shard.
    pub fn nodes(&mut self, name: &str) -> Vec<i64> {
        let described = ask!(self.describe_collection(m::DescribeCollectionRequest {
            collection_name: name.to_owned(),
            ..m::DescribeCollectionRequest::default()
        }));
        ok(described.status);
        let request = m::GetReplicasRequest { collection_id: described.collection_id, ..m::GetReplicasRequest::default() };
        let answer = ask!(self.get_replicas(request));
        ok(answer.status);
        answer.replicas.into_iter().flat_map(|replica| replica.node_ids).collect()
    }

    pub fn drop_collection(&mut self, name: &str) {
        let request = m::DropCollectionRequest { collection_name: name.to_owned(), ..m::DropCollectionRequest::default() };
        ok(Some(ask!(self.drop_collection(request))));
    }

    pub fn delete(&mut self, name: &str, filter: &str) -> i64 {
        let request = m::DeleteRequest { collection_name: name.to_owned(), expr: filter.to_owned(), ..m::DeleteRequest::default() };
        let answer = ask!(self.delete(request));
        ok(answer.status);
        answer.delete_cnt
    }

    /// Keys of the nearest rows to the vectors of `keys`, all in a row.
    pub fn search(&mut self, name: &str, keys: &[i64], limit: usize) -> Vec<i64> {
        let values = keys.iter().map(|key| vector(*key).iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into());
        let placeholder = PlaceholderValue {
            tag: "$0".to_owned(),
            r#type: PlaceholderType::FloatVector as i32,
            values: values.collect(),
            ..Default::default()
        };
        let group = PlaceholderGroup { placeholders: vec![placeholder] };
        let answer = ask!(self.search(m::SearchRequest {
            collection_name: name.to_owned(),
            nq: keys.len() as i64,
            search_input: Some(m::search_request::SearchInput::PlaceholderGroup(group.encode_to_vec().into())),
            search_params: pairs(&[("anns_field", "v"), ("topk", &limit.to_string()), ("metric_type", "L2"), ("params", "{}")]),
            use_default_consistency: true,
            ..m::SearchRequest::default()
        }));
        ok(answer.status);
        match answer.results.and_then(|results| results.ids).and_then(|ids| ids.id_field) {
            Some(s::i_ds::IdField::IntId(ids)) => ids.data,
            other => panic!("no keys of whole numbers: {other:?}"),
        }
    }

    /// The number of rows.
    pub fn count(&mut self, name: &str) -> i64 {
        self.counted(name).unwrap_or_else(|status| panic!("{status:?}"))
    }

    /// The number of rows, if it can be told now.
    pub fn try_count(&mut self, name: &str) -> Option<i64> {
        self.counted(name).ok()
    }

    fn counted(&mut self, name: &str) -> Result<i64, Status> {
        let answer = ask!(self.query(m::QueryRequest {
            collection_name: name.to_owned(),
            output_fields: vec!["count(*)".to_owned()],
            use_default_consistency: true,
            ..m::QueryRequest::default()
        }));
        if let Some(status) = answer.status.filter(|status| status.code != 0) {
            return Err(status);
        }
        match answer.fields_data.first().and_then(|field| field.field.clone()) {
            Some(s::field_data::Field::Scalars(s::ScalarField { data: Some(s::scalar_field::Data::LongData(counts)) })) => {
                Ok(counts.data[0])
            }
            other => panic!("no count: {other:?}"),
        }
    }

    /// A search without a vector, which fails; gives the code.
    pub fn search_nothing(&mut self, name: &str) -> i32 {
        let request = m::SearchRequest { collection_name: name.to_owned(), ..m::SearchRequest::default() };
        ask!(self.search(request)).status.map_or(0, |status| status.code)
    }
}
