//! Screens: what goes between a browser and a node's VNC server.

use std::io;
use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;

use crate::rfb::OnlyLooking;
use crate::sockets::told;
use crate::sources::{Sources, VncEndpoint};

/// Most bytes that are taken from the VNC server at once.
const PIECE: usize = 64 << 10;

/// A connection to a VNC server.
trait Server: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Server for T {}

async fn connected(place: VncEndpoint) -> io::Result<Box<dyn Server>> {
    Ok(match place {
        VncEndpoint::Port(address) => Box::new(TcpStream::connect(address).await?),
        VncEndpoint::Pipe(pipe) => {
            pipe.set_nonblocking(true)?;
            Box::new(UnixStream::from_std(pipe)?)
        }
    })
}

/// Shows a node's screen to a browser; keys and clicks reach the node only if `types`.
pub async fn show(
    sources: Arc<dyn Sources>,
    node: String,
    types: bool,
    mut socket: WebSocket,
    _place: OwnedSemaphorePermit,
) {
    let found = tokio::task::spawn_blocking(move || sources.screen(&node)).await;
    let screen = match found {
        Ok(Ok(screen)) => screen,
        Ok(Err(why)) => return told(&mut socket, &why).await,
        Err(_) => return,
    };
    let why = match connected(screen.place).await {
        Ok(mut server) => relay(&mut socket, (screen.begun, &mut *server), types).await,
        Err(error) => format!("cannot connect to the screen: {error}"),
    };
    told(&mut socket, &why).await;
    // What leads there may wait for a process that ends.
    let _ = tokio::task::spawn_blocking(move || drop(screen.way)).await;
}

/// Copies both ways until either ends; why it ended. A VNC server reads whatever it is sent, also while nobody takes what
/// it has written, so that one direction at a time is enough.
async fn relay(
    socket: &mut WebSocket,
    (begun, server): (Vec<u8>, &mut dyn Server),
    types: bool,
) -> String {
    if !begun.is_empty() && socket.send(Message::Binary(begun.into())).await.is_err() {
        return String::new();
    }
    let mut looking = (!types).then(OnlyLooking::default);
    let mut buffer = vec![0u8; PIECE];
    loop {
        tokio::select! {
            read = server.read(&mut buffer) => match read {
                Ok(count @ 1..) => {
                    let piece = buffer[..count].to_vec();
                    if socket.send(Message::Binary(piece.into())).await.is_err() {
                        return String::new();
                    }
                }
                Ok(0) => return "the screen was closed".into(),
                Err(error) => return format!("the screen was closed: {error}"),
            },
            received = socket.recv() => {
                let bytes = match received {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return String::new(),
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    Some(Ok(_)) => continue,
                };
                let bytes = match &mut looking {
                    None => Ok(bytes.to_vec()),
                    Some(looking) => looking.pass(&bytes),
                };
                match bytes {
                    Ok(bytes) if server.write_all(&bytes).await.is_ok() => {}
                    Ok(_) => return "the screen was closed".into(),
                    Err(why) => return format!("the browser sent what a viewer does not: {why}"),
                }
            }
        }
    }
}
