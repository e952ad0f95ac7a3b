//! The server: routes, and what each answer carries.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::console::Consoles;
use crate::door::{Door, Entry};
use crate::feed::Feed;
use crate::guard::{self, Token};
use crate::sources::Sources;
use crate::{assets, events, screen};

/// Most browsers that follow at once, and most consoles and screens that are shown at once.
const PLACES: usize = 64;
/// Longest message of a browser, in bytes.
const LONGEST: usize = 1 << 20;
/// Longest body of a request, in bytes.
const BODY: usize = 4096;

/// How a page is served.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Port on the loopback address; 0 for one that is free.
    pub port: u16,
    /// Whether browsers may type, click and pull cables.
    pub allow_changes: bool,
    /// How long a connection may last that has not shown the token, and how long a console that everybody has left may
    /// take to end before whoever wants it is told so.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: 0, allow_changes: false, patience: Duration::from_secs(20) }
    }
}

/// A page that is about to be served.
pub struct Server {
    listener: TcpListener,
    patience: Duration,
    token: Token,
    shared: Arc<Shared>,
}

/// What all requests share.
struct Shared {
    feed: Feed,
    sources: Arc<dyn Sources>,
    consoles: Arc<Consoles>,
    allow_changes: bool,
    following: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
}

impl Server {
    /// Listens on the loopback address, and answers once it runs.
    pub fn bind(options: Options, feed: Feed, sources: Arc<dyn Sources>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let shared = Shared {
            feed,
            consoles: Arc::new(Consoles::new(
                sources.clone(),
                options.patience,
                options.allow_changes,
            )),
            sources,
            allow_changes: options.allow_changes,
            following: Arc::new(Semaphore::new(PLACES)),
            sockets: Arc::new(Semaphore::new(PLACES)),
        };
        let (token, patience) = (Token::random()?, options.patience);
        Ok(Self { listener, patience, token, shared: Arc::new(shared) })
    }

    /// The address of the page. Whoever has it has the token.
    pub fn address(&self) -> std::io::Result<String> {
        let port = self.listener.local_addr()?.port();
        Ok(format!("http://127.0.0.1:{port}/{}/", self.token.as_str()))
    }

    /// Serves until the process ends.
    pub fn run(self) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let routes = routes(self.token, self.shared);
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            let routes = routes.into_make_service_with_connect_info::<Entry>();
            axum::serve(Door::new(listener, self.patience), routes).await
        })
    }
}

fn routes(token: Token, shared: Arc<Shared>) -> Router {
    let at = |path: &str| format!("/{}/{path}", token.as_str());
    let (page, whole) = (at(""), at("").trim_end_matches('/').to_string());
    Router::new()
        // What is named in the page is found beside it, not beside the token.
        .route(&whole, get(|| async move { Redirect::permanent(&page) }))
        .route(&at("events"), get(follow))
        .route(&at("console/{node}"), get(console))
        .route(&at("screen/{node}"), get(show_screen))
        .route(&at("screen-password/{node}"), get(screen_password))
        .route(&at("link"), post(plug))
        .route(&at(""), get(index))
        .route(&at("{*path}"), get(asset))
        .with_state(shared)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let token = token.clone();
            async move {
                let (method, uri) = (request.method(), request.uri());
                if !guard::admits(&token, method, uri, request.headers()) {
                    let close = [(header::CONNECTION, "close")];
                    return closed((StatusCode::FORBIDDEN, close).into_response());
                }
                if let Some(ConnectInfo(entry)) = request.extensions().get::<ConnectInfo<Entry>>() {
                    entry.admit();
                }
                closed(next.run(request).await)
            }
        }))
}

/// What a page may do, whatever is in it: use what is here, and be in no other page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer that no other page can make use of, and that nobody keeps.
fn closed(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn index() -> Response {
    file("")
}

async fn asset(Path(path): Path<String>) -> Response {
    file(&path)
}

fn file(path: &str) -> Response {
    match assets::find(path) {
        Some((kind, content)) => {
            ([(header::CONTENT_TYPE, kind)], Body::from(content)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Why there is no answer.
enum Refused {
    /// Too many look already.
    Full,
    /// A mistake of ours.
    Broken,
    /// What people are told, with the status of the answer.
    Said(StatusCode, String),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Full => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Self::Said(status, why) => answer(status, &json!({"error": why})),
        }
    }
}

/// A place for one more, if there is one.
fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Refused> {
    places.clone().try_acquire_owned().map_err(|_| Refused::Full)
}

async fn follow(State(shared): State<Arc<Shared>>) -> Result<Response, Refused> {
    let place = place(&shared.following)?;
    Ok(events::stream(&shared.feed, place).into_response())
}

async fn console(
    State(shared): State<Arc<Shared>>,
    Path(node): Path<String>,
    socket: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let place = place(&shared.sockets)?;
    let consoles = shared.consoles.clone();
    let socket = socket.max_message_size(LONGEST).max_frame_size(LONGEST);
    Ok(socket.on_upgrade(move |socket| consoles.show(node, socket, place)))
}

async fn show_screen(
    State(shared): State<Arc<Shared>>,
    Path(node): Path<String>,
    socket: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let place = place(&shared.sockets)?;
    let (sources, types) = (shared.sources.clone(), shared.allow_changes);
    let socket = socket.max_message_size(LONGEST).max_frame_size(LONGEST);
    Ok(socket.on_upgrade(move |socket| screen::show(sources, node, types, socket, place)))
}

fn answer(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// Does what may take long, if there is a place for it; an error is answered as one. The place is taken until it is done,
/// also when nobody waits for the answer any more.
async fn wait<T: Send + 'static>(
    places: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Refused> {
    let place = place(places)?;
    let work = move || {
        let done = work();
        drop(place);
        done
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(why)) => Err(Refused::Said(StatusCode::BAD_GATEWAY, why)),
        Err(_) => Err(Refused::Broken),
    }
}

async fn screen_password(
    State(shared): State<Arc<Shared>>,
    Path(node): Path<String>,
) -> Result<Response, Refused> {
    let sources = shared.sources.clone();
    let password = wait(&shared.sockets, move || sources.screen_password(&node)).await?;
    if password.is_some() && !shared.allow_changes {
        let why = "this screen has a password, and who knows it can type with any viewer; \
                   `maquette view --allow-changes` shows it";
        return Err(Refused::Said(StatusCode::FORBIDDEN, why.into()));
    }
    Ok(answer(StatusCode::OK, &json!({"password": password})))
}

/// Pulls a cable, or plugs it in: `{"node": …, "interface": …, "up": …}`.
async fn plug(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    if !shared.allow_changes {
        let why = "this view changes nothing; `maquette view --allow-changes` does";
        return Err(Refused::Said(StatusCode::FORBIDDEN, why.into()));
    }
    let bad = || Refused::Said(StatusCode::BAD_REQUEST, "this is not what the page sends".into());
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
        return Err(bad());
    }
    let wanted: Value = serde_json::from_slice(&body).map_err(|_| bad())?;
    let text = |name: &str| wanted[name].as_str().map(String::from);
    let (Some(node), Some(interface), Some(up)) =
        (text("node"), text("interface"), wanted["up"].as_bool())
    else {
        return Err(bad());
    };
    let sources = shared.sources.clone();
    let done = wait(&shared.sockets, move || sources.plug(&node, &interface, up)).await?;
    Ok(answer(StatusCode::OK, &json!({"done": done})))
}
