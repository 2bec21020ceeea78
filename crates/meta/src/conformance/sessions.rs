//! Sessions: who is there, who has gone, who came back.

use types::id::NodeId;
use types::time::Timestamp;

use super::{PATIENCE, Subject};
use crate::mirror::{Difference, Mirror};
use crate::sequence::next_node;
use crate::session::{Session, SessionState, expel, register};

pub(super) async fn check(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let (mut mirror, there) = Mirror::<Session>::open(&meta, &world.clock).await.expect("mirror");
    assert_eq!(there, [], "nobody is there yet");
    let node = next_node(meta.as_ref()).await.expect("node");
    let session = session(node);
    let registration = register(world, &subject.connect(), session.clone(), subject.lease()).await.expect("register");
    let seen = next(subject, &mut mirror).await;
    let [Difference::Put(first)] = &seen[..] else { panic!("one has come: {seen:?}") };
    assert_eq!((&first.value, SessionState::Registered(first.created)), (&session, *registration.state().borrow()));

    expel(meta.as_ref(), first).await.expect("expel");
    let mut state = registration.state();
    let again = |state: &SessionState| matches!(state, SessionState::Registered(created) if *created > first.created);
    world.within(PATIENCE, state.wait_for(again)).await.expect("it registers again in time").expect("the registration is there");
    expel(meta.as_ref(), first).await.expect_err("the session that was seen is gone; the new one isn't it");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(next(subject, &mut mirror).await);
    }
    assert_eq!(seen[0], Difference::Gone(node));
    assert!(matches!(&seen[1], Difference::Put(second) if second.value == session && second.created > first.created), "{seen:?}");
    assert_eq!(mirror.documents().len(), 1);

    registration.end().await;
    assert_eq!(next(subject, &mut mirror).await, [Difference::Gone(node)]);
    assert!(mirror.documents().is_empty());
}

fn session(node: NodeId) -> Session {
    Session {
        node,
        roles: vec!["proxy".to_owned()],
        address: "127.0.0.1:1".to_owned(),
        host: "host".to_owned(),
        version: "0.1.0".to_owned(),
        started: Timestamp::from_millis(1),
    }
}

async fn next(subject: &dyn Subject, mirror: &mut Mirror<Session>) -> Vec<Difference<Session>> {
    let next = subject.world().within(PATIENCE, mirror.next()).await.expect("a change is seen in time");
    next.expect("mirror")
}
