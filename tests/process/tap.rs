//! A relay that keeps what clients say to a server: what arrives at Jellyfin, byte for byte.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use finweir::tasks::Tasks;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A relay to one server.
pub(crate) struct Tap {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// Begins to relay.
    pub(crate) async fn before(server: SocketAddr) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(any).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (tasks, own) = (Tasks::new(), Arc::clone(&heard));
        let each = tasks.clone();
        tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                each.spawn(relay(client, server, Arc::clone(&own)));
            }
        });
        Self { address, heard }
    }

    /// The heads of the requests for this target, headers in lower case.
    pub(crate) fn heads(&self, target: &str) -> Vec<Vec<(String, String)>> {
        let heard = String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned();
        let line = format!(" {target} HTTP/1.1\r\n");
        let after = heard.split(&line).skip(1);
        after
            .filter_map(|rest| rest.split_once("\r\n\r\n"))
            .map(|(head, _)| {
                let fields = head.split("\r\n").filter_map(|f| f.split_once(':'));
                fields
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                    .collect()
            })
            .collect()
    }
}

async fn relay(mut client: TcpStream, server: SocketAddr, heard: Arc<Mutex<Vec<u8>>>) {
    // A server that is gone is a connection that closes.
    let Ok(mut upstream) = TcpStream::connect(server).await else {
        return;
    };
    let (mut from, mut to) = client.split();
    let (mut back, mut forth) = upstream.split();
    let up = async {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            let Some(read) = piece.get(..read) else {
                return;
            };
            heard.lock().unwrap().extend_from_slice(read);
            if forth.write_all(read).await.is_err() {
                return;
            }
        }
    };
    let down = tokio::io::copy(&mut back, &mut to);
    tokio::select! {
        () = up => {}
        _ended = down => {}
    }
}
