//! IPMI over UDP: a socket for each BMC, and its console when somebody has it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc};

use crate::ipmi::{Effect, Node};
use crate::machine::Console;
use crate::service::Service;

/// Longest datagram; what is longer is cut, and no packet then.
const LONGEST: usize = 2048;
/// Answers that are held back at once; whoever is wrong more often is not answered.
const LATE: usize = 16;
/// Pieces of a console that wait in each direction.
const PIECES: usize = 16;
/// How often a console's packet is sent again.
const AGAIN: Duration = Duration::from_millis(500);

/// A console that is open: what is typed goes in, and what it says comes out.
#[derive(Default)]
struct Line {
    typed: Option<SyncSender<Vec<u8>>>,
    said: Option<mpsc::Receiver<Vec<u8>>>,
}

impl Line {
    fn open(console: Box<dyn Console>) -> Self {
        let (mut reader, mut writer) = console.split();
        let (typed, pieces) = sync_channel::<Vec<u8>>(PIECES);
        let (sender, said) = mpsc::channel(PIECES);
        std::thread::spawn(move || {
            for piece in pieces {
                if writer.write_all(&piece).and_then(|()| writer.flush()).is_err() {
                    return;
                }
            }
        });
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { typed: Some(typed), said: Some(said) }
    }

    /// What the console says next; for ever nothing if there is none.
    async fn says(&mut self) -> Option<Vec<u8>> {
        match &mut self.said {
            Some(said) => said.recv().await,
            None => std::future::pending().await,
        }
    }
}

/// Serves a node's IPMI on a socket, for ever.
pub async fn ipmi(service: Arc<Service>, mut node: Node, socket: UdpSocket) {
    let socket = Arc::new(socket);
    let late = Arc::new(Semaphore::new(LATE));
    let mut line = Line::default();
    let mut again = tokio::time::interval(AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut buffer = vec![0; LONGEST];
    loop {
        let (peer, effects);
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                // An error is of an answer that was not taken; it says nothing of the next datagram.
                let Ok((count, from)) = received else { continue };
                let bytes = buffer[..count].to_vec();
                // Commands may wait for libvirt; meanwhile others are served, and this node's queue.
                let done = tokio::task::spawn_blocking(move || {
                    let effects = node.receive(from, &bytes);
                    (node, effects)
                });
                let Ok(done) = done.await else {
                    return service.say("IPMI of a node has ended by a mistake of Maquette's");
                };
                node = done.0;
                (peer, effects) = (from, done.1);
            }
            said = line.says() => {
                (peer, effects) = (SocketAddr::from(([0, 0, 0, 0], 0)), match said {
                    Some(bytes) => node.says(&bytes),
                    None => {
                        node.ends();
                        vec![Effect::Close]
                    }
                });
            }
            _ = again.tick(), if node.has_console() => {
                (peer, effects) = (SocketAddr::from(([0, 0, 0, 0], 0)), node.tick());
            }
        }
        for effect in effects {
            match effect {
                Effect::Send(bytes) => drop(socket.send_to(&bytes, peer).await),
                Effect::Show(peer, bytes) => drop(socket.send_to(&bytes, peer).await),
                Effect::Late(bytes) => {
                    let name = node.name();
                    service
                        .say(&format!("wrong credentials for IPMI of `{name}` from {}", peer.ip()));
                    hold_back(&service, &late, &socket, peer, bytes);
                }
                Effect::Open(console) => line = Line::open(console),
                // What does not fit is lost, as on a real line.
                Effect::Type(bytes) => drop(line.typed.as_ref().map(|typed| typed.try_send(bytes))),
                Effect::Close => line = Line::default(),
            }
        }
    }
}

/// Sends an answer later, if not too many wait already.
fn hold_back(
    service: &Arc<Service>,
    late: &Arc<Semaphore>,
    socket: &Arc<UdpSocket>,
    peer: SocketAddr,
    bytes: Vec<u8>,
) {
    let Ok(place) = late.clone().try_acquire_owned() else { return };
    let (socket, delay) = (socket.clone(), service.options.limits.wrong_credentials);
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        let _ = socket.send_to(&bytes, peer).await;
        drop(place);
    });
}
