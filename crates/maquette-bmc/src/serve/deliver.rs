//! Events to whoever has subscribed with an address: to each in a queue and a task of its own, so that nobody waits for one
//! that does not answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls;
use crate::redfish::{self, Address};
use crate::secret::Secret;
use crate::service::{Service, Subscription};

/// Events that wait for one subscriber; more are lost, which is told.
const WAITING: usize = 64;
/// How long an attempt may take, and how long until the next one at first and at most.
const ATTEMPT: Duration = Duration::from_secs(5);
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// A subscriber's queue, and whether an event was lost since it took one.
struct Queue {
    events: mpsc::Sender<String>,
    lost: bool,
}

/// Sends what happens, for ever.
pub async fn deliver(service: Arc<Service>) {
    let mut notices = service.hear();
    let mut queues: HashMap<u32, Queue> = HashMap::new();
    loop {
        let notice = match notices.recv().await {
            Ok(notice) => notice,
            Err(broadcast::error::RecvError::Lagged(count)) => {
                service
                    .say(&format!("{count} events were not sent to subscribers: too many at once"));
                continue;
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let subscriptions = service.subscriptions().clone();
        queues.retain(|id, _| subscriptions.iter().any(|subscription| subscription.id == *id));
        let wants =
            |s: &&Subscription| s.destination.is_some() && redfish::wants(&service, s, &notice);
        for subscription in subscriptions.iter().filter(wants) {
            let id = subscription.id;
            let queue = queues.entry(id).or_insert_with(|| {
                let (events, waiting) = mpsc::channel(WAITING);
                tokio::spawn(subscriber(service.clone(), subscription.clone(), waiting));
                Queue { events, lost: false }
            });
            let event = redfish::event(&notice, &subscription.context).to_string();
            let lost = queue.events.try_send(event).is_err();
            if lost && !queue.lost {
                service
                    .say(&format!("events for subscriber {id} are lost: {WAITING} wait already"));
            }
            queue.lost = lost;
        }
    }
}

/// Sends a subscriber one event after the other, each until it is taken.
async fn subscriber(
    service: Arc<Service>,
    subscription: Subscription,
    mut events: mpsc::Receiver<String>,
) {
    let id = subscription.id;
    let mut told = false;
    while let Some(event) = events.recv().await {
        let mut again = AGAIN.0;
        for attempt in 1_u32.. {
            if !service.subscriptions().iter().any(|known| known.id == id) {
                return;
            }
            let sent = send(&service, &subscription, &event);
            let Err(why) = tokio::time::timeout(ATTEMPT, sent).await.unwrap_or(Err("it is silent"))
            else {
                told = false;
                break;
            };
            if subscription.ends && attempt > redfish::ATTEMPTS {
                service.say(&format!("subscriber {id} has taken no event: its subscription ends"));
                service.unsubscribe(id);
                let keeping = service.clone();
                let _ = tokio::task::spawn_blocking(move || keeping.keep()).await;
                return;
            }
            if !std::mem::replace(&mut told, true) {
                let hint = "it is tried again until the subscription is deleted";
                service.say(&format!("an event cannot be sent to subscriber {id}: {why}; {hint}"));
            }
            tokio::time::sleep(again).await;
            again = (again * 2).min(AGAIN.1);
        }
    }
}

/// What is needed to reach a server, such as a subscriber: its addresses, which were checked, and TLS.
pub(super) fn prepare(
    service: &Service,
    destination: &str,
    verify: bool,
) -> Result<(Vec<SocketAddr>, Option<TlsConnector>), &'static str> {
    let address = redfish::address(destination).ok_or("its address cannot be read")?;
    // Checked again each time, and connected to as it was found: a name may lead to somewhere else by now.
    let found = service.reach().check(address.host, address.port);
    let found =
        found.map_err(|_| "its address is not known, or not one that events are sent to")?;
    if !address.secure {
        return Ok((found, None));
    }
    let connector = tls::connector(verify, &service.authorities());
    connector.map(|connector| (found, Some(connector))).map_err(|_| "there is no TLS")
}

/// Sends one event; why the other side did not take it.
async fn send(
    service: &Arc<Service>,
    subscription: &Subscription,
    event: &str,
) -> Result<(), &'static str> {
    let destination = subscription.destination.as_deref().unwrap_or_default();
    let (preparing, text, verify) = (service.clone(), destination.to_string(), subscription.verify);
    let prepared = tokio::task::spawn_blocking(move || prepare(&preparing, &text, verify)).await;
    let (found, connector) = prepared.map_err(|_| "Maquette has made a mistake")??;
    let address = redfish::address(destination).ok_or("its address cannot be read")?;
    let stream = TcpStream::connect(&found[..]).await.map_err(|_| "it cannot be connected to")?;
    let headers = &subscription.headers;
    let Some(connector) = connector else { return post(stream, &address, headers, event).await };
    let name = ServerName::try_from(address.host.to_string()).map_err(|_| "it has no name")?;
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|_| "its certificate is not trusted, or it has no TLS")?;
    post(stream, &address, headers, event).await
}

async fn post<S>(
    stream: S,
    address: &Address<'_>,
    headers: &[(String, Secret)],
    event: &str,
) -> Result<(), &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    const MUTE: &str = "it does not answer";
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| MUTE)?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::post(format!("/{}", address.path))
        .header("Host", address.authority())
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(event.to_string())));
    let mut request = request.map_err(|_| "its address cannot be read")?;
    for (name, value) in headers {
        let wrong = "its headers cannot be sent";
        let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong)?;
        let mut value = HeaderValue::try_from(value.reveal()).map_err(|_| wrong)?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    let response = sender.send_request(request).await.map_err(|_| MUTE)?;
    let taken = response.status().is_success();
    // What it says is of no interest, and not read to its end.
    let _ = response.into_body().frame().await;
    connection.abort();
    if taken { Ok(()) } else { Err("it does not take it") }
}
