//! What etcd's client says, sorted by what a caller may conclude.

use etcd_client::Error as ClientError;
use types::{Code, Error};

use crate::store::MetaError;

/// How a call failed.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The server has certainly not made a change, and another try may work.
    NotSent(Error),
    /// Anything may have happened.
    Unknown(Error),
    /// The asked revision is compacted.
    Compacted,
    /// The lease is gone.
    LeaseLost,
    /// The request has more bytes or operations than the server takes.
    TooLarge,
    /// The answer has more bytes than we take.
    TooLong,
}

/// gRPC's codes, which the client shows as its own type of another crate.
const OUT_OF_RANGE: i32 = 11;

impl Failure {
    /// Sorts an error of the call to `endpoint`.
    pub(super) fn new(endpoint: &str, error: &ClientError) -> Self {
        let text = Error::new(Code::SERVICE_UNAVAILABLE, format!("etcd at {endpoint}: {}", describe(error)));
        let status = match error {
            ClientError::GRpcStatus(status) => status,
            ClientError::LeaseKeepAliveError(_) => return Self::LeaseLost,
            _ => return Self::Unknown(text),
        };
        let message = status.message();
        let says = |part: &str| message.contains(part);
        if says("required revision has been compacted") {
            Self::Compacted
        } else if says("requested lease not found") {
            Self::LeaseLost
        } else if says("request is too large") || says("too many operations") {
            Self::TooLarge
        } else if status.code() as i32 == OUT_OF_RANGE && says("message length too large") {
            Self::TooLong
        } else if connection_refused(status) || says("auth store is old") || says("invalid auth token") {
            Self::NotSent(text)
        } else {
            Self::Unknown(text)
        }
    }

    /// No answer in time.
    pub(super) fn timed_out(endpoint: &str) -> Self {
        Self::Unknown(Error::new(Code::SERVICE_UNAVAILABLE, format!("etcd at {endpoint}: no answer in time")))
    }

    /// Whether the endpoint should be left for another.
    pub(super) fn is_trouble(&self) -> bool {
        matches!(self, Self::NotSent(_) | Self::Unknown(_))
    }
}

impl From<Failure> for MetaError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(error) | Failure::Unknown(error) => Self::Unavailable(error),
            Failure::Compacted => Self::Compacted,
            Failure::LeaseLost => Self::LeaseLost,
            Failure::TooLarge => Self::TooLarge { operations: 0, bytes: 0 },
            Failure::TooLong => {
                Self::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, "etcd: one value exceeds what we take in an answer"))
            }
        }
    }
}

/// Nobody listened: nothing was sent.
fn connection_refused(status: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(status);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The message, and the causes below it, which the client's own text leaves out.
fn describe(error: &ClientError) -> String {
    let ClientError::GRpcStatus(status) = error else { return error.to_string() };
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
