//! What every store promises, as a suite: run on memory, a local directory and real S3 gateways.
//!
//! Checks panic and say what doesn't hold. Everything is written under one new prefix and removed again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use bytes::Bytes;
use futures::future::join_all;

use super::{Store, StoreError};
use crate::name::AttemptId;

/// Concurrent creators of one name.
const CREATORS: usize = 16;
/// Objects of the large listing: more than one page of any store.
const LISTED: usize = 1_100;
/// Bytes of the large object: three parts on S3, the last one short.
const LARGE_BYTES: usize = (16 << 20) + 12_345;
/// Calls under way at once.
const IN_FLIGHT: usize = 32;

/// Runs the whole suite on a store.
///
/// # Panics
/// Where the store breaks a promise.
pub async fn check_all(store: Arc<dyn Store>, world: &World) {
    let suite = Suite { store, prefix: format!("conformance/{}", AttemptId::draw(&world.random)) };
    suite.check_round_trip().await;
    suite.check_missing().await;
    suite.check_creators().await;
    suite.check_ranges().await;
    suite.check_large().await;
    suite.check_odd_names().await;
    suite.check_listing().await;
    suite.check_age().await;
    suite.clean_up().await;
}

struct Suite {
    store: Arc<dyn Store>,
    prefix: String,
}

impl Suite {
    fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }

    async fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        self.store.put(name, bytes.into()).await.unwrap_or_else(|error| panic!("{name} is put: {error:?}"));
    }

    async fn get(&self, name: &str) -> Bytes {
        self.store.get(name).await.unwrap_or_else(|error| panic!("{name} is read: {error:?}"))
    }

    async fn names(&self, prefix: &str) -> Vec<String> {
        let found = self.store.list(prefix).await.unwrap_or_else(|error| panic!("{prefix} is listed: {error:?}"));
        found.into_iter().map(|info| info.name).collect()
    }

    /// A put is whole and readable at once, empty ones too; a delete is final, and no error where there is nothing.
    async fn check_round_trip(&self) {
        for (rest, bytes) in [("round/trip", Bytes::from_static(b"payload")), ("round/empty", Bytes::new())] {
            let name = self.name(rest);
            self.put(&name, bytes.clone()).await;
            assert_eq!(self.get(&name).await, bytes, "{name} is what was put");
            let info = self.store.head(&name).await.expect("it was put");
            assert_eq!((info.name, info.length), (name.clone(), bytes.len() as u64));
            if let Some(mapped) = self.store.map(&name).await.expect("it was put") {
                assert_eq!(mapped, bytes, "{name} is mapped as it was put");
            }
            assert_eq!(self.store.put_if_absent(&name, Bytes::from_static(b"other")).await, Err(StoreError::Exists(name.clone())));
            assert_eq!(self.get(&name).await, bytes, "a refused create changes nothing");
            self.store.delete(&name).await.expect("it is there");
            self.store.delete(&name).await.expect("an absent object is no error");
            assert_eq!(self.store.get(&name).await, Err(StoreError::Missing(name.clone())));
            assert_eq!(self.store.put_if_absent(&name, bytes.clone()).await, Ok(()), "a freed name can be created");
            assert_eq!(self.get(&name).await, bytes);
        }
    }

    /// What isn't there is named; a directory of names is no object.
    async fn check_missing(&self) {
        let inside = self.name("directory/object");
        self.put(&inside, "x").await;
        for name in [self.name("missing"), self.name("directory"), self.name("directory/object/below"), self.name("a/b/c")] {
            let missing = StoreError::Missing(name.clone());
            assert_eq!(self.store.get(&name).await, Err(missing.clone()), "{name}");
            assert_eq!(self.store.get_range(&name, 0..1).await, Err(missing.clone()), "{name}");
            assert_eq!(self.store.head(&name).await, Err(missing.clone()), "{name}");
            assert!(self.store.map(&name).await.is_ok_and(|mapped| mapped.is_none()) || self.store.map(&name).await == Err(missing));
            if name != self.name("directory") {
                self.store.delete(&name).await.expect("an absent object is no error");
            }
        }
        assert_eq!(self.names(&self.name("missing")).await, [] as [String; 0], "nothing is listed under no name");
        for name in ["", "/a", "a/", "a//b", "../a", ".a"] {
            let error = self.store.put(name, Bytes::new()).await.expect_err("no store can hold it");
            assert!(matches!(error, StoreError::Misconfigured(_)), "{name:?} is refused: {error:?}");
        }
        assert_eq!(self.get(&inside).await, "x");
    }

    /// Of concurrent creators one wins, and its bytes stay.
    async fn check_creators(&self) {
        for round in 0..8 {
            let name = self.name(&format!("creators/{round}"));
            // Different lengths, so that a mix of two would show.
            let bytes = |i: usize| Bytes::from(vec![i as u8; 1_000 + 100 * i]);
            let results = join_all((0..CREATORS).map(|i| self.store.put_if_absent(&name, bytes(i)))).await;
            let winners: Vec<usize> = (0..CREATORS).filter(|&i| results[i].is_ok()).collect();
            let losers = results.iter().filter(|result| **result == Err(StoreError::Exists(name.clone()))).count();
            assert_eq!((winners.len(), losers), (1, CREATORS - 1), "{name}: {results:?}");
            assert_eq!(self.get(&name).await, bytes(winners[0]), "the winner's bytes are there");
        }
    }

    /// Any range inside is given exactly; one that ends outside is an error that says so.
    async fn check_ranges(&self) {
        let name = self.name("ranges");
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
        self.put(&name, bytes.clone()).await;
        for range in [0..10_000, 0..1, 9_999..10_000, 17..4_711, 0..0, 10_000..10_000, 5..5] {
            let found = self.store.get_range(&name, range.clone()).await.unwrap_or_else(|error| panic!("{range:?} is read: {error:?}"));
            assert_eq!(found, bytes[range.start as usize..range.end as usize], "{range:?}");
        }
        for range in [0..10_001, 9_999..10_001, 10_000..10_001, 20_000..20_010, u64::MAX - 1..u64::MAX] {
            let found = self.store.get_range(&name, range.clone()).await;
            assert!(matches!(found, Err(StoreError::Damaged(_))), "{range:?} ends outside: {found:?}");
        }
    }

    /// An object of several parts is whole; both kinds of put take it.
    async fn check_large(&self) {
        let bytes: Bytes = (0..LARGE_BYTES).map(|i| (i / 7 % 253) as u8).collect();
        let (plain, conditional) = (self.name("large/plain"), self.name("large/conditional"));
        self.put(&plain, bytes.clone()).await;
        self.store.put_if_absent(&conditional, bytes.clone()).await.expect("the name is new");
        for name in [plain, conditional] {
            assert!(self.get(&name).await == bytes, "{name} is whole");
            let range = (LARGE_BYTES as u64 / 3)..(LARGE_BYTES as u64 - 5);
            let part = self.store.get_range(&name, range.clone()).await.expect("it is inside");
            assert!(part == bytes.slice(range.start as usize..range.end as usize), "{name} has its middle");
        }
    }

    /// Names are kept byte by byte, and listed as they are.
    async fn check_odd_names(&self) {
        let parts =
            ["a b", "a+b", "a%20b", "%2F", "a#b?c", "a&b=c;d", "(a)[b]{c}", "'\"`", "~!@$^*|<>", "a:b,c", "ü漢字🦀", "..a", "a.", "-a"];
        let long = "x".repeat(200);
        let mut names: Vec<String> = parts.iter().chain([&long.as_str()]).map(|part| self.name(&format!("odd/{part}/o"))).collect();
        for name in &names {
            self.put(name, name.clone()).await;
        }
        for name in &names {
            assert_eq!(self.get(name).await, name.as_bytes(), "{name}");
        }
        names.sort();
        assert_eq!(self.names(&self.name("odd")).await, names);
        let spaced = self.name("odd/a b");
        assert_eq!(self.names(&spaced).await, [format!("{spaced}/o")]);
        self.store.delete(&names[0]).await.expect("it is there");
        assert_eq!(self.names(&self.name("odd")).await, names[1..]);
    }

    /// A listing is complete and ascending, however long; a prefix ends at a `/`.
    async fn check_listing(&self) {
        let mut names: Vec<String> = (0..LISTED).map(|i| self.name(&format!("listing/{}/{:04}", i % 3, i))).collect();
        for chunk in names.chunks(IN_FLIGHT) {
            join_all(chunk.iter().map(|name| self.put(name, "1"))).await;
        }
        self.put(&self.name("listing-not/0"), "").await;
        names.sort();
        assert_eq!(self.names(&self.name("listing")).await, names);
        let one: Vec<String> = names.iter().filter(|name| name.contains("/listing/1/")).cloned().collect();
        assert_eq!(self.names(&self.name("listing/1")).await, one);
        let all: BTreeSet<String> = self.names("").await.into_iter().collect();
        assert!(names.iter().all(|name| all.contains(name)), "an empty prefix lists everything");
        let infos = self.store.list(&self.name("listing/2")).await.expect("it was listed before");
        assert!(infos.iter().all(|info| info.length == 1 && info.age < Duration::from_secs(3_600)), "lengths and ages are listed");
    }

    /// Ages are those of the last write, by the store's clock.
    async fn check_age(&self) {
        let name = self.name("age");
        self.put(&name, "x").await;
        let age = self.store.head(&name).await.expect("it was put").age;
        assert!(age < Duration::from_secs(60), "a new object is {age:?} old");
    }

    async fn clean_up(&self) {
        let names = self.names(&self.prefix).await;
        for chunk in names.chunks(IN_FLIGHT) {
            for result in join_all(chunk.iter().map(|name| self.store.delete(name))).await {
                result.expect("what was listed can be deleted");
            }
        }
        assert_eq!(self.names(&self.prefix).await, [] as [String; 0], "nothing is left");
    }
}
