//! Asking whether something fits.

use super::*;

fn fits(world: &mut World, user: &str, item: &str, kind: Kind) -> bool {
    let demand = ask(user, &format!("{user}-tv"), item, kind);
    world.core.fits(&demand)
}

#[test]
fn what_fits_is_admitted_and_what_does_not_is_not() {
    let mut world = World::new(policy(2000));
    for (user, room) in [("anna", true), ("ben", true), ("carla", false)] {
        assert_eq!(
            fits(&mut world, user, "film", Kind::Video(ONE)),
            room,
            "{user}"
        );
        let decision = world.video(user, &format!("{user}-tv"), "film");
        assert_eq!(matches!(decision, Decision::Admit { .. }), room, "{user}");
    }
    assert!(fits(&mut world, "carla", "film", Kind::Direct));
    // Who changes the quality of what he watches takes his own seat along.
    assert!(fits(&mut world, "anna", "film", Kind::Video(ONE)));
}

#[test]
fn asking_holds_nothing_and_tells_nobody() {
    let mut world = World::new(policy(1000));
    world.events();
    for _ in 0..5 {
        assert!(fits(&mut world, "anna", "film", Kind::Video(ONE)));
    }
    assert_eq!(world.held(), 0);
    assert!(world.events().is_empty());
}

#[test]
fn nothing_fits_behind_somebody_who_waits() {
    let mut world = World::new(policy(1500));
    admitted(&world.video("anna", "tv", "film"));
    queued(&world.patient("ben", "tv", "film"));
    assert!(!fits(&mut world, "carla", "film", Kind::Video(ONE)));
}
