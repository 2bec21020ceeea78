//! What a request's metadata says: until when, in which database, under which name in the logs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base::World;
use parking_lot::Mutex;
use role::Call;
use tonic::metadata::MetadataMap;

/// The database of requests that name none.
pub const DEFAULT_DATABASE: &str = "default";
/// A client that names a deadline is answered this much before it at most, and by a twentieth of its time: so that it reads what was waited for,
/// not only that its time is up.
const ANSWER_EARLIER_MAX: Duration = Duration::from_millis(200);
/// The longest timeout that a client gets, whatever it asks for.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// What a read or a write amounts to, as far as its request came: for whoever observes it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Figures {
    /// Bytes of the request.
    pub received_bytes: u64,
    /// Bytes of the answer.
    pub sent_bytes: u64,
    /// Query vectors of a search; 1 for a query.
    pub queries: u64,
    /// Rows that were inserted or upserted, or that a delete counts.
    pub rows: u64,
    /// How long shards took: to answer a read, to hold a write in the log.
    pub shards: Duration,
    /// How long it took to merge their answers.
    pub merging: Duration,
}

/// The circumstances of one request.
#[derive(Clone, Debug)]
pub struct Context {
    /// Deadline and name.
    pub call: Call,
    /// The database that the metadata names; empty if none.
    database: String,
    /// The first collection that the request named and that exists, for whoever observes it. Clones share it.
    named: Arc<OnceLock<(String, String)>>,
    figures: Arc<Mutex<Figures>>,
}

impl Context {
    /// From a request's metadata; `timeout` holds where the client names none.
    pub fn new(world: &World, metadata: &MetadataMap, timeout: Duration) -> Self {
        let text = |key: &str| metadata.get(key).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let asked = text("grpc-timeout");
        let timeout = parse_timeout(asked).map(answered_within).unwrap_or(timeout).min(TIMEOUT_MAX);
        let request = [text("client-request-id"), text("client_request_id")].into_iter().find(|id| !id.is_empty());
        Self {
            call: Call::within(world, timeout, request.unwrap_or_default()),
            database: text("dbname").to_owned(),
            named: Arc::default(),
            figures: Arc::default(),
        }
    }

    /// Notes a collection that the request named and that exists: names that clients make up would be without number.
    pub fn name(&self, database: &str, collection: &str) {
        self.named.get_or_init(|| (self.database(database).to_owned(), collection.to_owned()));
    }

    /// The first noted collection, with its database; empty if there is none.
    pub fn named(&self) -> (&str, &str) {
        self.named.get().map_or(("", ""), |(database, collection)| (database, collection))
    }

    /// Notes figures of the request.
    pub fn note(&self, note: impl FnOnce(&mut Figures)) {
        note(&mut self.figures.lock());
    }

    /// What was noted.
    pub fn figures(&self) -> Figures {
        *self.figures.lock()
    }

    /// The database that is meant where a request names `requested`, which may be empty.
    pub fn database<'a>(&'a self, requested: &'a str) -> &'a str {
        [requested, &self.database].into_iter().find(|name| !name.is_empty()).unwrap_or(DEFAULT_DATABASE)
    }
}

/// The time in which a client that waits for `timeout` gets its answer.
fn answered_within(timeout: Duration) -> Duration {
    timeout - (timeout / 20).min(ANSWER_EARLIER_MAX)
}

/// gRPC's `grpc-timeout`: up to eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        let cases = [
            ("", None),
            ("S", None),
            ("5S", Some(Duration::from_secs(5))),
            ("1500m", Some(Duration::from_millis(1_500))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("123456789n", None),
            ("-1S", None),
            ("5x", None),
            ("5µ", None),
        ];
        for (text, timeout) in cases {
            assert_eq!(parse_timeout(text), timeout, "{text}");
        }
    }

    #[test]
    fn clients_read_why_their_time_is_up() {
        let cases = [(0, 0), (1_000, 950), (4_000, 3_800), (60_000, 59_800)];
        for (asked, answered) in cases {
            assert_eq!(answered_within(Duration::from_millis(asked)), Duration::from_millis(answered), "{asked}");
        }
    }

    #[test]
    fn databases() {
        let context = |database: &str| Context {
            call: Call { deadline: tokio::time::Instant::now(), request: "".into() },
            database: database.to_owned(),
            named: Arc::default(),
            figures: Arc::default(),
        };
        assert_eq!(context("").database(""), "default");
        assert_eq!(context("m").database(""), "m");
        assert_eq!(context("m").database("r"), "r");
    }
}
