//! What stands behind one address: the BMCs of one node or of many, who may use them, and who is there now.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::accounts::{Accounts, Role};
use crate::bmc::{Bmc, Entry, Outcome};
use crate::clock::Clock;
use crate::guesses::{Guesses, Source};
use crate::reach::{Reach, Resolver};
use crate::stir::{Stir, Stirs};
use crate::store::Store;

mod kept;
mod limits;
mod sessions;
mod streams;

pub use limits::{Limits, Options};
pub use sessions::Session;
pub use streams::{Filter, Stream, Subscription};

/// Somebody who has shown who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account: u8,
    /// Which account of that number, with which password.
    pub serial: u64,
    /// What it may do.
    pub role: Role,
    /// Whether it may do nothing but change its password.
    pub must_change: bool,
    /// The session, if there is one.
    pub session: Option<String>,
}

/// Something that takes longer than an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Its number.
    pub id: u32,
    /// What it does.
    pub name: String,
    /// The system that it is about.
    #[serde(with = "kept::uuid_text")]
    pub system: Uuid,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// When it ended, in seconds since 1970; none while it goes on.
    pub ended: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    restart: u64,
}

/// What whoever listens is told.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Its number, which grows from one notice to the next.
    pub id: u64,
    /// What happened.
    pub news: News,
}

/// What there is to tell.
#[derive(Debug, Clone)]
pub enum News {
    /// Something happened on a system.
    Of(Uuid, Entry),
    /// Somebody tries whether events arrive: this one, in Redfish's words.
    Trial(Value),
}

/// Most tasks that are remembered.
const TASKS: usize = 64;
/// Most notices that wait for somebody who reads slowly.
const BEHIND: usize = 64;

/// Hears what the operator of a service should know.
pub type Journal = Box<dyn Fn(&str) + Send + Sync>;

/// Finds out where a web server sends whoever asks for an address of its own; whether its certificate has to be valid comes
/// second.
pub type Prober = Arc<dyn Fn(&str, bool) -> Vec<String> + Send + Sync>;

/// BMCs behind one address.
pub struct Service {
    /// The service's own UUID.
    pub uuid: Uuid,
    /// How it is set up.
    pub options: Options,
    clock: Clock,
    bmcs: BTreeMap<Uuid, Arc<Bmc>>,
    accounts: Arc<Mutex<Accounts>>,
    sessions: Mutex<Vec<Session>>,
    tasks: Mutex<Vec<Task>>,
    subscriptions: Mutex<Vec<Subscription>>,
    guesses: Mutex<Guesses>,
    reach: Mutex<Reach>,
    authorities: Mutex<Vec<u8>>,
    prober: Mutex<Option<Prober>>,
    notices: broadcast::Sender<Notice>,
    count: Mutex<u64>,
    changing: Mutex<()>,
    /// Where what is known is kept, and a digest of the accounts that were given.
    store: Mutex<Option<(Arc<dyn Store>, String)>>,
    /// The accounts' document that was kept last; none if the last one could not be.
    kept: Mutex<Option<Vec<u8>>>,
    /// The same of subscriptions, and of tasks.
    kept_subscriptions: Mutex<Option<Vec<u8>>>,
    kept_tasks: Mutex<Option<Vec<u8>>>,
    journal: Mutex<Option<Arc<Journal>>>,
    stirs: Stirs,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    /// A service for some BMCs. IPMI, which has an address for each, shares the accounts.
    pub fn new(
        uuid: Uuid,
        clock: Clock,
        bmcs: Vec<Arc<Bmc>>,
        accounts: Accounts,
        options: Options,
    ) -> Arc<Self> {
        let service = Arc::new(Self {
            uuid,
            options,
            clock,
            bmcs: bmcs.into_iter().map(|bmc| (bmc.uuid, bmc)).collect(),
            accounts: Arc::new(Mutex::new(accounts)),
            sessions: Mutex::default(),
            tasks: Mutex::default(),
            subscriptions: Mutex::default(),
            guesses: Mutex::default(),
            reach: Mutex::new(Reach::system(options.own_addresses, Vec::new())),
            authorities: Mutex::default(),
            prober: Mutex::default(),
            notices: broadcast::channel(BEHIND).0,
            count: Mutex::default(),
            changing: Mutex::default(),
            store: Mutex::default(),
            kept: Mutex::new(Some(Vec::new())),
            kept_subscriptions: Mutex::new(Some(Vec::new())),
            kept_tasks: Mutex::new(Some(Vec::new())),
            journal: Mutex::default(),
            stirs: Stirs::default(),
        });
        for bmc in service.bmcs.values() {
            let service = Arc::downgrade(&service);
            bmc.listen(Arc::new(move |bmc, entry| {
                if let Some(service) = service.upgrade() {
                    service.tell(News::Of(bmc.uuid, entry.clone()));
                }
            }));
        }
        service
    }

    /// Has somebody hear what the operator should know.
    pub fn report_to(&self, journal: Journal) {
        *held(&self.journal) = Some(Arc::new(journal));
    }

    /// Says what the operator should know: one line, without secrets.
    pub fn say(&self, line: &str) {
        let journal = held(&self.journal).clone();
        if let Some(journal) = journal {
            journal(line);
        }
    }

    /// The time, in seconds since 1970; it may jump when somebody sets it.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// All BMCs, in the order of their systems' UUIDs.
    pub fn bmcs(&self) -> impl Iterator<Item = &Arc<Bmc>> {
        self.bmcs.values()
    }

    /// Seconds that pass whatever becomes of the time.
    pub fn steady(&self) -> u64 {
        self.clock.steady()
    }

    /// A BMC by its system's UUID, as it is written in paths, or by its node's name. A name that reads as a UUID is none.
    pub fn bmc(&self, id: &str) -> Option<&Arc<Bmc>> {
        let uuid =
            Uuid::parse_str(id).ok().filter(|uuid| uuid.to_string().eq_ignore_ascii_case(id));
        match uuid {
            Some(uuid) => self.bmcs.get(&uuid),
            None => self.bmcs.values().find(|bmc| bmc.name == id),
        }
    }

    /// The accounts, locked until what this returns is dropped.
    pub fn accounts(&self) -> MutexGuard<'_, Accounts> {
        held(&self.accounts)
    }

    /// The accounts, for another service that has the same.
    pub fn shared_accounts(&self) -> Arc<Mutex<Accounts>> {
        self.accounts.clone()
    }

    /// Keeps others from changing what is no node's: accounts, sessions, subscriptions. Nothing waits for a machine under it.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        held(&self.changing)
    }

    /// Which servers users may send the hypervisor to.
    pub fn reach(&self) -> Reach {
        held(&self.reach).clone()
    }

    /// Lets users send the hypervisor to interfaces that are those of the environment's networks, and has somebody look names up.
    pub fn reach_into(&self, networks: Vec<String>, resolver: Resolver) {
        let reach = Reach::system(self.options.own_addresses, networks);
        *held(&self.reach) = reach.asking(resolver);
    }

    /// Has somebody else look names up, whose addresses are fit wherever the hypervisor's routes lead.
    pub fn resolve_with(&self, resolver: Resolver) {
        *held(&self.reach) = Reach::with(resolver, self.options.own_addresses);
    }

    /// Has somebody find out where web servers send whoever asks them.
    pub fn probe_with(&self, prober: Prober) {
        *held(&self.prober) = Some(prober);
    }

    /// Where a web server sends whoever asks for an address of its own. May wait for it.
    pub fn moved(&self, url: &str, verify: bool) -> Vec<String> {
        let prober = held(&self.prober).clone();
        prober.map_or_else(Vec::new, |prober| prober(url, verify))
    }

    /// Certificates of authorities (PEM) by which subscribers are known, besides those of the system.
    pub fn trust(&self, authorities: &[u8]) {
        *held(&self.authorities) = authorities.to_vec();
    }

    /// Certificates of authorities (PEM), besides those of the system.
    pub fn authorities(&self) -> Vec<u8> {
        held(&self.authorities).clone()
    }

    /// How many seconds a password for an account is held back before it is looked at; none if that would be too long.
    pub fn hold(&self, peer: IpAddr, account: &str) -> Option<u64> {
        let account = self.accounts().named(account).map(|account| account.name.clone());
        held(&self.guesses).hold(Source::of(peer), account.as_deref(), self.steady())
    }

    /// Somebody was wrong: it is counted, and told to the operator, if that is not too often.
    pub fn wrong(&self, peer: IpAddr, protocol: &str, account: &str) {
        let account = self.accounts().named(account).map(|account| account.name.clone());
        let (told, last) = {
            let mut guesses = held(&self.guesses);
            let told = guesses.wrong(Source::of(peer), account.as_deref(), self.steady());
            (told, guesses.is_silent_from_now())
        };
        let name = account.map_or_else(String::new, |name| format!(" for account `{name}`"));
        if told {
            self.say(&format!("wrong credentials{name} over {protocol} from {peer}"));
        } else if last {
            self.say("further wrong credentials are not reported for a minute");
        }
    }

    /// Somebody has shown a password that is right.
    pub fn right(&self, peer: IpAddr, account: &str) {
        held(&self.guesses).right(Source::of(peer), account, self.steady());
    }

    /// A number that was not given before.
    fn next(&self) -> u64 {
        let mut count = held(&self.count);
        *count += 1;
        *count
    }

    /// Has whoever looks after it told when it or one of its BMCs may have come to wait; whether all of them do tell.
    pub(crate) fn tells(&self, stir: &Stir) -> bool {
        self.stirs.tell(stir) && self.bmcs().all(|bmc| bmc.stirs.tell(stir))
    }

    /// Tells whoever listens.
    pub fn tell(&self, news: News) {
        // Nobody may be listening.
        let _ = self.notices.send(Notice { id: self.next(), news });
    }

    /// What happens from now on.
    pub fn hear(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Remembers a restart that takes its time; the number of its task.
    pub fn task(&self, name: &str, system: Uuid, restart: u64) -> u32 {
        let id = u32::try_from(self.next()).unwrap_or(u32::MAX);
        {
            let mut tasks = self.tasks();
            if tasks.len() >= TASKS {
                tasks.remove(0);
            }
            let (name, started) = (name.to_string(), self.now());
            let (ended, outcome) = (None, Outcome::Waits);
            tasks.push(Task { id, name, system, started, ended, outcome, restart });
        }
        // Before the answer: whoever has it waits for this one. How it ends its BMC knows.
        self.keep();
        id
    }

    /// All tasks. One that waits for a node has ended when that does not wait any more.
    pub fn tasks(&self) -> MutexGuard<'_, Vec<Task>> {
        let mut tasks = held(&self.tasks);
        let now = self.now();
        for task in tasks.iter_mut().filter(|task| task.ended.is_none()) {
            let bmc = self.bmcs.get(&task.system);
            task.outcome = bmc.map_or(Outcome::Cancelled, |bmc| bmc.outcome(task.restart));
            task.ended = (task.outcome != Outcome::Waits).then_some(now);
        }
        tasks
    }
}
