//! The websocket of a client, through Finweir.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use super::Device;

/// An open `/socket`.
#[derive(Debug)]
pub(crate) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens the socket of a device as its client does: with the `Authorization` of the application.
    pub(crate) async fn open(device: &Device) -> Self {
        let mut request = format!("ws://{}/socket", device.address)
            .into_client_request()
            .unwrap();
        let authorization = device.authorization.parse().unwrap();
        request.headers_mut().insert("Authorization", authorization);
        let stream = TcpStream::connect(device.address).await.unwrap();
        let (socket, answer) = client_async(request, stream).await.unwrap();
        assert_eq!(answer.status(), 101);
        Self(socket)
    }

    /// Waits for a text that contains `wanted`.
    pub(crate) async fn until(&mut self, wanted: &str) -> String {
        let found = tokio::time::timeout(Duration::from_secs(15), async {
            loop {
                let message = self.0.next().await.unwrap().unwrap();
                if let Message::Text(text) = message
                    && text.contains(wanted)
                {
                    return text.to_string();
                }
            }
        });
        found.await.unwrap()
    }

    /// Sends a text.
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }
}
