//! A slow server, and who waits for whom.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::*;
use crate::{
    clock,
    ident::{NodeId, PlaySessionId},
};

/// What a call takes.
const SLOW: Duration = Duration::from_secs(10);
const ANNOUNCE: Ending = Ending::Announce(Duration::from_secs(30));

fn of(user: usize, ending: Ending) -> EndJob {
    EndJob {
        node: NodeId::new("jellyfin"),
        user: UserId::new(format!("user-{user}")),
        session: Some(PlaySessionId::new(format!("session-{user}"))),
        device: DeviceId::new("tv"),
        ending,
    }
}

/// Has all of `ends` carried out by a slow server. Returns who was served, in which order, and after how long.
async fn served(ends: Vec<EndJob>) -> Vec<(String, &'static str, u64)> {
    let (sender, receiver) = mpsc::channel(ends.len());
    for end in ends {
        sender.try_send(end).unwrap();
    }
    drop(sender);
    let record: Arc<Mutex<Vec<_>>> = Arc::default();
    let began = clock::now();
    let carry_out = |end: EndJob| {
        let record = record.clone();
        async move {
            let after = (clock::now() - began).as_secs();
            let name = end.user.as_str().to_owned();
            record
                .lock()
                .unwrap()
                .push((name, end.ending.as_str(), after));
            tokio::time::sleep(SLOW).await;
        }
    };
    serve(Tasks::new(), receiver, carry_out).await;
    Arc::into_inner(record).unwrap().into_inner().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_ending_does_not_wait_behind_what_others_are_told() {
    let mut ends: Vec<_> = (0..20).map(|user| of(user, ANNOUNCE)).collect();
    ends.push(of(100, Ending::Player));
    ends.push(of(101, Ending::Job));
    let served = served(ends).await;
    assert_eq!(served.len(), 22);
    for (user, ending) in [("user-100", "player"), ("user-101", "job")] {
        assert!(
            served.contains(&(user.to_owned(), ending, 0)),
            "{ending}: {served:?}"
        );
    }
    let at_first = served.iter().filter(|(.., after)| *after == 0).count();
    assert_eq!(at_first, MESSAGES_AT_ONCE + 2);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_is_told_before_his_ending_and_soon_though_others_are_told_slowly() {
    let mut ends: Vec<_> = (0..20).map(|user| of(user, ANNOUNCE)).collect();
    ends.extend([of(100, ANNOUNCE), of(100, Ending::Player)]);
    let served = served(ends).await;
    let his: Vec<_> = served
        .iter()
        .filter(|(user, ..)| user == "user-100")
        .map(|(_, ending, after)| (*ending, *after))
        .collect();
    assert_eq!(his, [("announce", 0), ("player", SLOW.as_secs())]);
}

#[tokio::test(start_paused = true)]
async fn so_many_are_served_at_once_and_the_others_in_their_order() {
    let ends = (0..20).map(|user| of(user, Ending::Job)).collect();
    let served = served(ends).await;
    let expected: Vec<_> = (0..20)
        .map(|user| {
            let turn = u64::try_from(user / AT_ONCE).unwrap();
            (format!("user-{user}"), "job", turn * SLOW.as_secs())
        })
        .collect();
    assert_eq!(served, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_is_not_shown_or_stays_in_the_channel() {
    let shown = served((0..200).map(|user| of(user, Ending::Spare)).collect()).await;
    assert_eq!(shown.len(), MESSAGES_AT_ONCE + MESSAGES);

    let (sender, receiver) = mpsc::channel(200);
    for user in 0..200 {
        sender.try_send(of(user, Ending::Job)).unwrap();
    }
    let mut desk = Box::pin(serve(Tasks::new(), receiver, |_| std::future::pending()));
    let minute = Duration::from_secs(60);
    assert!(tokio::time::timeout(minute, &mut desk).await.is_err());
    let left = sender.max_capacity() - sender.capacity();
    assert_eq!(left, 200 - AT_ONCE - ENDINGS);
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_own_ending_alone() {
    let (sender, receiver) = mpsc::channel(64);
    for user in 0..40 {
        sender.try_send(of(user, Ending::Job)).unwrap();
    }
    drop(sender);
    let served: Arc<Mutex<usize>> = Arc::default();
    let count = served.clone();
    serve(Tasks::new(), receiver, move |end| {
        let count = count.clone();
        async move {
            *count.lock().unwrap() += 1;
            assert_ne!(end.user.as_str(), "user-3", "on purpose");
        }
    })
    .await;
    assert_eq!(*served.lock().unwrap(), 40);
}
