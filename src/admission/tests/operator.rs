//! What the operator does by hand, and what comes of it.

use super::*;

impl World {
    /// Whether there was something to be done.
    fn order(&mut self, order: Order) -> bool {
        let who = Arc::from("anna (127.0.0.1)");
        self.core.operate(self.now, order, &who).is_some()
    }
}

#[test]
fn who_is_let_in_by_hand_goes_past_the_limits_and_nobody_else_does() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    let first = queued(&world.patient("bob", "tv", "film"));
    let second = queued(&world.patient("cid", "tv", "film"));
    world.events();
    assert!(world.order(Order::LetIn(second)));
    let events = world.events();
    assert!(
        matches!(
            events.as_slice(),
            [
                Event::Operator { order: Order::LetIn(told), who, subject: Some(about) },
                Event::Granted { ticket, reason: Reason::Operator, .. },
                ..
            ] if *told == second && *ticket == second && about.user.as_str() == "cid" && **who == *"anna (127.0.0.1)"
        ),
        "{events:?}"
    );
    let shown = world.core.snapshot(world.now);
    assert_eq!(shown.gpus[0].held, seats(2000));
    assert_eq!(shown.waiting.len(), 1);
    assert_eq!(shown.waiting[0].ticket, first);
    // It has left the line: a second order finds nobody, and nothing is told.
    assert!(!world.order(Order::LetIn(second)));
    assert!(world.events().is_empty());
}

#[test]
fn a_pause_holds_what_is_new_and_leaves_what_runs() {
    let mut world = World::new(policy(9000));
    let lease = world.play("ann", "tv", "film", "s1");
    assert!(world.order(Order::Pause));
    assert!(!world.order(Order::Pause), "it is paused already");
    let asked = world.patient("bob", "tv", "film");
    let ticket = queued(&asked);
    assert!(matches!(
        asked,
        Decision::Queue {
            reason: Reason::Paused,
            expected: None,
            ..
        }
    ));
    assert!(matches!(
        world.video("cid", "tv", "film"),
        Decision::Reject {
            reason: Reason::Paused,
            ..
        }
    ));
    admitted(&world.decide(ask("dan", "tv", "film", Kind::Direct)));
    assert_eq!(world.segment("s1", 1), Covered::Yes(lease));
    assert!(world.core.snapshot(world.now).paused);
    world.events();
    assert!(world.order(Order::Resume));
    assert!(world.events().iter().any(
        |event| matches!(event, Event::Granted { ticket: told, reason: Reason::Waited, .. } if *told == ticket)
    ));
}

#[test]
fn a_pause_holds_who_waits_already_until_it_ends() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "tv", "film", "s1");
    let ticket = queued(&world.patient("bob", "tv", "film"));
    world.order(Order::Pause);
    world.core.release(world.now, lease, Ended::Gone);
    let shown = world.core.snapshot(world.now);
    let waiter = &shown.waiting[0];
    assert_eq!((waiter.ticket, waiter.reason), (ticket, Reason::Paused));
    world.order(Order::Resume);
    assert!(world.core.snapshot(world.now).waiting.is_empty());
}

#[test]
fn a_stream_ended_by_hand_gives_its_seats_back_and_its_job_is_to_end() {
    let mut world = World::new(policy(9000));
    let lease = world.play("ann", "tv", "film", "s1");
    world.events();
    assert!(world.order(Order::Release(lease)));
    let events = world.events();
    assert!(
        events.iter().any(|event| matches!(
            event,
            Event::EndJob {
                ended: Ended::Revoked,
                ..
            }
        )),
        "{events:?}"
    );
    // Its next segment is a new start, and it is ended once.
    assert_eq!(world.segment("s1", 1), Covered::Unknown);
    assert!(!world.order(Order::Release(lease)));
    world.wait(60);
    assert_eq!(world.core.snapshot(world.now).gpus[0].held, Seats::ZERO);
}

#[test]
fn a_mode_set_by_hand_holds_until_the_next_policy() {
    let mut world = World::new(policy(1000));
    let own = world.core.policy().clone();
    let modes = |world: &World| {
        let shown = world.core.snapshot(world.now);
        (shown.mode, shown.own_mode)
    };
    let observe = Order::Mode(Mode::Observe);
    assert!(world.order(observe));
    assert!(!world.order(observe));
    assert_eq!(modes(&world), (Mode::Observe, Some(Mode::Enforce)));
    world.order(Order::Mode(Mode::Enforce));
    assert_eq!(modes(&world), (Mode::Enforce, None));
    world.order(observe);
    world.core.set_policy(world.now, own);
    assert_eq!(modes(&world), (Mode::Enforce, None));
}
