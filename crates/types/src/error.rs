//! The one error type: a Milvus code, the text that the client reads, and whether a retry can help.
//!
//! Not here: the wire form (`role::net` and `node::proxy` map it) and logging (done where an error is consumed).
//! The full text is built as Milvus builds it: contexts outermost first, the code's own words last, then `[key=value]`.
//! Constructors below exist for texts that several places give; all others start at [`Error::new`] or [`Error::invalid`].

use std::fmt;

/// A Milvus error code. The named ones are those that Elanus gives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Code(pub i32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $legacy:literal, $text:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// Milvus's own words for the code.
            pub fn text(self) -> &'static str {
                match self.0 {
                    $($number => $text,)*
                    _ => "unexpected error",
                }
            }

            /// The value of the deprecated `error_code` enum that SDKs before 2.3.2 look at.
            pub fn legacy(self) -> i32 {
                match self.0 {
                    $($number => $legacy,)*
                    _ => 1,
                }
            }
        }
    };
}

codes! {
    /// The role hasn't started.
    SERVICE_NOT_READY = 1, 56, "service not ready";
    /// The service is away.
    SERVICE_UNAVAILABLE = 2, 1, "service unavailable";
    /// Not admitted: names the bytes needed and there.
    MEMORY_LIMIT = 3, 52, "memory limit exceeded";
    /// A queue is full.
    TOO_MANY_REQUESTS = 4, 1, "too many concurrent requests, queue is full";
    /// A bug or a broken invariant.
    INTERNAL = 5, 1, "service internal error";
    /// No room on disk.
    DISK_LIMIT = 7, 54, "disk limit exceeded";
    /// Slow down.
    RATE_LIMIT = 8, 49, "rate limit exceeded";
    /// Not built.
    UNIMPLEMENTED = 10, 1, "service unimplemented";
    /// Too few nodes.
    RESOURCE_INSUFFICIENT = 12, 1, "service resource insufficient";
    /// No such collection.
    COLLECTION_NOT_FOUND = 100, 4, "collection not found";
    /// The collection isn't loaded.
    COLLECTION_NOT_LOADED = 101, 1, "collection not loaded";
    /// Too many collections.
    COLLECTION_LIMIT = 102, 1, "exceeded the limit number of collections";
    /// The load isn't done.
    COLLECTION_NOT_FULLY_LOADED = 103, 1, "collection not fully loaded";
    /// Release it first.
    COLLECTION_LOADED = 104, 1, "collection already loaded";
    /// The proxy's or client's schema is older than the collection's.
    SCHEMA_MISMATCH = 109, 62, "collection schema mismatch";
    /// No such partition.
    PARTITION_NOT_FOUND = 200, 15, "partition not found";
    /// The partition isn't loaded.
    PARTITION_NOT_LOADED = 201, 1, "partition not loaded";
    /// Too many partitions times shards.
    GENERAL_CAPACITY = 250, 1, "general capacity exceeded";
    /// No such resource group.
    RESOURCE_GROUP_NOT_FOUND = 300, 1, "resource group not found";
    /// No such channel here.
    CHANNEL_NOT_FOUND = 500, 1, "channel not found";
    /// The channel's log or sequencer is out of service.
    CHANNEL_NOT_AVAILABLE = 503, 46, "channel not available";
    /// This node isn't the channel's sequencer.
    CHANNEL_MISROUTED = 507, 1, "channel misrouted: not owned by this node";
    /// No such segment.
    SEGMENT_NOT_FOUND = 600, 47, "segment not found";
    /// No such index.
    INDEX_NOT_FOUND = 700, 25, "index not found";
    /// Unknown index type.
    INDEX_NOT_SUPPORTED = 701, 1, "index type not supported";
    /// Two indexes where one may be.
    INDEX_DUPLICATES = 702, 1, "index duplicates";
    /// No such database.
    DATABASE_NOT_FOUND = 800, 1, "database not found";
    /// Too many databases.
    DATABASE_LIMIT = 801, 1, "exceeded the limit number of database";
    /// A database name that isn't one.
    DATABASE_NAME = 802, 1, "invalid database name";
    /// No such node.
    NODE_NOT_FOUND = 901, 1, "node not found";
    /// The process that was asked doesn't lead: nothing was done.
    NODE_NOT_MATCH = 904, 50, "node not match";
    /// No such key in meta.
    KEY_NOT_FOUND = 1000, 1, "key not found";
    /// A read or write of a disk, a broker or an object failed.
    IO_FAILED = 1001, 1, "IO failed";
    /// Bytes that aren't what their checksum or format says.
    DATA_INTEGRITY = 1009, 1, "data integrity check failed";
    /// A bad value.
    INVALID_PARAMETER = 1100, 5, "invalid parameter";
    /// A value that must be there.
    MISSING_PARAMETER = 1101, 5, "missing parameter";
    /// A value that is too big.
    PARAMETER_TOO_LARGE = 1102, 5, "parameter too large";
    /// No such metric.
    METRIC_NOT_FOUND = 1200, 1, "metric not found";
    /// No such topic.
    TOPIC_NOT_FOUND = 1300, 1, "topic not found";
    /// An alias names nothing.
    ALIAS_NOT_FOUND = 1600, 1, "alias not found";
    /// An alias and a collection would have one name.
    ALIAS_NAME_CONFLICT = 1601, 1, "alias and collection name conflict";
    /// The alias belongs to another collection.
    ALIAS_EXISTS = 1602, 1, "alias already exist";
    /// No such field.
    FIELD_NOT_FOUND = 1700, 1, "field not found";
    /// A field name that isn't one.
    FIELD_NAME = 1701, 1, "field name invalid";
    /// A worker's search or build failed on its data.
    SEGCORE = 2000, 1, "segcore error";
    /// The filter can't be planned.
    QUERY_PLAN = 2201, 5, "query plan failed";
    /// An operation that the state doesn't allow.
    UNSUPPORTED = 3000, 1, "unsupported operation";
    /// The caller went away.
    CANCELED = 10000, 1, "canceled";
    /// The deadline passed.
    TIMEOUT = 10001, 1, "timeout";
    /// Anything else.
    UNEXPECTED = 65535, 1, "unexpected error";
}

impl Code {
    /// Whether the same request may succeed later.
    pub fn retriable(self) -> bool {
        matches!(self.0, 1 | 2 | 4 | 8 | 12 | 103 | 106 | 110 | 202 | 305 | 505 | 507 | 1002 | 1003 | 2200)
    }

    /// Whether the code as such says that the request was wrong.
    pub fn input(self) -> bool {
        matches!(self.0, 100 | 101 | 104 | 109 | 200 | 201 | 700 | 702 | 800..=802 | 1100..=1102 | 1600..=1602 | 1700 | 1701 | 2201)
    }
}

/// What went wrong, in Milvus's terms. Cheap to move: one allocation.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    code: Code,
    reason: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of anything that may fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `code` whose whole text is `reason`.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { inner: Box::new(Inner { code, reason: reason.into(), source: None }) }
    }

    /// Bad input: `<reason>: invalid parameter`.
    pub fn invalid(reason: impl fmt::Display) -> Self {
        Self::new(Code::INVALID_PARAMETER, format!("{reason}: invalid parameter"))
    }

    /// Bad input with both values: `<reason>: invalid parameter[expected=E][actual=A]`.
    pub fn expected(reason: impl fmt::Display, expected: impl fmt::Display, actual: impl fmt::Display) -> Self {
        let reason = reason.to_string();
        let separator = if reason.is_empty() { "" } else { ": " };
        let text = format!("{reason}{separator}invalid parameter[expected={expected}][actual={actual}]");
        Self::new(Code::INVALID_PARAMETER, text)
    }

    /// The code's own words with fields: `collection not found[database=D][collection=C]`.
    pub fn about(code: Code, fields: &[(&str, &dyn fmt::Display)]) -> Self {
        let mut reason = code.text().to_owned();
        for (key, value) in fields {
            reason.push_str(&format!("[{key}={value}]"));
        }
        Self::new(code, reason)
    }

    /// A broken invariant: our fault, never the caller's.
    pub fn internal(reason: impl fmt::Display) -> Self {
        Self::new(Code::INTERNAL, format!("{reason}: service internal error"))
    }

    /// Something read back isn't what was written (`docs/design.md` rule 7): says what is at risk.
    pub fn corrupt(what: impl fmt::Display) -> Self {
        Self::new(Code::DATA_INTEGRITY, format!("{what}: data integrity check failed"))
    }

    /// A failed call of the operating system, a broker or a store.
    pub fn io(what: impl fmt::Display, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(Code::IO_FAILED, format!("{what}: {source}: IO failed")).with_source(source)
    }

    /// The deadline passed while waiting for `what`.
    pub fn timeout(what: impl fmt::Display) -> Self {
        Self::new(Code::TIMEOUT, format!("{what}: timeout"))
    }

    /// Prefixes the text: `context: …`.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.inner.reason = format!("{context}: {}", self.inner.reason);
        self
    }

    /// Keeps what caused this, for logs.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.inner.source = Some(Box::new(source));
        self
    }

    /// The Milvus code.
    pub fn code(&self) -> Code {
        self.inner.code
    }

    /// The whole text.
    pub fn reason(&self) -> &str {
        &self.inner.reason
    }

    /// Whether the same request may succeed later.
    pub fn retriable(&self) -> bool {
        self.inner.code.retriable()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.reason)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.inner.reason, self.inner.code.0)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

/// Copies code and text, for results that several waiters share; the source stays with the first.
impl Clone for Error {
    fn clone(&self) -> Self {
        Self::new(self.code(), self.reason())
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code() && self.reason() == other.reason()
    }
}

/// Adds context to a result's error.
pub trait Context<T> {
    /// `context: …`; the closure runs on failure only.
    fn context<C: fmt::Display>(self, context: impl FnOnce() -> C) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn context<C: fmt::Display>(self, context: impl FnOnce() -> C) -> Result<T> {
        self.map_err(|error| error.context(context()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_built_as_milvus_builds_them() {
        let check = |error: Error, code: i32, text: &str| {
            assert_eq!((error.code().0, error.reason()), (code, text));
        };
        check(Error::invalid("schema does not contain vector field"), 1100, "schema does not contain vector field: invalid parameter");
        check(
            Error::expected("", "valid index", "invalid index type: X"),
            1100,
            "invalid parameter[expected=valid index][actual=invalid index type: X]",
        );
        check(
            Error::about(Code::COLLECTION_NOT_FOUND, &[("database", &"default"), ("collection", &"c")]).context("failed to search"),
            100,
            "failed to search: collection not found[database=default][collection=c]",
        );
        assert_eq!(Code::COLLECTION_NOT_FOUND.legacy(), 4);
        assert!(Code::RATE_LIMIT.retriable() && !Code::INVALID_PARAMETER.retriable());
    }
}
