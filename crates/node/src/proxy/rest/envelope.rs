//! What an answer is wrapped in: `code` beside `data`, or beside a `message`; HTTP's status follows from the code.
//!
//! Not here: rows ([`super::render`]).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use proto::common::Status;
use proto::milvus as m;
use types::{Code, Error, Result};

/// Nobody, where somebody must be known.
pub const NOT_AUTHENTICATED: Code = Code(1800);
/// A body that isn't the JSON that it should be.
pub const NOT_JSON: Code = Code(1801);
/// A member is absent.
pub const MISSING: Code = Code(1802);
/// Rows that don't fit the schema.
pub const INSERT_DATA: Code = Code(1804);
/// An answer that can't be read.
pub const SEARCH_RESULT: Code = Code(1805);
/// Keys that can't be keys.
pub const PRIMARY_KEY: Code = Code(1806);
/// Too many requests.
pub const RATE_LIMIT: Code = Code(1807);
/// Somebody, but not one who may.
pub const NOT_PERMITTED: Code = Code(1401);

/// An HTTP answer that is a failure.
pub fn refusal(error: Error) -> Response<Bytes> {
    response(Err(error), 0)
}

/// 1801 for a body of another form.
pub fn not_json(error: impl std::fmt::Display) -> Error {
    Error::new(NOT_JSON, format!("can only accept json format request, error: {error}"))
}

/// 1801 for no body at all.
pub fn empty_body() -> Error {
    let text = "can only accept json format request, the request body should be nil, however {} is valid";
    Error::new(NOT_JSON, text)
}

/// 1802.
pub fn missing(error: impl std::fmt::Display) -> Error {
    Error::new(MISSING, format!("missing required parameters, error: {error}"))
}

/// 1804.
pub fn insert_data(error: impl std::fmt::Display) -> Error {
    Error::new(INSERT_DATA, format!("fail to deal the insert data, error: {error}"))
}

/// 1805.
pub fn search_result(error: impl std::fmt::Display) -> Error {
    Error::new(SEARCH_RESULT, format!("fail to parse search result, error: {error}"))
}

/// 1806.
pub fn primary_key(error: impl std::fmt::Display) -> Error {
    let text = "please check the primary key and its' type can only in [int, string]";
    Error::new(PRIMARY_KEY, format!("{text}, error: {error}"))
}

/// A success: the members of the answer beside `code`, each a JSON text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    members: Vec<(&'static str, String)>,
}

impl Reply {
    /// With this JSON text as data.
    pub fn text(data: String) -> Self {
        Self { members: vec![("data", data)] }
    }

    /// With this value as data.
    pub fn of(data: &serde_json::Value) -> Self {
        Self::text(data.to_string())
    }

    /// With names as data.
    pub fn names(names: Vec<String>) -> Self {
        Self::of(&names.into())
    }

    /// Done, nothing to say.
    pub fn done() -> Self {
        Self::text("{}".to_owned())
    }

    /// And a further member.
    pub fn with(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.members.push((name, value.into().to_string()));
        self
    }

    /// Without what stands beside the data.
    pub fn data_alone(mut self) -> Self {
        self.members.retain(|(name, _)| *name == "data");
        self
    }

    fn body(self, code: i32) -> String {
        let mut body = String::with_capacity(24 + self.members.iter().map(|(name, text)| name.len() + text.len() + 4).sum::<usize>());
        body.push_str(&format!("{{\"code\":{code}"));
        for (name, text) in self.members {
            body.push_str(",\"");
            body.push_str(name);
            body.push_str("\":");
            body.push_str(&text);
        }
        body.push('}');
        body
    }
}

/// The HTTP answer: 200 for almost everything. `success` is the code of a success.
pub fn response(outcome: Result<Reply>, success: i32) -> Response<Bytes> {
    let (status, body) = match outcome {
        Ok(reply) => (StatusCode::OK, reply.body(success)),
        Err(error) => (http_status(error.code()), failure(&error)),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

fn failure(error: &Error) -> String {
    let text = match error.code() {
        Code::TIMEOUT => format!("request timeout: {}", error.reason()),
        _ => error.reason().to_owned(),
    };
    serde_json::json!({ "code": error.code().0, "message": text }).to_string()
}

fn http_status(code: Code) -> StatusCode {
    match code {
        NOT_AUTHENTICATED => StatusCode::UNAUTHORIZED,
        NOT_PERMITTED => StatusCode::FORBIDDEN,
        Code::TIMEOUT => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::OK,
    }
}

/// What a request cost, where the service counts that.
pub fn cost(status: Option<&Status>) -> i64 {
    status.and_then(|status| status.extra_info.get("report_value")?.parse().ok()).unwrap_or(0)
}

/// A message of the service as a result.
pub trait Outcome: Sized {
    /// The status inside.
    fn status(&self) -> Option<&Status>;

    /// The message, if it says success.
    ///
    /// # Errors
    /// What it says instead.
    fn succeeded(self) -> Result<Self> {
        match self.status() {
            Some(status) if status.code == Code::RATE_LIMIT.0 => {
                Err(Error::new(RATE_LIMIT, format!("request is rejected by limiter, error: {}", status.reason)))
            }
            Some(status) if status.code != 0 => Err(Error::new(Code(status.code), status.reason.clone())),
            // As servers before 2.3 say it.
            Some(status) if is_old_failure(status) => Err(Error::new(Code::UNEXPECTED, status.reason.clone())),
            _ => Ok(self),
        }
    }
}

#[allow(deprecated, reason = "the old field is read where the new one is empty")]
fn is_old_failure(status: &Status) -> bool {
    status.error_code != 0
}

impl Outcome for Status {
    fn status(&self) -> Option<&Status> {
        Some(self)
    }
}

impl Outcome for m::AlterCollectionSchemaResponse {
    fn status(&self) -> Option<&Status> {
        self.alter_status.as_ref()
    }
}

macro_rules! outcomes {
    ($($name:ident)*) => {$(
        impl Outcome for m::$name {
            fn status(&self) -> Option<&Status> {
                self.status.as_ref()
            }
        }
    )*};
}

outcomes! {
    BoolResponse
    DescribeAliasResponse
    DescribeCollectionResponse
    DescribeDatabaseResponse
    DescribeIndexResponse
    FlushResponse
    GetCollectionStatisticsResponse
    GetCompactionStateResponse
    GetLoadStateResponse
    GetLoadingProgressResponse
    GetPartitionStatisticsResponse
    ListAliasesResponse
    ListDatabasesResponse
    ManualCompactionResponse
    MutationResult
    QueryResults
    SearchResults
    ShowCollectionsResponse
    ShowPartitionsResponse
    TruncateCollectionResponse
}

/// A failure of the call itself, which gRPC carries beside messages.
pub fn of_call(status: &tonic::Status) -> Error {
    let text = status.message();
    match status.code() {
        tonic::Code::Unimplemented => Error::about(Code::UNIMPLEMENTED, &[]).context("this server can't do that yet"),
        tonic::Code::Unauthenticated => Error::new(NOT_AUTHENTICATED, "user hasn't authenticated"),
        tonic::Code::PermissionDenied => Error::new(NOT_PERMITTED, text),
        tonic::Code::DeadlineExceeded => Error::timeout(text),
        tonic::Code::ResourceExhausted => Error::new(RATE_LIMIT, format!("request is rejected by limiter, error: {text}")),
        _ => Error::new(Code::UNEXPECTED, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes() {
        let body = |outcome| {
            let response = response(outcome, 0);
            (response.status().as_u16(), String::from_utf8(response.into_body().to_vec()).expect("JSON is text"))
        };
        assert_eq!(body(Ok(Reply::done())), (200, r#"{"code":0,"data":{}}"#.to_owned()));
        let names = Reply::names(vec!["a\"".to_owned()]).with("cost", 0);
        assert_eq!(body(Ok(names)), (200, r#"{"code":0,"data":["a\""],"cost":0}"#.to_owned()));
        let failure = |error: Error| body(Err(error));
        assert_eq!(failure(Error::new(Code(100), "no \"c\"")), (200, r#"{"code":100,"message":"no \"c\""}"#.to_owned()));
        assert_eq!(failure(of_call(&tonic::Status::unauthenticated("x"))).0, 401);
        assert_eq!(failure(of_call(&tonic::Status::permission_denied("x"))).0, 403);
        assert_eq!(failure(Error::timeout("x")), (408, r#"{"code":10001,"message":"request timeout: x: timeout"}"#.to_owned()));
        let slow = Status { code: 8, reason: "slow".to_owned(), ..Status::default() };
        assert_eq!(slow.succeeded().expect_err("a refusal").code(), RATE_LIMIT);
        let old = Status { error_code: 1, reason: "old".to_owned(), ..Status::default() };
        assert_eq!(old.succeeded().expect_err("a refusal").code(), Code::UNEXPECTED);
        assert_eq!(Status::default().succeeded(), Ok(Status::default()));
    }
}
