//! What a service keeps over a restart of its own: accounts, subscriptions, tasks, and a document of each BMC.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Service, Subscription, TASKS, Task, held};
use crate::accounts::{Account, Accounts};
use crate::bmc::Keeper;
use crate::secret::hex;
use crate::store::Store;

/// Accounts as they were left, and a digest of those that the service was given then: others that it is given count more.
#[derive(Serialize, Deserialize)]
struct Kept {
    given: String,
    accounts: Vec<Account>,
}

/// Subscriptions that have a destination, and the same digest: they are of those who had accounts.
#[derive(Serialize, Deserialize)]
struct KeptSubscriptions {
    given: String,
    subscriptions: Vec<Subscription>,
}

fn digest(accounts: &Accounts) -> String {
    let mut digest = Sha256::new();
    for account in accounts.iter() {
        let parts = [&account.name, account.password.reveal(), account.role.as_str()];
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    hex(&digest.finalize())
}

impl Service {
    /// The name of the accounts' document: several services may have one store.
    fn accounts_name(&self) -> String {
        format!("accounts-{}", self.uuid)
    }

    /// The name of the subscriptions' document.
    fn subscriptions_name(&self) -> String {
        format!("subscriptions-{}", self.uuid)
    }

    /// The name of the tasks' document.
    fn tasks_name(&self) -> String {
        format!("tasks-{}", self.uuid)
    }

    /// Keeps what is known in a store, from now on, after remembering what is kept there. Called before it is served.
    /// What cannot be read is told to whoever is [reported to](Self::report_to), and begins again.
    pub fn keep_in(self: &Arc<Self>, store: Arc<dyn Store>) {
        let given = digest(&self.accounts());
        self.remember_accounts(store.as_ref(), &given);
        self.remember_subscriptions(store.as_ref(), &given);
        self.remember_tasks(store.as_ref());
        *held(&self.store) = Some((store.clone(), given));
        for bmc in self.bmcs() {
            let name = bmc.uuid.to_string();
            let read = store.load(&name).map_err(|error| error.to_string());
            let known = read.and_then(|document| {
                document.map_or(Ok(false), |document| bmc.remember(&document))
            });
            let node = &bmc.name;
            match known {
                Ok(false) => {}
                Ok(true) => self.say(&format!(
                    "the BMC of `{node}` does not do what was pressed last: that is more than \
                    15 minutes ago"
                )),
                Err(why) => self.say(&format!(
                    "the BMC of `{node}` begins again: what it kept cannot be read: {why}"
                )),
            }
            bmc.keep_by(self.keeper(store.clone(), name));
        }
        self.keep();
    }

    /// Keeps a BMC's documents in a store. That they cannot be kept is said once, until they are again.
    fn keeper(self: &Arc<Self>, store: Arc<dyn Store>, name: String) -> Keeper {
        let (service, is_told) = (Arc::downgrade(self), AtomicBool::new(false));
        Arc::new(move |bmc, document| {
            let Err(error) = store.save(&name, document) else {
                is_told.store(false, Ordering::Relaxed);
                return true;
            };
            if !is_told.swap(true, Ordering::Relaxed)
                && let Some(service) = service.upgrade()
            {
                let what = format!("what the BMC of `{}` knows cannot be kept", bmc.name);
                service.say(&format!("{what}, which is tried again: {error}"));
            }
            false
        })
    }

    fn remember_accounts(&self, store: &dyn Store, given: &str) {
        match load::<Kept>(store, &self.accounts_name(), &self.kept) {
            Ok(None) => {}
            Ok(Some(kept)) if kept.given == given => {
                if self.accounts().remember(kept.accounts).is_err() {
                    self.say("accounts are as they were given: those that were kept are not whole");
                }
            }
            Ok(Some(_)) => {
                self.say("accounts are as they are given, which is not as it was before");
            }
            Err(why) => self.say(&format!(
                "accounts are as they were given: what was kept cannot be read: {why}"
            )),
        }
    }

    fn remember_subscriptions(&self, store: &dyn Store, given: &str) {
        let name = self.subscriptions_name();
        match load::<KeptSubscriptions>(store, &name, &self.kept_subscriptions) {
            Ok(Some(kept)) if kept.given == given => {
                let all = kept.subscriptions.into_iter().filter(|s| s.destination.is_some());
                let all: Vec<_> = all.take(self.options.limits.subscriptions).collect();
                self.count_on(all.iter().map(|s| s.id));
                *self.subscriptions() = all;
            }
            // With other accounts those who have made them are out, too.
            Ok(_) => {}
            Err(why) => {
                self.say(&format!("event subscriptions are gone: they cannot be read: {why}"));
            }
        }
    }

    fn remember_tasks(&self, store: &dyn Store) {
        match load::<Vec<Task>>(store, &self.tasks_name(), &self.kept_tasks) {
            Ok(None) => {}
            Ok(Some(mut all)) => {
                all.truncate(TASKS);
                self.count_on(all.iter().map(|task| task.id));
                *held(&self.tasks) = all;
            }
            Err(why) => self.say(&format!("tasks are gone: they cannot be read: {why}")),
        }
    }

    /// Has no later number be one of these.
    fn count_on(&self, known: impl Iterator<Item = u32>) {
        let last = known.max().map_or(0, u64::from);
        let mut count = held(&self.count);
        *count = last.max(*count);
    }

    /// Has accounts, subscriptions and tasks kept, if they have changed since they were.
    pub fn keep(&self) {
        let Some((store, given)) = held(&self.store).clone() else { return };
        let document = || {
            let accounts: Vec<Account> = self.accounts().iter().cloned().collect();
            serde_json::to_vec(&Kept { given: given.clone(), accounts })
        };
        let name = self.accounts_name();
        self.put(store.as_ref(), ("accounts", name.as_str()), &self.kept, document);
        let document = || {
            let all = self.subscriptions().clone().into_iter();
            let subscriptions = all.filter(|s| s.destination.is_some()).collect();
            serde_json::to_vec(&KeptSubscriptions { given: given.clone(), subscriptions })
        };
        let name = self.subscriptions_name();
        let what = ("event subscriptions", name.as_str());
        self.put(store.as_ref(), what, &self.kept_subscriptions, document);
        let name = self.tasks_name();
        let document = || serde_json::to_vec(&*held(&self.tasks));
        self.put(store.as_ref(), ("tasks", name.as_str()), &self.kept_tasks, document);
        self.stirs.stir();
    }

    /// Keeps a document that has changed, of what is called so under a name. That it cannot be kept is said once, until it is
    /// again.
    fn put(
        &self,
        store: &dyn Store,
        (what, name): (&str, &str),
        kept: &Mutex<Option<Vec<u8>>>,
        document: impl FnOnce() -> serde_json::Result<Vec<u8>>,
    ) {
        // One at a time, so that the last document is the newest.
        let mut kept = held(kept);
        let Ok(document) = document() else { return };
        if kept.as_ref() == Some(&document) {
            return;
        }
        match store.save(name, &document) {
            Ok(()) => *kept = Some(document),
            Err(error) => {
                if kept.take().is_some() {
                    self.say(&format!("{what} cannot be kept, which is tried again: {error}"));
                }
            }
        }
    }

    /// Whether something was to be kept, and could not be.
    pub fn lacks_keeping(&self) -> bool {
        // Whoever holds one keeps it at this moment, which may take a disk some time.
        let lacks =
            |kept: &Mutex<Option<Vec<u8>>>| kept.try_lock().is_ok_and(|kept| kept.is_none());
        let all = [&self.kept, &self.kept_subscriptions, &self.kept_tasks];
        held(&self.store).is_some() && all.into_iter().any(lacks)
    }
}

/// A UUID in a document, as it is written elsewhere.
pub(super) mod uuid_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(uuid: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(uuid)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uuid::parse_str(&text).map_err(D::Error::custom)
    }
}

/// A document of a store, which is the one that was kept last; none if there is none. An error in words if it cannot be read.
fn load<T: DeserializeOwned>(
    store: &dyn Store,
    name: &str,
    kept: &Mutex<Option<Vec<u8>>>,
) -> Result<Option<T>, String> {
    let loaded = store.load(name).map_err(|error| error.to_string())?;
    let Some(document) = loaded else { return Ok(None) };
    let read = serde_json::from_slice(&document).map_err(|error| error.to_string());
    *held(kept) = Some(document);
    read.map(Some)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use uuid::Uuid;

    use super::super::*;
    use crate::accounts::{Change, Role};
    use crate::bmc::{Override, Press};
    use crate::machine::Device;
    use crate::model::{Model, Shelf};
    use crate::secret::Secret;
    use crate::store::Store;

    type Said = Arc<Mutex<Vec<String>>>;

    fn service<S: Store + 'static>(
        model: &Arc<Model>,
        password: &str,
        shelf: &Arc<S>,
    ) -> (Arc<Service>, Said) {
        let clock = Clock::from(|| 1_700_000_000);
        let bmc = Bmc::new("node-0", Uuid::from_u128(7), model.clone(), clock.clone());
        let mut accounts = Accounts::default();
        accounts.add("admin", Secret::new(password), Role::Administrator).unwrap();
        let (uuid, options) = (Uuid::nil(), Options::default());
        let service = Service::new(uuid, clock, vec![Arc::new(bmc)], accounts, options);
        let said = Said::default();
        let journal = said.clone();
        service.report_to(Box::new(move |line| journal.lock().unwrap().push(line.into())));
        service.keep_in(shelf.clone());
        (service, said)
    }

    #[test]
    fn accounts_stay_as_they_were_changed_until_others_are_given() {
        let (model, shelf) = (Arc::new(Model::new()), Arc::new(Shelf::default()));
        let (first, _) = service(&model, "password-1", &shelf);
        let change = Change { password: Some(Secret::new("changed-1")), ..Change::default() };
        first.change_account(2, change, None).unwrap();
        first.accounts().add("look", Secret::new("password"), Role::ReadOnly).unwrap();
        first.keep();
        let (second, said) = service(&model, "password-1", &shelf);
        assert!(second.by_password("admin", "changed-1").is_some());
        assert!(second.by_password("admin", "password-1").is_none());
        assert!(second.by_password("look", "password").is_some());
        assert!(said.lock().unwrap().is_empty());
        // Whoever has the service has given it another password.
        let (third, said) = service(&model, "password-2", &shelf);
        assert!(third.by_password("admin", "password-2").is_some());
        assert!(third.by_password("look", "password").is_none());
        assert_eq!(said.lock().unwrap().len(), 1);
    }

    #[test]
    fn subscriptions_stay_until_they_end_or_other_accounts_are_given() {
        let (model, shelf) = (Arc::new(Model::new()), Arc::new(Shelf::default()));
        let subscription = || Subscription {
            destination: Some("https://h/hook".into()),
            context: "mine".into(),
            verify: true,
            filter: Filter { types: vec!["Alert".into()], ..Filter::default() },
            headers: vec![("Authorization".into(), Secret::new("Bearer canary"))],
            ends: true,
            ..Subscription::default()
        };
        let (first, _) = service(&model, "password-1", &shelf);
        let id = first.subscribe(subscription()).unwrap();
        first.keep();
        let (second, said) = service(&model, "password-1", &shelf);
        let all = second.subscriptions().clone();
        assert_eq!((all.len(), all[0].id, all[0].context.as_str()), (1, id, "mine"));
        assert!(all[0].verify && all[0].ends && all[0].filter.types == ["Alert"]);
        assert_eq!(all[0].headers[0].1.reveal(), "Bearer canary");
        let later = second.subscribe(subscription()).unwrap();
        assert!(later > id && second.unsubscribe(id));
        second.keep();
        let (third, _) = service(&model, "password-1", &shelf);
        assert_eq!(third.subscriptions().iter().map(|s| s.id).collect::<Vec<_>>(), [later]);
        let (fourth, _) = service(&model, "password-2", &shelf);
        assert!(fourth.subscriptions().is_empty() && said.lock().unwrap().is_empty());
        // A stream ends with its connection.
        fourth.subscribe(Subscription { destination: None, ..subscription() }).unwrap();
        fourth.keep();
        assert!(service(&model, "password-2", &shelf).0.subscriptions().is_empty());
    }

    /// A client that has a 202 asks for its task until that has ended.
    #[test]
    fn tasks_are_there_until_they_are_asked_for() {
        let (model, shelf) = (Arc::new(Model::new()), Arc::new(Shelf::default()));
        let (first, _) = service(&model, "password-1", &shelf);
        let bmc = first.bmc("node-0").unwrap();
        bmc.press(Press::On).unwrap();
        let id = first.task("Graceful restart", bmc.uuid, bmc.restart().unwrap());
        let (second, _) = service(&model, "password-1", &shelf);
        let outcome = |service: &Service| {
            let tasks = service.tasks();
            tasks.iter().find(|task| task.id == id).map(|task| task.outcome.clone())
        };
        assert_eq!(outcome(&second), Some(Outcome::Waits));
        model.guest_shuts_down();
        second.bmc("node-0").unwrap().tick().unwrap();
        // It ends before anybody has asked.
        let (third, said) = service(&model, "password-1", &shelf);
        assert_eq!(outcome(&third), Some(Outcome::Done));
        let bmc = third.bmc("node-0").unwrap();
        assert!(third.task("Graceful restart", bmc.uuid, bmc.restart().unwrap()) > id);
        assert!(said.lock().unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_read_begins_anew_and_is_told() {
        let (model, shelf) = (Arc::new(Model::new()), Arc::new(Shelf::default()));
        let accounts = format!("accounts-{}", Uuid::nil());
        for name in [&accounts, &Uuid::from_u128(7).to_string()] {
            shelf.save(name, b"{\"given\":").unwrap();
        }
        let (service, said) = service(&model, "password-1", &shelf);
        assert!(service.by_password("admin", "password-1").is_some());
        assert_eq!(said.lock().unwrap().len(), 2);
        assert!(!said.lock().unwrap().join(" ").contains("password-1"));
    }

    /// A shelf that is full for a while, and counts what is put there.
    #[derive(Default)]
    struct Full(Shelf, AtomicBool, AtomicUsize);

    impl Store for Full {
        fn load(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
            self.0.load(name)
        }

        fn save(&self, name: &str, document: &[u8]) -> std::io::Result<()> {
            self.2.fetch_add(1, Ordering::Relaxed);
            match self.1.load(Ordering::Relaxed) {
                true => Err(std::io::ErrorKind::StorageFull.into()),
                false => self.0.save(name, document),
            }
        }
    }

    #[test]
    fn what_could_not_be_kept_is_kept_later_and_told_once() {
        let (model, shelf) = (Arc::new(Model::new()), Arc::new(Full::default()));
        let (first, said) = service(&model, "password-1", &shelf);
        let bmc = first.bmc("node-0").unwrap();
        shelf.1.store(true, Ordering::Relaxed);
        {
            let mut state = bmc.state();
            (state.boot.target, state.boot.enabled) = (Some(Device::Pxe), Override::Once);
        }
        bmc.keep();
        let change = Change { password: Some(Secret::new("changed-1")), ..Change::default() };
        first.change_account(2, change, None).unwrap();
        first.keep();
        // Somebody looks after both.
        assert!(bmc.waits() && first.lacks_keeping());
        bmc.tick().unwrap();
        first.keep();
        assert_eq!(said.lock().unwrap().len(), 2, "{said:?}");
        shelf.1.store(false, Ordering::Relaxed);
        bmc.tick().unwrap();
        first.keep();
        assert!(!bmc.waits() && !first.lacks_keeping());
        let before = shelf.2.load(Ordering::Relaxed);
        // What is known already is not written once more.
        let (second, _) = service(&model, "password-1", &shelf);
        assert_eq!(shelf.2.load(Ordering::Relaxed), before);
        assert!(second.by_password("admin", "changed-1").is_some());
        second.bmc("node-0").unwrap().press(Press::On).unwrap();
        assert_eq!(model.starts()[0].first, Some(Device::Pxe));
    }

    #[test]
    fn each_bmc_has_a_document_of_its_own() {
        let (model, shelf) = (Arc::new(Model::new()), Arc::new(Shelf::default()));
        let (first, _) = service(&model, "password-1", &shelf);
        let bmc = first.bmc("node-0").unwrap();
        {
            let mut state = bmc.state();
            (state.boot.target, state.boot.enabled) = (Some(Device::Pxe), Override::Once);
        }
        bmc.keep();
        let (second, _) = service(&model, "password-1", &shelf);
        second.bmc("node-0").unwrap().press(Press::On).unwrap();
        assert_eq!(model.starts()[0].first, Some(Device::Pxe));
        let (third, _) = service(&model, "password-1", &shelf);
        assert_eq!(third.bmc("node-0").unwrap().state().boot.target, None);
    }
}
