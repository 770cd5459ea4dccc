//! Finweir goes, HAProxy finds the way round, Finweir comes back.

use serde_json::Value;

use super::{
    balancer::Balancer,
    child::Signal,
    house::{Finweir, House, Port, finweir, jellyfin, jellyfin_at},
    http::{Answer, Asking, until, until_refused},
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
    let (_held, download) = anna
        .download(haproxy.address, &film(0), (0, LARGE - 1))
        .await;

    let asking = Asking::begin(haproxy.address, "/System/Ping");
    asking.more(20).await;
    let before = haproxy.child.written();
    finweir.child.signal(Signal::TERM);
    haproxy
        .child
        .says_after(before, "Server finweir/finweir is DOWN")
        .await;
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
    let (anna, ben) = (
        Viewer::new(&sim, "anna", "a"),
        Viewer::new(&sim, "ben", "a"),
    );
    let first = anna.play(haproxy.address, &film(1)).await.plays();
    anna.report(haproxy.address, &first, "").await;
    let (_held, download) = anna
        .download(haproxy.address, &film(0), (0, LARGE - 1))
        .await;

    let asking = Asking::begin(haproxy.address, "/System/Ping");
    asking.more(20).await;
    finweir.child.kill().await;
    assert!(
        Answer::read(download).await.is_err(),
        "half a file looks whole"
    );
    // A half answer is lost. Whoever had none yet, or asks now, is served, though nothing is gated.
    asking.more(20).await;
    anna.segment(haproxy.address, &first, 1).await;
    let other = ben.play(haproxy.address, &film(2)).await.plays();
    let ungated = Viewer::new(&sim, "ben", "b");
    ungated.play(haproxy.address, &film(3)).await.plays();
    haproxy.child.says(DIRECT).await;

    let before = haproxy.child.written();
    let finweir = house.start().await.ready().await;
    haproxy
        .child
        .says_after(before, "Server finweir/finweir is UP")
        .await;
    finweir
        .child
        .says("\"Jellyfin and the leases disagreed\"")
        .await;
    for (viewer, film) in [(&anna, &first), (&ben, &other)] {
        viewer.segment(haproxy.address, film, 2).await;
        viewer.segment(haproxy.address, film, 3).await;
    }
    for name in ["anna", "ben"] {
        let another = Viewer::new(&sim, name, "another");
        another.play(haproxy.address, &film(4)).await.refused();
    }
    let state = finweir.state().await;
    assert!(
        state.get("transcodes").and_then(Value::as_u64) >= Some(2),
        "{state}"
    );
    assert_eq!(asking.end().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_next_version_beside_it_is_gated_all_the_time() {
    let sim = jellyfin().await;
    let (port, admin) = (Port::take(), Port::take());
    let mut house = House::new(sim.address());
    house.settings.listen = port.address.to_string();
    // Time for HAProxy's checks, as shipped.
    house.settings.drain = ("5s", "30s");
    let old = house.start().await.ready().await;
    // One data address, two admin addresses: as docs/operating.md says.
    let line = format!(
        "server next {0} check port {1} inter 2s downinter 500ms fall 2 rise 1\n    server finweir {0} check port {2}",
        port.address,
        admin.address.port(),
        old.admin.port()
    );
    let haproxy = Balancer::with(&house, &line, sim.address()).await;
    haproxy.child.says("Server finweir/next is DOWN").await;
    let anna = Viewer::new(&sim, "anna", "a");
    let plays = anna.play(haproxy.address, &film(1)).await.plays();
    anna.report(haproxy.address, &plays, "").await;

    let asking = Asking::begin(haproxy.address, "/System/Ping");
    let (file, beside) = (house.file(), admin.address.to_string());
    let arguments = [
        "run",
        "--config",
        file.to_str().unwrap(),
        "--admin-listen",
        &beside,
    ];
    let new = Finweir::serving(finweir(&arguments)).await.ready().await;
    haproxy.child.says("Server finweir/next is UP").await;
    new.child
        .says("\"Jellyfin and the leases disagreed\"")
        .await;
    old.child.signal(Signal::TERM);
    assert_eq!(old.child.ended().await, Some(0));
    asking.more(20).await;
    assert_eq!(asking.end().await, Vec::<String>::new());

    anna.segment(haproxy.address, &plays, 1).await;
    let another = Viewer::new(&sim, "anna", "b");
    another.play(haproxy.address, &film(2)).await.refused();
    assert!(
        !haproxy.child.log().contains(DIRECT),
        "{}",
        haproxy.child.log()
    );
}

#[tokio::test]
async fn when_jellyfin_comes_back_it_is_reached_through_finweir() {
    let port = Port::take();
    let sim = jellyfin_at(port.address).await;
    let house = House::new(port.address);
    let finweir = house.start().await.ready().await;
    let haproxy = Balancer::before(&house, (finweir.address, finweir.admin), port.address).await;
    sim.kill();
    haproxy
        .child
        .says("Server jellyfin_direct/jellyfin is DOWN")
        .await;
    haproxy.child.says("Server finweir/finweir is DOWN").await;
    let before = haproxy.child.written();
    let _sim = jellyfin_at(port.address).await;
    until(haproxy.address, "/System/Ping", 200).await;
    haproxy.child.says_after(before, " 200 ").await;
    let log = haproxy.child.log();
    let served: Vec<&str> = log
        .lines()
        .skip(before)
        .filter(|l| l.contains(" 200 "))
        .collect();
    let gated = served.iter().all(|l| l.contains(" finweir/finweir "));
    assert!(gated, "{log}");
}

#[tokio::test]
async fn a_finweir_that_hangs_is_gone_round() {
    let sim = jellyfin().await;
    let house = House::new(sim.address());
    let finweir = house.start().await.ready().await;
    let haproxy = Balancer::before(&house, (finweir.address, finweir.admin), sim.address()).await;
    finweir.child.signal(Signal::STOP);
    haproxy.child.says("Server finweir/finweir is DOWN").await;
    let anna = Viewer::new(&sim, "anna", "a");
    anna.play(haproxy.address, &film(1)).await.plays();
    haproxy.child.says(DIRECT).await;

    let before = haproxy.child.written();
    finweir.child.signal(Signal::CONT);
    haproxy
        .child
        .says_after(before, "Server finweir/finweir is UP")
        .await;
    anna.play(haproxy.address, &film(1)).await.plays();
    haproxy.child.says_after(before, " finweir/finweir ").await;
}
