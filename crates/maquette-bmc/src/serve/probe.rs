//! Where a web server sends whoever asks it for an image: QEMU goes there.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::LOCATION;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::rustls::pki_types::ServerName;

use super::deliver::prepare;
use crate::redfish::{self, Address};
use crate::service::Service;

/// How long a server may take for an answer; one that is silent sends nobody anywhere.
const PATIENCE: Duration = Duration::from_secs(3);

/// Has a service ask servers, from threads that may wait.
pub fn install(service: &Arc<Service>) {
    let (runtime, asked) = (Handle::current(), Arc::downgrade(service));
    service.probe_with(Arc::new(move |url, verify| {
        let Some(service) = asked.upgrade() else { return Vec::new() };
        runtime.block_on(moved(&service, url, verify))
    }));
}

/// Where a server sends whoever asks for an image as QEMU does: for its size, and then for a part of it.
async fn moved(service: &Arc<Service>, url: &str, verify: bool) -> Vec<String> {
    let mut found = Vec::new();
    for method in [Method::HEAD, Method::GET] {
        match tokio::time::timeout(PATIENCE, ask(service, url, verify, method)).await {
            Ok(Some(to)) => found.extend(to),
            // Who does not answer at all does not answer the next one.
            Ok(None) | Err(_) => break,
        }
    }
    found.dedup();
    found
}

/// Asks once: where the answer leads, if it leads anywhere; none if there is no answer.
async fn ask(
    service: &Arc<Service>,
    url: &str,
    verify: bool,
    method: Method,
) -> Option<Option<String>> {
    let (preparing, text) = (service.clone(), url.to_string());
    let prepared = tokio::task::spawn_blocking(move || prepare(&preparing, &text, verify));
    let (found, connector) = prepared.await.ok()?.ok()?;
    let address = redfish::address(url)?;
    let stream = TcpStream::connect(&found[..]).await.ok()?;
    let Some(connector) = connector else { return exchange(stream, &address, method).await };
    let name = ServerName::try_from(address.host.to_string()).ok()?;
    exchange(connector.connect(name, stream).await.ok()?, &address, method).await
}

async fn exchange<S>(stream: S, address: &Address<'_>, method: Method) -> Option<Option<String>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(format!("/{}", address.path))
        .header("Host", address.authority())
        .header("Range", "bytes=0-0")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let response = sender.send_request(request).await.ok()?;
    let to = response.headers().get(LOCATION).filter(|_| response.status().is_redirection());
    // One that cannot be read is none that can be allowed.
    let to = to.map(|to| to.to_str().unwrap_or_default().to_string());
    let _ = response.into_body().frame().await;
    connection.abort();
    Some(to)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use uuid::Uuid;

    use super::*;
    use crate::accounts::Accounts;
    use crate::clock::Clock;
    use crate::service::Options;

    /// A server that answers each request alike, and where it is.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let mut request = [0; 2048];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        format!("http://{at}/x.iso")
    }

    #[test]
    fn where_a_server_sends_somebody_is_seen() {
        let options = Options { own_addresses: true, ..Options::default() };
        let clock = Clock::from(|| 1);
        let service = Service::new(Uuid::nil(), clock, vec![], Accounts::default(), options);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let moved = |url: &str| runtime.block_on(moved(&service, url, false));
        let plain = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(moved(&plain).is_empty());
        let sends = server(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/y\r\nContent-Length: 0\r\n\r\n",
        );
        assert_eq!(moved(&sends), ["http://127.0.0.1:1/y"]);
        // Nobody is there, and somebody who speaks something else.
        assert!(moved("http://127.0.0.1:1/x.iso").is_empty());
        assert!(moved(&server("SSH-2.0-x\r\n")).is_empty());
    }
}
