//! An HTTP client that opens, keeps and drops connections exactly when a test says so.

use std::{net::SocketAddr, time::Duration};

use ::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use finweir::tasks::Tasks;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpSocket, sync::watch, task::JoinHandle};

use super::child::DEADLINE;

/// Between two looks at something that tells nobody when it changes.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One connection; closed at once when dropped.
pub(crate) struct Connection {
    send: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(to: SocketAddr) -> Result<Self, Failure> {
        Self::open_from(SocketAddr::from(([127, 0, 0, 1], 0)), to).await
    }

    /// Connects from an address of its own: all of 127.0.0.0/8 is this machine.
    pub(crate) async fn open_from(from: SocketAddr, to: SocketAddr) -> Result<Self, Failure> {
        let socket = TcpSocket::new_v4()?;
        if from.ip() != std::net::Ipv4Addr::LOCALHOST {
            socket.bind(from)?;
        }
        let stream = tokio::time::timeout(DEADLINE, socket.connect(to)).await??;
        stream.set_nodelay(true)?;
        let (send, connection) = handshake(TokioIo::new(stream)).await?;
        // How it ends shows in the exchange.
        let driver = Tasks::new().spawn(async { drop(connection.await) });
        Ok(Self { send, driver })
    }

    /// Sends a request; its answer's body comes as it is read.
    pub(crate) async fn send(
        &mut self,
        request: Request<Bytes>,
    ) -> Result<Response<Incoming>, Failure> {
        self.send.ready().await?;
        let answer = self.send.send_request(request.map(Full::new));
        Ok(tokio::time::timeout(DEADLINE, answer).await??)
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn ask(&mut self, request: Request<Bytes>) -> Result<Answer, Failure> {
        let answer = self.send(request).await?;
        Answer::read(answer).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Answer {
    /// Reads a body to its end.
    pub(crate) async fn read(answer: Response<Incoming>) -> Result<Self, Failure> {
        let (parts, body) = answer.into_parts();
        let body = tokio::time::timeout(DEADLINE, body.collect()).await??;
        Ok(Self {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }

    /// Keeps the connection that it came on, if the server does.
    fn keep(&self, kept: &mut Option<Connection>, connection: Connection) {
        if !self.header("connection").eq_ignore_ascii_case("close") {
            *kept = Some(connection);
        }
    }

    /// Its body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Its body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// A header, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|v| v.to_str().ok());
        value.unwrap_or_default()
    }
}

/// A request with nothing but a host.
pub(crate) fn get(target: &str) -> Request<Bytes> {
    request(Method::GET, target, "")
}

/// A request with a body.
pub(crate) fn request(method: Method, target: &str, body: &str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("Host", "localhost")
        .header("Content-Type", "application/json")
        .body(Bytes::from(body.to_owned()))
        .unwrap()
}

/// Asks on a connection of its own.
pub(crate) async fn ask(to: SocketAddr, request: Request<Bytes>) -> Result<Answer, Failure> {
    Connection::open(to).await?.ask(request).await
}

/// Asks until the answer has this status.
pub(crate) async fn until(to: SocketAddr, target: &str, status: u16) -> Answer {
    let asking = async {
        loop {
            match ask(to, get(target)).await {
                Ok(answer) if answer.status.as_u16() == status => return answer,
                Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, asking)
        .await
        .unwrap_or_else(|_| panic!("{to}{target} never answers {status}"))
}

/// Waits until nobody listens any more.
pub(crate) async fn until_refused(at: SocketAddr) {
    let asking = async {
        while ask(at, get("/System/Ping")).await.is_ok() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let refused = tokio::time::timeout(DEADLINE, asking).await;
    assert!(refused.is_ok(), "{at} is served for ever");
}

/// Clients that ask without a pause: two on a new connection each time, two on one for as long as it is kept.
pub(crate) struct Asking {
    asked: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Asking {
    /// Begins to ask.
    pub(crate) fn begin(to: SocketAddr, target: &'static str) -> Self {
        let (count, asked) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let client = |keeps: bool| {
            let (count, stopped) = (count.clone(), stopped.clone());
            Tasks::new().spawn(async move {
                let (mut failures, mut kept) = (Vec::new(), None);
                while !*stopped.borrow() {
                    match once(to, target, &mut kept).await {
                        Ok(answer) if answer.status == 200 => {}
                        Ok(answer) => {
                            failures.push(format!("{}: {}", answer.status, answer.text()));
                        }
                        Err(error) => failures.push(format!("{error:?}")),
                    }
                    if !keeps {
                        kept = None;
                    }
                    count.send_modify(|count| *count += 1);
                    tokio::task::yield_now().await;
                }
                failures
            })
        };
        let clients = [false, false, true, true].map(client).into();
        Self {
            asked,
            stop,
            clients,
        }
    }

    /// Waits until it has asked so many times more.
    pub(crate) async fn more(&self, times: usize) {
        let mut asked = self.asked.clone();
        let goal = *asked.borrow() + times;
        let reached = tokio::time::timeout(DEADLINE, asked.wait_for(|n| *n >= goal)).await;
        assert!(reached.is_ok(), "the client is stuck");
    }

    /// Stops asking. What failed.
    pub(crate) async fn end(self) -> Vec<String> {
        self.stop.send_replace(true);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.unwrap());
        }
        failures
    }
}

/// Asks on the kept connection, or on a new one if there is none or it was closed meanwhile, as every client does.
async fn once(
    to: SocketAddr,
    target: &str,
    kept: &mut Option<Connection>,
) -> Result<Answer, Failure> {
    if let Some(mut connection) = kept.take()
        && let Ok(answer) = connection.send(get(target)).await
    {
        return Answer::read(answer)
            .await
            .inspect(|answer| answer.keep(kept, connection));
    }
    let mut connection = Connection::open(to).await?;
    let answer = connection.ask(get(target)).await?;
    answer.keep(kept, connection);
    Ok(answer)
}
