//! What stands behind one address: the BMCs of one node or of many, who may use them, and who is there now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use uuid::Uuid;

use crate::accounts::{Accounts, Role};
use crate::bmc::{Bmc, Entry};
use crate::clock::Clock;
use crate::secret::{Secret, hex, random};

/// What may be asked of a service at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Redfish sessions; whoever has been silent for longest goes.
    pub sessions: usize,
    /// Seconds after which a silent session ends.
    pub session_s: u64,
    /// Event subscriptions.
    pub subscriptions: usize,
    /// How long an answer to wrong credentials is held back.
    pub wrong_credentials: Duration,
    /// TCP connections.
    pub connections: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// How long a request may take to arrive.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 64,
            session_s: 1800,
            subscriptions: 16,
            wrong_credentials: Duration::from_secs(1),
            connections: 256,
            body: 64 << 10,
            request: Duration::from_secs(20),
        }
    }
}

/// How a service is set up.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The limits.
    pub limits: Limits,
    /// Whether credentials are taken without TLS. For trials, and behind something that has TLS.
    pub plain: bool,
    /// The port of Redfish.
    pub https_port: u16,
    /// The port of IPMI; none if there is none.
    pub ipmi_port: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), plain: false, https_port: 443, ipmi_port: Some(623) }
    }
}

/// A Redfish session.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its name in paths.
    pub id: String,
    token: Secret,
    /// The account's number.
    pub account: u8,
    /// The account's name when it began.
    pub user: String,
    /// Where it came from.
    pub origin: String,
    /// When it began, in seconds since 1970.
    pub created: u64,
    used: u64,
}

/// Somebody who has shown who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account: u8,
    /// What it may do.
    pub role: Role,
    /// Whether it may do nothing but change its password.
    pub must_change: bool,
    /// The session, if there is one.
    pub session: Option<String>,
}

/// Something that takes longer than an answer.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its number.
    pub id: u32,
    /// What it does.
    pub name: String,
    /// The system that it is about.
    pub system: Uuid,
    /// When it began.
    pub started: u64,
    /// When it ended.
    pub ended: Option<u64>,
}

/// Somebody who wants to hear of events.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its number.
    pub id: u32,
    /// Where events go; none for a stream of server-sent events.
    pub destination: Option<String>,
    /// The subscriber's own words.
    pub context: String,
}

/// What happened on which system.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Its number.
    pub id: u64,
    /// The system.
    pub system: Uuid,
    /// What happened.
    pub entry: Entry,
}

/// Most tasks that are remembered.
const TASKS: usize = 64;
/// Most notices that wait for somebody who reads slowly.
const BEHIND: usize = 64;
/// Locks of resources; two that share one wait for each other.
const LOCKS: usize = 64;

/// Hears what the operator of a service should know.
pub type Journal = Box<dyn Fn(&str) + Send + Sync>;

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
    time_servers: Mutex<Vec<String>>,
    notices: broadcast::Sender<Notice>,
    count: Mutex<u64>,
    locks: [Mutex<()>; LOCKS],
    journal: Mutex<Option<Arc<Journal>>>,
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
            time_servers: Mutex::default(),
            notices: broadcast::channel(BEHIND).0,
            count: Mutex::default(),
            locks: std::array::from_fn(|_| Mutex::default()),
            journal: Mutex::default(),
        });
        for bmc in service.bmcs.values() {
            let service = Arc::downgrade(&service);
            bmc.listen(Arc::new(move |bmc, entry| {
                if let Some(service) = service.upgrade() {
                    service.tell(bmc.uuid, entry);
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

    /// The time.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// All BMCs.
    pub fn bmcs(&self) -> impl Iterator<Item = &Arc<Bmc>> {
        self.bmcs.values()
    }

    /// A BMC by its system's UUID, or by its node's name.
    pub fn bmc(&self, id: &str) -> Option<&Arc<Bmc>> {
        match Uuid::parse_str(id) {
            Ok(uuid) => self.bmcs.get(&uuid),
            Err(_) => self.bmcs.values().find(|bmc| bmc.name == id),
        }
    }

    /// The accounts.
    pub fn accounts(&self) -> MutexGuard<'_, Accounts> {
        held(&self.accounts)
    }

    /// The accounts, for another service that has the same.
    pub fn shared_accounts(&self) -> Arc<Mutex<Accounts>> {
        self.accounts.clone()
    }

    /// Addresses of time servers, which are remembered; the hypervisor's time is the BMC's.
    pub fn time_servers(&self) -> MutexGuard<'_, Vec<String>> {
        held(&self.time_servers)
    }

    /// Keeps others from changing a resource, by its path.
    pub fn lock(&self, path: &str) -> MutexGuard<'_, ()> {
        let hash = path
            .bytes()
            .fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        held(&self.locks[hash % LOCKS])
    }

    /// A number that was not given before.
    fn next(&self) -> u64 {
        let mut count = held(&self.count);
        *count += 1;
        *count
    }

    fn tell(&self, system: Uuid, entry: &Entry) {
        let notice = Notice { id: self.next(), system, entry: entry.clone() };
        // Nobody may be listening.
        let _ = self.notices.send(notice);
    }

    /// What happens from now on.
    pub fn hear(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Begins a session; its token is told this once.
    pub fn begin(
        &self,
        account: u8,
        user: &str,
        origin: &str,
    ) -> std::io::Result<(Session, Secret)> {
        let token = Secret::new(hex(&random::<24>()?));
        let (id, now) = (hex(&random::<8>()?), self.now());
        let (user, origin) = (user.to_string(), origin.to_string());
        let session =
            Session { id, token: token.clone(), account, user, origin, created: now, used: now };
        let mut sessions = self.sessions();
        if sessions.len() >= self.options.limits.sessions {
            let oldest = (0..sessions.len()).min_by_key(|at| sessions[*at].used);
            oldest.map(|at| sessions.remove(at));
        }
        sessions.push(session.clone());
        Ok((session, token))
    }

    /// Sessions that have not ended.
    pub fn sessions(&self) -> MutexGuard<'_, Vec<Session>> {
        let mut sessions = held(&self.sessions);
        let since = self.now().saturating_sub(self.options.limits.session_s);
        sessions.retain(|session| session.used >= since);
        sessions
    }

    /// Ends a session.
    pub fn end(&self, id: &str) -> bool {
        let mut sessions = self.sessions();
        let before = sessions.len();
        sessions.retain(|session| session.id != id);
        sessions.len() < before
    }

    /// Ends all sessions of an account: it was changed, or has gone.
    pub fn end_all(&self, account: u8, but: Option<&str>) {
        self.sessions().retain(|s| s.account != account || Some(s.id.as_str()) == but);
    }

    /// Whose token it is.
    pub fn by_token(&self, token: &str) -> Option<Identity> {
        let now = self.now();
        let (id, account) = self
            .sessions()
            .iter_mut()
            .filter(|session| session.token.is(token))
            .map(|session| {
                session.used = now;
                (session.id.clone(), session.account)
            })
            .last()?;
        let accounts = self.accounts();
        let account = accounts.get(account).filter(|account| account.enabled)?;
        let (role, must_change) = (account.role, account.must_change);
        Some(Identity { account: account.id, role, must_change, session: Some(id) })
    }

    /// Whose name and password they are.
    pub fn by_password(&self, name: &str, password: &str) -> Option<Identity> {
        let accounts = self.accounts();
        let account = accounts.opens(name, password)?;
        let (role, must_change) = (account.role, account.must_change);
        Some(Identity { account: account.id, role, must_change, session: None })
    }

    /// Remembers something that takes its time; its number.
    pub fn task(&self, name: &str, system: Uuid) -> u32 {
        let id = u32::try_from(self.next()).unwrap_or(u32::MAX);
        let mut tasks = self.tasks();
        if tasks.len() >= TASKS {
            tasks.remove(0);
        }
        let started = self.now();
        tasks.push(Task { id, name: name.to_string(), system, started, ended: None });
        id
    }

    /// All tasks. One that waits for a node has ended when that does not wait any more.
    pub fn tasks(&self) -> MutexGuard<'_, Vec<Task>> {
        let mut tasks = held(&self.tasks);
        let now = self.now();
        for task in tasks.iter_mut().filter(|task| task.ended.is_none()) {
            let waits = self.bmcs.get(&task.system).is_some_and(|bmc| bmc.is_restarting());
            task.ended = (!waits).then_some(now);
        }
        tasks
    }

    /// All subscriptions.
    pub fn subscriptions(&self) -> MutexGuard<'_, Vec<Subscription>> {
        held(&self.subscriptions)
    }

    /// Remembers a subscription; none if there are too many.
    pub fn subscribe(&self, destination: Option<String>, context: &str) -> Option<u32> {
        let id = u32::try_from(self.next()).unwrap_or(u32::MAX);
        let mut all = self.subscriptions();
        if all.len() >= self.options.limits.subscriptions {
            return None;
        }
        all.push(Subscription { id, destination, context: context.to_string() });
        Some(id)
    }

    /// Forgets a subscription.
    pub fn unsubscribe(&self, id: u32) -> bool {
        let mut all = self.subscriptions();
        let before = all.len();
        all.retain(|subscription| subscription.id != id);
        all.len() < before
    }
}
