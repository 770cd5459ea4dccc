//! A Jellyfin that answers what it is told to, for answers that no real one gives.

use std::{net::SocketAddr, sync::Arc};

use finweir::tasks::Tasks;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Status, headers and body for a method and a path.
type Say = dyn Fn(&str, &str) -> (u16, String, Vec<u8>) + Send + Sync;

/// A server that answers from a function.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    tasks: Tasks,
}

impl Origin {
    /// Starts a server that answers with `say(method, target)`.
    pub(crate) async fn start(
        say: impl Fn(&str, &str) -> (u16, String, Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new();
        let (own, say) = (tasks.clone(), Arc::new(say));
        tasks.spawn_loop(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let say = say.clone();
                own.spawn(async move { serve(stream, say.as_ref()).await });
            }
        });
        Self { address, tasks }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.tasks.end_loops();
    }
}

async fn serve(mut stream: TcpStream, say: &Say) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0);
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        bytes.drain(..end + length);
        let mut words = head.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (status, headers, body) = say(method, target);
        let mut answer = format!(
            "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        )
        .into_bytes();
        if method != "HEAD" {
            answer.extend_from_slice(&body);
        }
        stream.write_all(&answer).await.ok()?;
        if head.to_ascii_lowercase().contains("connection: close") {
            return None;
        }
    }
}
