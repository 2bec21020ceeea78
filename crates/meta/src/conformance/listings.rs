//! Listings: prefixes, order, many keys at one revision.

use super::{Subject, find, key, must, put};
use crate::store::{Condition, Meta, Transaction};

/// More than two pages of any adapter.
const MANY: usize = 2_500;
/// Transactions that change both ends of the list while it is read.
const CHANGES: usize = 60;

pub(super) async fn check(subject: &dyn Subject) {
    let meta = subject.connect();
    prefixes_and_order(meta.as_ref()).await;
    any_bytes(meta.as_ref()).await;
    many_keys_at_one_revision(subject).await;
}

async fn keys(meta: &dyn Meta, prefix: &[u8]) -> Vec<String> {
    let listing = meta.list(prefix).await.expect("list");
    listing.entries.iter().map(|entry| entry.key.escape_ascii().to_string()).collect()
}

async fn prefixes_and_order(meta: &dyn Meta) {
    for name in ["list/b/2", "list/a", "list/b/10", "list/b", "list/b0", "list/bb/1", "list/b/"] {
        put(meta, &name.into(), "v").await;
    }
    let cases: [(&str, &[&str]); 5] = [
        ("list/b/", &["list/b/", "list/b/10", "list/b/2"]),
        ("list/b", &["list/b", "list/b/", "list/b/10", "list/b/2", "list/b0", "list/bb/1"]),
        ("list/c", &[]),
        ("list/b/2", &["list/b/2"]),
        ("list/", &["list/a", "list/b", "list/b/", "list/b/10", "list/b/2", "list/b0", "list/bb/1"]),
    ];
    for (prefix, expected) in cases {
        assert_eq!(keys(meta, prefix.as_bytes()).await, expected, "prefix {prefix}");
    }
    assert!(keys(meta, b"").await.len() >= 7, "an empty prefix is everything");
    let revision = put(meta, &key("list", "a"), "w").await;
    let listing = meta.list(b"list/a").await.expect("list");
    assert!(listing.revision >= revision);
    assert_eq!((&*listing.entries[0].value, listing.entries[0].modified), (&b"w"[..], revision));
}

async fn any_bytes(meta: &dyn Meta) {
    let keys: [&[u8]; 4] = [b"bytes/\x00", b"bytes/\x7f\x80", b"bytes/\xff", b"bytes/\xff\xff\x01"];
    let value: Vec<u8> = (0..=255).collect();
    for key in keys {
        must(meta, Transaction::new().put(key, value.clone())).await;
    }
    let listing = meta.list(b"bytes/").await.expect("list");
    assert_eq!(listing.entries.iter().map(|entry| &*entry.key).collect::<Vec<_>>(), keys);
    assert!(listing.entries.iter().all(|entry| entry.value == value));
    let high = meta.list(b"bytes/\xff").await.expect("list");
    assert_eq!(high.entries.len(), 2, "a prefix that ends in the highest byte");
    must(meta, Transaction::new().put(keys[0], "")).await;
    assert_eq!(find(meta, &keys[0].into()).await.map(|entry| entry.value), Some("".into()), "an empty value is one");
}

async fn many_keys_at_one_revision(subject: &dyn Subject) {
    let meta = subject.connect();
    let names: Vec<_> = (0..MANY).map(|i| key("many", format_args!("{i:06}"))).collect();
    for batch in names.chunks(60) {
        must(meta.as_ref(), batch.iter().fold(Transaction::new(), |all, name| all.put(name.clone(), "0"))).await;
    }
    let (first, last) = (names[0].clone(), names[MANY - 1].clone());
    let writer = {
        let (meta, first, last) = (subject.connect(), first.clone(), last.clone());
        subject.world().tasks.spawn(async move {
            for i in 1..=CHANGES {
                let before = format!("{}", i - 1);
                let both = Transaction::new().put(first.clone(), format!("{i}")).put(last.clone(), format!("{i}"));
                must(meta.as_ref(), both.when(Condition::Equals(first.clone(), before.into()))).await;
            }
        })
    };
    let mut reads = 0;
    let mut revision = None;
    while !writer.is_finished() || reads == 0 {
        let listing = meta.list(b"many/").await.expect("list");
        assert_eq!(listing.entries.len(), MANY);
        assert!(listing.entries.is_sorted_by(|a, b| a.key < b.key), "ascending, each once");
        assert_eq!(listing.entries[0].value, listing.entries[MANY - 1].value, "both ends are of one revision");
        assert!(listing.entries[0].modified <= listing.revision && revision <= Some(listing.revision));
        revision = Some(listing.revision);
        reads += 1;
        tokio::task::yield_now().await;
    }
    writer.join().await.expect("nobody kills it");
}
