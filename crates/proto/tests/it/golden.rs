//! Messages that a real client built and encoded: what their bytes mean, and that we encode them alike.
//!
//! `tests/golden/messages.txt` comes from `tests/golden/make.py`. No test writes it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use prost::Message;
use proto::common::{
    ClientInfo, ConsistencyLevel, DslType, ErrorCode, KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue, Status,
};
use proto::milvus::search_request::SearchInput;
use proto::milvus::{
    ConnectRequest, CreateCollectionRequest, DeleteRequest, InsertRequest, MutationResult, QueryRequest, SearchRequest, SearchResults,
};
use proto::schema::{
    CollectionSchema, DataType, DoubleArray, FieldData, FieldSchema, FloatArray, IDs, JsonArray, LongArray, ScalarField, SearchResultData,
    SparseFloatArray, StringArray, TemplateValue, ValueField, VectorField, field_data, i_ds, scalar_field, template_value, value_field,
    vector_field,
};

const MESSAGES: &str = include_str!("../golden/messages.txt");

fn golden(name: &str) -> Bytes {
    let line = MESSAGES.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let digits = line.unwrap_or_else(|| panic!("no golden message {name}")).as_bytes();
    digits.chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The golden bytes decode to `expected`, and that encodes to the same bytes again.
fn check<M: Message + Default + PartialEq + Debug>(name: &str, expected: &M) {
    let bytes = golden(name);
    assert_eq!(M::decode(bytes.clone()).as_ref(), Ok(expected), "{name}");
    assert_eq!(expected.encode_to_vec(), bytes, "{name}");
    assert_eq!(expected.encoded_len(), bytes.len(), "{name}");
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
    pairs.iter().map(|&(key, value)| KeyValuePair { key: key.into(), value: value.into() }).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

fn template(name: &str, value: i64) -> BTreeMap<String, TemplateValue> {
    [(name.to_owned(), TemplateValue { val: Some(template_value::Val::Int64Val(value)) })].into()
}

fn scalars(data_type: DataType, name: &str, data: scalar_field::Data) -> FieldData {
    let field = Some(field_data::Field::Scalars(ScalarField { data: Some(data) }));
    FieldData { r#type: data_type as i32, field_name: name.into(), field, ..Default::default() }
}

fn vectors(data_type: DataType, name: &str, dim: i64, data: vector_field::Data) -> FieldData {
    let field = Some(field_data::Field::Vectors(VectorField { dim, data: Some(data) }));
    FieldData { r#type: data_type as i32, field_name: name.into(), field, ..Default::default() }
}

#[test]
fn create_collection() {
    let fields = vec![
        FieldSchema { name: "id".into(), is_primary_key: true, data_type: DataType::Int64 as i32, auto_id: true, ..Default::default() },
        FieldSchema {
            name: "vector".into(),
            data_type: DataType::FloatVector as i32,
            type_params: pairs(&[("dim", "4")]),
            ..Default::default()
        },
        FieldSchema {
            name: "count".into(),
            data_type: DataType::Int32 as i32,
            default_value: Some(ValueField { data: Some(value_field::Data::LongData(-5)) }),
            ..Default::default()
        },
    ];
    let schema = CollectionSchema {
        name: "books".into(),
        description: "golden".into(),
        auto_id: true,
        fields,
        enable_dynamic_field: true,
        ..Default::default()
    };
    let request = CreateCollectionRequest {
        collection_name: "books".into(),
        schema: schema.encode_to_vec().into(),
        shards_num: 2,
        consistency_level: ConsistencyLevel::Strong as i32,
        properties: pairs(&[("collection.ttl.seconds", "60")]),
        ..Default::default()
    };
    check("create_collection", &request);
    assert_eq!(CollectionSchema::decode(request.schema).unwrap(), schema);
}

#[test]
fn connect() {
    let client_info = ClientInfo {
        sdk_type: "Python".into(),
        sdk_version: "3.0.2".into(),
        user: "root".into(),
        host: "laptop".into(),
        reserved: map(&[("a", "1"), ("b", "2")]),
        ..Default::default()
    };
    check("connect", &ConnectRequest { client_info: Some(client_info), ..Default::default() });
}

#[test]
fn insert() {
    let vector = FloatArray::from(vec![0.5, -1.0, 0.0, 2.0, 1.0, 2.0, 3.0, 4.0]);
    // A sparse row is pairs of a little-endian index and a value.
    let first = [3u32.to_le_bytes(), 0.25f32.to_le_bytes(), 70_000u32.to_le_bytes(), 1.5f32.to_le_bytes()].concat();
    let second = [0u32.to_le_bytes(), 1.0f32.to_le_bytes()].concat();
    let sparse = SparseFloatArray { contents: vec![first.into(), second.into()], dim: 0 };
    let titles = StringArray { data: vec!["first".into(), "zweites Stück".into()] };
    let dynamic = JsonArray { data: vec![Bytes::from_static(br#"{"tag":7}"#), Bytes::from_static(b"{}")] };
    let fields_data = vec![
        scalars(DataType::Int64, "id", scalar_field::Data::LongData(LongArray { data: vec![1, -2] })),
        vectors(DataType::FloatVector, "vector", 4, vector_field::Data::FloatVector(vector)),
        vectors(DataType::SparseFloatVector, "sparse", 0, vector_field::Data::SparseFloatVector(sparse)),
        scalars(DataType::VarChar, "title", scalar_field::Data::StringData(titles)),
        FieldData {
            // Values of null rows are left out.
            valid_data: vec![true, false],
            ..scalars(DataType::Double, "price", scalar_field::Data::DoubleData(DoubleArray { data: vec![9.5] }))
        },
        FieldData { is_dynamic: true, ..scalars(DataType::Json, "$meta", scalar_field::Data::JsonData(dynamic)) },
    ];
    let request = InsertRequest {
        collection_name: "books".into(),
        partition_name: "2024".into(),
        fields_data,
        num_rows: 2,
        schema_timestamp: 77,
        // Present though empty: the field is optional.
        namespace: Some(String::new()),
        ..Default::default()
    };
    check("insert", &request);
}

#[test]
fn search() {
    let rows = [[0.5f32, -1.0, 0.0, 2.0], [1.0, 2.0, 3.0, 4.0]];
    let placeholder = PlaceholderValue {
        tag: "$0".into(),
        r#type: PlaceholderType::FloatVector as i32,
        values: rows.map(|row| FloatArray::from(row.to_vec()).into_bytes()).into(),
        ..Default::default()
    };
    let group = PlaceholderGroup { placeholders: vec![placeholder] };
    let request = SearchRequest {
        collection_name: "books".into(),
        partition_names: vec!["2024".into(), "2025".into()],
        dsl: "price < {limit}".into(),
        search_input: Some(SearchInput::PlaceholderGroup(group.encode_to_vec().into())),
        dsl_type: DslType::BoolExprV1 as i32,
        output_fields: vec!["title".into()],
        search_params: pairs(&[
            ("topk", "3"),
            ("round_decimal", "-1"),
            ("ignore_growing", "False"),
            ("metric_type", "COSINE"),
            ("anns_field", "vector"),
            ("params", r#"{"ef":64,"metric_type":"COSINE"}"#),
        ]),
        nq: 2,
        use_default_consistency: true,
        expr_template_values: template("limit", 10),
        ..Default::default()
    };
    check("search", &request);
}

#[test]
fn query() {
    let request = QueryRequest {
        collection_name: "books".into(),
        expr: "id in [1]".into(),
        output_fields: vec!["*".into()],
        guarantee_timestamp: 1,
        query_params: pairs(&[("ignore_growing", "False"), ("reduce_stop_for_best", "False")]),
        use_default_consistency: true,
        ..Default::default()
    };
    check("query", &request);
}

#[test]
fn delete() {
    let request = DeleteRequest {
        collection_name: "books".into(),
        partition_name: "2024".into(),
        expr: "id == {id}".into(),
        consistency_level: ConsistencyLevel::Bounded as i32,
        expr_template_values: template("id", 1),
        ..Default::default()
    };
    check("delete", &request);
}

#[test]
fn search_results() {
    let floats = FloatArray::from(vec![0.5, 1.5, 2.5, 3.5, 4.5, 5.5]);
    let column = vectors(DataType::FloatVector, "vector", 2, vector_field::Data::FloatVector(floats));
    let keys = LongArray { data: vec![1, -2, 9_007_199_254_740_993] };
    let results = SearchResultData {
        num_queries: 2,
        top_k: 2,
        fields_data: vec![FieldData { field_id: 101, ..column }],
        scores: vec![0.875, 0.5, -0.25],
        ids: Some(IDs { id_field: Some(i_ds::IdField::IntId(keys)) }),
        topks: vec![2, 1],
        output_fields: vec!["vector".into()],
        ..Default::default()
    };
    let response = SearchResults {
        status: Some(Status { extra_info: map(&[("cache_hit_ratio", "1"), ("report_value", "6")]), ..Default::default() }),
        results: Some(results),
        collection_name: "books".into(),
        session_ts: 455_000_000_000_000_000,
    };
    check("search_results", &response);
}

#[test]
fn failure() {
    let status = Status {
        error_code: ErrorCode::RateLimit as i32,
        reason: "slow down".into(),
        code: 8,
        retriable: true,
        detail: "slow down".into(),
        extra_info: map(&[("is_input_error", "false")]),
    };
    check("failure", &MutationResult { status: Some(status), ..Default::default() });
}
