//! A wire between Finweir and Jellyfin that is slow for some requests, as a real Jellyfin is.

use std::{net::SocketAddr, time::Duration};

use finweir::tasks::Tasks;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Passes everything on, some requests late.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    tasks: Tasks,
}

impl Relay {
    /// Passes everything on to `to`; requests whose head contains `slow` only after `delay`.
    pub(crate) async fn start(to: SocketAddr, slow: &'static str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new();
        let own = tasks.clone();
        tasks.spawn_loop(async move {
            while let Ok((client, _)) = listener.accept().await {
                own.spawn(async move { pass(client, to, slow, delay).await });
            }
        });
        Self { address, tasks }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.end_loops();
    }
}

async fn pass(client: TcpStream, to: SocketAddr, slow: &str, delay: Duration) -> Option<()> {
    let server = TcpStream::connect(to).await.ok()?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let count = from_client.read(&mut bytes).await.ok()?;
            if count == 0 {
                return to_server.shutdown().await.ok();
            }
            let found = bytes[..count]
                .windows(slow.len())
                .any(|window| window == slow.as_bytes());
            if found {
                tokio::time::sleep(delay).await;
            }
            to_server.write_all(&bytes[..count]).await.ok()?;
        }
    };
    let down = async { tokio::io::copy(&mut from_server, &mut to_client).await.ok() };
    tokio::select! {
        // When the client has gone, so has the connection.
        _ = up => None,
        _ = down => None,
    }
}
