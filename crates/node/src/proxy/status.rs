//! Answers that carry a status: `types::Error` on the wire, in the new field and in the one that old SDKs read.

use proto::common::Status;
use proto::milvus as m;
use types::{Code, Error};

/// An RPC's answer.
pub trait Reply: Sized {
    /// The answer that says only that the call failed.
    fn failed(status: Status) -> Self;

    /// The status inside.
    fn status(&self) -> Option<&Status>;
}

/// The status of a success.
pub fn success() -> Status {
    Status::default()
}

/// An error as clients read it.
pub fn failure(error: &Error) -> Status {
    let mut status = Status {
        error_code: error.code().legacy(),
        reason: error.reason().to_owned(),
        code: error.code().0,
        retriable: error.retriable(),
        detail: error.reason().to_owned(),
        ..Status::default()
    };
    if error.code().input() {
        status.extra_info.insert("is_input_error".to_owned(), "true".to_owned());
    }
    status
}

/// An error of DescribeCollection: SDKs before 2.4 ask whether a collection is there by this call, and take only `UnexpectedError` with
/// Milvus's old words for "no".
pub fn describe_failure(error: &Error) -> Status {
    let mut status = failure(error);
    if error.code() == Code::COLLECTION_NOT_FOUND {
        status.error_code = proto::common::ErrorCode::UnexpectedError as i32;
    }
    status
}

impl Reply for Status {
    fn failed(status: Status) -> Self {
        status
    }

    fn status(&self) -> Option<&Status> {
        Some(self)
    }
}

macro_rules! replies {
    ($($name:ident)*) => {$(
        impl Reply for m::$name {
            fn failed(status: Status) -> Self {
                Self { status: Some(status), ..Self::default() }
            }

            fn status(&self) -> Option<&Status> {
                self.status.as_ref()
            }
        }
    )*};
}

replies! {
    AllocTimestampResponse
    BoolResponse
    CheckHealthResponse
    ComponentStates
    ConnectResponse
    DescribeCollectionResponse
    DescribeIndexResponse
    FlushResponse
    GetCollectionStatisticsResponse
    GetFlushStateResponse
    GetIndexBuildProgressResponse
    GetIndexStateResponse
    GetIndexStatisticsResponse
    GetLoadStateResponse
    GetLoadingProgressResponse
    GetPartitionStatisticsResponse
    GetPersistentSegmentInfoResponse
    GetQuerySegmentInfoResponse
    GetReplicasResponse
    GetVersionResponse
    ListDatabasesResponse
    MutationResult
    QueryResults
    SearchResults
    ShowCollectionsResponse
    ShowPartitionsResponse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_codes_and_whose_fault() {
        let cases = [
            (Error::invalid("x"), 1100, 5, false, true),
            (Error::about(Code::COLLECTION_NOT_FOUND, &[("collection", &"c")]), 100, 4, false, true),
            (Error::about(Code::SCHEMA_MISMATCH, &[("collection", &"c")]), 109, 62, false, true),
            (Error::new(Code::RATE_LIMIT, "slow"), 8, 49, true, false),
            (Error::timeout("search"), 10001, 1, false, false),
        ];
        for (error, code, legacy, retriable, input) in cases {
            let status = failure(&error);
            assert_eq!((status.code, status.error_code, status.retriable), (code, legacy, retriable), "{error}");
            assert_eq!((&*status.reason, &*status.detail), (error.reason(), error.reason()));
            assert_eq!(status.extra_info.contains_key("is_input_error"), input, "{error}");
        }
        let absent = Error::new(Code::COLLECTION_NOT_FOUND, "can't find collection[database=default][collection=c]");
        assert_eq!((describe_failure(&absent).code, describe_failure(&absent).error_code), (100, 1));
        assert_eq!(describe_failure(&Error::invalid("x")).error_code, 5);
        assert_eq!(m::BoolResponse::failed(failure(&absent)).status().map(|status| status.code), Some(100));
    }
}
