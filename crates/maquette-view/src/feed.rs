//! What the page shows, as values under names, and whoever follows their changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Most changes that wait for somebody who reads slowly. Whoever is further behind is told everything again.
const BEHIND: usize = 256;

/// A value that is another one now, or that has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is called, as in `node/lab-web-0`.
    pub name: Arc<str>,
    /// The value as JSON on one line; none if it has gone.
    pub value: Option<Arc<str>>,
}

/// What somebody who follows a feed is told next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Everything there is: at the beginning, and after too much was missed.
    All(Vec<Change>),
    /// A single value that is another one now, or has gone.
    One(Change),
}

struct Shared {
    values: Mutex<BTreeMap<Arc<str>, Arc<str>>>,
    changes: broadcast::Sender<Change>,
}

/// Values under names. Clones are the same feed.
#[derive(Clone)]
pub struct Feed(Arc<Shared>);

impl Default for Feed {
    fn default() -> Self {
        let (changes, _) = broadcast::channel(BEHIND);
        Self(Arc::new(Shared { values: Mutex::default(), changes }))
    }
}

impl Feed {
    fn values(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<str>>> {
        self.0.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a value; whoever follows is told if it is another one.
    pub fn set(&self, name: &str, value: &Value) {
        let value: Arc<str> = value.to_string().into();
        let mut values = self.values();
        if values.get(name) == Some(&value) {
            return;
        }
        let name: Arc<str> = name.into();
        values.insert(name.clone(), value.clone());
        // Sent while the values are held, so that who begins to follow misses nothing and hears nothing twice.
        // Nobody may be there to hear it.
        let _ = self.0.changes.send(Change { name, value: Some(value) });
    }

    /// Sets all values whose names begin with `prefix`; those that are not among `all` go.
    pub fn set_all(&self, prefix: &str, all: &BTreeMap<String, Value>) {
        let known: Vec<Arc<str>> =
            self.values().keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        for name in known.iter().filter(|name| !all.contains_key(&name[prefix.len()..])) {
            self.remove(name);
        }
        for (name, value) in all {
            self.set(&format!("{prefix}{name}"), value);
        }
    }

    /// Removes a value.
    pub fn remove(&self, name: &str) {
        let mut values = self.values();
        if let Some((name, _)) = values.remove_entry(name) {
            // Nobody may be there to hear it.
            let _ = self.0.changes.send(Change { name, value: None });
        }
    }

    /// Follows the feed: first everything, then what changes.
    pub fn follow(&self) -> Follow {
        Follow { feed: self.clone(), changes: None }
    }
}

/// Somebody who follows a feed. What they have not read yet is bounded.
pub struct Follow {
    feed: Feed,
    /// None as long as everything is to be told first.
    changes: Option<broadcast::Receiver<Change>>,
}

impl Follow {
    /// Waits for what is to be told next. May be dropped while it waits.
    pub async fn next(&mut self) -> Next {
        let Some(changes) = &mut self.changes else { return self.all() };
        match changes.recv().await {
            Ok(change) => Next::One(change),
            // The feed cannot be closed: it is held here.
            Err(RecvError::Lagged(_) | RecvError::Closed) => self.all(),
        }
    }

    fn all(&mut self) -> Next {
        let values = self.feed.values();
        self.changes = Some(self.feed.0.changes.subscribe());
        let change = |(name, value): (&Arc<str>, &Arc<str>)| Change {
            name: name.clone(),
            value: Some(value.clone()),
        };
        Next::All(values.iter().map(change).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(name: &str, value: Option<&str>) -> Change {
        Change { name: name.into(), value: value.map(Into::into) }
    }

    #[tokio::test]
    async fn who_follows_is_told_everything_and_then_what_changes() {
        let feed = Feed::default();
        feed.set("a", &json!(1));
        let mut follow = feed.follow();
        assert_eq!(follow.next().await, Next::All(vec![change("a", Some("1"))]));
        feed.set("a", &json!(1));
        feed.set("b", &json!("x\ny"));
        feed.remove("a");
        feed.remove("a");
        assert_eq!(follow.next().await, Next::One(change("b", Some("\"x\\ny\""))));
        assert_eq!(follow.next().await, Next::One(change("a", None)));
    }

    #[tokio::test]
    async fn values_that_are_not_among_the_new_ones_go() {
        let feed = Feed::default();
        let all = |names: &[&str]| names.iter().map(|n| ((*n).to_string(), json!(*n))).collect();
        feed.set("other", &json!(0));
        feed.set_all("node/", &all(&["a", "b"]));
        feed.set_all("node/", &all(&["b", "c"]));
        let Next::All(values) = feed.follow().next().await else { panic!("not all") };
        let names: Vec<&str> = values.iter().map(|c| c.name.as_ref()).collect();
        assert_eq!(names, ["node/b", "node/c", "other"]);
    }

    /// The oldest are dropped, and nothing is wrong after it.
    #[tokio::test]
    async fn who_is_too_far_behind_is_told_everything_anew() {
        let feed = Feed::default();
        let mut follow = feed.follow();
        follow.next().await;
        for number in 0..10 * BEHIND {
            feed.set(&format!("node/{}", number % 40), &json!(number));
        }
        let Next::All(values) = follow.next().await else { panic!("not all") };
        assert_eq!(values.len(), 40);
        feed.set("last", &json!(true));
        assert_eq!(follow.next().await, Next::One(change("last", Some("true"))));
    }
}
