//! Players that show one thing at a time, and stop the old one once they have been given the new one.

use super::*;

#[test]
fn a_player_of_one_thing_at_a_time_goes_on_to_the_next_film_in_mid_film() {
    let mut world = World::new(policy(1000));
    let next = |item| ask("ann", "phone", item, Kind::Video(ONE));
    world.play("ann", "phone", "film", "s1");
    assert_eq!(reason(&world.decide(next("series"))), Reason::GpuFull);
    let decision = world.decide(Demand {
        replaces: true,
        ..next("series")
    });
    assert_eq!(reason(&decision), Reason::Replacement);
    world
        .core
        .bind(world.now, admitted(&decision), &"s2".into());
    assert_eq!(world.held(), 1000);
    // It does not begin after all: what it left is there again.
    for _ in 0..30 {
        world.wait(1);
        assert!(matches!(world.segment("s1", 5), Covered::Yes(_)));
    }
    let known: Vec<_> = world.core.leases.values().collect();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].session(), Some(&"s1".into()));
}

#[test]
fn the_film_before_is_no_second_one_for_who_plays_one_thing_at_a_time() {
    let mut world = World::new(policy(1000));
    world.play("ann", "phone", "film", "s1");
    let decision = world.decide(Demand {
        replaces: true,
        ..ask("ann", "phone", "series", Kind::Video(ONE))
    });
    world
        .core
        .bind(world.now, admitted(&decision), &"s2".into());
    assert!(matches!(world.segment("s2", 0), Covered::Yes(_)));
    // What was under way still is.
    assert_eq!(world.core.item_of(&"s1".into()), Some(&"film".into()));
    for index in 0..16 {
        world.wait(1);
        assert!(matches!(world.segment("s2", index), Covered::Yes(_)));
    }
    assert_eq!(world.core.item_of(&"s1".into()), Some(&"series".into()));
    // Whoever reads on in the film that was left asks like anybody else.
    let film = Demand {
        session: Some("s1".into()),
        origin: Origin::Stream,
        ..ask("ann", "phone", "film", Kind::Video(ONE))
    };
    assert_eq!(reason(&world.decide(film)), Reason::GpuFull);
    assert_eq!(world.held(), 1000);
}
