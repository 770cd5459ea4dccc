//! A real HAProxy, from the configuration that is shipped.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use super::{
    child::Child,
    house::{House, Port},
};

/// The configuration that is shipped.
pub(crate) const SHIPPED: &str = "config/haproxy.cfg";

/// A running HAProxy.
pub(crate) struct Balancer {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    _port: Port,
}

impl Balancer {
    /// Starts HAProxy before both, from the shipped configuration with other addresses in it.
    pub(crate) async fn before(
        house: &House,
        (finweir, admin): (SocketAddr, SocketAddr),
        jellyfin: SocketAddr,
    ) -> Self {
        let server = format!("server finweir {finweir} check port {}", admin.port());
        Self::with(house, &server, jellyfin).await
    }

    /// The same, with Finweir's line begun in another way.
    pub(crate) async fn with(house: &House, finweir: &str, jellyfin: SocketAddr) -> Self {
        let port = Port::take();
        let jellyfin = format!(" {jellyfin} ");
        let mut text = fs::read_to_string(SHIPPED).unwrap();
        for (shipped, own) in [
            ("bind :80\n", format!("bind {}\n", port.address).as_str()),
            ("server finweir 127.0.0.1:8097 check port 9097", finweir),
            (" 127.0.0.1:8096 ", &jellyfin),
        ] {
            assert!(text.contains(shipped), "{SHIPPED} has no {shipped:?}");
            text = text.replace(shipped, own);
        }
        let file = house.path("haproxy.cfg");
        fs::write(&file, text).unwrap();
        let child = Child::start("haproxy", haproxy(&file).arg("-db"));
        let balancer = Self {
            child,
            address: port.address,
            _port: port,
        };
        super::http::until(balancer.address, "/System/Ping", 200).await;
        balancer
    }
}

/// HAProxy with a configuration.
pub(crate) fn haproxy(file: &Path) -> Command {
    let mut command = Command::new("haproxy");
    // Debian has it where ordinary users don't look.
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .arg("-f")
        .arg(file);
    command
}
