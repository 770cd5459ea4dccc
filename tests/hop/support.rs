//! Raw clients, scripted upstreams and a handler made of closures.

use std::{
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use finweir::{
    hop::{
        Address, Body, Bound, Done, Failure, Forward, Handler, Head, Listen, Origin, Peer, Running,
        Settings, Step, Timeouts, Verdict,
    },
    tasks::Tasks,
};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Notify, mpsc},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) async fn soon<F: Future>(f: F) -> F::Output {
    tokio::time::timeout(PATIENCE, f)
        .await
        .expect("this takes too long")
}

/// One end of a connection.
pub(crate) struct Wire {
    pub(crate) io: Box<dyn Io>,
    pub(crate) buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(io: impl Io + 'static) -> Self {
        Self {
            io: Box::new(io),
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self::new(soon(TcpStream::connect(address)).await.unwrap())
    }

    pub(crate) async fn to_unix(path: &std::path::Path) -> Self {
        Self::new(soon(UnixStream::connect(path)).await.unwrap())
    }

    pub(crate) async fn send(&mut self, data: impl AsRef<[u8]>) {
        soon(self.io.write_all(data.as_ref())).await.unwrap();
        soon(self.io.flush()).await.unwrap();
    }

    /// `false`: the other end is gone.
    async fn fill(&mut self) -> bool {
        soon(self.io.read_buf(&mut self.buffer))
            .await
            .is_ok_and(|n| n > 0)
    }

    /// A head, with its empty line. `None`: the other end closed first.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.buffer.split_off(at + 4);
                let head = std::mem::replace(&mut self.buffer, rest);
                return Some(String::from_utf8(head).unwrap());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    pub(crate) async fn take(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n {
            assert!(
                self.fill().await,
                "closed after {} of {n} bytes",
                self.buffer.len()
            );
        }
        let rest = self.buffer.split_off(n);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Everything up to and including `mark`.
    pub(crate) async fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|w| w == mark) {
                return self.take(at + mark.len()).await;
            }
            assert!(self.fill().await, "closed before the mark");
        }
    }

    /// Everything until the other end closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    /// A request and the head of its answer, with a body of a given length.
    pub(crate) async fn ask(&mut self, request: &str) -> (String, Vec<u8>) {
        self.send(request).await;
        let head = self.head().await.expect("an answer");
        let length = header(&head, "content-length").map_or(0, |l| l.parse().unwrap());
        let body = self.take(length).await;
        (head, body)
    }
}

/// The value of a header, whatever its letter case.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|l| l.split_once(':'))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.trim())
}

pub(crate) fn status(head: &str) -> u16 {
    head[9..12].parse().unwrap()
}

/// An upstream whose connections are handed to the test.
pub(crate) struct Upstream {
    pub(crate) origin: Origin,
    pub(crate) wires: mpsc::Receiver<Wire>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, wires) = mpsc::channel(100);
        Tasks::new().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(Wire::new(stream)).await.is_err() {
                    return;
                }
            }
        });
        let address = Address::Tcp {
            host: "127.0.0.1".into(),
            port,
        };
        Self {
            origin: Origin::new("upstream", address),
            wires,
        }
    }

    pub(crate) async fn start_unix(path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        let (sender, wires) = mpsc::channel(100);
        Tasks::new().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(Wire::new(stream)).await.is_err() {
                    return;
                }
            }
        });
        Self {
            origin: Origin::new("upstream", Address::Unix(path)),
            wires,
        }
    }

    pub(crate) async fn accept(&mut self) -> Wire {
        soon(self.wires.recv()).await.unwrap()
    }

    /// The next connection, and the head of its first request.
    pub(crate) async fn request(&mut self) -> (Wire, String) {
        let mut wire = self.accept().await;
        let head = wire.head().await.expect("a request");
        (wire, head)
    }

    /// Answers every request on every connection by `reply`, which sees the head.
    pub(crate) fn serve(
        mut self,
        reply: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Origin {
        let origin = self.origin.clone();
        let reply = Arc::new(reply);
        Tasks::new().spawn(async move {
            while let Some(mut wire) = self.wires.recv().await {
                let reply = Arc::clone(&reply);
                Tasks::new().spawn(async move {
                    while let Some(head) = wire.head().await {
                        let answer = reply(&head);
                        if wire.io.write_all(&answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        origin
    }
}

type Answering<T, R> =
    Box<dyn Fn(Request<T>, Peer) -> Pin<Box<dyn Future<Output = R> + Send>> + Send + Sync>;

/// A handler made of closures. What isn't given is not expected.
pub(crate) struct Script {
    pub(crate) step: Box<dyn Fn(&Head<'_>) -> Step + Send + Sync>,
    pub(crate) decide: Answering<(), Verdict>,
    pub(crate) answer: Answering<Bytes, Response<Body>>,
    done: Mutex<Vec<Done>>,
    ended: Notify,
}

impl Script {
    pub(crate) fn new(step: impl Fn(&Head<'_>) -> Step + Send + Sync + 'static) -> Self {
        Self {
            step: Box::new(step),
            decide: Box::new(|_, _| panic!("nothing to decide")),
            answer: Box::new(|_, _| panic!("nothing to answer")),
            done: Mutex::new(Vec::new()),
            ended: Notify::new(),
        }
    }

    /// Everything goes to `origin`.
    pub(crate) fn forward(origin: Origin) -> Self {
        Self::new(move |_| Step::Forward(to(&origin)))
    }

    /// The first exchange that ended.
    pub(crate) async fn first_done(&self) -> Done {
        self.dones(1).await.remove(0)
    }

    /// Exchanges that have ended.
    pub(crate) fn count(&self) -> usize {
        self.done.lock().unwrap().len()
    }

    /// Waits until at least `n` exchanges have ended.
    pub(crate) async fn ended_at_least(&self, n: usize) {
        soon(async {
            loop {
                let ended = self.ended.notified();
                if self.count() >= n {
                    return;
                }
                ended.await;
            }
        })
        .await;
    }

    /// Waits until `n` exchanges have ended, and no more.
    pub(crate) async fn dones(&self, n: usize) -> Vec<Done> {
        soon(async {
            loop {
                let ended = self.ended.notified();
                let done = self.done.lock().unwrap().clone();
                if done.len() >= n {
                    assert_eq!(done.len(), n, "an exchange ended twice");
                    return done;
                }
                ended.await;
            }
        })
        .await
    }
}

impl Handler for Script {
    fn step(&self, head: &Head<'_>) -> Step {
        (self.step)(head)
    }

    async fn decide(self: Arc<Self>, request: Request<()>, peer: Peer) -> Verdict {
        (self.decide)(request, peer).await
    }

    async fn answer(self: Arc<Self>, request: Request<Bytes>, peer: Peer) -> Response<Body> {
        (self.answer)(request, peer).await
    }

    fn failed(&self, failure: &Failure) -> Response<Body> {
        let status = match failure {
            Failure::BadRequest(_) => 400,
            Failure::TooLarge(_) => 413,
            Failure::ConnectTimeout(_) | Failure::FirstByteTimeout(_) | Failure::IdleTimeout => 504,
            Failure::Connect(_)
            | Failure::Tls(_)
            | Failure::Truncated(_)
            | Failure::Malformed(_) => 502,
        };
        text(status, failure.as_str())
    }

    fn done(&self, done: &Done) {
        self.done.lock().unwrap().push(done.clone());
        self.ended.notify_waiters();
    }
}

pub(crate) fn to(origin: &Origin) -> Forward {
    Forward {
        origin: origin.clone(),
        kind: 0,
        finish: false,
        meter: None,
        on_done: None,
    }
}

pub(crate) fn text(status: u16, body: &str) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    let body = body.map_err(|never| match never {}).boxed();
    Response::builder().status(status).body(body).unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings {
        listen: Listen::Tcp("127.0.0.1:0".parse().unwrap()),
        trusted: Vec::new(),
        proxy_protocol: false,
        via: None,
        timeouts: Timeouts::default(),
        pool: 64,
        workers: 1,
        max_connections: 1000,
    }
}

/// A hop that runs.
pub(crate) struct Hop {
    pub(crate) address: SocketAddr,
    pub(crate) script: Arc<Script>,
    pub(crate) running: Running,
}

impl Hop {
    pub(crate) fn with(settings: Settings, script: Script) -> Self {
        let bound = Bound::bind(settings).unwrap();
        let address = bound
            .address()
            .unwrap_or_else(|| "127.0.0.1:0".parse().unwrap());
        let script = Arc::new(script);
        let running = bound.serve(Arc::clone(&script));
        Self {
            address,
            script,
            running,
        }
    }

    pub(crate) fn start(script: Script) -> Self {
        Self::with(settings(), script)
    }

    pub(crate) async fn client(&self) -> Wire {
        Wire::to(self.address).await
    }
}
