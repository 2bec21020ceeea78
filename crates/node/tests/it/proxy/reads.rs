//! Searches and queries: against expected messages, over several shards.

use proto::common::Status;
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use proto::schema::i_ds::IdField;
use proto::schema::{DataType, FieldData, IDs, LongArray, SearchResultData};
use role::query::ReadAt;
use types::Code;
use types::time::Timestamp;

use super::client::*;

async fn filled() -> Client {
    let client = Client::with_loaded(2, false).await;
    let keys: Vec<i64> = (1..=8).collect();
    let rows: Vec<[f32; 2]> = keys.iter().map(|&key| [key as f32, 0.0]).collect();
    let names: Vec<String> = keys.iter().map(|key| format!("n{key}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let colors: Vec<String> = keys.iter().map(|key| format!(r#"{{"color":"c{}","size":{key}}}"#, key % 2)).collect();
    let colors: Vec<&str> = colors.iter().map(String::as_str).collect();
    ok(client.insert_columns(vec![longs("id", &keys), vectors(&rows), texts("name", &names), dynamic(&colors)], 8).await.status.as_ref());
    client
}

const TOP: &[(&str, &str)] = &[("topk", "3"), ("anns_field", "v"), ("metric_type", "L2"), ("params", r#"{"nprobe": 10}"#)];

#[tokio::test(start_paused = true)]
async fn a_search_merges_shards_and_renders_what_was_asked_for() {
    let client = filled().await;
    let results =
        client.search(&[[4.0, 0.0], [0.0, 0.0]], TOP, |request| request.output_fields = vec!["name".into(), "color".into()]).await;
    let session = results.session_ts;
    assert!(session > 0);
    let named = |data: FieldData, id: i64| FieldData { field_id: id, ..data };
    let names = FieldData { valid_data: vec![true; 6], ..texts("name", &["n4", "n3", "n5", "n1", "n2", "n3"]) };
    let colors = dynamic(&[
        r#"{"color":"c0"}"#,
        r#"{"color":"c1"}"#,
        r#"{"color":"c1"}"#,
        r#"{"color":"c1"}"#,
        r#"{"color":"c0"}"#,
        r#"{"color":"c1"}"#,
    ]);
    let data = SearchResultData {
        num_queries: 2,
        top_k: 3,
        fields_data: vec![named(names, 102), named(colors, 103)],
        scores: vec![0.0, 1.0, 1.0, 1.0, 4.0, 9.0],
        ids: Some(IDs { id_field: Some(IdField::IntId(LongArray { data: vec![4, 3, 5, 1, 2, 3] })) }),
        topks: vec![3, 3],
        output_fields: vec!["name".into(), "color".into()],
        all_search_count: 12,
        primary_field_name: "id".into(),
        ..SearchResultData::default()
    };
    let expected =
        m::SearchResults { status: Some(Status::default()), results: Some(data), collection_name: COLLECTION.into(), session_ts: session };
    assert_eq!(results, expected);
}

#[tokio::test(start_paused = true)]
async fn offsets_filters_and_partitions() {
    let client = filled().await;
    let ids = |results: m::SearchResults| match results.results.and_then(|data| data.ids).and_then(|ids| ids.id_field) {
        Some(IdField::IntId(ids)) => ids.data,
        other => panic!("no ids: {other:?}"),
    };
    let page = [("topk", "2"), ("offset", "3")];
    assert_eq!(ids(client.search(&[[0.0, 0.0]], &page, |_| ()).await), [4, 5]);
    let even = client.search(&[[0.0, 0.0]], TOP, |request| request.dsl = r#"color == "c0""#.into()).await;
    assert_eq!(ids(even), [2, 4, 6]);
    let none = client.search(&[[0.0, 0.0]], TOP, |request| request.dsl = "id > 100".into()).await;
    let data = none.results.expect("a result");
    assert_eq!((data.num_queries, &data.topks[..], data.fields_data.len()), (1, &[0][..], 0));
    let missing = client.search(&[[0.0, 0.0]], TOP, |request| request.partition_names = vec!["p".into()]).await;
    assert_eq!(outcome(missing.status.as_ref()), (1100, 5, "partition name p not found: invalid parameter".into()));
    let default = client.search(&[[8.0, 0.0]], TOP, |request| request.partition_names = vec!["_default".into()]).await;
    assert_eq!(ids(default), [8, 7, 6]);
}

#[tokio::test(start_paused = true)]
async fn wrong_searches() {
    let client = filled().await;
    let text = |results: m::SearchResults| outcome(results.status.as_ref()).2;
    let with = |key: &'static str, value: &'static str| {
        let mut params = TOP.to_vec();
        params.retain(|(known, _)| *known != key);
        params.push((key, value));
        params
    };
    let query = [[0.0, 0.0]];
    let cases = [
        (with("anns_field", "w"), "failed to get field schema by name: fieldName(w) not found: invalid parameter"),
        (with("anns_field", "id"), "field (id) to search is not of vector data type: invalid parameter"),
        (with("metric_type", "MANHATTAN"), "metric type not match: invalid parameter[expected=L2][actual=MANHATTAN]"),
        (with("topk", "16385"), "topk [16385] is invalid, it should be in range [1, 16384], but got 16385: invalid parameter"),
        (with("collection_id", "5"), "collection id:5 in the request is not consistent to that in the search context"),
    ];
    for (params, expected) in cases {
        let actual = text(client.search(&query, &params, |_| ()).await);
        assert!(actual.starts_with(expected), "{actual}");
    }
    let unknown = text(client.search(&query, TOP, |request| request.dsl = "id >".into()).await);
    assert!(unknown.starts_with("failed to create query plan: cannot parse expression: id >"), "{unknown}");
    let none = text(client.search(&[], TOP, |_| ()).await);
    assert!(none.starts_with("nq [0] is invalid, nq (number of search vector per search request) should be in range [1, 16384]"), "{none}");
    let ids = IDs { id_field: Some(IdField::IntId(LongArray { data: vec![1] })) };
    let by_ids = client.search(&query, TOP, |request| request.search_input = Some(m::search_request::SearchInput::Ids(ids))).await;
    assert_eq!(outcome(by_ids.status.as_ref()).0, Code::UNSUPPORTED.0);
}

#[tokio::test(start_paused = true)]
async fn queries_are_in_order_of_key_and_always_have_columns() {
    let client = filled().await;
    let page = client.query("id > 1", &["name"], &[("limit", "3"), ("offset", "2")]).await;
    ok(page.status.as_ref());
    assert_eq!((page.output_fields.join(" "), page.primary_field_name.as_str()), ("name id".to_owned(), "id"));
    assert_eq!(numbers(&page.fields_data[1]), [4, 5, 6]);
    let keys_only = client.query("id in [8, 1]", &[], &[]).await;
    assert_eq!((keys_only.fields_data.len(), numbers(&keys_only.fields_data[0])), (1, vec![1, 8]));
    let all = client.query("id == 3", &["*"], &[]).await;
    assert_eq!(all.output_fields.join(" "), "id v name $meta");
    let types: Vec<i32> = all.fields_data.iter().map(|data| data.r#type).collect();
    let expected = [DataType::Int64, DataType::FloatVector, DataType::VarChar, DataType::Json].map(|data_type| data_type as i32);
    assert_eq!(types, expected);
    let empty = client.query("id > 100", &["v", "name"], &[]).await;
    assert_eq!((empty.fields_data.len(), numbers(&empty.fields_data[2])), (3, Vec::new()));
    let count = client.query("size > 2", &["count(*)"], &[]).await;
    assert_eq!((count.output_fields.join(" "), numbers(&count.fields_data[0])), ("count(*)".to_owned(), vec![6]));
    assert_eq!(numbers(&client.query("", &[" COUNT(*)"], &[]).await.fields_data[0]), [8]);
    let text = |results: m::QueryResults| outcome(results.status.as_ref()).2;
    let pagination = text(client.query("", &["count(*)"], &[("limit", "1")]).await);
    assert_eq!(pagination, "count entities with pagination is not allowed: invalid parameter");
    assert_eq!(text(client.query("", &["id"], &[]).await), "empty expression should be used with limit: invalid parameter");
    ok(client.query(" ", &["id"], &[("limit", "1")]).await.status.as_ref());
}

#[tokio::test(start_paused = true)]
async fn a_read_of_what_is_not_loaded_or_has_moved() {
    let client = filled().await;
    client.fake.state.lock().read_faults = [Code::CHANNEL_MISROUTED, Code::SERVICE_UNAVAILABLE].into();
    ok(client.query("id > 0", &[], &[]).await.status.as_ref());
    client.fake.state.lock().read_faults = [Code::DATA_INTEGRITY].into();
    let (code, _, reason) = outcome(client.search(&[[0.0, 0.0]], TOP, |_| ()).await.status.as_ref());
    assert_eq!(code, 1009);
    assert!(reason.starts_with("fail to search on QueryNode 3: data integrity check failed[shard="), "{reason}");
    // Released behind this proxy's back: the node refuses, querycoord confirms.
    {
        let mut state = client.fake.state.lock();
        state.loaded.clear();
        state.read_faults = [Code::COLLECTION_NOT_LOADED].into();
    }
    let (code, _, reason) = outcome(client.search(&[[0.0, 0.0]], TOP, |_| ()).await.status.as_ref());
    assert_eq!((code, reason.as_str()), (101, "failed to search: collection not loaded[collection=c]"));
    let (code, _, reason) = outcome(client.query("id > 0", &[], &[]).await.status.as_ref());
    assert_eq!((code, reason.as_str()), (101, "failed to query: collection not loaded[collection=c]"));
    let (code, _, _) = outcome(client.delete("id > 0").await.status.as_ref());
    assert_eq!(code, 101);
    ok(client.delete("id == 1").await.status.as_ref());
}

#[tokio::test(start_paused = true)]
async fn freshness_reaches_the_nodes() {
    let client = filled().await;
    let at = |client: &Client| client.fake.state.lock().reads.last().expect("a read").at;
    ok(client.search(&[[0.0, 0.0]], TOP, |_| ()).await.status.as_ref());
    assert_eq!(at(&client), ReadAt::Barrier);
    ok(client.search(&[[0.0, 0.0]], TOP, |request| request.use_default_consistency = true).await.status.as_ref());
    assert_eq!(at(&client), ReadAt::Within(std::time::Duration::from_secs(5)));
    let mut params = TOP.to_vec();
    params.push(("iterator", "True"));
    let iterate = |request: &mut m::SearchRequest| (request.guarantee_timestamp, request.use_default_consistency) = (77 << 18, true);
    ok(client.search(&[[0.0, 0.0]], &params, iterate).await.status.as_ref());
    assert_eq!(at(&client), ReadAt::Snapshot(Timestamp(77 << 18)));
}

#[tokio::test(start_paused = true)]
async fn reads_go_to_all_replicas_and_past_those_that_fail() {
    let client = filled().await;
    client.fake.state.lock().more_nodes = vec![4];
    client.proxy.forget_definitions();
    let ask = async || {
        client.fake.state.lock().asked.clear();
        ok(client.search(&[[0.0, 0.0]], TOP, |_| ()).await.status.as_ref());
        client.fake.state.lock().asked.clone()
    };
    let mut asked = Vec::new();
    for _ in 0..20 {
        asked.extend(ask().await);
    }
    assert!(asked.contains(&3) && asked.contains(&4), "{asked:?}");
    // A node that is away costs one answer, and then it is passed over for a while.
    let began = tokio::time::Instant::now();
    client.fake.state.lock().failing.insert(3, Code::SERVICE_UNAVAILABLE);
    while !ask().await.contains(&3) {}
    for _ in 0..10 {
        assert_eq!(ask().await, [4, 4]);
    }
    assert_eq!(began.elapsed(), std::time::Duration::ZERO, "nobody waits");
    // What may be wrong with one node's files alone is asked of the other one; what is wrong with the request isn't.
    client.fake.state.lock().failing = [(3, Code::DATA_INTEGRITY)].into();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    ask().await;
    client.fake.state.lock().failing = [(3, Code::INVALID_PARAMETER), (4, Code::INVALID_PARAMETER)].into();
    client.fake.state.lock().asked.clear();
    assert_eq!(outcome(client.search(&[[0.0, 0.0]], TOP, |_| ()).await.status.as_ref()).0, 1100);
    assert!(client.fake.state.lock().asked.len() <= 2);
    // Both are away for a moment.
    client.fake.state.lock().failing.clear();
    client.fake.state.lock().read_faults = [Code::SERVICE_UNAVAILABLE; 5].into();
    ask().await;
}

#[tokio::test(start_paused = true)]
async fn nodes_that_are_replaced_are_waited_for() {
    let client = filled().await;
    client.fake.state.lock().more_nodes = vec![4];
    client.proxy.forget_definitions();
    // New processes at the old addresses: they hold nothing, and querycoord doesn't know yet.
    client.fake.state.lock().failing = [(3, Code::COLLECTION_NOT_LOADED), (4, Code::COLLECTION_NOT_LOADED)].into();
    let fake = client.fake.clone();
    let told = tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        fake.state.lock().failing.clear();
    });
    ok(client.search(&[[0.0, 0.0]], TOP, |_| ()).await.status.as_ref());
    told.await.expect("no panic");
    // Not for ever.
    client.fake.state.lock().failing = [(3, Code::COLLECTION_NOT_LOADED), (4, Code::COLLECTION_NOT_LOADED)].into();
    let (code, _, reason) = outcome(client.search(&[[0.0, 0.0]], TOP, |_| ()).await.status.as_ref());
    assert_eq!(code, 103, "{reason}");
    assert!(reason.contains(COLLECTION), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_came_later_is_asked_too() {
    let client = filled().await;
    ok(client.search(&[[0.0, 0.0]], TOP, |_| ()).await.status.as_ref());
    client.fake.state.lock().more_nodes = vec![4];
    let mut waited = 0;
    while !client.fake.state.lock().asked.contains(&4) {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        ok(client.search(&[[0.0, 0.0]], TOP, |_| ()).await.status.as_ref());
        waited += 1;
        assert!(waited < 10, "nobody tells the proxy, so it must ask");
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_are_named_with_their_leaders() {
    let client = filled().await;
    client.fake.state.lock().more_nodes = vec![4];
    let request = m::GetReplicasRequest { collection_id: client.id().0, with_shard_nodes: true, ..Default::default() };
    let found = client.proxy.get_replicas(tonic::Request::new(request)).await.expect("ok").into_inner();
    ok(found.status.as_ref());
    let nodes: Vec<&[i64]> = found.replicas.iter().map(|replica| &replica.node_ids[..]).collect();
    assert_eq!(nodes, [[3], [4]]);
    for replica in &found.replicas {
        let channels: Vec<&str> = replica.shard_replicas.iter().map(|shard| shard.dm_channel_name.as_str()).collect();
        assert_eq!(channels.len(), 2, "{channels:?}");
        assert_ne!(channels[0], channels[1]);
    }
    assert_ne!(found.replicas[0].replica_id, found.replicas[1].replica_id);
}
