//! S3 gateways that misbehave, on loopback: what the client makes of lies, lost answers and conflicts.
//!
//! Just enough of HTTP and S3 for that: path style, one object per request, no listing, no signatures, no parts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use bytes::Bytes;
use parking_lot::Mutex;
use store::object::s3::{S3Options, S3Store};
use store::object::{Store, StoreError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How a gateway misbehaves.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Manner {
    Honest,
    /// Accepts `If-None-Match` and writes anyway.
    IgnoresCondition,
    /// Forgets what isn't the object's bytes.
    DropsMetadata,
    /// Puts, and closes the connection instead of answering; the first time.
    LosesAnswer,
    /// Puts, and answers as if it were overloaded; the first time. The client's transport repeats by itself.
    AnswersTwice,
    /// Says that another put is under way, although there is none; the first time.
    Conflicts,
    /// Doesn't know the header.
    Unimplemented,
}

struct Gateway {
    manner: Mutex<Manner>,
    objects: Mutex<BTreeMap<String, Object>>,
}

#[derive(Clone)]
struct Object {
    bytes: Bytes,
    attempt: String,
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Gateway {
    /// Listens until the test's runtime ends.
    async fn start() -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let gateway = Arc::new(Self { manner: Mutex::new(Manner::Honest), objects: Mutex::default() });
        let served = gateway.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(served.clone().serve(stream));
            }
        });
        (gateway, endpoint)
    }

    fn set(&self, manner: Manner) {
        *self.manner.lock() = manner;
    }

    /// Misbehaves once.
    fn once(&self, manner: Manner) -> bool {
        let mut current = self.manner.lock();
        let hit = *current == manner;
        if hit {
            *current = Manner::Honest;
        }
        hit
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read_request(&mut stream).await {
            let Some(answer) = self.answer(&request) else { return };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// The answer's bytes; `None` closes the connection.
    fn answer(&self, request: &Request) -> Option<String> {
        let name = request.path.clone();
        let found = self.objects.lock().get(&name).cloned();
        Some(match (request.method.as_str(), found) {
            ("PUT", found) => return self.put(request, found),
            ("DELETE", _) => {
                self.objects.lock().remove(&name);
                respond("204 No Content", "", "")
            }
            ("GET" | "HEAD", None) => respond("404 Not Found", "", "<Error><Code>NoSuchKey</Code></Error>"),
            ("GET" | "HEAD", Some(object)) => {
                let metadata = format!(
                    "x-amz-meta-elanus-attempt: {}\r\nlast-modified: Wed, 01 Jan 2025 00:00:00 GMT\r\netag: \"e\"\r\n",
                    object.attempt
                );
                let body = String::from_utf8_lossy(&object.bytes).into_owned();
                let whole = respond("200 OK", &metadata, &body);
                if request.method == "HEAD" { whole[..whole.len() - body.len()].to_owned() } else { whole }
            }
            _ => respond("405 Method Not Allowed", "", ""),
        })
    }

    fn put(&self, request: &Request, found: Option<Object>) -> Option<String> {
        let conditional = request.headers.contains_key("if-none-match");
        if conditional && *self.manner.lock() == Manner::Unimplemented {
            return Some(respond("501 Not Implemented", "", "<Error><Code>NotImplemented</Code></Error>"));
        }
        if conditional && self.once(Manner::Conflicts) {
            return Some(respond("409 Conflict", "", "<Error><Code>ConditionalRequestConflict</Code></Error>"));
        }
        if conditional && found.is_some() && *self.manner.lock() != Manner::IgnoresCondition {
            return Some(respond("412 Precondition Failed", "", "<Error><Code>PreconditionFailed</Code></Error>"));
        }
        let keeps = *self.manner.lock() != Manner::DropsMetadata;
        let attempt = request.headers.get("x-amz-meta-elanus-attempt").filter(|_| keeps).cloned().unwrap_or_default();
        self.objects.lock().insert(request.path.clone(), Object { bytes: request.body.clone().into(), attempt });
        if conditional && self.once(Manner::LosesAnswer) {
            return None;
        }
        if conditional && self.once(Manner::AnswersTwice) {
            return Some(respond("503 Service Unavailable", "", "<Error><Code>SlowDown</Code></Error>"));
        }
        Some(respond("200 OK", "etag: \"e\"\r\n", ""))
    }
}

fn respond(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|&read| read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, headers, body })
}

async fn open(endpoint: &str) -> Result<S3Store, StoreError> {
    let options = S3Options {
        endpoint: Some(endpoint.to_owned()),
        region: None,
        bucket: "b".into(),
        root: "r".into(),
        keys: Some(("a".into(), "s".into())),
        virtual_host: false,
        authorities: None,
        timeout: Duration::from_secs(5),
    };
    S3Store::open(&World::real(), &options).await
}

/// A gateway on which conditional puts can't be trusted isn't used.
#[tokio::test]
async fn an_unfit_gateway_is_named_at_start() {
    for (manner, expected) in [
        (Manner::IgnoresCondition, "accepts If-None-Match on a put and ignores it"),
        (Manner::DropsMetadata, "doesn't keep an object's metadata"),
        (Manner::Unimplemented, "doesn't know If-None-Match on a put"),
    ] {
        let (gateway, endpoint) = Gateway::start().await;
        gateway.set(manner);
        match open(&endpoint).await.err().unwrap_or_else(|| panic!("{manner:?} is accepted")) {
            StoreError::Misconfigured(error) => assert!(error.reason().contains(expected), "{manner:?}: {error}"),
            other => panic!("{manner:?}: {other:?}"),
        }
    }
}

/// Whoever created the object learns that, however the answer went astray; whoever didn't is told so.
#[tokio::test]
async fn a_conditional_put_knows_whose_the_object_is() {
    for manner in [Manner::Honest, Manner::LosesAnswer, Manner::AnswersTwice, Manner::Conflicts] {
        let (gateway, endpoint) = Gateway::start().await;
        let store = open(&endpoint).await.expect("the gateway is honest so far");
        gateway.set(manner);
        assert_eq!(store.put_if_absent("o", Bytes::from_static(b"first")).await, Ok(()), "{manner:?}");
        assert_eq!(store.get("o").await.expect("it was put"), "first", "{manner:?}");
        gateway.set(manner);
        assert_eq!(store.put_if_absent("o", Bytes::from_static(b"second")).await, Err(StoreError::Exists("o".into())), "{manner:?}");
        assert_eq!(store.get("o").await.expect("it was put"), "first", "{manner:?}");
    }
}

/// Ages are by the server's clock: this one believes that it is 2025.
#[tokio::test]
async fn ages_are_by_the_servers_clock() {
    let (_gateway, endpoint) = Gateway::start().await;
    let store = open(&endpoint).await.expect("the gateway is honest");
    store.put("o", Bytes::from_static(b"x")).await.expect("the gateway takes it");
    let age = store.head("o").await.expect("it was put").age;
    assert!(age < Duration::from_secs(60), "a new object is {age:?} old");
}
