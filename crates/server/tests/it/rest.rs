//! REST as HTTP carries it: on the port of gRPC or one of its own, bounded bodies, paths that aren't there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::binary::{Start, get};

/// Status and JSON of a POST.
fn post(address: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).expect("the port listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("it is no zero");
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
        .expect("the port reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a head begins with a status");
    assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
    (status, serde_json::from_str(body).expect("a body is JSON"))
}

#[test]
fn one_port_for_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = Start::standalone().data(directory.path()).variable("PROXY_GRPC_SERVERMAXRECVSIZE", "4096").serving();
    let address = server.clients();
    let list = |headers: &str| post(&address, "/v2/vectordb/collections/list", headers, "{}");
    assert_eq!(list(""), (200, json!({"code": 0, "data": []})));
    assert_eq!(list("DB-Name: absent\r\n").1["code"], 800);
    assert_eq!(list("Request-Timeout: soon\r\n").1["code"], 1100);
    let create = r#"{"collectionName": "c", "dimension": 4}"#;
    assert_eq!(post(&address, "/v2/vectordb/collections/create", "", create), (200, json!({"code": 0, "data": {}})));
    assert_eq!(list("").1["data"], json!(["c"]));
    let large = format!(r#"{{"collectionName": "{}"}}"#, "c".repeat(5_000));
    let (status, answer) = post(&address, "/v2/vectordb/collections/has", "", &large);
    assert_eq!((status, &answer["code"]), (413, &json!(1102)), "{answer}");
    let (status, answer) = post(&address, "/v2/vectordb/users/list", "", "{}");
    assert_eq!((status, &answer["message"]), (404, &json!("no such path: /v2/vectordb/users/list")));
    assert_eq!(get(&address, "/v2/vectordb/collections/list").0, 404);
    server.stop();
}

#[test]
fn a_port_of_its_own_and_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = "/v2/vectordb/collections/list";
    let mut server = Start::standalone()
        .data(directory.path())
        .variable("PROXY_HTTP_PORT", "0")
        .variable("PROXY_HTTP_ACCEPTTYPEALLOWINT64", "false")
        .serving();
    assert_eq!(post(&server.clients(), path, "", "{}").0, 404);
    let own = server.rest();
    assert_eq!(post(&own, path, "", "{}"), (200, json!({"code": 0, "data": []})));
    let create = r#"{"collectionName": "c", "dimension": 2}"#;
    assert_eq!(post(&own, "/v2/vectordb/collections/create", "", create).1["code"], 0);
    let insert = r#"{"collectionName": "c", "data": {"id": 9007199254740993, "vector": [1, 2]}}"#;
    let (_, answer) = post(&own, "/v2/vectordb/entities/insert", "", insert);
    assert_eq!(answer["data"], json!({"insertCount": 1, "insertIds": ["9007199254740993"]}));
    server.stop();
    let mut server = Start::standalone().data(directory.path()).variable("PROXY_HTTP_ENABLED", "false").serving();
    assert_eq!(post(&server.clients(), path, "", "{}").0, 404);
    server.stop();
}
