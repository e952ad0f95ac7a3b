//! Events to whoever has subscribed with an address.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, broadcast};
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls;
use crate::redfish::{self, Address};
use crate::service::Service;

/// How often an event is sent, how long one attempt may take, and how long until the next.
const ATTEMPTS: (u32, Duration, Duration) = (3, Duration::from_secs(5), Duration::from_secs(5));
/// Most events under way.
const UNDER_WAY: usize = 32;

/// Sends what happens, for ever.
pub async fn deliver(service: Arc<Service>) {
    let mut notices = service.hear();
    let places = Arc::new(Semaphore::new(UNDER_WAY));
    loop {
        let notice = match notices.recv().await {
            Ok(notice) => notice,
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let subscriptions = service.subscriptions().clone();
        for subscription in subscriptions {
            let Some(destination) = subscription.destination else { continue };
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let event = redfish::event(&notice, &subscription.context).to_string();
            let service = service.clone();
            tokio::spawn(async move {
                let _place = place;
                for attempt in 0..ATTEMPTS.0 {
                    if attempt > 0 {
                        tokio::time::sleep(ATTEMPTS.2).await;
                    }
                    let sent = tokio::time::timeout(ATTEMPTS.1, send(&destination, &event)).await;
                    if matches!(sent, Ok(Some(()))) {
                        return;
                    }
                }
                service
                    .say(&format!("an event could not be sent to subscriber {}", subscription.id));
            });
        }
    }
}

/// Sends one event; none if the other side did not take it.
async fn send(destination: &str, event: &str) -> Option<()> {
    let address = redfish::address(destination)?;
    let stream = TcpStream::connect((address.host, address.port)).await.ok()?;
    if !address.secure {
        return post(stream, &address, event).await;
    }
    let name = ServerName::try_from(address.host.to_string()).ok()?;
    let stream = tls::connector().ok()?.connect(name, stream).await.ok()?;
    post(stream, &address, event).await
}

async fn post<S>(stream: S, address: &Address<'_>, event: &str) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let connection = tokio::spawn(connection);
    let host = if address.host.contains(':') {
        format!("[{}]:{}", address.host, address.port)
    } else {
        format!("{}:{}", address.host, address.port)
    };
    let request = hyper::Request::post(format!("/{}", address.path))
        .header("Host", host)
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(event.to_string())))
        .ok()?;
    let response = sender.send_request(request).await.ok()?;
    let taken = response.status().is_success();
    // What it says is of no interest, and not read to its end.
    let _ = response.into_body().frame().await;
    connection.abort();
    taken.then_some(())
}
