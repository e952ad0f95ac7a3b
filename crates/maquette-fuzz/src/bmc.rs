//! Packets and requests that reach a BMC's ports from anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use maquette_bmc::accounts::{Accounts, Role};
use maquette_bmc::bmc::Bmc;
use maquette_bmc::clock::Clock;
use maquette_bmc::ipmi::{Effect, Node};
use maquette_bmc::machine::{Machine, Power};
use maquette_bmc::model::Model;
use maquette_bmc::redfish::{self, Content, Method, Request};
use maquette_bmc::secret::Secret;
use maquette_bmc::service::{Options, Service};

/// A node with a BMC, of which nobody here knows a password.
struct Bench {
    model: Arc<Model>,
    bmc: Arc<Bmc>,
    service: Arc<Service>,
    time: Arc<AtomicU64>,
}

fn bench() -> Bench {
    let (model, time) = (Arc::new(Model::new()), Arc::new(AtomicU64::new(1_700_000_000)));
    let shown = time.clone();
    let clock = Clock::from(move || shown.load(Ordering::Relaxed));
    let uuid = "00000000-0000-0000-0000-000000000001".parse().expect("it is one");
    let bmc = Arc::new(Bmc::new("node-0", uuid, model.clone(), clock.clone()));
    let mut accounts = Accounts::default();
    for (name, role) in [("admin", Role::Administrator), ("look", Role::ReadOnly)] {
        accounts.add(name, Secret::new("yGXUPLiqpQ6kWGMyjr8"), role).expect("it is an account");
    }
    let service = Service::new(uuid, clock, vec![bmc.clone()], accounts, Options::default());
    // No input makes this machine ask anybody for a name.
    service.resolve_with(Arc::new(|_, port| Ok(vec![([192, 0, 2, 7], port).into()])));
    Bench { model, bmc, service, time }
}

impl Bench {
    fn is_untouched(&self) {
        let (starts, presses) = (self.model.starts().len(), self.model.presses());
        assert_eq!((starts, presses, self.model.image()), (0, (0, 0), None));
        assert_eq!(self.model.power(), Ok(Power::Off));
        let state = self.bmc.state();
        assert_eq!((state.boot.target, state.settings.len(), state.pending.len()), (None, 0, 0));
        assert!(state.log.entries().is_empty());
        assert_eq!(self.service.subscriptions().len(), 0);
        let admin = self.service.accounts().get(2).map(|admin| (admin.serial, admin.role));
        assert_eq!(admin, Some((1, Role::Administrator)));
    }
}

/// The input is datagrams, each after its length in two bytes; a second passes between two of them.
pub fn ipmi(data: &[u8]) {
    let bench = bench();
    let mut node = Node::new(bench.bmc.clone(), bench.service.shared_accounts(), 623);
    let mut rest = data;
    while let Some((length, more)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(more.len());
        let (packet, after) = more.split_at(length);
        rest = after;
        let _ = Node::claimed(packet);
        for effect in node.receive(([192, 0, 2, 1], 40_000).into(), packet) {
            match effect {
                Effect::Send(bytes) | Effect::Late(bytes) => {
                    assert!(
                        bytes.len() <= 2 * length + 64,
                        "an answer is far longer than its request"
                    );
                }
                Effect::Shown { right, .. } => assert!(!right, "a password was right"),
                _ => panic!("somebody who has no session has an effect"),
            }
        }
        bench.time.fetch_add(1, Ordering::Relaxed);
    }
    node.tick();
    bench.is_untouched();
}

/// The input is a request as HTTP has it; what it shows of a password is not right. It is made again by somebody who may
/// look, and by somebody who may do everything, and is answered each time.
pub fn redfish(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines.filter_map(|line| line.split_once(": "));
    let request = Request {
        method: Method::named(method),
        path: path.into(),
        query: query.into(),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_string())).collect(),
        body: body.as_bytes().to_vec(),
        secure: true,
        peer: "192.0.2.1".into(),
    };
    let bench = bench();
    let _ = (redfish::claimed(&request), redfish::is_wide(&request));
    answered(&bench, &request);
    bench.is_untouched();
    for name in ["look", "admin"] {
        let who = bench.service.by_password(name, "yGXUPLiqpQ6kWGMyjr8").expect("it is right");
        let (_, token) = bench.service.begin(&who, name, "192.0.2.1").expect("there is chance");
        let mut request = request.clone();
        request.headers.retain(|(name, _)| !["authorization", "x-auth-token"].contains(&&**name));
        request.headers.push(("x-auth-token".into(), token.reveal().into()));
        answered(&bench, &request);
        if name == "look" {
            bench.is_untouched();
        }
    }
}

fn answered(bench: &Bench, request: &Request) {
    let response = redfish::answer(&bench.service, request);
    let status = response.status;
    assert!((200..600).contains(&status) && status != 500, "{status}");
    if let Content::Json(value) = &response.content
        && status >= 400
    {
        assert!(value["error"]["code"].is_string(), "an error says what it is: {value}");
    }
}
