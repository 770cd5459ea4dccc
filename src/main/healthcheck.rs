//! `healthcheck`: asks a running Finweir whether it is ready.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::ExitCode,
    time::Duration,
};

use clap::Args;

use super::FAILED;

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// What to ask: http://address:port/path of the admin listener.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:9097/ready"
    )]
    url: String,
}

pub(super) fn healthcheck(arguments: &Healthcheck) -> ExitCode {
    match ask(&arguments.url) {
        Ok(200) => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("{} answers {status}", arguments.url);
            ExitCode::from(FAILED)
        }
        Err(problem) => {
            eprintln!("{}: {problem}", arguments.url);
            ExitCode::from(FAILED)
        }
    }
}

/// Asks for the status of a plain HTTP URL.
fn ask(url: &str) -> Result<u16, String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let rest = url
        .strip_prefix("http://")
        .ok_or("must begin with http://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let addresses = std::net::ToSocketAddrs::to_socket_addrs(host).map_err(|e| e.to_string())?;
    let mut problem = "no address".to_owned();
    for address in addresses {
        let answer = TcpStream::connect_timeout(&address, PATIENCE).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let request =
                format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes())?;
            let mut head = String::new();
            stream.take(64).read_to_string(&mut head)?;
            Ok(head)
        });
        match answer {
            Ok(head) => {
                return head
                    .split(' ')
                    .nth(1)
                    .and_then(|status| status.parse().ok())
                    .ok_or_else(|| "this is not HTTP".to_owned());
            }
            Err(error) => problem = error.to_string(),
        }
    }
    Err(problem)
}
