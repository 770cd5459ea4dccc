//! The gate's three rules, in virtual time.

use std::{sync::Arc, time::Duration};

use once::now_or_never;

use super::*;
use crate::{
    admission::{Mode, Origin, Seats, Who, Work},
    ident::{GpuId, ItemId, NodeId},
    telemetry,
};

mod once {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    /// Polls once.
    pub(super) fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}

/// A gate over one GPU of one seat, enforced.
fn gate() -> Gate {
    let mut policy = Policy::observe(
        NodeId::new("node"),
        GpuId::new("gpu0"),
        Seats::from_milli(1000),
    );
    policy.mode = Mode::Enforce;
    let telemetry = Telemetry::new(&telemetry::Settings {
        format: telemetry::LogFormat::Auto,
        level: "info".to_owned(),
        user_label: telemetry::UserLabel::None,
        gpus: vec!["gpu0".to_owned()],
        nodes: vec!["node".to_owned()],
        classes: vec!["default".to_owned()],
    });
    Gate::new(clock::now(), Arc::new(policy), telemetry).0
}

/// A 1080p transcode of one seat.
fn demand(user: &str, item: &str, patience: Duration) -> Demand {
    let work = Work {
        codec_in: crate::admission::Codec::H264,
        size_in: (1920, 1080),
        millifps: 30_000,
        bits: 8,
        hdr: crate::admission::Hdr::Sdr,
        tone_map: false,
        ..Work::UNKNOWN
    };
    Demand {
        who: Who {
            user: UserId::new(user),
            name: None,
            admin: false,
            device: DeviceId::new(format!("{user}-device")),
            client: Arc::from("test"),
            address: None,
        },
        item: ItemId::new(item),
        session: Some(PlaySessionId::new(format!("{user}-{item}"))),
        node: NodeId::new("node"),
        kind: Kind::Video(work),
        origin: Origin::Negotiation,
        library: None,
        rate: Bitrate::ZERO,
        rungs: Vec::new(),
        would: None,
        patience,
        replaces: false,
        why: None,
    }
}

fn held(gate: &Gate) -> f64 {
    gate.snapshot()
        .gpus
        .iter()
        .map(|gpu| gpu.held.as_f64())
        .sum()
}

fn admitted(outcome: Outcome) -> Reservation {
    match outcome {
        Outcome::Admitted(reservation) => reservation,
        Outcome::Downgraded { .. } | Outcome::Rejected { .. } => {
            panic!("not admitted: {outcome:?}")
        }
    }
}

const WAIT: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_reservation_that_is_dropped_gives_its_seats_back() {
    let gate = gate();
    let reservation = admitted(gate.enter(demand("ann", "film", Duration::ZERO)).await);
    assert!(held(&gate) > 0.9);
    drop(reservation);
    assert_eq!(gate.snapshot().leases.len(), 0);
    assert!(held(&gate) < 0.1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_when_the_seat_comes_free() {
    let gate = gate();
    let first = admitted(gate.enter(demand("ann", "film", Duration::ZERO)).await);
    let waiting = gate.enter(demand("bob", "film", WAIT));
    tokio::pin!(waiting);
    assert!(now_or_never(waiting.as_mut()).is_none());
    assert_eq!(gate.snapshot().waiting.len(), 1);
    drop(first);
    let second = admitted(waiting.await);
    assert_eq!(second.reason(), Reason::Waited);
    assert!(held(&gate) > 0.9);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_refused_when_its_patience_ends_and_not_before() {
    let gate = gate();
    let _first = admitted(gate.enter(demand("ann", "film", Duration::ZERO)).await);
    let began = clock::now();
    let outcome = gate.enter(demand("bob", "film", WAIT)).await;
    assert!(
        matches!(
            outcome,
            Outcome::Rejected {
                reason: Reason::WaitedOut,
                ..
            }
        ),
        "{outcome:?}"
    );
    let waited = clock::now() - began;
    assert!(
        waited >= WAIT && waited < WAIT + Duration::from_secs(1),
        "{waited:?}"
    );
    assert!(gate.snapshot().waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_waits_gives_its_place_back() {
    let gate = gate();
    let _first = admitted(gate.enter(demand("ann", "film", Duration::ZERO)).await);
    {
        let waiting = gate.enter(demand("bob", "film", WAIT));
        tokio::pin!(waiting);
        assert!(now_or_never(waiting.as_mut()).is_none());
    }
    assert!(gate.snapshot().waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_seat_granted_to_a_client_that_leaves_before_delivery_goes_to_the_next_in_line() {
    let gate = gate();
    let first = admitted(gate.enter(demand("ann", "film", Duration::ZERO)).await);
    let third = gate.enter(demand("cat", "film", WAIT));
    tokio::pin!(third);
    {
        let second = gate.enter(demand("bob", "film", WAIT));
        tokio::pin!(second);
        assert!(now_or_never(second.as_mut()).is_none());
        assert!(now_or_never(third.as_mut()).is_none());
        // Bob is granted the seat, and leaves without having looked.
        drop(first);
        assert!(
            gate.snapshot()
                .leases
                .iter()
                .any(|l| l.user.as_str() == "bob")
        );
    }
    let seat = admitted(third.await);
    assert!(
        gate.snapshot()
            .leases
            .iter()
            .all(|l| l.user.as_str() == "cat")
    );
    drop(seat);
    assert!(gate.snapshot().leases.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drain_answers_everybody_who_waits() {
    let gate = gate();
    let _first = admitted(gate.enter(demand("ann", "film", Duration::ZERO)).await);
    let waiting = gate.enter(demand("bob", "film", WAIT));
    tokio::pin!(waiting);
    assert!(now_or_never(waiting.as_mut()).is_none());
    gate.drain();
    let outcome = waiting.await;
    assert!(
        matches!(
            outcome,
            Outcome::Rejected {
                reason: Reason::Draining,
                ..
            }
        ),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_timer_loop_gives_an_abandoned_reservation_back() {
    let gate = gate();
    admitted(gate.enter(demand("ann", "film", Duration::ZERO)).await)
        .bind(Some(&PlaySessionId::new("ann-film")));
    let timers = gate.run_timers();
    tokio::pin!(timers);
    tokio::select! {
        () = &mut timers => {}
        () = tokio::time::sleep(Duration::from_secs(120)) => {}
    }
    assert!(held(&gate) < 0.1, "{:?}", gate.snapshot().leases);
}

#[tokio::test]
async fn a_user_who_starts_too_often_is_told_when_to_come_back() {
    let per_minute = std::num::NonZeroU32::MIN.saturating_add(5);
    let throttle = Throttle::new(per_minute, std::num::NonZeroU32::MIN.saturating_add(1));
    let user = UserId::new("ann");
    assert!(throttle.start(&user).is_ok());
    assert!(throttle.start(&user).is_ok());
    let wait = throttle.start(&user).expect_err("a third start at once");
    assert!(
        wait >= Duration::from_secs(1) && wait <= Duration::from_secs(10),
        "{wait:?}"
    );
    assert!(throttle.start(&UserId::new("bob")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_given_a_smaller_form_when_its_patience_ends() {
    let gate = gate();
    let mut policy = Policy::clone(&gate.policy());
    policy.gpus[0].capacity = Seats::from_milli(1500);
    gate.set_policy(Arc::new(policy));
    let first = admitted(gate.enter(demand("ann", "film", Duration::ZERO)).await);
    let mut small = demand("bob", "film", WAIT);
    small.rungs = vec![crate::admission::Rung {
        kind: Kind::Video(Work {
            codec_in: crate::admission::Codec::H264,
            size_in: (640, 360),
            size_out: (640, 360),
            ..Work::UNKNOWN
        }),
        rate: Bitrate::ZERO,
        index: 4,
    }];
    let began = clock::now();
    let outcome = gate.enter(small).await;
    assert!(clock::now() - began >= WAIT);
    let Outcome::Downgraded { reservation, rung } = outcome else {
        panic!("not stepped down: {outcome:?}");
    };
    assert_eq!((rung, reservation.reason()), (4, Reason::GpuFull));
    assert_eq!(gate.snapshot().leases.len(), 2);
    drop((first, reservation));
    assert!(held(&gate) < 0.1, "a rung that is not delivered goes back");
}

#[test]
fn a_client_that_leaves_as_its_seat_comes_free_stops_nobody() {
    // The grant and the leaving meet in one call: a seat dropped under the lock would hang for ever.
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let gate = gate();
            let session = PlaySessionId::new("ann-film");
            let first = demand("ann", "film", Duration::ZERO);
            let kind = first.kind;
            admitted(gate.enter(first).await).bind(Some(&session));
            gate.confirm(&session, &kind, Activity::Segment { index: 0 });
            {
                let waiting = gate.enter(demand("bob", "film", WAIT));
                tokio::pin!(waiting);
                assert!(now_or_never(waiting.as_mut()).is_none());
                gate.stop(&session, Ended::Stopped);
                // FFmpeg has gone meanwhile, and nobody has looked.
                tokio::time::advance(Duration::from_secs(6)).await;
            }
            done.send((gate.snapshot().leases.len(), gate.snapshot().waiting.len()))
        })
    });
    let left = ended.recv_timeout(Duration::from_secs(20));
    assert_eq!(left, Ok((0, 0)));
}
