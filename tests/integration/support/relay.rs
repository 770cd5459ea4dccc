//! A wire between Finweir and Jellyfin that is slow for some requests, as a real Jellyfin is, or breaks one.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use finweir::tasks::Tasks;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What happens to requests whose head contains a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// They pass this late.
    Slow(Duration),
    /// So many are answered with 503, then they pass.
    Fails(usize),
    /// The ceilings of the bitrate in them become as high as so many digits can say.
    Raises,
}

/// Passes everything on, some requests late or not at all.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    tasks: Tasks,
}

impl Relay {
    /// Passes everything on to `to`, except that requests whose head contains `what` have a fault.
    pub(crate) async fn start(to: SocketAddr, what: &'static str, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new();
        let own = tasks.clone();
        let left = Arc::new(AtomicUsize::new(match fault {
            Fault::Slow(_) | Fault::Raises => 0,
            Fault::Fails(times) => times,
        }));
        tasks.spawn_loop(async move {
            while let Ok((client, _)) = listener.accept().await {
                let left = left.clone();
                own.spawn(async move { pass(client, to, what, fault, &left).await });
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

async fn pass(
    client: TcpStream,
    to: SocketAddr,
    what: &str,
    fault: Fault,
    left: &AtomicUsize,
) -> Option<()> {
    let server = TcpStream::connect(to).await.ok()?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // Returns whether a request is to be answered with an error.
    let up = async {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let count = match from_client.read(&mut bytes).await {
                Ok(0) | Err(_) => return false,
                Ok(count) => count,
            };
            let found = bytes[..count]
                .windows(what.len())
                .any(|window| window == what.as_bytes());
            match fault {
                Fault::Slow(delay) if found => tokio::time::sleep(delay).await,
                Fault::Fails(_) if found => {
                    let took = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                        left.checked_sub(1)
                    });
                    if took.is_ok() {
                        return true;
                    }
                }
                Fault::Raises if found => raise(&mut bytes[..count]),
                Fault::Slow(_) | Fault::Fails(_) | Fault::Raises => {}
            }
            if to_server.write_all(&bytes[..count]).await.is_err() {
                return false;
            }
        }
    };
    let down = async {
        tokio::io::copy(&mut from_server, &mut to_client).await.ok();
        false
    };
    let broken = tokio::select! {
        broken = up => broken,
        broken = down => broken,
    };
    if broken {
        let error =
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        to_client.write_all(error).await.ok()?;
    }
    to_client.shutdown().await.ok()
}

/// Writes nines over the digits of every `MaxStreamingBitrate`.
fn raise(bytes: &mut [u8]) {
    let name = b"axStreamingBitrate";
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(name.len()).position(|w| w == name) {
        at += found + name.len();
        let rest = &mut bytes[at..];
        let skipped = rest.iter().take_while(|b| b"\"=: ".contains(b)).count();
        for digit in rest[skipped..]
            .iter_mut()
            .take_while(|b| b.is_ascii_digit())
        {
            *digit = b'9';
        }
    }
}
