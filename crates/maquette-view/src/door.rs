//! The door: whoever has not shown the token yet holds a connection for a short time only, and there are few of them.
//! Anybody on this machine can connect to a port of the loopback address.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Most connections that have not shown the token; others wait in the kernel.
const STRANGERS: usize = 64;

/// Takes connections in.
pub struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Door {
    /// Takes in what connects to `listener`. Who has not shown the token within `patience` is sent away.
    pub fn new(listener: TcpListener, patience: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(STRANGERS)), patience }
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Connection, Self::Addr) {
        // Nobody closes the semaphore; without it there would be no limit, and nothing else.
        let place = self.places.clone().acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let entry = Entry(Arc::new(Mutex::new(place)));
        let deadline = Box::pin(tokio::time::sleep(self.patience));
        (Connection { stream, entry, deadline }, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// The place that a connection has at the door, until it has shown the token.
#[derive(Debug, Clone)]
pub struct Entry(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Entry {
    /// The token was shown: the connection lasts, and others have its place.
    pub fn admit(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn is_admitted(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Connected<IncomingStream<'_, Door>> for Entry {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().entry.clone()
    }
}

/// A connection, which fails when its time at the door is up.
pub struct Connection {
    stream: TcpStream,
    entry: Entry,
    deadline: Pin<Box<Sleep>>,
}

impl Connection {
    /// What came of reading or writing; an error if that has to wait, and may not any longer.
    fn within<T>(
        &mut self,
        context: &mut Context<'_>,
        came: Poll<std::io::Result<T>>,
    ) -> Poll<std::io::Result<T>> {
        let waits = came.is_pending() && !self.entry.is_admitted();
        match waits && self.deadline.as_mut().poll(context).is_ready() {
            true => Poll::Ready(Err(std::io::ErrorKind::TimedOut.into())),
            false => came,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.within(context, read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.within(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
