//! Finweir goes, HAProxy finds the way round, Finweir comes back.

use serde_json::Value;

use super::{
    balancer::Balancer,
    child::Signal,
    house::{House, Port, jellyfin},
    http::{Answer, Asking, until_refused},
    viewer::{Viewer, film},
};

/// More than all buffers between a server and a client that does not read.
const LARGE: u64 = 64 << 20;
const DIRECT: &str = " finweir/jellyfin ";

#[tokio::test]
async fn a_drain_loses_no_request_and_lets_the_running_stream_finish() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    // As shipped.
    house.settings.drain = ("5s", "60s");
    let finweir = house.start().await.ready().await;
    let haproxy = Balancer::before(&house, (finweir.address, finweir.admin), sim.address()).await;
    let anna = Viewer::new(&sim, "anna", "a");
    let plays = anna.play(haproxy.address, &film(1)).await.plays();
    let (_held, download) = anna.download(haproxy.address, &film(0), (0, LARGE - 1)).await;

    let asking = Asking::begin(haproxy.address, "/System/Ping");
    asking.more(20).await;
    let before = haproxy.child.written();
    finweir.child.signal(Signal::TERM);
    haproxy.child.says_after(before, "Server finweir/finweir is DOWN").await;
    // It has been told while Finweir still takes connections.
    assert!(!finweir.child.log().contains("\"Stopped\""));
    haproxy.child.says_after(before, DIRECT).await;
    anna.segment(haproxy.address, &plays, 1).await;
    until_refused(finweir.address).await;

    assert!(!finweir.child.is_gone(), "the stream is not waited for");
    let body = Answer::read(download).await.unwrap().body;
    assert_eq!(u64::try_from(body.len()).unwrap(), LARGE);
    assert_eq!(finweir.child.ended().await, Some(0));
    asking.more(20).await;
    assert_eq!(asking.end().await, Vec::<String>::new());
}

#[tokio::test]
async fn killed_in_mid_play_it_is_missed_by_nobody_and_counts_again_when_it_is_back() {
    let sim = jellyfin().await;
    let (port, admin) = (Port::take(), Port::take());
    let mut house = House::new(sim.address());
    house.settings.listen = port.address.to_string();
    house.settings.admin = admin.address.to_string();
    let finweir = house.start().await.ready().await;
    let haproxy = Balancer::before(&house, (finweir.address, finweir.admin), sim.address()).await;
    let (anna, ben) = (Viewer::new(&sim, "anna", "a"), Viewer::new(&sim, "ben", "a"));
    let first = anna.play(haproxy.address, &film(1)).await.plays();
    anna.report(haproxy.address, &first, "").await;
    let (_held, download) = anna.download(haproxy.address, &film(0), (0, LARGE - 1)).await;

    let asking = Asking::begin(haproxy.address, "/System/Ping");
    asking.more(20).await;
    finweir.child.kill().await;
    assert!(Answer::read(download).await.is_err(), "half a file looks whole");
    // What was on its way is lost; whoever asks now is served, though nothing is gated.
    let lost = asking.end().await;
    assert!(lost.len() <= 1, "{lost:?}");
    let asking = Asking::begin(haproxy.address, "/System/Ping");
    anna.segment(haproxy.address, &first, 1).await;
    let other = ben.play(haproxy.address, &film(2)).await.plays();
    let ungated = Viewer::new(&sim, "ben", "b");
    ungated.play(haproxy.address, &film(3)).await.plays();
    haproxy.child.says(DIRECT).await;

    let before = haproxy.child.written();
    let finweir = house.start().await.ready().await;
    haproxy.child.says_after(before, "Server finweir/finweir is UP").await;
    finweir.child.says("\"Jellyfin and the leases disagreed\"").await;
    for (viewer, film) in [(&anna, &first), (&ben, &other)] {
        viewer.segment(haproxy.address, film, 2).await;
        viewer.segment(haproxy.address, film, 3).await;
    }
    for name in ["anna", "ben"] {
        let another = Viewer::new(&sim, name, "another");
        another.play(haproxy.address, &film(4)).await.refused();
    }
    let state = finweir.state().await;
    assert!(state.get("transcodes").and_then(Value::as_u64) >= Some(2), "{state}");
    assert_eq!(asking.end().await, Vec::<String>::new());
}
