//! The feed as server-sent events: `all` with every value, then `change` with one each.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::feed::{Change, Feed, Next};

/// How often something is sent where nothing happens, which finds out who has gone.
const ALIVE: Duration = Duration::from_secs(15);

type Events = ReceiverStream<Result<Event, Infallible>>;

/// Sends what happens to one browser for as long as it listens. `place` is given back then.
pub fn stream(feed: &Feed, place: OwnedSemaphorePermit) -> Response {
    // What a slow browser has not taken waits in the feed, which has a limit.
    let (sender, receiver) = mpsc::channel(1);
    let mut follow = feed.follow();
    tokio::spawn(async move {
        let _place = place;
        loop {
            let next = tokio::select! {
                () = sender.closed() => return,
                next = follow.next() => next,
            };
            if sender.send(Ok(event(&next))).await.is_err() {
                return;
            }
        }
    });
    let events = Sse::new(Events::new(receiver));
    events.keep_alive(KeepAlive::new().interval(ALIVE)).into_response()
}

fn event(next: &Next) -> Event {
    match next {
        Next::All(values) => {
            let all: Vec<String> = values.iter().map(entry).collect();
            Event::default().event("all").data(format!("[{}]", all.join(",")))
        }
        Next::One(change) => Event::default().event("change").data(entry(change)),
    }
}

/// A name and its value; `null` for one that has gone. Values are JSON already.
fn entry(change: &Change) -> String {
    let name = serde_json::Value::from(change.name.as_ref());
    format!("[{name},{}]", change.value.as_deref().unwrap_or("null"))
}
