//! REST v2 and v1: JSON over HTTP for those who have no SDK. It translates requests to Milvus's messages, calls the service that SDKs call, and
//! translates its answers back; every check beyond the form of the JSON is the service's own.
//!
//! It knows no sockets: a request is a path, headers and a whole body, an answer is a status, headers and a body. The server reads bodies, bounds
//! them and ends what takes too long.
//!
//! What isn't here: users, roles, jobs, resource groups. Such paths answer 404, as do unknown ones.
//!
//! Invariants: an answer is always JSON in an envelope ([`envelope`]); Int64 values keep all their bits, in and out.
//!
//! Start at [`Rest::ENDPOINTS`]. A file for each group: [`collections`] (with [`create`] and [`fields`]), entities ([`writes`], [`reads`]),
//! [`partitions`], [`indexes`], [`aliases`], [`databases`]; [`v1`] is the older REST. Rows come in by [`rows`] and go out by [`render`].

mod aliases;
mod asked;
mod body;
mod collections;
mod create;
mod databases;
mod envelope;
mod fields;
mod indexes;
mod keys;
mod params;
mod partitions;
mod reads;
mod render;
mod rows;
mod schema;
mod structs;
pub mod v1;
mod values;
mod vectors;
mod writes;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use proto::milvus::milvus_service_server::MilvusService;
use types::{Code, Error, Result};

use asked::{Asked, Headers, Int64};
use envelope::Reply;

/// What all paths of v2 begin with.
pub const PREFIX: &str = "/v2/vectordb/";

type Handler<S> = for<'a> fn(&'a Asked<S>) -> Pin<Box<dyn Future<Output = Result<Reply>> + Send + 'a>>;

/// What an operator decides.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether Int64 values stand in answers as numbers where a request says nothing (`proxy.http.acceptTypeAllowInt64`).
    pub int64_numbers: bool,
    /// How long a request may take that says nothing (`proxy.http.requestTimeoutMs`).
    pub timeout: Duration,
}

/// REST over a service.
pub struct Rest<S> {
    service: Arc<S>,
    world: World,
    settings: Settings,
}

impl<S> Clone for Rest<S> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), world: self.world.clone(), settings: self.settings }
    }
}

/// A request whose body is still to come.
pub struct Expected<S> {
    rest: Rest<S>,
    headers: Headers,
    handler: Handler<S>,
    /// The code of a success.
    success: i32,
    /// What stands in for the body of a GET.
    parameters: Option<Bytes>,
}

impl<S: MilvusService> Rest<S> {
    /// Every endpoint, below [`PREFIX`].
    pub const ENDPOINTS: &'static [(&'static str, Handler<S>)] = &[
        ("aliases/alter", |asked| Box::pin(aliases::alter(asked))),
        ("aliases/create", |asked| Box::pin(aliases::create(asked))),
        ("aliases/describe", |asked| Box::pin(aliases::describe(asked))),
        ("aliases/drop", |asked| Box::pin(aliases::drop(asked))),
        ("aliases/list", |asked| Box::pin(aliases::list(asked))),
        ("collections/add_function", |asked| Box::pin(fields::add_function(asked))),
        ("collections/add_function_field", |asked| Box::pin(fields::add_function_field(asked))),
        ("collections/alter_function", |asked| Box::pin(fields::alter_function(asked))),
        ("collections/alter_properties", |asked| Box::pin(collections::alter_properties(asked))),
        ("collections/compact", |asked| Box::pin(collections::compact(asked))),
        ("collections/create", |asked| Box::pin(create::create(asked))),
        ("collections/describe", |asked| Box::pin(collections::describe(asked))),
        ("collections/drop", |asked| Box::pin(collections::drop(asked))),
        ("collections/drop_function", |asked| Box::pin(fields::drop_function(asked))),
        ("collections/drop_function_field", |asked| Box::pin(fields::drop_function_field(asked))),
        ("collections/drop_properties", |asked| Box::pin(collections::drop_properties(asked))),
        ("collections/fields/add", |asked| Box::pin(fields::add(asked))),
        ("collections/fields/alter_properties", |asked| Box::pin(fields::alter_properties(asked))),
        ("collections/fields/drop", |asked| Box::pin(fields::drop(asked))),
        ("collections/flush", |asked| Box::pin(collections::flush(asked))),
        ("collections/get_compaction_state", |asked| Box::pin(collections::get_compaction_state(asked))),
        ("collections/get_load_state", |asked| Box::pin(collections::get_load_state(asked))),
        ("collections/get_stats", |asked| Box::pin(collections::stats(asked))),
        ("collections/has", |asked| Box::pin(collections::has(asked))),
        ("collections/list", |asked| Box::pin(collections::list(asked))),
        ("collections/load", |asked| Box::pin(collections::load(asked))),
        ("collections/refresh_load", |asked| Box::pin(collections::refresh_load(asked))),
        ("collections/release", |asked| Box::pin(collections::release(asked))),
        ("collections/rename", |asked| Box::pin(collections::rename(asked))),
        ("collections/struct_fields/add", |asked| Box::pin(fields::add_struct(asked))),
        ("collections/truncate", |asked| Box::pin(collections::truncate(asked))),
        ("databases/alter", |asked| Box::pin(databases::alter_properties(asked))),
        ("databases/alter_properties", |asked| Box::pin(databases::alter_properties(asked))),
        ("databases/create", |asked| Box::pin(databases::create(asked))),
        ("databases/describe", |asked| Box::pin(databases::describe(asked))),
        ("databases/drop", |asked| Box::pin(databases::drop(asked))),
        ("databases/drop_properties", |asked| Box::pin(databases::drop_properties(asked))),
        ("databases/list", |asked| Box::pin(databases::list(asked))),
        ("entities/advanced_search", |asked| Box::pin(reads::hybrid_search(asked))),
        ("entities/delete", |asked| Box::pin(writes::delete(asked))),
        ("entities/get", |asked| Box::pin(reads::get(asked))),
        ("entities/hybrid_search", |asked| Box::pin(reads::hybrid_search(asked))),
        ("entities/insert", |asked| Box::pin(writes::insert(asked))),
        ("entities/query", |asked| Box::pin(reads::query(asked))),
        ("entities/search", |asked| Box::pin(reads::search(asked))),
        ("entities/upsert", |asked| Box::pin(writes::upsert(asked))),
        ("indexes/alter_properties", |asked| Box::pin(indexes::alter_properties(asked))),
        ("indexes/create", |asked| Box::pin(indexes::create(asked))),
        ("indexes/describe", |asked| Box::pin(indexes::describe(asked))),
        ("indexes/drop", |asked| Box::pin(indexes::drop(asked))),
        ("indexes/drop_properties", |asked| Box::pin(indexes::drop_properties(asked))),
        ("indexes/list", |asked| Box::pin(indexes::list(asked))),
        ("partitions/create", |asked| Box::pin(partitions::create(asked))),
        ("partitions/drop", |asked| Box::pin(partitions::drop(asked))),
        ("partitions/get_stats", |asked| Box::pin(partitions::stats(asked))),
        ("partitions/has", |asked| Box::pin(partitions::has(asked))),
        ("partitions/list", |asked| Box::pin(partitions::list(asked))),
        ("partitions/load", |asked| Box::pin(partitions::load(asked))),
        ("partitions/release", |asked| Box::pin(partitions::release(asked))),
    ];

    /// REST over `service`.
    pub fn new(service: Arc<S>, world: World, settings: Settings) -> Self {
        Self { service, world, settings }
    }

    /// What a request means before its body is read: `None` where there is no such endpoint, the whole answer where its headers are wrong.
    #[allow(clippy::result_large_err, reason = "the answer is the error")]
    pub fn expect(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Result<Expected<S>, Response<Bytes>>> {
        let (handler, success) = match uri.path().strip_prefix(PREFIX) {
            Some(name) => (Self::ENDPOINTS.iter().find(|(endpoint, _)| method == Method::POST && *endpoint == name)?.1, 0),
            None => {
                let name = uri.path().strip_prefix(v1::PREFIX)?;
                let found = Self::ENDPOINTS_V1.iter().find(|(verb, endpoint, _)| method == *verb && *endpoint == name)?;
                (found.2, v1::SUCCESS)
            }
        };
        let int64 = if self.settings.int64_numbers { Int64::Number } else { Int64::Text };
        let parameters = (method == Method::GET).then(|| v1::body_of_query(uri.query().unwrap_or_default()));
        Some(match Headers::read(headers, int64, self.settings.timeout) {
            Ok(headers) => Ok(Expected { rest: self.clone(), headers, handler, success, parameters }),
            Err(error) => Err(envelope::refusal(error)),
        })
    }
}

impl<S: MilvusService> Expected<S> {
    /// How long the request may take, with its body.
    pub fn timeout(&self) -> Duration {
        self.headers.timeout()
    }

    /// The answer to the request with this body.
    pub async fn answer(self, body: Bytes) -> Response<Bytes> {
        let Self { rest, headers, handler, success, parameters } = self;
        let body = parameters.unwrap_or(body);
        let outcome = async {
            let asked = Asked::read(&rest.service, &rest.world, headers, body).await?;
            handler(&asked).await
        };
        envelope::response(outcome.await, success)
    }
}

/// The answer where time is up.
pub fn timed_out() -> Response<Bytes> {
    envelope::refusal(Error::new(Code::TIMEOUT, "timeout"))
}

/// The answer to a body that is too large.
pub fn too_large(bytes_max: usize) -> Response<Bytes> {
    let mut response = envelope::refusal(Error::new(
        Code::PARAMETER_TOO_LARGE,
        format!("the request body is larger than {bytes_max} bytes: parameter too large"),
    ));
    *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
    response
}

/// The answer where the server has failed.
pub fn failed() -> Response<Bytes> {
    let mut response = envelope::refusal(Error::new(Code::UNEXPECTED, "the server has failed: unexpected error"));
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    response
}
