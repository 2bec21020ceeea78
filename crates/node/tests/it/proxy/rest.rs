//! REST over the proxy: a table of requests with their answers for each group of endpoints, and bodies that mean harm.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::cpu::CpuPool;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};
use node::proxy::Proxy;
use node::proxy::rest::{PREFIX, Rest, Settings, v1};
use serde_json::{Value, json};

use super::client::Client;

/// REST over a proxy with fakes behind it.
struct Http {
    rest: Rest<Proxy>,
    client: Client,
}

impl Http {
    async fn start() -> Self {
        let client = Client::start().await;
        let world = World { cpu: CpuPool::inline(), ..World::real() };
        let settings = Settings { int64_numbers: true, timeout: Duration::from_secs(30) };
        Self { rest: Rest::new(Arc::clone(&client.proxy), world, settings), client }
    }

    /// With a collection `c` of the quick form, four floats wide, loaded.
    async fn with_collection() -> Self {
        let http = Self::start().await;
        http.is("collections/create", json!({"collectionName": "c", "dimension": 4, "metricType": "L2"}), json!({})).await;
        http
    }

    async fn post(&self, path: &str, headers: &[(&'static str, &str)], body: Vec<u8>) -> (u16, Value) {
        let (status, answer) = self.send((Method::POST, &format!("{PREFIX}{path}")), headers, body).await;
        assert!(if answer["code"] == 0 { answer.get("data").is_some() } else { answer["message"].is_string() }, "{path}: {answer}");
        (status, answer)
    }

    /// The answer of v1.
    async fn v1(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.send((method, &format!("{}{path}", v1::PREFIX)), &[], body.to_string().into_bytes()).await;
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    async fn send(&self, (method, path): (Method, &str), headers: &[(&'static str, &str)], body: Vec<u8>) -> (u16, Value) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_str(value).expect("a value"))
            })
            .collect();
        let uri: Uri = path.parse().expect("a path");
        let expected = self.rest.expect(&method, &uri, &headers).expect("there is such an endpoint");
        let response = match expected {
            Ok(expected) => expected.answer(Bytes::from(body)).await,
            Err(response) => response,
        };
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
        let status = response.status().as_u16();
        let body: Value = serde_json::from_slice(response.body()).unwrap_or_else(|error| panic!("{path} {error}: {response:?}"));
        assert!(body["code"].is_i64(), "{path}: {body}");
        (status, body)
    }

    async fn ask(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.post(path, &[], body.to_string().into_bytes()).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The answer's data.
    async fn data(&self, path: &str, body: Value) -> Value {
        let answer = self.ask(path, body.clone()).await;
        assert_eq!(answer["code"], 0, "{path} {body}: {answer}");
        answer["data"].clone()
    }

    async fn is(&self, path: &str, body: Value, data: Value) {
        assert_eq!(self.data(path, body.clone()).await, data, "{path} {body}");
    }

    /// A refusal: its code, and a part of its text.
    async fn refuses(&self, path: &str, body: Value, code: i32, text: &str) {
        let answer = self.ask(path, body.clone()).await;
        assert_eq!(answer["code"], code, "{path} {body}: {answer}");
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(message.contains(text), "{path} {body}: {message:?} lacks {text:?}");
        assert_eq!(answer.get("data"), None, "{path} {body}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn collections() {
    let http = Http::start().await;
    http.is("collections/list", json!({}), json!([])).await;
    http.is("collections/create", json!({"collectionName": "c", "dimension": 4}), json!({})).await;
    http.is("collections/list", json!({"dbName": "default"}), json!(["c"])).await;
    let named = || json!({"collectionName": "c"});
    http.is("collections/has", named(), json!({"has": true})).await;
    http.is("collections/has", json!({"collectionName": "x"}), json!({"has": false})).await;
    http.is("collections/get_stats", named(), json!({"rowCount": 0})).await;
    http.is("collections/get_load_state", named(), json!({"loadState": "LoadStateLoaded", "loadProgress": 100})).await;
    let described = http.ask("collections/describe", named()).await;
    assert_eq!(described["message"], "");
    let data = &described["data"];
    let parts = ["collectionName", "autoId", "load", "shardsNum", "consistencyLevel", "enableDynamicField", "aliases", "properties"];
    let shown: Vec<&Value> = parts.iter().map(|part| &data[*part]).collect();
    assert_eq!(
        shown,
        [&json!("c"), &json!(false), &json!("LoadStateLoaded"), &json!(1), &json!("Bounded"), &json!(true), &json!([]), &json!([])]
    );
    assert_eq!(data["indexes"], json!([{"indexName": "vector", "fieldName": "vector", "metricType": "COSINE"}]));
    let vector = json!({"name": "vector", "id": 101, "type": "FloatVector", "primaryKey": false, "partitionKey": false, "clusteringKey": false,
        "autoId": false, "description": "", "nullable": false, "params": [{"key": "dim", "value": "4"}]});
    assert_eq!((data["fields"].as_array().map(Vec::len), &data["fields"][1]), (Some(2), &vector));

    http.is("collections/release", named(), json!({})).await;
    http.is("collections/get_load_state", named(), json!({"loadState": "LoadStateNotLoad"})).await;
    http.is("collections/load", named(), json!({})).await;
    http.is("collections/flush", named(), json!({})).await;
    http.refuses("collections/get_load_state", json!({"collectionName": "x"}), 100, "collection not found[database=default][collection=x]")
        .await;
    http.refuses("collections/describe", json!({"collectionName": "x"}), 100, "can't find collection[database=default][collection=x]")
        .await;
    http.refuses("collections/get_stats", json!({"collectionName": "x"}), 100, "collection not found").await;
    http.refuses("collections/rename", named(), 1802, "newCollectionName is required").await;
    http.is("collections/drop", named(), json!({})).await;
    http.is("collections/has", named(), json!({"has": false})).await;
}

#[tokio::test(start_paused = true)]
async fn collections_by_their_fields() {
    let http = Http::start().await;
    let field = |name: &str, data_type: &str| json!({"fieldName": name, "dataType": data_type});
    let vector = json!({"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": "2"}});
    let key = json!({"fieldName": "k", "dataType": "VarChar", "isPrimary": true, "elementTypeParams": {"max_length": 32}});
    let number = json!({"fieldName": "n", "dataType": "Int64", "nullable": true, "defaultValue": 9_007_199_254_740_993_i64});
    let body = json!({
        "collectionName": "c", "description": "by fields",
        "schema": {"fields": [key, vector, number]},
        "params": {"shardsNum": 2, "ttlSeconds": 60, "consistencyLevel": "Strong"},
    });
    http.is("collections/create", body, json!({})).await;
    // No word of an index: neither indexed nor loaded.
    http.is("collections/get_load_state", json!({"collectionName": "c"}), json!({"loadState": "LoadStateNotLoad"})).await;
    http.is("indexes/list", json!({"collectionName": "c"}), json!([])).await;
    let described = http.ask("collections/describe", json!({"collectionName": "c"})).await;
    assert!(described["message"].as_str().is_some_and(|text| text.contains("index not found")), "{described}");
    let data = &described["data"];
    assert_eq!((&data["shardsNum"], &data["consistencyLevel"], &data["enableDynamicField"]), (&json!(2), &json!("Strong"), &json!(false)));
    assert_eq!(data["description"], "by fields");
    assert_eq!(data["properties"], json!([{"key": "collection.ttl.seconds", "value": "60"}]));
    assert_eq!(data["fields"][2]["defaultValue"], json!({"Data": {"LongData": 9_007_199_254_740_993_i64}}));
    assert_eq!(data["fields"][0]["params"], json!([{"key": "max_length", "value": "32"}]));

    let schema = |fields: Value| json!({"fields": fields});
    let create = |schema: Value, more: Value| {
        let mut body = json!({"collectionName": "d", "schema": schema});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let keyed = || json!([{"fieldName": "k", "dataType": "Int64", "isPrimary": true}, vector]);
    let indexed = |name: &str| json!({"indexParams": [{"fieldName": name, "indexName": "i", "metricType": "L2", "indexType": "FLAT"}]});
    let cases = [
        (create(schema(json!([field("a", "int64")])), json!({})), 1100, "data type int64 is invalid(case sensitive)."),
        (create(schema(json!([{"fieldName": "a"}])), json!({})), 1802, "dataType is required"),
        (create(schema(json!([field("k", "Int64")])), json!({})), 1100, "schema does not contain vector field"),
        (create(schema(keyed()), indexed("x")), 1802, "missing required parameters, error: `x` hasn't defined in schema"),
        (create(schema(keyed()), json!({"consistencyLevel": "Weak"})), 1100, "consistencyLevel can only be [Strong, Session,"),
        (create(schema(keyed()), json!({"params": {"shardsNum": "two"}})), 1801, "shardsNum must be a whole number"),
        (
            create(schema(keyed()), json!({"params": {"ttlSeconds": 1}, "properties": {"collection.ttl.seconds": 1}})),
            1100,
            "collection TTL is specified multiple times",
        ),
        (json!({"collectionName": "d"}), 1100, "dimension is required for quickly create collection(default metric type: COSINE)"),
        (json!({"dimension": 2}), 1802, "collectionName is required"),
    ];
    for (body, code, text) in cases {
        http.refuses("collections/create", body, code, text).await;
    }
    http.is("collections/has", json!({"collectionName": "d"}), json!({"has": false})).await;
    http.is("collections/create", create(schema(keyed()), indexed("v")), json!({})).await;
    http.is("indexes/list", json!({"collectionName": "d"}), json!(["i"])).await;
    http.is("collections/get_load_state", json!({"collectionName": "d"}), json!({"loadState": "LoadStateLoaded", "loadProgress": 100}))
        .await;
}

#[tokio::test(start_paused = true)]
async fn entities() {
    let http = Http::with_collection().await;
    let row = |id: i64| json!({"id": id, "vector": [id as f64, 0.0, 0.0, 0.0], "color": format!("c{id}")});
    let big = i64::MAX - 1;
    let rows: Vec<Value> = [1, 2, big].into_iter().map(row).collect();
    let inserted = http.ask("entities/insert", json!({"collectionName": "c", "data": rows})).await;
    assert_eq!((&inserted["data"], &inserted["cost"]), (&json!({"insertCount": 3, "insertIds": [1, 2, big]}), &json!(0)));
    http.is("entities/insert", json!({"collectionName": "c", "data": row(3)}), json!({"insertCount": 1, "insertIds": [3]})).await;
    http.is("entities/upsert", json!({"collectionName": "c", "data": [row(3)]}), json!({"upsertCount": 1, "upsertIds": [3]})).await;

    let strong = |mut body: Value| {
        body["collectionName"] = json!("c");
        body["consistencyLevel"] = json!("Strong");
        body
    };
    let query = |more: Value| strong(more);
    http.is("entities/query", query(json!({"filter": "id == 2", "outputFields": ["color"]})), json!([{"color": "c2", "id": 2}])).await;
    let whole = json!([{"id": 2, "vector": [2.0, 0.0, 0.0, 0.0], "color": "c2"}]);
    http.is("entities/query", query(json!({"filter": "id == 2"})), whole.clone()).await;
    http.is("entities/get", strong(json!({"id": 2})), whole).await;
    http.is("entities/get", strong(json!({"id": [big], "outputFields": ["id"]})), json!([{"id": big}])).await;
    http.is("entities/query", query(json!({"filter": "id > 0", "outputFields": ["count(*)"], "limit": 1})), json!([{"count(*)": 4}])).await;
    let templated = json!({"filter": "id in {ids}", "exprParams": {"ids": [1, big]}, "outputFields": ["id"]});
    http.is("entities/query", query(templated), json!([{"id": 1}, {"id": big}])).await;
    let page = json!({"filter": "id > 0", "outputFields": ["id"], "limit": 2, "offset": 1});
    http.is("entities/query", query(page), json!([{"id": 2}, {"id": 3}])).await;

    // Integers as texts, for readers with 53 bits.
    let headers = [("accept-type-allow-int64", "false")];
    let body = query(json!({"filter": format!("id == {big}"), "outputFields": ["id"]})).to_string();
    let (_, answer) = http.post("entities/query", &headers, body.into_bytes()).await;
    assert_eq!(answer["data"], json!([{"id": big.to_string()}]));
    let body = json!({"collectionName": "c", "data": {"id": "4", "vector": [4, 0, 0, 0]}}).to_string();
    let (_, answer) = http.post("entities/insert", &headers, body.into_bytes()).await;
    assert_eq!(answer["data"], json!({"insertCount": 1, "insertIds": ["4"]}));

    http.is("entities/delete", json!({"collectionName": "c", "filter": "id in [1]"}), json!({"deleteCount": 1})).await;
    http.is("entities/delete", json!({"collectionName": "c", "id": [2, big]}), json!({"deleteCount": 2})).await;
    assert_eq!(http.client.keys(), ["3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn searches() {
    let http = Http::with_collection().await;
    let row = |id: i64| json!({"id": id, "vector": [id as f64, 0.0, 0.0, 0.0], "color": format!("c{id}")});
    let rows: Vec<Value> = (1..=5).map(row).collect();
    http.data("entities/insert", json!({"collectionName": "c", "data": rows})).await;
    let body = json!({"collectionName": "c", "data": [[1, 0, 0, 0], [4, 0, 0, 0]], "annsField": "vector", "limit": 2, "outputFields": ["color"],
        "searchParams": {"metricType": "L2", "params": {"nprobe": 8}}, "consistencyLevel": "Strong"});
    let found = http.ask("entities/search", body).await;
    assert_eq!((&found["topks"], &found["cost"]), (&json!([2, 2]), &json!(0)));
    let rows = found["data"].as_array().expect("rows");
    let of = |key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    assert_eq!(rows.len(), 4);
    assert_eq!((of("id")[0].clone(), of("id")[2].clone()), (json!(1), json!(4)));
    assert_eq!(of("color")[2], "c4");
    assert!(of("distance").iter().all(Value::is_number), "{rows:?}");
    // Without output fields: key and distance.
    let plain = http.data("entities/search", json!({"collectionName": "c", "data": [[1, 0, 0, 0]], "limit": 1})).await;
    assert_eq!(plain[0].as_object().map(|row| row.keys().cloned().collect::<Vec<_>>()), Some(vec!["distance".to_owned(), "id".to_owned()]));
    let nothing = json!({"collectionName": "c", "data": [[1, 0, 0, 0]], "filter": "id > 100"});
    let nothing = http.ask("entities/search", nothing).await;
    assert_eq!((&nothing["data"], nothing.get("topks")), (&json!([]), None));

    let search = |more: Value| {
        let mut body = json!({"collectionName": "c"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let cases = [
        (json!({}), 1802, "either 'ids' (primary keys) or 'data' (query vectors) must be provided"),
        (json!({"ids": [1], "data": [[1]]}), 1100, "primary keys (ids) and query vectors (data) are mutually exclusive"),
        (json!({"data": [[1, 2]]}), 1801, "dimension: 4, but length of []float: 2"),
        (json!({"data": ["text"]}), 1801, "can only accept json format request, error: "),
        (json!({"data": {"a": 1}}), 1801, "data must be a list of queries"),
        (json!({"data": [[1, 0, 0, 0]], "annsField": "x"}), 1801, "cannot find a vector field named: x"),
        (json!({"data": [[1, 0, 0, 0]], "searchParams": {"params": 7}}), 1100, "searchParams.params must be a dict"),
        (json!({"data": [[1, 0, 0, 0]], "searchParams": {"a": 1, "params": {"a": 2}}}), 1100, "ambiguous parameter: a, in search_param: 1"),
        (json!({"data": [[1, 0, 0, 0]], "limit": 20000}), 1100, "topk [20000] is invalid"),
        (json!({"data": [[1, 0, 0, 0]], "limit": "ten"}), 1801, "limit must be a whole number"),
        (json!({"data": [[1, 0, 0, 0]], "filter": "nope =="}), 1100, "failed to create query plan"),
        (json!({"data": [[1, 0, 0, 0]], "consistencyLevel": "weak"}), 1100, "consistencyLevel can only be"),
        (json!({"data": [[1, 0, 0, 0]], "searchAggregation": {}}), 3000, "searchAggregation is not supported"),
    ];
    for (more, code, text) in cases {
        http.refuses("entities/search", search(more), code, text).await;
    }
    let two = json!({"collectionName": "m", "schema": {"fields": [
        {"fieldName": "k", "dataType": "Int64", "isPrimary": true},
        {"fieldName": "a", "dataType": "FloatVector", "elementTypeParams": {"dim": 2}},
        {"fieldName": "b", "dataType": "FloatVector", "elementTypeParams": {"dim": 2}},
    ]}});
    http.data("collections/create", two).await;
    let text = "search without annsField, but already found multiple vector fields: [a, b,,,]";
    http.refuses("entities/search", json!({"collectionName": "m", "data": [[1, 2]]}), 1801, text).await;
    http.refuses("entities/hybrid_search", json!({"collectionName": "m"}), 1802, "search is required").await;
}

#[tokio::test(start_paused = true)]
async fn rows_that_do_not_fit() {
    let http = Http::with_collection().await;
    let vector = [1, 2, 3, 4];
    let cases = [
        ("entities/insert", json!({"collectionName": "c"}), 1802, "data is required"),
        ("entities/insert", json!({"collectionName": "c", "data": [7]}), 1804, "rows must be objects"),
        ("entities/insert", json!({"collectionName": "c", "data": {"id": 1}}), 1804, "missing vector field: vector"),
        ("entities/insert", json!({"collectionName": "c", "data": {"vector": vector}}), 1804, "missing field: id"),
        ("entities/insert", json!({"collectionName": "c", "data": {"id": 1.5, "vector": vector}}), 1804, "id must be a whole number"),
        (
            "entities/insert",
            json!({"collectionName": "c", "data": [{"id": 1, "vector": [1, 2, 3, 4, 5]}, {"id": 2, "vector": [1, 2, 3]}]}),
            1804,
            "[]float32 size 5 doesn't equal to vector dimension 4 of FloatVector",
        ),
        ("entities/insert", json!({"collectionName": "x", "data": {}}), 100, "can't find collection"),
        (
            "entities/insert",
            json!({"collectionName": "c", "partitionName": "x", "data": {"id": 1, "vector": vector}}),
            200,
            "partition not found",
        ),
        (
            "entities/upsert",
            json!({"collectionName": "c", "data": {"id": 1}, "fieldOps": [{"fieldName": "a", "op": "X"}]}),
            1804,
            "missing",
        ),
        ("entities/delete", json!({"collectionName": "c"}), 1806, "please check the primary key and its' type can only in [int, string]"),
        ("entities/get", json!({"collectionName": "c"}), 1802, "id is required"),
        ("entities/get", json!({"collectionName": "c", "id": "x"}), 1806, "x"),
        ("entities/query", json!({"collectionName": "c", "filter": "id >"}), 1100, "failed to create query plan"),
        ("entities/query", json!({"collectionName": "c", "filter": "id > 0", "exprParams": [1]}), 1801, "exprParams must be an object"),
        ("entities/query", json!({"collectionName": "c", "dbName": "x"}), 100, "collection not found[database=x][collection=c]"),
    ];
    for (path, body, code, text) in cases {
        http.refuses(path, body, code, text).await;
    }
    assert!(http.client.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn partitions_and_indexes() {
    let http = Http::with_collection().await;
    let named = |more: Value| {
        let mut body = json!({"collectionName": "c"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let partition = || named(json!({"partitionName": "p"}));
    http.is("partitions/create", partition(), json!({})).await;
    http.is("partitions/list", named(json!({})), json!(["_default", "p"])).await;
    http.is("partitions/has", partition(), json!({"has": true})).await;
    http.is("partitions/get_stats", partition(), json!({"rowCount": 0})).await;
    http.is("partitions/release", named(json!({"partitionNames": ["p"]})), json!({})).await;
    http.is("partitions/load", named(json!({"partitionNames": ["p"]})), json!({})).await;
    http.refuses("partitions/load", named(json!({"partitionNames": []})), 1802, "partitionNames is required").await;
    http.refuses("partitions/create", named(json!({})), 1802, "partitionName is required").await;
    http.is("partitions/has", named(json!({"partitionName": "q"})), json!({"has": false})).await;
    http.is("collections/release", named(json!({})), json!({})).await;
    http.is("partitions/drop", partition(), json!({})).await;

    http.is("indexes/list", named(json!({})), json!(["vector"])).await;
    let described = http.data("indexes/describe", named(json!({"indexName": "vector"}))).await;
    let index = &described[0];
    assert_eq!((&index["indexName"], &index["fieldName"], &index["metricType"]), (&json!("vector"), &json!("vector"), &json!("L2")));
    assert!(
        index["indexParams"].as_array().is_some_and(|params| params.contains(&json!({"key": "metric_type", "value": "L2"}))),
        "{index}"
    );
    assert_eq!(index["indexState"], "Finished");
    http.refuses("indexes/describe", named(json!({"indexName": "x"})), 700, "index not found[indexName=x]").await;
    http.is("indexes/drop", named(json!({"indexName": "vector"})), json!({})).await;
    http.is("indexes/list", named(json!({})), json!([])).await;
    let params = json!({"indexParams": [{"fieldName": "vector", "indexName": "i", "metricType": "IP", "indexType": "HNSW", "params": {"M": 8, "efConstruction": "64"}}]});
    http.is("indexes/create", named(params), json!({})).await;
    let described = http.data("indexes/describe", named(json!({"indexName": "i"}))).await;
    assert_eq!((&described[0]["indexType"], &described[0]["metricType"]), (&json!("HNSW"), &json!("IP")));
    http.refuses("indexes/create", named(json!({})), 1802, "indexParams is required").await;
    let wrong = json!({"indexParams": [{"fieldName": "x"}]});
    http.refuses("indexes/create", named(wrong), 1100, "cannot create index on non-exist field: x").await;
}

#[tokio::test(start_paused = true)]
async fn databases() {
    let http = Http::with_collection().await;
    http.is("databases/list", json!({}), json!(["default"])).await;
    http.refuses("databases/create", json!({}), 1802, "dbName is required").await;
    let (_, answer) = http.post("collections/list", &[("db-name", "x")], b"{}".to_vec()).await;
    assert_eq!(answer["data"], json!([]));
    // The body's name counts before the header's.
    let (_, answer) = http.post("collections/list", &[("db-name", "x")], b"{\"dbName\": \"default\"}".to_vec()).await;
    assert_eq!(answer["data"], json!(["c"]));
}

/// What the service behind can't do yet is said, not passed over: the table holds for every endpoint, whatever it is to do.
#[tokio::test(start_paused = true)]
async fn endpoints_have_names_and_methods() {
    let http = Http::start().await;
    let headers = HeaderMap::new();
    let names: Vec<&str> = Rest::<Proxy>::ENDPOINTS.iter().map(|(name, _)| *name).collect();
    assert!(names.is_sorted() && names.len() > 50, "{names:?}");
    for name in names {
        let uri: Uri = format!("{PREFIX}{name}").parse().expect("a path");
        assert!(http.rest.expect(&Method::GET, &uri, &headers).is_none(), "{name}");
        let (status, answer) = http.post(name, &[], b" ".to_vec()).await;
        let text = "can only accept json format request, the request body should be nil, however {} is valid";
        assert_eq!((status, &answer["code"], &answer["message"]), (200, &json!(1801), &json!(text)), "{name}");
    }
    for path in
        ["/v2/vectordb/users/list", "/v2/vectordb/", "/v2/vectordb", "/", "/v2/vectordb/collections/list/", "/v1/vector/collections"]
    {
        assert!(http.rest.expect(&Method::POST, &Uri::from_static(path), &headers).is_none(), "{path}");
    }
    let (_, answer) = http.post("collections/list", &[("request-timeout", "soon")], b"{}".to_vec()).await;
    assert_eq!(answer["code"], 1100);
}

#[tokio::test(start_paused = true)]
async fn the_older_rest() {
    let http = Http::start().await;
    let done = json!({"code": 200, "data": {}});
    let post = |path: &'static str, body: Value| http.v1(Method::POST, path, body);
    let get = |path: &'static str| http.v1(Method::GET, path, json!(null));
    assert_eq!(post("collections/create", json!({"collectionName": "c", "dimension": 2})).await, done);
    assert_eq!(get("collections?dbName=default").await, json!({"code": 200, "data": ["c"]}));
    let described = get("collections/describe?collectionName=c").await;
    let data = &described["data"];
    let fields = json!([
        {"name": "id", "type": "Int64", "primaryKey": true, "autoId": true, "description": ""},
        {"name": "vector", "type": "FloatVector(2)", "primaryKey": false, "autoId": false, "description": ""},
    ]);
    assert_eq!((&data["fields"], &data["load"]), (&fields, &json!("LoadStateLoaded")));
    assert_eq!(data["indexes"], json!([{"indexName": "vector_idx", "fieldName": "vector", "metricType": "L2"}]));
    let inserted = post("insert", json!({"collectionName": "c", "data": [{"vector": [1, 0], "a": 1}, {"vector": [0, 1]}]})).await;
    let ids = &inserted["data"]["insertIds"];
    assert_eq!((&inserted["code"], &inserted["data"]["insertCount"], ids.as_array().map(Vec::len)), (&json!(200), &json!(2), Some(2)));
    let found = post("search", json!({"collectionName": "c", "vector": [1, 0], "limit": 1, "outputFields": ["a"], "params": {}})).await;
    assert_eq!((&found["data"][0]["id"], &found["data"][0]["a"], found.get("topks")), (&ids[0], &json!(1), None));
    let read = post("get", json!({"collectionName": "c", "id": ids[1], "outputFields": ["vector"]})).await;
    assert_eq!(read, json!({"code": 200, "data": [{"id": ids[1], "vector": [0.0, 1.0]}]}));
    assert_eq!(post("query", json!({"collectionName": "c", "filter": "a == 1"})).await["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(post("query", json!({"collectionName": "c"})).await["code"], 1802);
    assert_eq!(post("delete", json!({"collectionName": "c", "id": [ids[0]]})).await, done);
    assert_eq!(http.client.keys().len(), 1);
    assert_eq!(post("collections/drop", json!({"collectionName": "c"})).await, done);
    assert_eq!(post("collections/drop", json!({"collectionName": "c"})).await["code"], 100);
    assert_eq!(post("search", json!({"collectionName": "c"})).await["code"], 1802);
}

/// A body that is no request: cut, with bytes changed, with values of other types.
fn broken(seed: u64, good: &str) -> Vec<u8> {
    const VALUES: [&str; 12] =
        ["null", "7", "-1", "1e999", "\"\"", "\"\\u0000\"", "[]", "{}", "[[[[]]]]", "true", "99999999999999999999", "{\"params\":[1]}"];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut body: Value = serde_json::from_str(good).expect("a good body");
    for _ in 0..=next(2) {
        if let Some(members) = body.as_object_mut() {
            let at = next(members.len());
            if let Some(value) = members.values_mut().nth(at) {
                *value = serde_json::from_str(VALUES[next(VALUES.len())]).unwrap_or(Value::Null);
            }
        }
    }
    let mut bytes = body.to_string().into_bytes();
    match next(4) {
        0 => bytes.truncate(next(bytes.len())),
        1 => {
            let at = next(bytes.len());
            bytes[at] = next(256) as u8;
        }
        2 => bytes.extend(std::iter::repeat_n(b'[', next(5_000))),
        _ => {}
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn hostile_bodies_get_an_envelope() {
    let http = Http::with_collection().await;
    let goods = [
        r#"{"collectionName": "c", "data": [{"id": 1, "vector": [1, 2, 3, 4], "a": {"b": [1]}}], "partitionName": "", "partialUpdate": false}"#,
        r#"{"collectionName": "c", "data": [[1, 2, 3, 4]], "limit": 3, "offset": 1, "searchParams": {"params": {"ef": 1}}, "exprParams": {"a": 1}}"#,
        r#"{"collectionName": "c", "filter": "id in {a}", "exprParams": {"a": [1]}, "outputFields": ["*"], "id": [1], "consistencyLevel": "Strong"}"#,
        r#"{"collectionName": "d", "dimension": 4, "metricType": "L2", "params": {"shardsNum": 1}, "indexParams": [], "idType": "Int64"}"#,
        r#"{"collectionName": "d", "schema": {"fields": [{"fieldName": "a", "dataType": "Int64"}], "functions": []}, "properties": {}}"#,
        r#"{"collectionName": "c", "search": [{"data": [[1, 2, 3, 4]], "params": {}}], "rerank": {"strategy": "rrf"}, "limit": 2}"#,
        r#"{"collectionName": "c", "indexParams": [{"fieldName": "vector"}], "aliasName": "a", "dbName": "default", "propertyKeys": ["a"]}"#,
    ];
    for seed in 0..400 {
        let body = broken(seed, goods[seed as usize % goods.len()]);
        for (name, _) in Rest::<Proxy>::ENDPOINTS {
            // `post` asserts the envelope.
            let (status, answer) = http.post(name, &[], body.clone()).await;
            assert!(status == 200, "seed {seed} {name} {}: {status} {answer}", String::from_utf8_lossy(&body));
        }
    }
}
