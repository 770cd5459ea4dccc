//! Whose a session and a screen are.

use super::*;

#[test]
fn somebody_elses_session_is_no_claim() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    let demand = ask("bob", "tv", "film", Kind::Video(ONE));
    let decision = world.decide(Demand {
        session: Some("s1".into()),
        origin: Origin::Stream,
        ..demand
    });
    assert_eq!(rejected(&decision), Reason::GpuFull);
}

#[test]
fn streams_without_a_login_are_not_one_screen() {
    let mut rules = policy(1000);
    rules.anonymous = Access::Allow;
    let mut world = World::new(rules);
    admitted(&world.video("anonymous", "", "film"));
    assert_eq!(
        rejected(&world.video("anonymous", "", "film")),
        Reason::GpuFull
    );
    let first = queued(&world.patient("anonymous", "", "film"));
    let second = queued(&world.patient("anonymous", "", "other film"));
    assert_eq!(world.core.in_order(), [first, second]);
}

#[test]
fn one_session_is_no_pass_for_another_film() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    assert_eq!(world.core.item_of(&"S1".into()), Some(&"film".into()));
    let demand = ask("ann", "phone", "other", Kind::Video(ONE));
    let session = Some("s1".into());
    let decision = world.decide(Demand {
        session,
        origin: Origin::Stream,
        ..demand
    });
    assert_eq!(rejected(&decision), Reason::GpuFull);
    assert!(matches!(world.segment("s1", 1), Covered::Yes(_)));
}

#[test]
fn nobody_takes_over_another_users_session() {
    let mut world = World::new(policy(8000));
    let lease = world.play("ann", "tv", "film", "s1");
    let demand = ask("bob", "tv", "film", Kind::Video(ONE));
    let session = Some("s1".into());
    let own = admitted(&world.decide(Demand {
        session,
        origin: Origin::Stream,
        ..demand
    }));
    world.core.bind(world.now, own, &"s1".into());
    assert_eq!(world.segment("s1", 1), Covered::Yes(lease));
    world.stop("s1");
    assert_eq!(world.state(lease), LeaseState::Lingering);
    assert_eq!(world.state(own), LeaseState::Active);
}
