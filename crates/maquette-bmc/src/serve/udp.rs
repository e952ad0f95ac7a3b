//! IPMI over UDP: a socket for each BMC, and its console when somebody has it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::bmc::Bmc;
use crate::ipmi::{Effect, Node};
use crate::machine::{Console, Fault};
use crate::service::Service;

/// Longest datagram; what is longer is cut, and no packet then.
const LONGEST: usize = 2048;
/// Answers that are held back at once; whoever is wrong more often is not answered.
const LATE: usize = 16;
/// Parts of the time that wrong credentials cost: for so long an answer is held back. pyghmi asks again after half a second and
/// ipmitool after one, and neither would hear what is wrong.
const LATE_PARTS: (u32, u32) = (2, 5);
/// Pieces of a console that wait in each direction.
const PIECES: usize = 16;
/// How often a console's packet is sent again, and a console that has ended is looked for.
const AGAIN: Duration = Duration::from_millis(500);

/// A console that is open: what is typed goes in, and what it says comes out.
#[derive(Default)]
struct Line {
    typed: Option<mpsc::Sender<Vec<u8>>>,
    said: Option<mpsc::Receiver<Vec<u8>>>,
    ends: Option<Box<dyn Fn() + Send + Sync>>,
    /// How often the node had ended when somebody began to open it.
    run: u64,
}

impl Drop for Line {
    /// Whoever writes or reads may wait for a guest that does neither.
    fn drop(&mut self) {
        if let Some(ends) = &self.ends {
            ends();
        }
    }
}

impl Line {
    fn open(console: Box<dyn Console>, run: u64) -> Self {
        let ends = console.closer();
        let (mut reader, mut writer) = console.split();
        let (typed, mut pieces) = mpsc::channel::<Vec<u8>>(PIECES);
        let (sender, said) = mpsc::channel(PIECES);
        std::thread::spawn(move || {
            while let Some(piece) = pieces.blocking_recv() {
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
        Self { typed: Some(typed), said: Some(said), ends: Some(ends), run }
    }

    /// What the console says next; for ever nothing if there is none.
    async fn says(&mut self) -> Option<Vec<u8>> {
        match &mut self.said {
            Some(said) => said.recv().await,
            None => std::future::pending().await,
        }
    }

    /// Whether it takes more. What is typed while there is none is lost, as on a real line.
    fn has_room(&self) -> bool {
        self.typed.as_ref().is_none_or(|typed| typed.capacity() > 0)
    }
}

/// One BMC at its socket.
struct Desk {
    service: Arc<Service>,
    bmc: Arc<Bmc>,
    socket: Arc<UdpSocket>,
    late: Arc<Semaphore>,
    line: Line,
    /// The console that is looked for, since somebody has it and it has ended.
    opening: Opening,
    /// How often the node had ended before the last datagram.
    run: u64,
}

/// A console that is looked for, and how often its node had ended before.
type Opening = Option<(u64, JoinHandle<Result<Box<dyn Console>, Fault>>)>;

/// The end of a look for a console; for ever nothing if there is none.
async fn opened(opening: &mut Opening) -> Option<Line> {
    let Some((run, handle)) = opening else { return std::future::pending().await };
    let (run, console) = (*run, handle.await);
    *opening = None;
    Some(Line::open(console.ok()?.ok()?, run))
}

/// Serves a node's IPMI on a socket, for ever.
pub async fn ipmi(service: Arc<Service>, bmc: Arc<Bmc>, socket: UdpSocket) {
    let (socket, late) = (Arc::new(socket), Arc::new(Semaphore::new(LATE)));
    let (line, opening) = (Line::default(), None);
    let mut desk = Desk { service, bmc, socket, late, line, opening, run: 0 };
    let mut node = desk.node();
    let mut again = tokio::time::interval(AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut buffer = vec![0; LONGEST];
    let socket = desk.socket.clone();
    loop {
        node.has_room(desk.line.has_room());
        let (mut peer, mut hold) = (SocketAddr::from(([0, 0, 0, 0], 0)), 0);
        let effects;
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                // An error is of an answer that was not taken; it says nothing of the next datagram.
                let Ok((count, from)) = received else { continue };
                if !node.admits(from, &buffer[..count]) {
                    continue;
                }
                let Some(seconds) = desk.hold(from, &buffer[..count]) else { continue };
                (peer, hold) = (from, seconds);
                (node, effects) = desk.take(node, from, buffer[..count].to_vec()).await;
            }
            said = desk.line.says() => effects = match said {
                Some(bytes) => node.says(&bytes),
                // It has ended, and stays whose it is.
                None => {
                    desk.hang_up().await;
                    Vec::new()
                }
            },
            line = opened(&mut desk.opening) => {
                if let Some(line) = line {
                    desk.hang_up().await;
                    desk.line = line;
                }
                // Whoever it was opened for may have gone meanwhile.
                if !node.has_console() {
                    desk.hang_up().await;
                }
                continue;
            }
            _ = again.tick(), if node.waits() => {
                effects = node.tick();
                if node.has_console() {
                    desk.look_for_console().await;
                }
            }
        }
        desk.act(effects, peer, hold).await;
    }
}

impl Desk {
    fn node(&self) -> Node {
        let address = self.socket.local_addr();
        let port = address.as_ref().map_or(0, SocketAddr::port);
        let node = Node::new(self.bmc.clone(), self.service.shared_accounts(), port);
        match address {
            Ok(address) => node.at(address.ip()),
            Err(_) => node,
        }
    }

    /// How many seconds an answer is held back that tells something of a password; none if it is not given.
    fn hold(&self, peer: SocketAddr, bytes: &[u8]) -> Option<u64> {
        Node::claimed(bytes).map_or(Some(0), |account| self.service.hold(peer.ip(), &account))
    }

    /// Has a datagram answered. Commands may wait for libvirt; meanwhile others are served, and this node's queue.
    async fn take(&mut self, node: Node, peer: SocketAddr, bytes: Vec<u8>) -> (Node, Vec<Effect>) {
        let mut node = node;
        self.run = self.bmc.ends();
        let done = tokio::task::spawn_blocking(move || {
            let effects = node.take(peer, &bytes);
            (node, effects)
        });
        match done.await {
            Ok(done) => done,
            Err(_) => {
                let name = &self.bmc.name;
                self.service
                    .say(&format!("IPMI of `{name}` begins again, by a mistake of Maquette's"));
                (self.node(), vec![Effect::Close])
            }
        }
    }

    /// Opens the console once more when its node runs again. One that was opened while the node ended may say nothing any more,
    /// and not end either.
    async fn look_for_console(&mut self) {
        if self.line.said.is_some() && self.line.run != self.bmc.ends() {
            self.hang_up().await;
        }
        if self.line.said.is_none() && self.opening.is_none() {
            let bmc = self.bmc.clone();
            let run = bmc.ends();
            let console = tokio::task::spawn_blocking(move || bmc.machine().console());
            self.opening = Some((run, console));
        }
    }

    /// Ends the console. libvirt is told, and may be silent: meanwhile others are served, and this node's queue waits, since
    /// whoever opens the console next would find it taken.
    async fn hang_up(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.ends.is_some() {
            let _ = tokio::task::spawn_blocking(move || drop(line)).await;
        }
    }

    async fn act(&mut self, effects: Vec<Effect>, peer: SocketAddr, hold: u64) {
        for effect in effects {
            match effect {
                Effect::Send(bytes) if hold == 0 => {
                    let _ = self.socket.send_to(&bytes, peer).await;
                }
                Effect::Send(bytes) => self.hold_back(peer, bytes, Duration::from_secs(hold)),
                Effect::Late(bytes) => {
                    let whole = self.service.options.limits.wrong_credentials;
                    self.hold_back(peer, bytes, whole * LATE_PARTS.0 / LATE_PARTS.1);
                }
                Effect::Shown { peer, account, right: true } => {
                    self.service.right(peer.ip(), &account);
                }
                Effect::Shown { peer, account, right: false } => {
                    let protocol = format!("IPMI of `{}`", self.bmc.name);
                    self.service.wrong(peer.ip(), &protocol, &account);
                }
                Effect::Show(peer, bytes) => {
                    let _ = self.socket.send_to(&bytes, peer).await;
                }
                Effect::Accounts => {
                    let service = self.service.clone();
                    let _ = tokio::task::spawn_blocking(move || service.keep()).await;
                }
                Effect::Open(console) => {
                    self.hang_up().await;
                    self.line = Line::open(console, self.run);
                }
                Effect::Type(bytes) => {
                    self.line.typed.as_ref().map(|typed| typed.try_send(bytes));
                }
                Effect::Close => self.hang_up().await,
            }
        }
    }

    /// Sends an answer later, if not too many wait already.
    fn hold_back(&self, peer: SocketAddr, bytes: Vec<u8>, delay: Duration) {
        let Ok(place) = self.late.clone().try_acquire_owned() else { return };
        let socket = self.socket.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = socket.send_to(&bytes, peer).await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use uuid::Uuid;

    use super::*;
    use crate::accounts::{Accounts, Role};
    use crate::bmc::Press;
    use crate::clock::Clock;
    use crate::ipmi::tests::{Client, answered, asking, begin, exchanged, exchanging};
    use crate::model::Model;
    use crate::secret::Secret;
    use crate::service::Options;

    const PASSWORD: &str = "Only-4-trials";

    /// A client that waits for each answer.
    struct Caller {
        socket: std::net::UdpSocket,
        client: Option<Client>,
    }

    impl Caller {
        fn sent(&self, bytes: &[u8]) -> Vec<u8> {
            self.socket.send(bytes).unwrap();
            self.heard()
        }

        fn heard(&self) -> Vec<u8> {
            let mut buffer = [0; LONGEST];
            let count = self.socket.recv(&mut buffer).unwrap();
            buffer[..count].to_vec()
        }

        /// The completion code of a command.
        fn asks(&mut self, function: u8, command: u8, data: &[u8]) -> u8 {
            let client = self.client.as_mut().unwrap();
            let bytes = asking(client, function, command, data);
            answered(self.client.as_ref().unwrap(), &self.sent(&bytes))
        }

        /// Types text until it is heard again: the line may not be there yet.
        fn echoes(&mut self, sequence: &mut u8, text: &str) {
            let mut heard = String::new();
            while !heard.contains(text) {
                *sequence = *sequence % 15 + 1;
                let typed = [&[*sequence, 0, 0, 0], text.as_bytes()].concat();
                let bytes = self.client.as_mut().unwrap().seal(1, &typed);
                self.socket.send(&bytes).unwrap();
                // Its acknowledgement, or what the console says, which is acknowledged in turn.
                let plain = self.client.as_ref().unwrap().open(&self.heard());
                if plain[0] != 0 {
                    heard.push_str(&String::from_utf8_lossy(&plain[4..]));
                    let ack = [0, plain[0], (plain.len() - 4) as u8, 0];
                    let bytes = self.client.as_mut().unwrap().seal(1, &ack);
                    self.socket.send(&bytes).unwrap();
                }
            }
        }
    }

    /// The BMC of a machine, the service that it is of, and what the journal is told.
    fn serving(model: &Arc<Model>) -> (Arc<Bmc>, Arc<Service>, Arc<Mutex<Vec<String>>>) {
        let clock = Clock::system();
        let bmc = Arc::new(Bmc::new("node-0", Uuid::nil(), model.clone(), clock.clone()));
        let mut accounts = Accounts::default();
        accounts.add("admin", Secret::new(PASSWORD), Role::Administrator).unwrap();
        let (uuid, options) = (Uuid::nil(), Options::default());
        let service = Service::new(uuid, clock, vec![bmc.clone()], accounts, options);
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let journal = said.clone();
        service.report_to(Box::new(move |line| journal.lock().unwrap().push(line.into())));
        (bmc, service, said)
    }

    /// The BMC of a machine, served; somebody who has no session yet; and what the journal is told.
    fn served(model: &Arc<Model>) -> (Arc<Bmc>, Caller, Arc<Mutex<Vec<String>>>) {
        let (bmc, service, said) = serving(model);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let serving = bmc.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                socket.set_nonblocking(true).unwrap();
                ipmi(service, serving, UdpSocket::from_std(socket).unwrap()).await;
            });
        });
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        (bmc, Caller { socket, client: None }, said)
    }

    #[test]
    fn whoever_is_wrong_hears_so_before_they_ask_again() {
        let (_bmc, caller, said) = served(&Arc::new(Model::new()));
        let exchange = |kind, payload: &[u8]| exchanged(&caller.sent(&exchanging(kind, payload)));
        let mut open = vec![1, 0, 0, 0, 9, 0, 0, 0];
        for (number, algorithm) in [(0, 3), (1, 4), (2, 1)] {
            open.extend([number, 0, 0, 8, algorithm, 0, 0, 0]);
        }
        let opened = exchange(0x10, &open);
        let id = &opened[8..12];
        let first = [&[2, 0, 0, 0], id, &[5; 16], &[4, 0, 0, 6], b"nobody"].concat();
        let answered_in_time = || {
            let begun = std::time::Instant::now();
            // Nobody has that name.
            assert_eq!(exchange(0x12, &first)[1], 0x0d);
            let took = begun.elapsed();
            assert!(took >= Duration::from_millis(400), "{took:?}");
            took < Duration::from_millis(500)
        };
        // The machine may be busy for a moment, and not each time.
        assert!((0..3).any(|_| answered_in_time()));
        assert!(!said.lock().unwrap().is_empty());
    }

    /// libvirtd is asked to end it, and may have stopped to answer.
    #[test]
    fn a_console_that_ends_slowly_holds_nobody_else_up() {
        let (bmc, service, _said) = serving(&Arc::new(Model::new()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            let slow: Box<dyn Fn() + Send + Sync> =
                Box::new(|| std::thread::sleep(Duration::from_secs(2)));
            let line = Line { typed: None, said: None, ends: Some(slow), run: 0 };
            let late = Arc::new(Semaphore::new(LATE));
            let mut desk = Desk { service, bmc, socket, late, line, opening: None, run: 0 };
            let begun = std::time::Instant::now();
            let other = async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                begun.elapsed()
            };
            let ((), waited) = tokio::join!(
                desk.act(vec![Effect::Close], SocketAddr::from(([0, 0, 0, 0], 0)), 0),
                other
            );
            assert!(waited < Duration::from_secs(1), "{waited:?}");
            assert!(begun.elapsed() >= Duration::from_secs(2), "it has not ended");
        });
    }

    /// Somebody opens the console of a node that is off, and has it as the node goes on, off, and on again.
    #[test]
    fn a_console_stays_whose_it_is_while_its_node_is_off() {
        let model = Arc::new(Model::new());
        let (bmc, mut caller, said) = served(&model);
        let mut exchange =
            |kind, payload: &[u8]| exchanged(&caller.sent(&exchanging(kind, payload)));
        let client = begin(&mut exchange, "admin", PASSWORD, 4);
        caller.client = Some(client);
        assert_eq!(caller.asks(6, 0x3b, &[4]), 0);
        assert_eq!(caller.asks(6, 0x48, &[1, 1, 0xc0, 0, 0, 0]), 0);
        let mut sequence = 0;
        for text in ["first", "second"] {
            bmc.press(Press::On).unwrap();
            caller.echoes(&mut sequence, text);
            bmc.press(Press::ForceOff).unwrap();
        }
        // Opened while the node ended, it neither says anything nor ends.
        model.mutes_console();
        bmc.press(Press::On).unwrap();
        while model.will_mute_console() {
            std::thread::yield_now();
        }
        bmc.press(Press::PowerCycle).unwrap();
        caller.echoes(&mut sequence, "third");
        assert!(said.lock().unwrap().is_empty());
    }
}
