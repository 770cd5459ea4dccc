//! Somebody is gone without a word: Finweir, Jellyfin, a viewer.

use std::{fs, process::Command, time::Duration};

use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    child::{DEADLINE, Signal},
    house::{House, Port, jellyfin, jellyfin_at},
    http::{Answer, Connection, ask, get, until},
    viewer::{Viewer, film},
};

const ENDED: &str = "\"Lease ended\"";

#[tokio::test]
async fn killed_and_started_again_it_counts_what_runs_and_refuses_nobody_who_watches() {
    let sim = jellyfin().await;
    let house = House::new(sim.address());
    let before = house.start().await.ready().await;
    let (anna, ben) = (
        Viewer::new(&sim, "anna", "a"),
        Viewer::new(&sim, "ben", "b"),
    );
    let first = anna.play(before.address, &film(1)).await.plays();
    let other = ben.play(before.address, &film(2)).await.plays();
    anna.report(before.address, &first, "").await;
    before.child.kill().await;

    let after = house.start().await.ready().await;
    anna.segment(after.address, &first, 1).await;
    ben.segment(after.address, &other, 1).await;
    let adopted = after.child.says("\"Jellyfin and the leases disagreed\"");
    let by_hand = after.child.says("\"Admitted\"");
    tokio::select! { _ = adopted => {}, _ = by_hand => {} }
    for viewer in ["anna", "ben"] {
        let device = Viewer::new(&sim, viewer, "another");
        device.play(after.address, &film(3)).await.refused();
    }
    let state = after.state().await;
    assert_eq!(state.get("transcodes"), Some(&Value::from(2)), "{state}");
    anna.segment(after.address, &first, 2).await;
    ben.segment(after.address, &other, 2).await;
    assert_eq!(sim.stalls(), 0);
}

#[tokio::test]
async fn when_jellyfin_dies_its_leases_end_and_it_is_found_again() {
    let port = Port::take();
    let sim = jellyfin_at(port.address).await;
    let house = House::new(port.address);
    let finweir = house.start().await.ready().await;
    let anna = Viewer::new(&sim, "anna", "a");
    anna.play(finweir.address, &film(1)).await.plays();
    let (_held, download) = anna
        .download(finweir.address, &film(0), (0, (64 << 20) - 1))
        .await;
    sim.kill();

    assert!(
        Answer::read(download).await.is_err(),
        "half a file looks whole"
    );
    until(finweir.address, "/System/Ping", 502).await;
    until(finweir.admin, "/ready", 503).await;
    let sim = jellyfin_at(port.address).await;
    until(finweir.address, "/System/Ping", 200).await;
    until(finweir.admin, "/ready", 200).await;
    finweir.child.says(ENDED).await;
    let anna = Viewer::new(&sim, "anna", "b");
    anna.play(finweir.address, &film(2)).await.plays();
}

#[tokio::test]
async fn a_viewer_who_is_cut_off_gives_the_seat_back() {
    let sim = jellyfin().await;
    let house = House::new(sim.address());
    let finweir = house.start().await.ready().await;
    let anna = Viewer::new(&sim, "anna", "a");
    let address = format!(
        "/Videos/{}/stream.mkv?VideoCodec=h264&VideoBitrate=2000000&AudioCodec=aac&MediaSourceId={}&DeviceId=a",
        film(1),
        film(1),
    );
    let mut connection = Connection::open(finweir.address).await.unwrap();
    let stream = anna.signed(get(&address));
    let stream = connection.send(stream).await.unwrap();
    assert_eq!(stream.status(), 200);
    let held = finweir.state().await;
    assert_eq!(held.get("transcodes"), Some(&Value::from(1)), "{held}");
    let refused = Viewer::new(&sim, "anna", "b");
    refused.play(finweir.address, &film(2)).await.refused();

    drop((stream, connection));
    // FFmpeg goes on for ten seconds.
    sim.advance(Duration::from_secs(11));
    finweir.child.says(ENDED).await;
    refused.play(finweir.address, &film(3)).await.plays();
}

#[tokio::test]
async fn a_stop_is_carried_out_though_its_tab_hangs_up_at_once() {
    let sim = jellyfin().await;
    let house = House::new(sim.address());
    let finweir = house.start().await.ready().await;
    let anna = Viewer::new(&sim, "anna", "a");
    let plays = anna.play(finweir.address, &film(1)).await.plays();
    anna.report(finweir.address, &plays, "").await;
    assert_eq!(sim.running(), 1);

    let body = format!(
        "{{\"ItemId\":\"{}\",\"PlaySessionId\":\"{}\"}}",
        plays.item, plays.session
    );
    let stop = format!(
        "POST /Sessions/Playing/Stopped HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Authorization: MediaBrowser Token=\"{}\"\r\nContent-Length: {}\r\n\r\n{body}",
        anna.token,
        body.len()
    );
    let mut tab = TcpStream::connect(finweir.address).await.unwrap();
    tab.write_all(stop.as_bytes()).await.unwrap();
    drop(tab);
    finweir.child.says(ENDED).await;
    assert_eq!(sim.running(), 0);
    finweir.child.signal(Signal::TERM);
    assert_eq!(finweir.child.ended().await, Some(0));
    assert!(ask(finweir.address, get("/")).await.is_err());
}

#[tokio::test]
async fn a_log_that_cannot_be_written_costs_lines_and_nothing_else() {
    let sim = jellyfin().await;
    let (port, admin) = (Port::take(), Port::take());
    let mut house = House::new(sim.address());
    house.settings.listen = port.address.to_string();
    house.settings.admin = admin.address.to_string();
    house.write();
    // Every write to it says that the disk is full.
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_finweir"));
    command
        .arg("run")
        .arg("--config")
        .arg(house.file())
        .env_clear();
    let mut program = Unlogged(command.stderr(full).spawn().unwrap());
    until(admin.address, "/ready", 200).await;
    let anna = Viewer::new(&sim, "anna", "a");
    let plays = anna.play(port.address, &film(1)).await.plays();
    Viewer::new(&sim, "anna", "b")
        .play(port.address, &film(2))
        .await
        .refused();
    anna.segment(port.address, &plays, 1).await;
    assert_eq!(program.0.try_wait().unwrap(), None);
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    let sim = jellyfin().await;
    let (port, admin) = (Port::take(), Port::take());
    let mut house = House::new(sim.address());
    house.settings.listen = port.address.to_string();
    house.settings.admin = admin.address.to_string();
    house.write();
    // A pipe that is full after some twenty lines, and nobody at its other end takes any.
    let (_unread, log) = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&log, 4096).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_finweir"));
    command
        .arg("run")
        .arg("--config")
        .arg(house.file())
        .env_clear();
    let mut program = Unlogged(command.stderr(log).spawn().unwrap());
    until(admin.address, "/ready", 200).await;
    let anna = Viewer::new(&sim, "anna", "a");
    let plays = anna.play(port.address, &film(1)).await.plays();
    for number in 0..50 {
        let another = Viewer::new(&sim, "anna", &format!("b{number}"));
        another.play(port.address, &film(2)).await.refused();
    }
    anna.segment(port.address, &plays, 1).await;
    assert_eq!(program.0.try_wait().unwrap(), None);
    kill_process(Pid::from_child(&program.0), Signal::TERM).unwrap();
    let ends = async {
        loop {
            match program.0.try_wait().unwrap() {
                Some(status) => return status.code(),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(DEADLINE, ends).await, Ok(Some(0)));
}

/// A program without a log; killed when dropped.
struct Unlogged(std::process::Child);

impl Drop for Unlogged {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
