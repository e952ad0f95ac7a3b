//! Redfish over HTTP and HTTPS. Whoever is slow, sends too much, or comes too often, is sent away before anything is done.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};

use super::Tls;
use crate::redfish::{self, Content, Method, Request, Response};
use crate::service::Service;

/// Most bytes of all headers.
const HEADERS: usize = 16 << 10;
/// Pieces of events that wait for a client that reads slowly.
const PIECES: usize = 16;
/// How often a stream without events shows that it is still there.
const ALIVE: Duration = Duration::from_secs(15);

/// Serves Redfish on a socket, for ever.
pub async fn redfish(service: Arc<Service>, listener: TcpListener, tls: Option<Tls>) {
    let places = Arc::new(Semaphore::new(service.options.limits.connections));
    loop {
        // Nobody closes the semaphore. Whoever finds no place waits in the kernel.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // Out of descriptors, most likely: others have to end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        tokio::spawn(connection(service.clone(), stream, peer, tls.clone(), place));
    }
}

async fn connection(
    service: Arc<Service>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Tls>,
    _place: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let Some(Tls(acceptor)) = tls else { return serve(service, stream, peer, false).await };
    let handshake = tokio::time::timeout(service.options.limits.request, acceptor.accept(stream));
    if let Ok(Ok(stream)) = handshake.await {
        serve(service, stream, peer, true).await;
    }
}

async fn serve<S>(service: Arc<Service>, stream: S, peer: SocketAddr, secure: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limit = service.options.limits.request;
    let answering = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(handle(service, request, peer, secure).await) }
    });
    // Its end is of no consequence to anybody else.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limit)
        .max_buf_size(HEADERS)
        .serve_connection(TokioIo::new(stream), answering)
        .await;
}

/// What is sent: whole, or in pieces as they come.
enum Out {
    Whole(Option<Bytes>),
    Pieces(mpsc::Receiver<Bytes>),
}

impl Body for Out {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pieces(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(bytes) => {
                hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Pieces(_) => hyper::body::SizeHint::default(),
        }
    }
}

fn plain(status: u16) -> hyper::Response<Out> {
    let mut response = hyper::Response::new(Out::Whole(None));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}

async fn handle(
    service: Arc<Service>,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    secure: bool,
) -> hyper::Response<Out> {
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > service.options.limits.body as u64 {
        return plain(413);
    }
    let body = Limited::new(body, service.options.limits.body).collect();
    let body = match tokio::time::timeout(service.options.limits.request, body).await {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        Ok(Err(_)) => return plain(413),
        Err(_) => return plain(408),
    };
    let headers = parts.headers.iter().map(|(name, value)| {
        (name.as_str().to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let request = Request {
        method: Method::named(parts.method.as_str()),
        path: parts.uri.path().to_string(),
        query: parts.uri.query().unwrap_or_default().to_string(),
        headers: headers.collect(),
        body,
        secure,
        peer: peer.ip().to_string(),
    };
    let answering = service.clone();
    let answer = tokio::task::spawn_blocking(move || redfish::answer(&answering, &request)).await;
    let Ok(answer) = answer else {
        service.say("a request has failed by a mistake of Maquette's");
        return plain(500);
    };
    if answer.delayed {
        service.say(&format!("wrong credentials for Redfish from {}", peer.ip()));
        tokio::time::sleep(service.options.limits.wrong_credentials).await;
    }
    sent(&service, answer)
}

fn sent(service: &Arc<Service>, answer: Response) -> hyper::Response<Out> {
    let (kind, out) = match answer.content {
        Content::Empty => (None, Out::Whole(None)),
        Content::Json(value) => (Some("application/json"), whole(value.to_string())),
        Content::Xml(text) => (Some("application/xml"), whole(text)),
        Content::Events(id) => {
            let (pieces, out) = mpsc::channel(PIECES);
            tokio::spawn(stream(service.clone(), id, pieces));
            (Some("text/event-stream"), Out::Pieces(out))
        }
    };
    let mut response = plain(answer.status);
    *response.body_mut() = out;
    let headers = response.headers_mut();
    let kind = kind.map(|kind| ("Content-Type", kind.to_string()));
    for (name, value) in answer.headers.into_iter().chain(kind) {
        if let Ok(value) = value.parse() {
            headers.append(name, value);
        }
    }
    response
}

fn whole(text: String) -> Out {
    Out::Whole(Some(Bytes::from(text)))
}

/// Streams events to a client until it goes, or its subscription is deleted.
async fn stream(service: Arc<Service>, id: u32, pieces: mpsc::Sender<Bytes>) {
    let mut notices = service.hear();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut alive = tokio::time::interval(ALIVE);
    loop {
        let piece = tokio::select! {
            () = pieces.closed() => break,
            _ = alive.tick() => ": alive\n\n".to_string(),
            _ = seconds.tick() => {
                let known = service.subscriptions().iter().any(|s| s.id == id);
                if known { continue } else { break }
            }
            notice = notices.recv() => match notice {
                Ok(notice) => {
                    let event = redfish::event(&notice, "");
                    format!("id: {}\ndata: {event}\n\n", notice.id)
                }
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => break,
            },
        };
        if pieces.send(piece.into()).await.is_err() {
            break;
        }
    }
    service.unsubscribe(id);
}
