//! What the page opens and changes: consoles, screens and cables of one environment.

use std::io::{Cursor, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maquette_libvirt::{ESCAPE, Ended, LinkState};
use maquette_view::{Screen, Sources};

use super::words;
use crate::commands::nodes::Running;
use crate::commands::open::Tunnel;
use crate::commands::{link, nodes};
use crate::failure::Failure;
use crate::load::Located;
use crate::workspace::outputs;
use crate::world::{Terminal, World};

/// An environment, as the page reaches it.
pub struct Behind {
    /// What is reached; nobody reads its terminal.
    pub world: World,
    /// The environment.
    pub located: Located,
}

impl Behind {
    fn node(&self, name: &str) -> Result<Running, String> {
        let found = nodes::running_of(&self.world, self.located.clone(), name);
        found.map_err(|failure| words(&failure))
    }
}

/// Keeps the end of what is said, of which there may be much.
#[derive(Clone, Default)]
struct LastWords(Arc<Mutex<Vec<u8>>>);

impl LastWords {
    const MOST: usize = 4096;

    fn kept(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last line that says anything.
    fn line(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept()).into_owned();
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().into()
    }
}

impl Write for LastWords {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.kept();
        kept.extend(bytes);
        let over = kept.len().saturating_sub(Self::MOST);
        kept.drain(..over);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sources for Behind {
    fn console(
        &self,
        node: &str,
        input: Box<dyn Read + Send>,
        output: &mut dyn Write,
    ) -> Result<(), String> {
        let found = self.node(node)?;
        // Where what is typed ends, so does the console.
        let input = Box::new(input.chain(Cursor::new([ESCAPE])));
        let console = found.libvirt.console(&found.domain.name, false, input, output, &mut || {});
        match console {
            Ok(Ended::Escaped | Ended::Closed) => Ok(()),
            Err(error) if error.is_console_taken() => {
                Err("somebody else is connected to this console".into())
            }
            Err(error) => Err(format!("cannot open the console: {error}")),
        }
    }

    fn screen(&self, node: &str) -> Result<Screen, String> {
        let found = self.node(node)?;
        let Some(port) = found.domain.vnc_port else {
            return Err(format!("libvirt reports no VNC port for `{node}`"));
        };
        let tunnel = found.connection.remote.as_ref().map(|remote| &remote.target);
        let heard = LastWords::default();
        let terminal = Terminal::to(std::io::sink(), heard.clone(), None);
        let world = World { terminal: Arc::new(terminal), ..self.world.clone() };
        let tunnel = tunnel.map(|target| Tunnel::open(&world, target, port)).transpose();
        // Why that is says ssh.
        let why = |failure: Failure| [words(&failure), heard.line()].join(": ");
        let tunnel = tunnel.map_err(|f| why(f).trim_end_matches(": ").to_string())?;
        let port = tunnel.as_ref().map_or(port, |tunnel| tunnel.port);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Screen { address, way: Box::new(tunnel) })
    }

    fn screen_password(&self, node: &str) -> Result<Option<String>, String> {
        let file = self.located.workspace.file(outputs::VNC_PASSWORD);
        if self.node(node)?.domain.recorded.vnc.tag.is_none() || !file.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&file);
        let text = text.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Ok(Some(text.trim().to_string()))
    }

    fn plug(&self, node: &str, interface: &str, up: bool) -> Result<String, String> {
        let state = if up { LinkState::Up } else { LinkState::Down };
        let done = link::plug_of(&self.world, self.located.clone(), (node, interface), state);
        done.map_err(|failure| words(&failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_much_that_is_said_is_kept() {
        let mut heard = LastWords::default();
        assert_eq!(heard.line(), "");
        for _ in 0..1000 {
            heard.write_all(b"a banner of many lines\n").unwrap();
        }
        heard.write_all(b"Permission denied\n\n").unwrap();
        assert_eq!(heard.line(), "Permission denied");
        assert!(heard.kept().len() <= LastWords::MOST);
    }
}
