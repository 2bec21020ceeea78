//! Leaders: one at a time, and a deposed one changes nothing.

use std::time::Duration;

use super::{PATIENCE, Subject, fenced_put, find, key};
use crate::election::{Candidate, Leadership, campaign, leader};
use crate::store::MetaError;

pub(super) async fn check(subject: &dyn Subject) {
    the_next_one_leads_when_one_resigns(subject).await;
    the_next_one_leads_when_one_vanishes(subject).await;
    a_leader_that_is_cut_off_knows(subject).await;
    a_lost_office_is_withdrawn(subject).await;
}

fn candidate(subject: &dyn Subject, office: &str, address: &str) -> Candidate {
    Candidate { office: format!("conformance-{office}"), address: address.to_owned(), ttl: subject.lease() }
}

async fn lead(subject: &dyn Subject, candidate: &Candidate) -> Leadership {
    let meta = subject.connect();
    let led = subject.world().within(PATIENCE, campaign(subject.world(), &meta, candidate)).await.expect("an office is won in time");
    led.expect("campaign")
}

async fn the_next_one_leads_when_one_resigns(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let (one, two) = (candidate(subject, "resign", "one"), candidate(subject, "resign", "two"));
    let first = lead(subject, &one).await;
    assert_eq!(leader(meta.as_ref(), &one.office).await.expect("it works").map(|l| l.address), Some("one".to_owned()));
    let waiting = {
        let (world, meta, two) = (world.clone(), subject.connect(), two.clone());
        let tasks = world.tasks.clone();
        tasks.spawn(async move { campaign(&world, &meta, &two).await })
    };
    world.clock.sleep(subject.lease() + Duration::from_secs(1)).await;
    assert!(!waiting.is_finished() && !first.is_lost(), "a kept office isn't given to another");
    let written = key("fenced", "resign");
    fenced_put(meta.as_ref(), first.fence(), &written, "one").await.expect("a leader's change");
    let (fence, term) = (first.fence(), first.term());
    let resigned = world.clock.now();
    first.resign().await;
    let second = world.within(PATIENCE, waiting.join()).await.expect("the next one leads in time").expect("nobody kills it");
    let second = second.expect("campaign");
    assert!(world.clock.now() - resigned < subject.lease() + Duration::from_secs(1), "nobody waits for a lease that was given up");
    assert!(second.term() > term);
    assert_eq!(fenced_put(meta.as_ref(), fence, &written, "late").await, Err(MetaError::Refused), "a deposed leader changes nothing");
    fenced_put(meta.as_ref(), second.fence(), &written, "two").await.expect("a leader's change");
    assert_eq!(find(meta.as_ref(), &written).await.map(|entry| entry.value), Some("two".into()));
    second.resign().await;
    assert_eq!(leader(meta.as_ref(), &one.office).await.expect("it works"), None);
}

async fn the_next_one_leads_when_one_vanishes(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let first = lead(subject, &candidate(subject, "vanish", "one")).await;
    let fence = first.fence();
    // Dropped as a killed process would: nobody keeps the lease, and nobody revokes it.
    drop(first);
    let vanished = world.clock.now();
    let second = lead(subject, &candidate(subject, "vanish", "two")).await;
    assert!(world.clock.now() - vanished >= subject.lease() / 2, "an office isn't taken from under a leader");
    assert_eq!(fenced_put(meta.as_ref(), fence, &key("fenced", "vanish"), "late").await, Err(MetaError::Refused));
    second.resign().await;
}

async fn a_leader_that_is_cut_off_knows(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let office = candidate(subject, "deposed", "one");
    let first = lead(subject, &office).await;
    assert_eq!(first.confirm().await, Ok(true));
    let key = crate::catalog::document::key::<crate::election::Leader>(&office.office);
    meta.commit(crate::store::Transaction::new().delete(key)).await.expect("depose");
    assert_eq!(first.confirm().await, Ok(false));
    world.within(PATIENCE, first.lost()).await.expect("it is told");
    assert!(first.is_lost());
    let second = lead(subject, &office).await;
    assert!(second.term() > first.term());
    second.resign().await;
}

async fn a_lost_office_is_withdrawn(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let office = candidate(subject, "withdrawn", "one");
    let first = lead(subject, &office).await;
    let withdrawn = world.clock.now();
    world.within(PATIENCE, first.withdraw(world)).await.expect("meta answers");
    let second = lead(subject, &office).await;
    assert!(world.clock.now() - withdrawn < subject.lease(), "nobody waits for the lease of an office that is known to be lost");
    let key = crate::catalog::document::key::<crate::election::Leader>(&office.office);
    meta.commit(crate::store::Transaction::new().delete(key)).await.expect("depose");
    let third = lead(subject, &candidate(subject, "withdrawn", "three")).await;
    world.within(PATIENCE, second.withdraw(world)).await.expect("meta answers");
    assert_eq!(leader(meta.as_ref(), &office.office).await.expect("it works").map(|l| l.address), Some("three".to_owned()));
    third.resign().await;
}
