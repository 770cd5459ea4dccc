//! A server that takes what is posted to it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::Value;

/// What was posted: the path, and the body.
pub(crate) type Post = (String, Value);

/// A receiver: takes every word.
pub(crate) fn receiver() -> (SocketAddr, Receiver<Post>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, posts) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while let Some(post) = take(&mut stream) {
                    // The test may be over.
                    if sender.send(post).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, posts)
}

/// Reads one request and answers it; `None` at the end of the connection.
fn take(stream: &mut BufReader<TcpStream>) -> Option<Post> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    stream.get_mut().write_all(answer).ok()?;
    Some((path, serde_json::from_slice(&body).unwrap()))
}

/// The next word, soon.
pub(crate) fn next(posts: &Receiver<Post>) -> Post {
    posts.recv_timeout(Duration::from_secs(30)).unwrap()
}
