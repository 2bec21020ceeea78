//! Names, definitions, loading, indexes: what SDKs ask before and after they read and write.

use proto::common::IndexState;
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use proto::schema::{CollectionSchema, FieldSchema};
use role::proxy::Proxy as _;
use role::root::Changed;
use tonic::Request;

use super::client::*;

#[tokio::test(start_paused = true)]
async fn a_collection_is_described_as_it_was_made() {
    let client = Client::with_collection(2, false).await;
    let described = client.describe(COLLECTION).await;
    ok(described.status.as_ref());
    let schema = described.schema.expect("a schema");
    let expected: Vec<FieldSchema> =
        fields(false).into_iter().enumerate().map(|(i, field)| FieldSchema { field_id: 100 + i as i64, ..field }).collect();
    assert_eq!((&schema.fields, schema.enable_dynamic_field, schema.functions.len()), (&expected, true, 0));
    let id = client.id();
    assert_eq!(described.virtual_channel_names, [format!("t-elanus-dml_0_{id}v0"), format!("t-elanus-dml_1_{id}v1")]);
    assert_eq!((described.shards_num, described.consistency_level, described.collection_id), (2, 2, id.0));
    assert_eq!(described.update_timestamp_str, described.update_timestamp.to_string());
    assert_eq!((described.db_name.as_str(), described.num_partitions), ("default", 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_absent() {
    let client = Client::start().await;
    // SDKs before 2.4 know "no" by these words under this code.
    let absent = outcome(client.describe("nope").await.status.as_ref());
    assert_eq!(absent, (100, 1, "can't find collection[database=default][collection=nope]".into()));
    let named = || "nope".to_owned();
    let has = client.proxy.has_collection(Request::new(m::HasCollectionRequest { collection_name: named(), ..Default::default() })).await;
    let has = has.expect("ok").into_inner();
    ok(has.status.as_ref());
    assert!(!has.value);
    let state = client.proxy.get_load_state(Request::new(m::GetLoadStateRequest { collection_name: named(), ..Default::default() })).await;
    let state = state.expect("ok").into_inner();
    ok(state.status.as_ref());
    assert_eq!(state.state, 0);
    let drop =
        client.proxy.drop_collection(Request::new(m::DropCollectionRequest { collection_name: named(), ..Default::default() })).await;
    ok(Some(&drop.expect("ok").into_inner()));
    let rows = m::GetCollectionStatisticsRequest { collection_name: named(), ..Default::default() };
    let rows = client.proxy.get_collection_statistics(Request::new(rows)).await.expect("ok").into_inner();
    assert_eq!(outcome(rows.status.as_ref()), (100, 4, "collection not found[database=default][collection=nope]".into()));
    let mut connect = Request::new(m::ConnectRequest::default());
    connect.metadata_mut().insert("dbname", "gone".parse().expect("a value"));
    let connect = client.proxy.connect(connect).await.expect("ok").into_inner();
    assert_eq!(outcome(connect.status.as_ref()).2, "database not found[database=gone]");
}

#[tokio::test(start_paused = true)]
async fn wrong_collections() {
    let client = Client::start().await;
    let text = |status: proto::common::Status| (status.code, status.reason);
    let (code, reason) = text(client.create("1a", 1, fields(false)).await);
    assert_eq!(code, 1100);
    assert!(reason.starts_with("Invalid collection name: 1a. the first character of a collection name must be"), "{reason}");
    let (_, reason) = text(client.create("c", 17, fields(false)).await);
    assert_eq!(reason, "maximum shards's number should be limited to 16: invalid parameter");
    let mut partitioned = fields(false);
    partitioned[2].nullable = false;
    partitioned[2].is_partition_key = true;
    let create = |fields: Vec<FieldSchema>, num_partitions: i64, properties: Vec<proto::common::KeyValuePair>| {
        let schema = prost::Message::encode_to_vec(&CollectionSchema { fields, ..Default::default() }).into();
        m::CreateCollectionRequest { collection_name: "c".into(), schema, num_partitions, properties, ..Default::default() }
    };
    let cases = [
        (create(fields(false), 3, vec![]), "num_partitions should only be specified with partition key field enabled: invalid parameter"),
        (
            create(partitioned.clone(), 1025, vec![]),
            "partition number (1025) exceeds max configuration (1024), collection: c: invalid parameter",
        ),
        (
            create(fields(false), 0, vec![pair("collection.ttl.seconds", "-2")]),
            "collection TTL is out of range, expect [-1, 3155760000], got -2: invalid parameter",
        ),
        (
            create(fields(false), 0, vec![pair("mmap.enabled", "True")]),
            "invalid mmap.enabled value: True, expected: true, false: invalid parameter",
        ),
    ];
    for (request, expected) in cases {
        let status = client.proxy.create_collection(Request::new(request)).await.expect("ok").into_inner();
        assert_eq!(status.reason, expected);
    }
    ok(Some(&client.proxy.create_collection(Request::new(create(partitioned, 3, vec![]))).await.expect("ok").into_inner()));
    let show =
        client.proxy.show_partitions(Request::new(m::ShowPartitionsRequest { collection_name: "c".into(), ..Default::default() })).await;
    assert_eq!(show.expect("ok").into_inner().partition_names, ["_default_0", "_default_1", "_default_2"]);
    let partition = m::CreatePartitionRequest { collection_name: "c".into(), partition_name: "p".into(), ..Default::default() };
    let status = client.proxy.create_partition(Request::new(partition)).await.expect("ok").into_inner();
    assert_eq!(status.reason, "disable create partition if partition key mode is used: invalid parameter");
}

#[tokio::test(start_paused = true)]
async fn rows_find_the_partition_of_their_key_and_filters_prune() {
    let client = Client::start().await;
    let mut partitioned = fields(false);
    partitioned[2].nullable = false;
    partitioned[2].is_partition_key = true;
    ok(Some(&client.create(COLLECTION, 1, partitioned).await));
    let names = ["a", "b", "c", "d", "a", "b"];
    let rows = vec![longs("id", &[1, 2, 3, 4, 5, 6]), vectors(&[[0.0; 2]; 6]), texts("name", &names)];
    ok(client.insert_columns(rows, 6).await.status.as_ref());
    let rows = client.rows();
    assert_eq!(rows[0].partition, rows[4].partition);
    assert_eq!(rows[1].partition, rows[5].partition);
    let call = role::Call { deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(5), request: "".into() };
    let query: &dyn role::query::QueryCoord = &*client.fake;
    query.load(&call, role::query::LoadRequest { collection: client.id(), partitions: None, replicas: 0 }).await.expect("the fake loads");
    let found = client.query(r#"name == "a""#, &[], &[]).await;
    assert_eq!(numbers(&found.fields_data[0]), [1, 5]);
    let read = client.fake.state.lock().reads.last().expect("a read").partitions.clone();
    assert_eq!(read, Some(vec![rows[0].partition]));
    let named = m::InsertRequest { num_rows: 1, partition_name: "_default_0".into(), ..Default::default() };
    let (_, _, reason) = outcome(client.insert_with(named).await.status.as_ref());
    assert_eq!(reason, "not support manually specifying the partition names if partition key mode is used: invalid parameter");
}

#[tokio::test(start_paused = true)]
async fn indexes_and_loading() {
    let client = Client::with_collection(1, false).await;
    let status = client.load().await;
    assert_eq!((status.code, status.error_code, status.reason.as_str()), (700, 25, "index not found[collection=c]"));
    let describe =
        |index: &str| m::DescribeIndexRequest { collection_name: COLLECTION.into(), index_name: index.into(), ..Default::default() };
    let none = client.proxy.describe_index(Request::new(describe("i"))).await.expect("ok").into_inner();
    assert_eq!(outcome(none.status.as_ref()).2, "index not found[indexName=i]");
    let create = |field: &str, params: &[(&str, &str)]| m::CreateIndexRequest {
        collection_name: COLLECTION.into(),
        field_name: field.into(),
        extra_params: params.iter().map(|(key, value)| pair(key, value)).collect(),
        ..Default::default()
    };
    let cases = [
        (create("w", &[]), "cannot create index on non-exist field: w: invalid parameter"),
        (create("v", &[("index_type", "ANNOY")]), "invalid parameter[expected=valid index][actual=invalid index type: ANNOY]"),
        (create("v", &[("index_type", "HNSW")]), "metric type not set for vector index: invalid parameter"),
    ];
    let scalar = |kind: &str| create("id", &[("index_type", kind)]);
    let wrong = [
        (scalar("BITMAP"), "create bitmap index on primary key not supported: invalid parameter"),
        (scalar("TRIE"), "TRIE are only supported on varchar field: invalid parameter"),
        (scalar("HNSW"), "data type Int64 can't build with this index HNSW: invalid parameter"),
        (scalar("HYBRID"), "invalid parameter[expected=valid index][actual=invalid index type: HYBRID]"),
    ];
    for (request, expected) in cases.into_iter().chain(wrong) {
        assert_eq!(client.proxy.create_index(Request::new(request)).await.expect("ok").into_inner().reason, expected);
    }
    ok(Some(&client.proxy.create_index(Request::new(scalar("STL_SORT"))).await.expect("ok").into_inner()));
    let described = client.proxy.describe_index(Request::new(describe("id"))).await.expect("ok").into_inner();
    assert_eq!(described.index_descriptions[0].params, [pair("index_type", "STL_SORT")]);
    let drop_scalar = m::DropIndexRequest { collection_name: COLLECTION.into(), index_name: "id".into(), ..Default::default() };
    ok(Some(&client.proxy.drop_index(Request::new(drop_scalar)).await.expect("ok").into_inner()));
    let hnsw = create("v", &[("index_type", "HNSW"), ("metric_type", "L2"), ("params", r#"{"M": 8, "efConstruction": 64}"#)]);
    ok(Some(&client.proxy.create_index(Request::new(hnsw)).await.expect("ok").into_inner()));
    let described = client.proxy.describe_index(Request::new(describe(""))).await.expect("ok").into_inner();
    let index = &described.index_descriptions[0];
    assert_eq!((index.index_name.as_str(), index.field_name.as_str(), index.state), ("v", "v", IndexState::Finished as i32));
    let params = [pair("index_type", "HNSW"), pair("metric_type", "L2"), pair("params", r#"{"M": 8, "efConstruction": 64}"#)];
    assert_eq!(index.params, params);
    let replicas = m::LoadCollectionRequest { collection_name: COLLECTION.into(), replica_number: 3, ..Default::default() };
    let status = client.proxy.load_collection(Request::new(replicas)).await.expect("ok").into_inner();
    assert_eq!((status.code, status.reason.as_str()), (12, "when load 3 replica count: service resource insufficient"));
    ok(Some(&client.load().await));
    let progress = m::GetLoadingProgressRequest { collection_name: COLLECTION.into(), ..Default::default() };
    assert_eq!(client.proxy.get_loading_progress(Request::new(progress.clone())).await.expect("ok").into_inner().progress, 100);
    let drop = m::DropIndexRequest { collection_name: COLLECTION.into(), index_name: "v".into(), ..Default::default() };
    let status = client.proxy.drop_index(Request::new(drop.clone())).await.expect("ok").into_inner();
    assert_eq!(status.reason, format!("vector index cannot be dropped on loaded collection: {}: invalid parameter", client.id()));
    let release = m::ReleaseCollectionRequest { collection_name: COLLECTION.into(), ..Default::default() };
    ok(Some(&client.proxy.release_collection(Request::new(release)).await.expect("ok").into_inner()));
    ok(Some(&client.proxy.drop_index(Request::new(drop)).await.expect("ok").into_inner()));
    let gone = client.proxy.get_loading_progress(Request::new(progress)).await.expect("ok").into_inner();
    assert_eq!(outcome(gone.status.as_ref()), (101, 1, "collection not loaded[collection=c]".into()));
}

#[tokio::test(start_paused = true)]
async fn flushes_and_statistics() {
    let client = Client::with_collection(1, false).await;
    ok(client.insert(&[1, 2, 3]).await.status.as_ref());
    let flush = m::FlushRequest { collection_names: vec![COLLECTION.into()], ..Default::default() };
    let flushed = client.proxy.flush(Request::new(flush)).await.expect("ok").into_inner();
    ok(flushed.status.as_ref());
    assert!(flushed.coll_seg_i_ds.contains_key(COLLECTION) && flushed.coll_seal_times.contains_key(COLLECTION));
    assert_eq!(flushed.flush_coll_seg_i_ds[COLLECTION].data, [9]);
    let poll =
        m::GetFlushStateRequest { collection_name: COLLECTION.into(), flush_ts: flushed.coll_flush_ts[COLLECTION], ..Default::default() };
    assert!(client.proxy.get_flush_state(Request::new(poll)).await.expect("ok").into_inner().flushed);
    assert!(client.proxy.get_flush_state(Request::new(Default::default())).await.expect("ok").into_inner().flushed);
    let rows = m::GetCollectionStatisticsRequest { collection_name: COLLECTION.into(), ..Default::default() };
    let stats = client.proxy.get_collection_statistics(Request::new(rows)).await.expect("ok").into_inner().stats;
    assert_eq!(stats, [pair("row_count", "3")]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_moves_is_forgotten_when_rootcoord_says_so() {
    let client = Client::with_collection(1, false).await;
    ok(client.insert(&[1]).await.status.as_ref());
    let old = client.id();
    let drop = m::DropCollectionRequest { collection_name: COLLECTION.into(), ..Default::default() };
    ok(Some(&client.proxy.drop_collection(Request::new(drop)).await.expect("ok").into_inner()));
    ok(Some(&client.create(COLLECTION, 1, fields(false)).await));
    let call = role::Call { deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(5), request: "".into() };
    client.proxy.invalidate(&call, &Changed { collection: old, dropped_partition: None }).await.expect("nothing can fail");
    ok(client.insert(&[2]).await.status.as_ref());
    assert_ne!(client.id(), old);
    assert_eq!(client.keys(), ["2"]);
    // And if nobody says so, the sequencer refuses the old id and the proxy reads the new one.
    let drop = m::DropCollectionRequest { collection_name: COLLECTION.into(), ..Default::default() };
    ok(Some(&client.proxy.drop_collection(Request::new(drop)).await.expect("ok").into_inner()));
    ok(Some(&client.create(COLLECTION, 1, fields(false)).await));
    ok(client.insert(&[3]).await.status.as_ref());
    assert_eq!(client.keys(), ["3"]);
}

#[tokio::test(start_paused = true)]
async fn partitions() {
    let client = Client::with_collection(1, false).await;
    let named = |name: &str| (COLLECTION.to_owned(), name.to_owned());
    let create = |name: &str| {
        let (collection_name, partition_name) = named(name);
        m::CreatePartitionRequest { collection_name, partition_name, ..Default::default() }
    };
    ok(Some(&client.proxy.create_partition(Request::new(create("p"))).await.expect("ok").into_inner()));
    let has = |name: &str| {
        let (collection_name, partition_name) = named(name);
        m::HasPartitionRequest { collection_name, partition_name, ..Default::default() }
    };
    assert!(client.proxy.has_partition(Request::new(has("p"))).await.expect("ok").into_inner().value);
    assert!(!client.proxy.has_partition(Request::new(has("q"))).await.expect("ok").into_inner().value);
    let drop = |name: &str| {
        let (collection_name, partition_name) = named(name);
        m::DropPartitionRequest { collection_name, partition_name, ..Default::default() }
    };
    let status = client.proxy.drop_partition(Request::new(drop("_default"))).await.expect("ok").into_inner();
    assert_eq!(status.reason, "default partition cannot be deleted: invalid parameter");
    ok(Some(&client.proxy.drop_partition(Request::new(drop("p"))).await.expect("ok").into_inner()));
    let load = m::LoadPartitionsRequest { collection_name: COLLECTION.into(), ..Default::default() };
    let status = client.proxy.load_partitions(Request::new(load)).await.expect("ok").into_inner();
    assert_eq!(status.reason, "invalid parameter[expected=any partition][actual=empty partition list]");
}

#[tokio::test(start_paused = true)]
async fn every_request_is_seen_to_end() {
    let client = Client::with_collection(1, false).await;
    client.seen.0.lock().clear();
    ok(client.insert(&[1]).await.status.as_ref());
    client.describe("nope").await;
    client.fake.state.lock().faults = [super::fake::Fault::Hang].into();
    // The client leaves while its write is under way.
    let left = tokio::time::timeout(std::time::Duration::from_millis(100), client.insert(&[2])).await;
    assert!(left.is_err());
    let seen = |function, code, database: &str, collection: &str| (function, code, database.to_owned(), collection.to_owned());
    // Names that don't exist aren't told: clients can make up any number.
    let expected =
        [seen("Insert", 0, "default", COLLECTION), seen("DescribeCollection", 100, "", ""), seen("Insert", 10_000, "default", COLLECTION)];
    assert_eq!(*client.seen.0.lock(), expected);
}
