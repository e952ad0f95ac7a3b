//! What is behind the page: consoles and screens of nodes, and their cables.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

/// How a node's VNC server is reached.
#[derive(Debug)]
pub enum VncEndpoint {
    /// It listens on this machine.
    Port(SocketAddr),
    /// What is connected to it already, and is nobody else's.
    Pipe(UnixStream),
}

/// A node's screen.
pub struct Screen {
    /// Where its VNC server is.
    pub place: VncEndpoint,
    /// What that has said already.
    pub begun: Vec<u8>,
    /// Kept for as long as the screen is shown: what leads there.
    pub way: Box<dyn Send>,
}

/// What a page may ask for. All of it may take long, and is called from threads that may wait. Errors are for people.
pub trait Sources: Send + Sync + 'static {
    /// Connects a running node's serial console with `input` and `output` until `input` or the console ends.
    fn console(
        &self,
        node: &str,
        input: Box<dyn Read + Send>,
        output: &mut dyn Write,
    ) -> Result<(), String>;

    /// Writes the end of what a running node has written on its serial console, and what it goes on to write, until `until`
    /// ends. Whoever is connected to the console stays so.
    fn log(
        &self,
        node: &str,
        until: Box<dyn Read + Send>,
        output: &mut dyn Write,
    ) -> Result<(), String>;

    /// Where a running node's screen is.
    fn screen(&self, node: &str) -> Result<Screen, String>;

    /// The password of a node's screen; none if it has none.
    fn screen_password(&self, node: &str) -> Result<Option<String>, String>;

    /// Pulls the cable of a node's interface, or plugs it in; what was done, in words.
    fn plug(&self, node: &str, interface: &str, up: bool) -> Result<String, String>;
}
