//! Clients and server traits, wired to each other in memory: the names on the wire, bulk floats through the codec, and
//! what a method without an implementation answers. And the descriptors: that the whole service is there.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::FileDescriptorSet;
use proto::milvus::milvus_service_client::MilvusServiceClient;
use proto::milvus::milvus_service_server::{MilvusService, MilvusServiceServer};
use proto::milvus::{ConnectRequest, DummyRequest, InsertRequest, MutationResult};
use proto::schema::{FieldData, FloatArray, VectorField, field_data, vector_field};
use tonic::server::NamedService;
use tonic::{Code, Request, Response};

/// The methods of the service whose shapes are not one request, one response.
const STREAMING: [&str; 2] = ["CreateReplicateStream", "DumpMessages"];
const METHODS: usize = 144;

/// Counts the floats that arrive.
struct Counting;

#[tonic::async_trait]
impl MilvusService for Counting {
    async fn insert(&self, request: Request<InsertRequest>) -> Result<Response<MutationResult>, tonic::Status> {
        let count = request.get_ref().fields_data.iter().map(|column| floats(column).len() as i64).sum();
        Ok(Response::new(MutationResult { insert_cnt: count, ..Default::default() }))
    }
}

fn floats(column: &FieldData) -> &FloatArray {
    let Some(field_data::Field::Vectors(vectors)) = &column.field else { panic!("a vector column") };
    let Some(vector_field::Data::FloatVector(floats)) = &vectors.data else { panic!("a float vector") };
    floats
}

fn column(floats: FloatArray) -> FieldData {
    let data = Some(vector_field::Data::FloatVector(floats));
    let field = Some(field_data::Field::Vectors(VectorField { dim: 8, data }));
    FieldData { field, ..Default::default() }
}

#[tokio::test]
async fn a_client_reaches_a_server() {
    let mut client = MilvusServiceClient::new(MilvusServiceServer::new(Counting));
    let sizes = [0, 8, 8_000];
    let fields_data = sizes.map(|size| column((0..size).map(|value| value as f32).collect())).into();
    let answer = client.insert(InsertRequest { fields_data, ..Default::default() }).await.unwrap();
    assert_eq!(answer.get_ref().insert_cnt, 8_008);
}

#[tokio::test]
async fn a_method_without_an_implementation_says_so() {
    let mut client = MilvusServiceClient::new(MilvusServiceServer::new(Counting));
    assert_eq!(client.dummy(DummyRequest::default()).await.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(client.connect(ConnectRequest::default()).await.unwrap_err().code(), Code::Unimplemented);
}

#[test]
fn the_descriptors_hold_the_whole_service() {
    let set = FileDescriptorSet::decode(proto::MILVUS_DESCRIPTORS).unwrap();
    let names: BTreeSet<&str> = set.file.iter().map(|file| file.name()).collect();
    for file in &set.file {
        for import in &file.dependency {
            assert!(names.contains(import.as_str()), "{import}, which {} imports, is in the set", file.name());
        }
    }
    let milvus = set.file.iter().find(|file| file.name() == "milvus.proto").unwrap();
    let service = milvus.service.iter().find(|service| service.name() == "MilvusService").unwrap();
    assert_eq!(MilvusServiceServer::<Counting>::NAME, format!("{}.{}", milvus.package(), service.name()));
    assert_eq!(service.method.len(), METHODS);
    let streaming = service.method.iter().filter(|method| method.client_streaming() || method.server_streaming());
    assert!(streaming.map(|method| method.name()).eq(STREAMING));
}
