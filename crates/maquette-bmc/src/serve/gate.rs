//! Threads that answer. A node whose hypervisor does not answer holds up requests for it, and nobody else's.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::redfish::{self, Request, Response};
use crate::service::Service;

/// Requests for many nodes at once that are answered at the same time.
const WIDE: usize = 3;
/// Other requests that are answered at the same time; they wait for no machine.
const OTHERS: usize = 32;

/// Who may have a thread.
pub struct Gate {
    nodes: HashMap<Uuid, Arc<Semaphore>>,
    wide: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Gate {
    /// A gate with places for each node of a service.
    pub fn new(service: &Service) -> Self {
        let place = |count| Arc::new(Semaphore::new(count));
        let each = service.options.limits.waiting;
        let nodes = service.bmcs().map(|bmc| (bmc.uuid, place(each))).collect();
        Self { nodes, wide: place(WIDE), others: place(OTHERS) }
    }

    /// Most threads that a service needs if no machine answers: for requests, for IPMI, and for looking after each node.
    pub fn threads(service: &Service) -> usize {
        let nodes = service.bmcs().count();
        WIDE + 2 * OTHERS + nodes.saturating_mul(service.options.limits.waiting.saturating_add(3))
    }

    /// Answers a request, or says that it takes too long.
    pub async fn answer(&self, service: &Arc<Service>, request: Request) -> Response {
        let answer = self.answer_at_last(service, request);
        match tokio::time::timeout(service.options.limits.answer, answer).await {
            Ok(answer) => answer,
            Err(_) => redfish::refusal(503),
        }
    }

    async fn answer_at_last(&self, service: &Arc<Service>, request: Request) -> Response {
        let node = redfish::node(service, &request.path);
        let places = match node.and_then(|bmc| self.nodes.get(&bmc.uuid)) {
            Some(node) => node,
            None if redfish::is_wide(&request) => &self.wide,
            None => &self.others,
        };
        // Nobody closes the semaphores. The place is the thread's, also when nobody waits for it any more.
        let Ok(place) = places.clone().acquire_owned().await else { return redfish::refusal(503) };
        let answering = service.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let _place = place;
            redfish::answer(&answering, &request)
        });
        answer.await.unwrap_or_else(|_| {
            service.say("a request has failed by a mistake of Maquette's");
            redfish::refusal(500)
        })
    }
}
