//! Draining, and handing over to the next version.

use super::{
    child::Signal,
    house::{Finweir, House, Port, finweir, jellyfin},
    http::{Answer, ask, get, request, until, until_refused},
    viewer::{Viewer, film},
};

/// More than all buffers between a server and a client that does not read.
const LARGE: u64 = 64 << 20;

#[tokio::test]
async fn a_drain_is_announced_first_and_what_runs_then_is_finished() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    house.settings.drain = ("3s", "30s");
    let finweir = house.start().await.ready().await;
    let anna = Viewer::new(&sim, "anna", "a");
    let plays = anna.play(finweir.address, &film(1)).await.plays();
    let (_held, download) = anna
        .download(finweir.address, &film(0), (0, LARGE - 1))
        .await;

    finweir.child.signal(Signal::TERM);
    let ready = until(finweir.admin, "/ready", 503).await;
    assert!(ready.text().contains("stopping"), "{}", ready.text());
    // Whoever has not noticed yet is served.
    anna.segment(finweir.address, &plays, 1).await;
    assert_eq!(ask(finweir.admin, get("/live")).await.unwrap().status, 200);

    until_refused(finweir.address).await;
    assert!(!finweir.child.is_gone());
    let body = Answer::read(download).await.unwrap().body;
    assert_eq!(u64::try_from(body.len()).unwrap(), LARGE);
    assert_eq!(finweir.child.ended().await, Some(0));
    let said = finweir.child.says("\"Stopped\"").await;
    assert!(said.contains("\"cut\":0"), "{said}");
}

#[tokio::test]
async fn what_does_not_finish_within_the_limit_is_cut() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    house.settings.drain = ("100ms", "500ms");
    let finweir = house.start().await.ready().await;
    let anna = Viewer::new(&sim, "anna", "a");
    let (_held, download) = anna
        .download(finweir.address, &film(0), (0, LARGE - 1))
        .await;
    finweir.child.signal(Signal::INT);
    assert_eq!(finweir.child.ended().await, Some(0));
    let said = finweir.child.says("\"Stopped\"").await;
    assert!(said.contains("\"cut\":1"), "{said}");
    assert!(Answer::read(download).await.is_err());
}

#[tokio::test]
async fn who_waits_when_a_drain_begins_is_told_so_and_not_cut_off() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    house.settings.max_wait = "60s";
    let finweir = house.start().await.ready().await;
    let anna = Viewer::new(&sim, "anna", "a");
    anna.play(finweir.address, &film(1)).await.plays();
    let again = Viewer::new(&sim, "anna", "b");
    let wish = film(2);
    let waits = again.play(finweir.address, &wish);
    let stop = async {
        finweir.child.says("\"Queued\"").await;
        finweir.child.signal(Signal::TERM);
    };
    let (played, ()) = tokio::join!(waits, stop);
    played.refused();
    let said = finweir.child.says("\"Refused after a wait\"").await;
    assert!(said.contains("\"reason\":\"draining\""), "{said}");
    assert_eq!(finweir.child.ended().await, Some(0));
}

#[tokio::test]
async fn told_twice_it_stops_at_once() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    house.settings.drain = ("10m", "10m");
    let finweir = house.start().await.ready().await;
    let anna = Viewer::new(&sim, "anna", "a");
    let (_held, _download) = anna
        .download(finweir.address, &film(0), (0, LARGE - 1))
        .await;
    finweir.child.signal(Signal::TERM);
    finweir.child.says("\"Draining\"").await;
    finweir.child.signal(Signal::TERM);
    // Well within the ten minutes that it was given.
    assert_eq!(finweir.child.ended().await, Some(0));
    finweir.child.says("Told twice").await;
}

#[tokio::test]
async fn a_drain_can_be_asked_for_on_the_admin_side() {
    let sim = jellyfin().await;
    let house = House::new(sim.address());
    let text = house
        .yaml()
        .replace("admin: {", "admin: {token: the-admin-token-of-this-test, ");
    std::fs::write(house.file(), text).unwrap();
    let finweir = Finweir::start(&house.file()).await.ready().await;
    let mut drain = request(::http::Method::POST, "/drain", "");
    assert_eq!(ask(finweir.admin, drain.clone()).await.unwrap().status, 401);
    let token = "Bearer the-admin-token-of-this-test".parse().unwrap();
    drain.headers_mut().insert("Authorization", token);
    assert_eq!(ask(finweir.admin, drain).await.unwrap().status, 202);
    assert_eq!(finweir.child.ended().await, Some(0));
}

#[tokio::test]
async fn the_next_version_takes_over_without_a_failed_connection() {
    let sim = jellyfin().await;
    let port = Port::take();
    let mut house = House::new(sim.address());
    house.settings.listen = port.address.to_string();
    let old = house.start().await.ready().await;
    let anna = Viewer::new(&sim, "anna", "a");
    let plays = anna.play(old.address, &film(1)).await.plays();
    anna.report(old.address, &plays, "").await;

    let asking = super::http::Asking::begin(port.address, "/System/Ping");
    asking.more(20).await;
    let child = finweir(&["run", "--config", house.file().to_str().unwrap()]);
    let new = Finweir::serving(child).await.ready().await;
    assert_eq!(new.address, old.address);
    asking.more(20).await;
    old.child.signal(Signal::TERM);
    assert_eq!(old.child.ended().await, Some(0));
    asking.more(20).await;
    assert_eq!(asking.end().await, Vec::<String>::new());

    // The new one has taken the running stream in: its viewer goes on, and counts.
    new.child
        .says("\"Jellyfin and the leases disagreed\"")
        .await;
    anna.segment(new.address, &plays, 2).await;
    let second = Viewer::new(&sim, "anna", "b");
    second.play(new.address, &film(2)).await.refused();
}
