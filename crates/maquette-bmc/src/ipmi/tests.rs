use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use super::crypto::{Keys, Suite};
use super::packet::{request, wrap_guarded, wrap_plain, wrap_plus};
use super::*;
use crate::accounts::Change;
use crate::clock::Clock;
use crate::machine::{Device, Fault, Machine, Power};
use crate::model::Model;
use crate::secret::Secret;

const PASSWORD: &str = "Only-4-trials";
const PEER: ([u8; 4], u16) = ([192, 0, 2, 1], 40_000);

struct Bench {
    node: Node,
    model: Arc<Model>,
    bmc: Arc<Bmc>,
    time: Arc<AtomicU64>,
}

fn bench() -> Bench {
    let model = Arc::new(Model::new());
    let time = Arc::new(AtomicU64::new(1_700_000_000));
    let shown = time.clone();
    let clock = Clock::from(move || shown.load(Ordering::Relaxed));
    let bmc = Arc::new(Bmc::new("node-0", Uuid::from_u128(7), model.clone(), clock));
    let mut accounts = Accounts::default();
    for (name, role) in
        [("admin", Role::Administrator), ("oper", Role::Operator), ("look", Role::ReadOnly)]
    {
        accounts.add(name, Secret::new(PASSWORD), role).unwrap();
    }
    let node = Node::new(bmc.clone(), Arc::new(Mutex::new(accounts)), 623);
    Bench { node, model, bmc, time }
}

/// A client's side of a session.
pub struct Client {
    id: u32,
    keys: Keys,
    sent: u32,
    number: u8,
}

fn sent(effects: &[Effect]) -> Option<&[u8]> {
    effects.iter().find_map(|effect| match effect {
        Effect::Send(bytes) | Effect::Late(bytes) => Some(&bytes[..]),
        _ => None,
    })
}

fn payload_of(bytes: &[u8]) -> Vec<u8> {
    match Packet::parse(bytes) {
        Some(Packet::Plus(plus)) => plus.payload.to_vec(),
        Some(Packet::Plain(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// A message of the key exchange.
pub fn exchanging(kind: u8, payload: &[u8]) -> Vec<u8> {
    wrap_plus(kind, payload)
}

/// What is in an answer of the key exchange.
pub fn exchanged(bytes: &[u8]) -> Vec<u8> {
    payload_of(bytes)
}

/// A command in a session.
pub fn asking(client: &mut Client, function: u8, command: u8, data: &[u8]) -> Vec<u8> {
    client.number = client.number.wrapping_add(1) & 0x3f;
    let plain = request(function, command, client.number, data);
    client.seal(payload::IPMI, &plain)
}

/// The completion code of an answer in a session.
pub fn answered(client: &Client, bytes: &[u8]) -> u8 {
    client.open(bytes)[6]
}

/// Begins a session by whatever carries messages of the key exchange.
pub fn begin(
    exchange: &mut dyn FnMut(u8, &[u8]) -> Vec<u8>,
    user: &str,
    password: &str,
    level: u8,
) -> Client {
    let opened = exchange(payload::OPEN_REQUEST, &open_request());
    let (id, theirs, suite) = (&opened[8..12], [5; 16], Suite::Seventeen);
    let tail = [&[level, user.len() as u8], user.as_bytes()].concat();
    let name = [&[level, 0, 0, user.len() as u8], user.as_bytes()].concat();
    let first = [&[2, 0, 0, 0], id, &theirs, &name].concat();
    let second = exchange(payload::RAKP_1, &first);
    let (ours, key) = (&second[8..24], password.as_bytes());
    let mut third = [&[3, 0, 0, 0], id].concat();
    third.extend(suite.code(key, &[ours, &[9, 0, 0, 0], &tail].concat()));
    assert_eq!(exchange(payload::RAKP_3, &third)[1], 0);
    let keys = Keys::of(suite, &suite.code(key, &[&theirs[..], ours, &tail].concat()));
    let id = u32::from_le_bytes(id.try_into().unwrap());
    Client { id, keys, sent: 0, number: 0 }
}

impl Bench {
    fn exchange(&mut self, kind: u8, payload: &[u8]) -> Option<Vec<u8>> {
        let effects = self.node.receive(PEER.into(), &wrap_plus(kind, payload));
        sent(&effects).map(payload_of)
    }

    /// Begins a session; the status that it fails with.
    fn login(
        &mut self,
        suite: [u8; 3],
        user: &str,
        password: &str,
        level: u8,
    ) -> Result<Client, u8> {
        let mut open = vec![1, 0, 0, 0, 9, 0, 0, 0];
        for (number, algorithm) in (0u8..).zip(suite) {
            open.extend([number, 0, 0, 8, algorithm, 0, 0, 0]);
        }
        let opened = self.exchange(payload::OPEN_REQUEST, &open).unwrap();
        if opened[1] != 0 {
            return Err(opened[1]);
        }
        let (console, id) = ([9, 0, 0, 0], &opened[8..12]);
        let (suite, theirs) = (Suite::of(suite).unwrap(), [5; 16]);
        let tail = [&[level, user.len() as u8], user.as_bytes()].concat();
        let first = [&[2, 0, 0, 0], id, &theirs, &[level, 0, 0, user.len() as u8], user.as_bytes()];
        let second = self.exchange(payload::RAKP_1, &first.concat()).unwrap();
        if second[1] != 0 {
            return Err(second[1]);
        }
        let (ours, guid, code) = (&second[8..24], &second[24..40], &second[40..]);
        let key = password.as_bytes();
        let covered = [&console[..], id, &theirs, ours, guid, &tail].concat();
        // A client that is right checks it; one that guesses cannot.
        assert_eq!(suite.code(PASSWORD.as_bytes(), &covered), code);
        let mut third = [&[3, 0, 0, 0], id].concat();
        third.extend(suite.code(key, &[ours, &console, &tail].concat()));
        let fourth = self.exchange(payload::RAKP_3, &third).unwrap();
        if fourth[1] != 0 {
            return Err(fourth[1]);
        }
        let own = suite.code(key, &[&theirs[..], ours, &tail].concat());
        let covered = [&theirs[..], id, guid].concat();
        assert_eq!(&suite.code(&own, &covered)[..suite.short()], &fourth[8..]);
        let keys = Keys::of(suite, &own);
        let id = u32::from_le_bytes(id.try_into().unwrap());
        Ok(Client { id, keys, sent: 0, number: 0 })
    }

    /// A session with a password that is not the usual one.
    fn login_with(&mut self, user: &str, password: &str, level: u8) -> Client {
        begin(&mut |kind, payload| self.exchange(kind, payload).unwrap(), user, password, level)
    }

    fn admin(&mut self) -> Client {
        let mut client = self.login([3, 4, 1], "admin", PASSWORD, 4).unwrap();
        assert_eq!(self.ask(&mut client, 0x06, 0x3b, &[4]), (0, vec![4]));
        client
    }

    /// Asks something in a session: the completion code, and data.
    fn ask(
        &mut self,
        client: &mut Client,
        function: u8,
        command: u8,
        data: &[u8],
    ) -> (u8, Vec<u8>) {
        client.number = client.number.wrapping_add(1) & 0x3f;
        let plain = request(function, command, client.number, data);
        let bytes = client.seal(payload::IPMI, &plain);
        let effects = self.node.receive(PEER.into(), &bytes);
        let answer = client.open(sent(&effects).expect("an answer"));
        (answer[6], answer[7..answer.len() - 1].to_vec())
    }

    fn acted(&self) -> bool {
        !self.model.starts().is_empty() || self.model.presses() != (0, 0)
    }
}

impl Client {
    pub fn seal(&mut self, kind: u8, plain: &[u8]) -> Vec<u8> {
        self.sent += 1;
        let encrypted = self.keys.encrypt(plain).unwrap();
        wrap_guarded(kind, self.id, self.sent, &encrypted, |b| self.keys.sign(b))
    }

    pub fn open(&self, bytes: &[u8]) -> Vec<u8> {
        let Some(Packet::Plus(plus)) = Packet::parse(bytes) else { panic!("{bytes:?}") };
        assert_eq!(plus.session, 9);
        assert!(self.keys.is_signed(plus.covered, plus.code));
        self.keys.decrypt(plus.payload).unwrap()
    }
}

#[test]
fn both_suites_lead_in_and_no_others() {
    let mut bench = bench();
    for suite in [[1, 1, 1], [3, 4, 1]] {
        let mut client = bench.login(suite, "admin", PASSWORD, 4).unwrap();
        assert_eq!(bench.ask(&mut client, 0x06, 0x01, &[]).0, 0);
    }
    for suite in [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 2, 1], [3, 4, 0], [0, 1, 1]] {
        assert_eq!(bench.login(suite, "admin", PASSWORD, 4).err(), Some(0x11), "{suite:?}");
    }
}

#[test]
fn wrong_names_passwords_and_levels_have_codes_of_their_own() {
    let mut bench = bench();
    let suite = [1, 1, 1];
    assert_eq!(bench.login(suite, "nobody", PASSWORD, 4).err(), Some(0x0d));
    assert_eq!(bench.login(suite, "", PASSWORD, 4).err(), Some(0x0d));
    assert_eq!(bench.login(suite, "look", PASSWORD, 4).err(), Some(0x0a));
    assert_eq!(bench.login(suite, "admin", "Only-4-trial5", 4).err(), Some(0x0f));
    assert_eq!(bench.node.sessions.active(), 0);
}

#[test]
fn levels_allow_what_they_are_for() {
    let mut bench = bench();
    let mut look = bench.login([1, 1, 1], "look", PASSWORD, 2).unwrap();
    assert_eq!(bench.ask(&mut look, 0x00, 0x01, &[]).0, 0);
    assert_eq!(bench.ask(&mut look, 0x00, 0x02, &[1]).0, 0xd4);
    assert_eq!(bench.ask(&mut look, 0x06, 0x3b, &[4]).0, 0x81);
    let mut oper = bench.login([1, 1, 1], "oper", PASSWORD, 3).unwrap();
    // A session begins as a user's.
    assert_eq!(bench.ask(&mut oper, 0x00, 0x02, &[1]).0, 0xd4);
    assert_eq!(bench.ask(&mut oper, 0x06, 0x3b, &[3]), (0, vec![3]));
    assert!(!bench.acted());
    assert_eq!(bench.ask(&mut oper, 0x00, 0x02, &[1]).0, 0);
    assert_eq!(bench.ask(&mut oper, 0x06, 0x47, &[3, 2]).0, 0xd4);
    assert_eq!(bench.model.power(), Ok(Power::On));
}

#[test]
fn power_is_cycled_reset_and_asked_for() {
    let mut bench = bench();
    let mut client = bench.admin();
    for control in [2, 3, 4] {
        assert_eq!(bench.ask(&mut client, 0, 2, &[control]).0, 0xd5, "{control}");
    }
    assert_eq!(bench.ask(&mut client, 0, 2, &[9]).0, 0xcc);
    assert_eq!(bench.ask(&mut client, 0, 2, &[]).0, 0xc7);
    bench.model.fail(Some(Fault::Refused("there is too little memory".into())));
    assert_eq!(bench.ask(&mut client, 0, 2, &[1]).0, 0xd5);
    bench.model.fail(None);
    for control in [1, 2, 3, 4, 5] {
        assert_eq!(bench.ask(&mut client, 0, 2, &[control]).0, 0, "{control}");
    }
    assert_eq!((bench.model.starts().len(), bench.model.presses()), (2, (1, 1)));
    assert_eq!(bench.ask(&mut client, 0, 1, &[]).1[0] & 1, 1);
    assert_eq!(bench.ask(&mut client, 0, 2, &[0]).0, 0);
    assert_eq!(bench.ask(&mut client, 0, 1, &[]).1[0] & 1, 0);
}

/// `chassis policy list`, `previous`, `always-off`, `always-on`: what was pressed last holds after a loss of power.
#[test]
fn a_node_comes_back_as_it_was() {
    let mut bench = bench();
    let mut client = bench.admin();
    assert_eq!(bench.ask(&mut client, 0, 1, &[]).1[0], 0x20);
    for (policy, answer) in [(3, (0, vec![2])), (1, (0, vec![2])), (0, (0xcc, vec![]))] {
        assert_eq!(bench.ask(&mut client, 0, 6, &[policy]), answer, "{policy}");
    }
    assert_eq!(bench.ask(&mut client, 0, 6, &[2]).0, 0xcc);
}

/// What Ironic sends: that flags stay valid, then the flags.
#[test]
fn boot_devices_hold_once_or_for_ever() {
    let mut bench = bench();
    let mut client = bench.admin();
    assert_eq!(bench.ask(&mut client, 0, 8, &[3, 8]).0, 0);
    assert_eq!(bench.ask(&mut client, 0, 9, &[3, 0, 0]).1, [1, 3, 8]);
    assert_eq!(bench.ask(&mut client, 0, 8, &[5, 0xa0, 0x04, 0, 0, 0]).0, 0);
    assert_eq!(bench.ask(&mut client, 0, 9, &[5, 0, 0]).1, [1, 5, 0xa0, 0x04, 0, 0, 0]);
    assert_eq!(bench.ask(&mut client, 0, 2, &[1]).0, 0);
    assert_eq!(bench.ask(&mut client, 0, 9, &[5, 0, 0]).1, [1, 5, 0x20, 0, 0, 0, 0]);
    assert_eq!(bench.ask(&mut client, 0, 8, &[5, 0xe0, 0x14, 0, 0, 0]).0, 0);
    assert_eq!(bench.ask(&mut client, 0, 2, &[2]).0, 0);
    assert_eq!(bench.ask(&mut client, 0, 9, &[5, 0, 0]).1, [1, 5, 0xe0, 0x14, 0, 0, 0]);
    let first: Vec<_> = bench.model.starts().iter().map(|start| start.first).collect();
    assert_eq!(first, [Some(Device::Pxe), Some(Device::Cd)]);
    // Ironic has a boot device of that name: the disk in safe mode.
    assert_eq!(bench.ask(&mut client, 0, 8, &[5, 0xa0, 0x0c, 0, 0, 0]).0, 0);
    assert_eq!(bench.bmc.state().boot.target, Some(Device::Hdd));
    // A floppy there is not.
    assert_eq!(bench.ask(&mut client, 0, 8, &[5, 0x80, 0x3c, 0, 0, 0]).0, 0xcc);
    assert_eq!(bench.ask(&mut client, 0, 9, &[0x55]).0, 0x80);
}

#[test]
fn a_request_that_is_sent_again_is_not_done_again() {
    let mut bench = bench();
    let mut client = bench.admin();
    let plain = request(0, 2, 33, &[1]);
    let again = request(0, 2, 34, &[3]);
    for plain in [&plain, &plain, &again, &again] {
        let bytes = client.seal(payload::IPMI, plain);
        let effects = bench.node.receive(PEER.into(), &bytes);
        assert!(sent(&effects).is_some());
        // The very same datagram is not even answered.
        assert!(bench.node.receive(PEER.into(), &bytes).is_empty());
    }
    assert_eq!((bench.model.starts().len(), bench.model.presses()), (1, (1, 0)));
}

#[test]
fn what_happens_is_in_the_log() {
    let mut bench = bench();
    let mut client = bench.admin();
    assert_eq!(bench.ask(&mut client, 0, 2, &[1]).0, 0);
    let (code, entry) = bench.ask(&mut client, 0x0a, 0x43, &[0, 0, 0, 0, 0, 0xff]);
    assert_eq!((code, entry.len()), (0, 18));
    assert_eq!(entry[..5], [0xff, 0xff, 1, 0, 2]);
    assert_eq!(entry[12..16], [0x09, 3, 0xef, 0]);
    let reserved = bench.ask(&mut client, 0x0a, 0x42, &[]).1;
    let clear = [&reserved[..], b"CLR\xaa"].concat();
    assert_eq!(bench.ask(&mut client, 0x0a, 0x47, &clear), (0, vec![1]));
    assert_eq!(bench.bmc.state().log.entries().len(), 1);
    assert_eq!(bench.ask(&mut client, 0x0a, 0x43, &[0, 0, 99, 0, 0, 0xff]).0, 0xcb);
}

#[test]
fn a_password_that_is_changed_here_is_changed() {
    let mut bench = bench();
    let mut client = bench.admin();
    let password = |text: &[u8]| {
        let mut data = vec![0x84, 2];
        data.extend(text);
        data.resize(22, 0);
        data
    };
    assert_eq!(bench.ask(&mut client, 6, 0x47, &password(b"short")).0, 0xcc);
    assert_eq!(bench.ask(&mut client, 6, 0x47, &password(b"long-enough")).0, 0);
    let accounts = bench.node.accounts();
    assert!(accounts.opens("look", "long-enough").is_some());
    drop(accounts);
    // Whoever was in is out when the account is disabled.
    assert_eq!(bench.ask(&mut client, 6, 0x47, &[2, 0]).0, 0xcc);
    assert_eq!(bench.ask(&mut client, 6, 0x47, &[3, 0]).0, 0);
    assert!(bench.node.accounts().opens("oper", PASSWORD).is_none());
}

#[test]
fn what_cannot_be_taken_from_an_account_is_refused() {
    let mut bench = bench();
    let mut client = bench.admin();
    // IPMI off; callback only; what everybody sends.
    for (bits, expected) in [(0xa1, 0xcc), (0xf1, 0xcc), (0xb1, 0), (0x91, 0), (0x01, 0)] {
        assert_eq!(bench.ask(&mut client, 6, 0x43, &[bits, 3, 3, 0]).0, expected, "{bits:x}");
    }
}

/// `user set name`, `user set password`, `channel setaccess` and `user enable`, in the order of whoever types them.
#[test]
fn accounts_are_made_and_removed_here_too() {
    let mut bench = bench();
    let mut client = bench.admin();
    let padded = |head: &[u8], text: &[u8], length: usize| {
        let mut data = head.to_vec();
        data.extend(text);
        data.resize(length, 0);
        data
    };
    let name = |id: u8, text: &[u8]| padded(&[id], text, 17);
    let password = |id: u8, text: &[u8]| padded(&[0x80 | id, 2], text, 22);
    // A password needs a name.
    assert_eq!(bench.ask(&mut client, 6, 0x47, &password(5, b"Only-4-trials")).0, 0xcc);
    assert_eq!(bench.ask(&mut client, 6, 0x45, &name(5, b"o:ps")).0, 0xcc);
    assert_eq!(bench.ask(&mut client, 6, 0x45, &name(5, b"admin")).0, 0xcc);
    assert_eq!(bench.ask(&mut client, 6, 0x45, &name(5, b"ops")).0, 0);
    assert_eq!(bench.ask(&mut client, 6, 0x46, &[5]).1, padded(b"", b"ops", 16));
    // Nobody is let in before all is said.
    assert!(bench.node.accounts().named("ops").is_none());
    assert_eq!(bench.ask(&mut client, 6, 0x43, &[0xb1, 5, 3, 0]).0, 0);
    assert_eq!(bench.ask(&mut client, 6, 0x47, &password(5, b"short")).0, 0xcc);
    assert_eq!(bench.ask(&mut client, 6, 0x47, &password(5, b"Only-4-trials")).0, 0);
    assert!(bench.node.accounts().opens("ops", "Only-4-trials").is_none());
    assert_eq!(bench.ask(&mut client, 6, 0x47, &[5, 1]).0, 0);
    let made = bench.node.accounts().opens("ops", "Only-4-trials").cloned().unwrap();
    assert_eq!((made.id, made.role), (5, Role::Operator));
    // Who names nothing else may look.
    assert_eq!(bench.ask(&mut client, 6, 0x45, &name(9, b"see")).0, 0);
    assert_eq!(bench.ask(&mut client, 6, 0x47, &[9, 1]).0, 0);
    assert_eq!(bench.ask(&mut client, 6, 0x47, &password(9, b"Only-4-trials")).0, 0);
    let role = bench.node.accounts().opens("see", "Only-4-trials").map(|account| account.role);
    assert_eq!(role, Some(Role::ReadOnly));
    // Without its name an account is none.
    assert_eq!(bench.ask(&mut client, 6, 0x45, &name(5, b"")).0, 0);
    assert!(bench.node.accounts().get(5).is_none());
    let own = bench.node.accounts().named("admin").unwrap().id;
    assert_eq!(bench.ask(&mut client, 6, 0x45, &name(own, b"")).0, 0xcc);
}

#[test]
fn a_console_is_one_sessions_and_ends_with_it() {
    let mut bench = bench();
    bench.bmc.press(crate::bmc::Press::On).unwrap();
    let (mut client, mut other) = (bench.admin(), bench.admin());
    let activate = [1, 1, 0xc0, 0, 0, 0];
    let plain = request(6, 0x48, 50, &activate);
    let bytes = client.seal(payload::IPMI, &plain);
    let effects = bench.node.receive(PEER.into(), &bytes);
    let opened = effects.into_iter().find_map(|effect| match effect {
        Effect::Open(console) => Some(console),
        _ => None,
    });
    let (_reader, mut writer) = opened.unwrap().split();
    writer.write_all(b"login: ").unwrap();
    assert_eq!(bench.ask(&mut other, 6, 0x48, &activate).0, 0x80);
    let shown = bench.node.says(b"login: ");
    let Some(Effect::Show(_, bytes)) = shown.first() else { panic!("nothing is shown") };
    assert_eq!(client.open(bytes), b"\x01\0\0\0login: ");
    let typed = client.seal(payload::SOL, b"\x01\x01\x07\0root");
    let effects = bench.node.receive(PEER.into(), &typed);
    assert!(effects.iter().any(|e| matches!(e, Effect::Type(bytes) if bytes == b"root")));
    let theirs = other.seal(payload::SOL, b"\x01\0\0\0root");
    assert!(bench.node.receive(PEER.into(), &theirs).is_empty());
    let close = client.id.to_le_bytes();
    assert_eq!(bench.ask(&mut client, 6, 0x3c, &close).0, 0);
    assert!(!bench.node.has_console());
}

#[test]
fn without_a_session_there_is_little_to_ask_and_not_too_often() {
    let mut bench = bench();
    let mut code = |function, command, data: &[u8]| {
        let bytes = wrap_plain(&request(function, command, 1, data));
        let effects = bench.node.receive(PEER.into(), &bytes);
        sent(&effects).map(|bytes| payload_of(bytes)[6])
    };
    assert_eq!(code(6, 0x38, &[0x8e, 4]), Some(0));
    assert_eq!(code(6, 0x54, &[0x0e, 0, 0x80]), Some(0));
    assert_eq!(code(0, 0x02, &[1]), Some(0xd4));
    assert_eq!(code(0, 0x01, &[]), Some(0xd4));
    assert_eq!(code(0x2c, 0x3e, &[]), Some(0xc1));
    let answered = (0..1000).filter(|_| code(6, 0x38, &[0x8e, 4]).is_some()).count();
    assert!(answered < 300, "{answered}");
    assert!(!bench.acted());
    let ping = [6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 7, 0, 0];
    bench.time.fetch_add(1, Ordering::Relaxed);
    assert_eq!(sent(&bench.node.receive(PEER.into(), &ping)).unwrap()[9], 7);
}

fn open_request() -> Vec<u8> {
    let mut open = vec![1, 0, 0, 0, 9, 0, 0, 0];
    for (number, algorithm) in (0u8..).zip([3, 4, 1]) {
        open.extend([number, 0, 0, 8, algorithm, 0, 0, 0]);
    }
    open
}

mod guarded;
mod many;

mod enemies {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Whoever has no password may send what they like.
        #[test]
        fn random_bytes_neither_break_it_nor_act(
            kind in prop::sample::select(vec![0x00u8, 0x10, 0x12, 0x14, 0x01, 0xc0, 0x40, 0x80]),
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            bare in any::<bool>(),
        ) {
            let mut bench = bench();
            let datagram = if bare { bytes } else { wrap_plus(kind, &bytes) };
            bench.node.receive(PEER.into(), &datagram);
            prop_assert!(!bench.acted());
        }

        /// Nor does it help to change what somebody else has sent.
        #[test]
        fn mutated_packets_of_a_session_do_not_act(
            changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
            cut in 0usize..20,
        ) {
            let mut bench = bench();
            let mut client = bench.admin();
            let good = client.seal(payload::IPMI, &request(0, 2, 9, &[1]));
            let mut bytes = good.clone();
            for (at, flip) in changes {
                // What is before the session is not signed, and says nothing.
                let at = 4 + at.index(bytes.len() - 4);
                bytes[at] ^= flip;
            }
            bytes.truncate(good.len() - cut);
            prop_assume!(bytes != good);
            bench.node.receive(PEER.into(), &bytes);
            prop_assert!(!bench.acted());
        }

        /// Somebody who has a session may ask anything, with any data.
        #[test]
        fn no_request_breaks_it(
            function in 0u8..0x20,
            command in any::<u8>(),
            data in prop::collection::vec(any::<u8>(), 0..40),
            sol in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bench = bench();
            let mut client = bench.admin();
            bench.ask(&mut client, function * 2, command, &data);
            let bytes = client.seal(payload::SOL, &sol);
            bench.node.receive(PEER.into(), &bytes);
            bench.node.says(&sol);
            bench.node.tick();
        }
    }
}
