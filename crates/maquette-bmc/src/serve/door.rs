//! Sockets, and those that cannot be had yet: another program has their address, or the hypervisor has it only later.

use std::io::Result;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

/// How long between two tries.
const BETWEEN: Duration = Duration::from_secs(2);

/// A socket, or where one is to be.
pub enum Door<S> {
    /// It is there.
    Open(S),
    /// Its address cannot be had yet.
    Closed(Closed),
}

impl<S> From<S> for Door<S> {
    fn from(socket: S) -> Self {
        Self::Open(socket)
    }
}

/// Where a socket is to be.
pub struct Closed {
    /// The address and port that it waits for.
    pub at: SocketAddr,
    /// Hears that it is there.
    pub opened: Box<dyn FnOnce() + Send>,
}

impl Closed {
    /// Tries until the address is free.
    async fn open<S>(self, bind: fn(SocketAddr) -> Result<S>) -> S {
        let mut tries = tokio::time::interval(BETWEEN);
        loop {
            tries.tick().await;
            if let Ok(socket) = bind(self.at) {
                (self.opened)();
                return socket;
            }
        }
    }
}

/// A kind of socket, as the system gives it and as it is served.
pub(super) trait Socket: Sized {
    /// What is served.
    type Served: Send + 'static;
    /// Asks for one.
    fn bind(at: SocketAddr) -> Result<Self>;
    /// Has it served.
    fn served(self) -> Result<Self::Served>;
}

impl Socket for TcpListener {
    type Served = tokio::net::TcpListener;

    fn bind(at: SocketAddr) -> Result<Self> {
        Self::bind(at)
    }

    fn served(self) -> Result<Self::Served> {
        self.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(self)
    }
}

impl Socket for UdpSocket {
    type Served = tokio::net::UdpSocket;

    fn bind(at: SocketAddr) -> Result<Self> {
        Self::bind(at)
    }

    fn served(self) -> Result<Self::Served> {
        self.set_nonblocking(true)?;
        tokio::net::UdpSocket::from_std(self)
    }
}

/// Serves at a door once it is open. Fails if it is, and cannot be served at.
pub(super) fn at<S: Socket + 'static>(
    door: Door<S>,
    serve: impl FnOnce(S::Served) + Send + 'static,
) -> Result<()> {
    match door {
        Door::Open(socket) => serve(socket.served()?),
        Door::Closed(closed) => {
            tokio::spawn(async move {
                if let Ok(socket) = closed.open(S::bind).await.served() {
                    serve(socket);
                }
            });
        }
    }
    Ok(())
}
