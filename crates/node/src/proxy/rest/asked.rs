//! One request: its body, its circumstances, and the way to the service.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, header};
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use tokio::time::Instant;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};
use types::{Code, Error, Result};

use super::super::context::DEFAULT_DATABASE;
use super::body::Fields;
use super::envelope::{Outcome, of_call};

/// Work on texts up to this size is done where the request is served; more goes to the CPU pool.
const INLINE_BYTES_MAX: usize = 256 << 10;

/// How Int64 values stand in answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Int64 {
    /// As numbers.
    Number,
    /// As strings, for readers whose numbers have 53 bits.
    Text,
}

/// A request.
pub struct Asked<S> {
    service: Arc<S>,
    world: World,
    /// Its body.
    pub body: Fields,
    /// The database that it names.
    pub database: String,
    /// How Int64 values are to stand in its answer.
    pub int64: Int64,
    metadata: MetadataMap,
    deadline: Instant,
}

/// What headers say.
pub struct Headers {
    int64: Int64,
    timeout: Duration,
    database: Option<String>,
    metadata: MetadataMap,
}

impl Headers {
    /// Reads them; `int64` and `timeout` hold where they say nothing.
    ///
    /// # Errors
    /// 1100 for a timeout that isn't one.
    pub fn read(headers: &HeaderMap, int64: Int64, timeout: Duration) -> Result<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let mut metadata = MetadataMap::new();
        if let Some(token) = text(header::AUTHORIZATION.as_str()).and_then(|text| MetadataValue::try_from(credentials(text)).ok()) {
            metadata.insert("authorization", token);
        }
        for name in ["client-request-id", "client_request_id"] {
            if let Some(id) = text(name).and_then(|id| MetadataValue::try_from(id).ok()) {
                metadata.insert(name, id);
            }
        }
        Ok(Self {
            int64: match text("Accept-Type-Allow-Int64").map(str::to_ascii_lowercase).as_deref() {
                Some("true" | "t" | "1") => Int64::Number,
                Some("false" | "f" | "0") => Int64::Text,
                _ => int64,
            },
            timeout: text("Request-Timeout").filter(|text| !text.is_empty()).map_or(Ok(timeout), seconds)?,
            database: text("DB-Name").filter(|name| !name.is_empty()).map(str::to_owned),
            metadata,
        })
    }

    /// How long the request may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}

fn seconds(text: &str) -> Result<Duration> {
    match text.parse::<u32>() {
        Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds.into())),
        _ => Err(Error::invalid(format!("Request-Timeout must be a whole number of seconds above 0, but got {text}"))),
    }
}

/// What stands in HTTP's header as the service reads it: base64 of `user:password` or of a token.
fn credentials(text: &str) -> String {
    match text.split_once(' ').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest.trim())) {
        Some((scheme, token)) if scheme == "bearer" => BASE64.encode(token),
        Some((scheme, encoded)) if scheme == "basic" => encoded.to_owned(),
        _ => BASE64.encode(text),
    }
}

impl<S: MilvusService> Asked<S> {
    /// Reads the body.
    ///
    /// # Errors
    /// 1801.
    pub async fn read(service: &Arc<S>, world: &World, headers: Headers, body: bytes::Bytes) -> Result<Self> {
        let deadline = world.clock.now() + headers.timeout;
        let body = match body.len() {
            0..=INLINE_BYTES_MAX => Fields::parse(body)?,
            _ => world.cpu.run(|| Fields::parse(body)).await?,
        };
        let named = body.text("dbName")?;
        let database = [Some(named), headers.database].into_iter().flatten().find(|name| !name.is_empty());
        Ok(Self {
            service: service.clone(),
            world: world.clone(),
            body,
            database: database.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()),
            int64: headers.int64,
            metadata: headers.metadata,
            deadline,
        })
    }

    /// Calls the service.
    ///
    /// # Errors
    /// What it answers instead of a success.
    pub async fn call<'a, Q, A, F>(&'a self, rpc: impl FnOnce(&'a S, Request<Q>) -> F, message: Q) -> Result<A>
    where
        A: Outcome,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let left = self.deadline.saturating_duration_since(self.world.clock.now());
        let mut metadata = self.metadata.clone();
        // Eight digits: more than a day of milliseconds.
        let timeout = format!("{}m", left.as_millis().min(99_999_999));
        if let Ok(timeout) = MetadataValue::try_from(timeout) {
            metadata.insert("grpc-timeout", timeout);
        }
        let request = Request::from_parts(metadata, tonic::Extensions::default(), message);
        match rpc(&self.service, request).await {
            Ok(answer) => answer.into_inner().succeeded(),
            Err(status) => Err(of_call(&status)),
        }
    }

    /// The same request with another body.
    pub fn with_body(&self, body: Fields) -> Self {
        Self {
            service: self.service.clone(),
            world: self.world.clone(),
            body,
            database: self.database.clone(),
            int64: self.int64,
            metadata: self.metadata.clone(),
            deadline: self.deadline,
        }
    }

    /// Work that computes on so many bytes: here, or on the CPU pool.
    pub async fn compute<T: Send + 'static>(&self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
        if bytes <= INLINE_BYTES_MAX { work() } else { self.world.cpu.run(work).await }
    }

    /// The collection that the body names.
    pub fn collection(&self) -> Result<String> {
        self.body.required_text("collectionName")
    }

    /// The definition of the collection that the body names.
    pub async fn described(&self) -> Result<m::DescribeCollectionResponse> {
        let request =
            m::DescribeCollectionRequest { db_name: self.database.clone(), collection_name: self.collection()?, ..Default::default() };
        self.call(S::describe_collection, request).await
    }

    /// An error where the body has a member that nothing here understands.
    pub fn refuse(&self, names: &[&str]) -> Result<()> {
        match names.iter().find(|name| self.body.get(name).is_some()) {
            Some(name) => Err(Error::new(Code::UNSUPPORTED, format!("{name} is not supported: unsupported operation"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Result<Headers> {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_bytes(name.as_bytes()).expect("a name"), http::HeaderValue::from_str(value).expect("a value"))
        });
        Headers::read(&headers.collect(), Int64::Number, Duration::from_secs(30))
    }

    #[test]
    fn headers() {
        let plain = read(&[]).expect("nothing is wrong with nothing");
        assert_eq!((plain.int64, plain.timeout, plain.database), (Int64::Number, Duration::from_secs(30), None));
        let all = read(&[("accept-type-allow-int64", "False"), ("request-timeout", "7"), ("db-name", "d")]).expect("good headers");
        assert_eq!((all.int64, all.timeout, all.database.as_deref()), (Int64::Text, Duration::from_secs(7), Some("d")));
        assert_eq!(read(&[("accept-type-allow-int64", "perhaps")]).expect("ignored").int64, Int64::Number);
        for wrong in ["x", "-1", "0", "1.5", "99999999999"] {
            assert_eq!(read(&[("request-timeout", wrong)]).err().map(|error| error.code().0), Some(1100), "{wrong}");
        }
    }

    #[test]
    fn who_asks() {
        let encoded = BASE64.encode("root:Milvus");
        for text in ["Bearer root:Milvus", "bearer root:Milvus", "root:Milvus", &format!("Basic {encoded}")] {
            let headers = read(&[("authorization", text)]).expect("good headers");
            assert_eq!(headers.metadata.get("authorization").and_then(|value| value.to_str().ok()), Some(&*encoded), "{text}");
        }
    }
}
