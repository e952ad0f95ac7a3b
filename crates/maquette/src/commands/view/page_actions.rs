//! What the page opens and changes: consoles, screens and cables of one environment.

use std::io::{Cursor, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use maquette_engine::host;
use maquette_engine::private_file::read_text;
use maquette_libvirt::{ESCAPE, Ended, LinkState, Others};
use maquette_view::{Screen, Sources, VncEndpoint};

use super::{screen, words};
use crate::commands::link;
use crate::load::Located;
use crate::session::nodes;
use crate::session::nodes::Running;
use crate::workspace::outputs;
use crate::world::World;

/// How many lines of a console's log are shown at first.
const LINES: u64 = 1000;

/// An environment, as the page reaches it.
pub struct PageActions {
    /// What is reached; nobody reads its terminal.
    pub world: World,
    /// Which environment, and where.
    pub located: Located,
}

impl PageActions {
    fn node(&self, name: &str) -> Result<Running<'_>, String> {
        let found = nodes::running_of(&self.world, self.located.clone(), name);
        found.map_err(|failure| words(&failure))
    }
}

impl Sources for PageActions {
    fn console(
        &self,
        node: &str,
        input: Box<dyn Read + Send>,
        output: &mut dyn Write,
    ) -> Result<(), String> {
        let found = self.node(node)?;
        // Where what is typed ends, so does the console.
        let input = Box::new(input.chain(Cursor::new([ESCAPE])));
        let libvirt = found.session.libvirt().map_err(|failure| words(&failure))?;
        let (name, others) = (&found.domain.name, Others::Stay);
        let console = libvirt.console(name, others, input, output, &mut || {});
        match console {
            Ok(Ended::Escaped | Ended::Closed) => Ok(()),
            Err(error) if error.is_console_taken() => {
                Err("somebody else is connected to this console".into())
            }
            Err(error) => Err(format!("cannot open the console: {error}")),
        }
    }

    fn log(
        &self,
        node: &str,
        until: Box<dyn Read + Send>,
        output: &mut dyn Write,
    ) -> Result<(), String> {
        let found = self.node(node)?;
        let path = maquette_libvirt::serial_log(&found.domain.recorded);
        let take = &mut |bytes: &[u8]| output.write_all(bytes).is_ok();
        match host::follow_log(found.session.connection.host.as_ref(), &path, LINES, until, take) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("`{node}` has no serial log yet, at {path}")),
            Err(error) => Err(format!("cannot read {path}: {error}")),
        }
    }

    fn screen(&self, node: &str) -> Result<Screen, String> {
        let found = self.node(node)?;
        let Some(port) = found.domain.vnc_port else {
            return Err(format!("libvirt reports no VNC port for `{node}`"));
        };
        if let Some(remote) = &found.session.connection.remote {
            return screen::through(screen::ssh(&remote.target, port));
        }
        let place = VncEndpoint::Port(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Ok(Screen { place, begun: Vec::new(), way: Box::new(()) })
    }

    fn screen_password(&self, node: &str) -> Result<Option<String>, String> {
        let file = self.located.workspace.file(outputs::VNC_PASSWORD);
        if self.node(node)?.domain.recorded.vnc.tag.is_none() || !file.exists() {
            return Ok(None);
        }
        let text = read_text(&file);
        let text = text.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Ok(Some(text.trim().to_string()))
    }

    fn plug(&self, node: &str, interface: &str, up: bool) -> Result<String, String> {
        let state = if up { LinkState::Up } else { LinkState::Down };
        let done = link::plug_of(&self.world, self.located.clone(), (node, interface), state);
        done.map_err(|failure| words(&failure))
    }
}
