//! Serial consoles: libvirt has one for each node, and any number of browsers look at it together. Browsers that may only
//! look are shown its log, and take it from nobody.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::sockets::told;
use crate::sources::Sources;

/// Most bytes that are kept of what a node wrote, for whoever comes later.
const KEPT: usize = 64 << 10;
/// Most pieces that wait for a browser that reads slowly; the oldest are dropped then.
const BEHIND: usize = 256;
/// Most pieces of what was typed that wait for the node.
const TYPED: usize = 64;
/// Ctrl-], which ends a console when it is typed.
const ESCAPE: u8 = 0x1d;

/// All consoles that are open.
pub struct Consoles {
    sources: Arc<dyn Sources>,
    open: Mutex<BTreeMap<String, Entry>>,
    patience: Duration,
    /// Whether what is typed reaches nodes.
    types: bool,
}

struct Entry {
    line: Weak<Line>,
    output: Arc<Output>,
}

/// A console for as long as anybody looks at it: when the last one leaves, what is typed ends, and with it the console.
struct Line {
    typed: mpsc::SyncSender<Vec<u8>>,
    output: Arc<Output>,
}

/// Waits for a console to end; why it did.
async fn reason(ended: &mut watch::Receiver<Option<String>>) -> String {
    // Whoever tells the reason is held by whoever waits for it.
    let ended = ended.wait_for(Option::is_some).await;
    ended.ok().and_then(|why| why.clone()).unwrap_or_default()
}

/// What a node writes.
struct Output {
    kept: Mutex<VecDeque<u8>>,
    pieces: broadcast::Sender<Bytes>,
    /// Why it ended, once it has.
    ended: watch::Sender<Option<String>>,
}

impl Output {
    fn kept(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was kept, and what comes after it.
    fn follow(&self) -> (Vec<u8>, broadcast::Receiver<Bytes>) {
        let kept = self.kept();
        (kept.iter().copied().collect(), self.pieces.subscribe())
    }
}

struct Writer(Arc<Output>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.0.kept();
        kept.extend(bytes);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
        // Nobody may look just now. Sent while it is kept, so that who comes sees it once.
        let _ = self.0.pieces.send(Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is typed, until nobody can type any more.
struct Typed {
    pieces: mpsc::Receiver<Vec<u8>>,
    current: Cursor<Vec<u8>>,
}

impl Read for Typed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            match self.pieces.recv() {
                Ok(piece) => self.current = Cursor::new(piece),
                Err(_) => return Ok(0),
            }
        }
    }
}

/// Tells that a console has ended, and why; also if what is behind the page has panicked.
struct Ending {
    consoles: Arc<Consoles>,
    node: String,
    output: Arc<Output>,
    why: String,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Forgotten before it is said to have ended: whoever waits for that opens another.
        self.consoles.open().remove(&self.node);
        self.output.ended.send_replace(Some(std::mem::take(&mut self.why)));
    }
}

impl Consoles {
    /// None is open yet. One that everybody has left may take as long as `patience` to end.
    /// What browsers type reaches nodes only if `types`.
    pub fn new(sources: Arc<dyn Sources>, patience: Duration, types: bool) -> Self {
        Self { sources, open: Mutex::default(), patience, types }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The console that others look at, or a new one; why there is none.
    async fn join(self: &Arc<Self>, node: &str) -> Result<Arc<Line>, &'static str> {
        loop {
            let mut ending = {
                let mut open = self.open();
                let Some(entry) = open.get(node) else {
                    return Ok(self.begin(&mut open, node));
                };
                match entry.line.upgrade() {
                    Some(line) if line.output.ended.borrow().is_none() => return Ok(line),
                    _ => entry.output.ended.subscribe(),
                }
            };
            // Whoever left last has not let go of it yet.
            let ended = tokio::time::timeout(self.patience, reason(&mut ending)).await;
            ended
                .map_err(|_| "its last connection has not ended yet; open it again in a minute")?;
        }
    }

    fn begin(self: &Arc<Self>, open: &mut BTreeMap<String, Entry>, node: &str) -> Arc<Line> {
        let (typed, pieces) = mpsc::sync_channel(TYPED);
        let output = Arc::new(Output {
            kept: Mutex::default(),
            pieces: broadcast::channel(BEHIND).0,
            ended: watch::Sender::new(None),
        });
        let line = Arc::new(Line { typed, output: output.clone() });
        let entry = Entry { line: Arc::downgrade(&line), output: output.clone() };
        open.insert(node.into(), entry);
        let (consoles, node) = (self.clone(), node.to_string());
        tokio::task::spawn_blocking(move || {
            let why = "the console was closed: a mistake of Maquette's".into();
            let mut ending = Ending { consoles, node, output, why };
            let typed = Typed { pieces, current: Cursor::default() };
            let mut writer = Writer(ending.output.clone());
            let (sources, types) = (&ending.consoles.sources, ending.consoles.types);
            let (node, typed) = (&ending.node, Box::new(typed));
            let ended = match types {
                true => sources.console(node, typed, &mut writer),
                false => sources.log(node, typed, &mut writer),
            };
            ending.why = ended.err().unwrap_or_else(|| match types {
                true => "the console was closed: the node stopped, or somebody took it".into(),
                false => "its log is not followed any more: the connection has ended".into(),
            });
        });
        line
    }

    /// Shows a node's console to a browser.
    pub async fn show(
        self: Arc<Self>,
        node: String,
        mut socket: WebSocket,
        _place: OwnedSemaphorePermit,
    ) {
        let line = match self.join(&node).await {
            Ok(line) => line,
            Err(why) => return told(&mut socket, why).await,
        };
        let mut ended = line.output.ended.subscribe();
        let (kept, mut pieces) = line.output.follow();
        if !kept.is_empty() && socket.send(Message::Binary(kept.into())).await.is_err() {
            return;
        }
        loop {
            let message = tokio::select! {
                biased;
                // Before what the node says, of which there may be no end.
                typed = socket.recv() => match typed {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return,
                    Some(Ok(Message::Binary(bytes))) if self.types => {
                        let mut bytes: Vec<u8> = bytes.into();
                        // It would end the console of all who look at it.
                        bytes.retain(|byte| *byte != ESCAPE);
                        // A node that takes nothing more in loses it, as with a real line.
                        let _ = line.typed.try_send(bytes);
                        continue;
                    }
                    Some(Ok(_)) => continue,
                },
                piece = pieces.recv() => match piece {
                    Ok(piece) => Message::Binary(piece),
                    Err(RecvError::Lagged(_)) => {
                        Message::Binary("\r\n[some output was not shown]\r\n".into())
                    }
                    Err(RecvError::Closed) => return,
                },
                why = reason(&mut ended) => return told(&mut socket, &why).await,
            };
            if socket.send(message).await.is_err() {
                return;
            }
        }
    }
}
