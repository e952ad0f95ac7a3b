//! Redfish over HTTP and HTTPS. Whoever is slow, sends too much, or comes too often, is sent away before anything is done.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc};
use tokio_io_timeout::TimeoutStream;

use super::Tls;
use super::gate::Gate;
use super::places::{self, ClientSlot};
use crate::guesses::Source;
use crate::redfish::{self, Content, Method, Request, Response};
use crate::service::{Service, Stream};

/// Most bytes of all headers.
const HEADERS: usize = 16 << 10;
/// Pieces of events that wait for a client that reads slowly.
const PIECES: usize = 16;
/// How often a stream without events shows that it is still there.
const ALIVE: Duration = Duration::from_secs(15);

/// Somebody's connection.
struct Visit {
    service: Arc<Service>,
    gate: Arc<Gate>,
    peer: SocketAddr,
    secure: bool,
    /// Whether events are streamed over it.
    streams: AtomicBool,
    /// Kept until all is answered, also to whoever has gone.
    _place: Arc<ClientSlot>,
}

/// Serves Redfish on a socket, for ever.
pub async fn redfish(
    service: Arc<Service>,
    gate: Arc<Gate>,
    listener: TcpListener,
    tls: Option<Tls>,
) {
    let number = places::number();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // Out of descriptors, most likely: others have to end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let source = Source::of(peer.ip());
        let place = ClientSlot::take(number, &service.options.limits, source);
        // Whoever finds no place is told so at once, by the end of the connection.
        let Some(place) = place.map(Arc::new) else { continue };
        let (service, gate, secure) = (service.clone(), gate.clone(), tls.is_some());
        let (streams, held) = (AtomicBool::new(false), place.clone());
        let visit = Visit { service, gate, peer, secure, streams, _place: held };
        let task = tokio::spawn(connection(Arc::new(visit), stream, tls.clone()));
        place.ends_by(task.abort_handle());
    }
}

async fn connection(visit: Arc<Visit>, stream: TcpStream, tls: Option<Tls>) {
    let _ = stream.set_nodelay(true);
    let limit = visit.service.options.limits.request;
    let Some(Tls(acceptor)) = tls else { return serve(visit, stream).await };
    if let Ok(Ok(stream)) = tokio::time::timeout(limit, acceptor.accept(stream)).await {
        serve(visit, stream).await;
    }
}

async fn serve<S>(visit: Arc<Visit>, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let limits = visit.service.options.limits;
    let answering = visit.clone();
    let answering = service_fn(move |request| {
        let visit = answering.clone();
        async move { Ok::<_, Infallible>(handle(visit, request).await) }
    });
    // Reading has limits of its own, since somebody who listens to events says nothing.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.request));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.request)
            .max_buf_size(HEADERS)
            .serve_connection(TokioIo::new(Box::pin(stream)), answering)
    );
    let old = async {
        loop {
            tokio::time::sleep(limits.connection).await;
            if !visit.streams.load(Ordering::Relaxed) {
                return;
            }
        }
    };
    // Its end is of no consequence to anybody else.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = old => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(limits.answer, connection).await;
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

async fn handle(visit: Arc<Visit>, request: hyper::Request<Incoming>) -> hyper::Response<Out> {
    let answer = match read(&visit, request).await {
        // In a task of its own: whoever hangs up is held back all the same.
        Ok(request) => match tokio::spawn(answer(visit.clone(), request)).await {
            Ok(answer) => answer,
            Err(_) => redfish::refusal(500),
        },
        Err(status) => redfish::refusal(status),
    };
    sent(&visit, answer)
}

/// Reads a request to its end; the status of one that cannot be.
async fn read(visit: &Visit, request: hyper::Request<Incoming>) -> Result<Request, u16> {
    let limits = &visit.service.options.limits;
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > limits.body as u64 {
        return Err(413);
    }
    let body = Limited::new(body, limits.body).collect();
    let body = match tokio::time::timeout(limits.request, body).await {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        Ok(Err(_)) => return Err(413),
        Err(_) => return Err(408),
    };
    let headers = parts.headers.iter().map(|(name, value)| {
        (name.as_str().to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    Ok(Request {
        method: Method::named(parts.method.as_str()),
        path: parts.uri.path().to_string(),
        query: parts.uri.query().unwrap_or_default().to_string(),
        headers: headers.collect(),
        body,
        secure: visit.secure,
        peer: visit.peer.ip().to_canonical().to_string(),
    })
}

/// Answers a request: one that shows a password in its turn, and one that is wrong late.
async fn answer(visit: Arc<Visit>, request: Request) -> Response {
    let service = &visit.service;
    if let Some(name) = redfish::claimed(&request) {
        match service.hold(visit.peer.ip(), &name) {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => return redfish::too_often(),
        }
    }
    let answer = visit.gate.answer(service, request).await;
    if answer.delayed {
        tokio::time::sleep(service.options.limits.wrong_credentials).await;
    }
    answer
}

fn sent(visit: &Arc<Visit>, answer: Response) -> hyper::Response<Out> {
    let (kind, out) = match answer.content {
        Content::Empty => (None, Out::Whole(None)),
        Content::Json(value) => (Some("application/json"), whole(value.to_string())),
        Content::Xml(text) => (Some("application/xml"), whole(text)),
        Content::Events(who) => {
            // Whoever has gone meanwhile never comes here, and takes no place.
            let Some(begun) = visit.service.stream(&who) else {
                return sent(visit, redfish::no_more_streams());
            };
            let (pieces, out) = mpsc::channel(PIECES);
            visit.streams.store(true, Ordering::Relaxed);
            tokio::spawn(stream(visit.clone(), begun, pieces));
            (Some("text/event-stream"), Out::Pieces(out))
        }
    };
    let mut response = hyper::Response::new(out);
    *response.status_mut() = hyper::StatusCode::from_u16(answer.status).unwrap_or_default();
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

/// Streams events to a client until it goes or does not read, its subscription is deleted, or it is not let in any more.
async fn stream(visit: Arc<Visit>, begun: Stream, pieces: mpsc::Sender<Bytes>) {
    let mut notices = visit.service.hear();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut alive = tokio::time::interval(ALIVE);
    loop {
        let piece = tokio::select! {
            () = pieces.closed() => break,
            _ = alive.tick() => ": alive\n\n".to_string(),
            _ = seconds.tick() => if begun.holds() { continue } else { break },
            notice = notices.recv() => match notice {
                Ok(notice) => {
                    let event = redfish::event(&notice, "");
                    format!("id: {}\ndata: {event}\n\n", notice.id)
                }
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    let what = format!("{count} events were not sent to stream {}", begun.id);
                    visit.service.say(&format!("{what}: too many at once"));
                    continue;
                }
                Err(broadcast::error::RecvError::Closed) => break,
            },
        };
        if pieces.try_send(piece.into()).is_err() {
            break;
        }
    }
    visit.streams.store(false, Ordering::Relaxed);
}
