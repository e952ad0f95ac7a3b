//! Subscriptions: what clients ask for, and who gets what.

use super::*;
use crate::service::{Filter, Subscription};

#[test]
fn subscribers_hear_what_happens_in_redfishs_words() {
    let bench = bench();
    let mut notices = bench.service.hear();
    let reset = format!("{}/Actions/ComputerSystem.Reset", bench.systems[1]);
    assert_eq!(bench.post(&reset, json!({"ResetType": "On"})), 204);
    let told = event(&notices.try_recv().unwrap(), "mine");
    assert_eq!(told["Context"], "mine");
    assert_eq!(told["Events"][0]["OriginOfCondition"]["@odata.id"], bench.systems[1].as_str());
    let subscriptions = format!("{ROOT}/EventService/Subscriptions");
    for bad in [
        json!({"Destination": "https://h/"}),
        json!({"Protocol": "FTP", "Destination": "https://h/"}),
        json!({"Protocol": "Redfish", "Destination": "gopher://h/"}),
    ] {
        assert_eq!(bench.post(&subscriptions, bad.clone()), 400, "{bad}");
    }
    for expected in [201; 16] {
        let new = json!({"Protocol": "Redfish", "Destination": "https://h/", "Context": "c"});
        assert_eq!(bench.post(&subscriptions, new), expected);
    }
    let more = json!({"Protocol": "Redfish", "Destination": "https://h/"});
    assert_eq!(bench.post(&subscriptions, more), 400);
}

/// As Ironic has it, which metal3 asks for subscriptions.
#[test]
fn subscriptions_take_what_clients_ask_for() {
    let bench = bench();
    let subscriptions = format!("{ROOT}/EventService/Subscriptions");
    let make = |more: Value| {
        let mut new = json!({"Protocol": "Redfish", "Destination": "https://h/hook"});
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bench.asks("admin", Method::Post, &subscriptions, new)
    };
    let ironic = json!({"Context": "", "EventTypes": ["Alert"],
        "HttpHeaders": [{"Authorization": "Bearer canary", "Content-Type": "application/json"}]});
    let made = make(ironic);
    assert_eq!(made.status, 201, "{made:?}");
    let at = made.header("Location").unwrap().to_string();
    let shown = bench.get(&at);
    assert_eq!((&shown["EventTypes"], &shown["HttpHeaders"]), (&json!(["Alert"]), &json!([])));
    assert!(!format!("{shown:?} {made:?} {:?}", bench.service.subscriptions()).contains("canary"));
    let service = bench.get(&format!("{ROOT}/EventService"));
    let all = json!({"EventTypes": service["EventTypesForSubscription"],
        "RegistryPrefixes": service["RegistryPrefixes"], "ResourceTypes": service["ResourceTypes"],
        "DeliveryRetryPolicy": "TerminateAfterRetries", "SubordinateResources": true,
        "OriginResources": [{"@odata.id": bench.systems[0]}], "MessageIds": [], "Context": null});
    assert_eq!(make(all).status, 201);
    for bad in [
        json!({"EventTypes": ["Bogus"]}),
        json!({"EventTypes": "Alert"}),
        json!({"RegistryPrefixes": ["Contoso"]}),
        json!({"ResourceTypes": ["Chassis"]}),
        json!({"OriginResources": [bench.systems[0]]}),
        json!({"HttpHeaders": {"X-Canary": "canary"}}),
        json!({"HttpHeaders": [{"Content-Length": "canary"}]}),
        json!({"HttpHeaders": [{"X": "canary\r\nHost: h"}]}),
        json!({"HttpHeaders": [{"X Y": "canary"}]}),
        json!({"HttpHeaders": [{"X": 1}]}),
        json!({"HttpHeaders": vec![json!({"X": "canary"}); 17]}),
        json!({"HttpHeaders": vec![json!({"X": "canary".repeat(600)}); 5]}),
        json!({"IncludeOriginOfCondition": true}),
        json!({"Oem": {}}),
        json!({"MessageIds": ["ResourceEvent.1.3.ResourceCreated"]}),
        json!({"MessageIds": ["Base.1.18.ResourceChanged"]}),
        json!({"MessageIds": [7]}),
    ] {
        let refused = make(bad.clone());
        assert_eq!(refused.status, 400, "{bad}");
        assert!(!refused.json().unwrap().to_string().contains("canary"), "{refused:?}");
    }
}

/// As an operator's alarm for nodes that go off.
#[test]
fn messages_are_those_of_the_registry_and_can_be_chosen() {
    let bench = bench();
    let mut notices = bench.service.hear();
    let reset = format!("{}/Actions/ComputerSystem.Reset", bench.systems[0]);
    let subscription = |message: &str| {
        let messages = vec![message.to_string()];
        Subscription { filter: Filter { messages, ..Filter::default() }, ..Subscription::default() }
    };
    for (press, message) in [("On", "ResourcePoweredOn"), ("ForceOff", "ResourcePoweredOff")] {
        assert_eq!(bench.post(&reset, json!({"ResetType": press})), 204);
        let notice = notices.try_recv().unwrap();
        let told = &event(&notice, "")["Events"][0];
        assert_eq!(told["MessageId"], format!("ResourceEvent.1.3.{message}"));
        assert_eq!(told["MessageArgs"], json!([bench.systems[0]]));
        for id in [message.to_string(), format!("ResourceEvent.1.0.{message}")] {
            assert!(wants(&bench.service, &subscription(&id), &notice), "{id}");
        }
        assert!(!wants(&bench.service, &subscription("ResourceChanged"), &notice));
        let new = json!({"Protocol": "Redfish", "Destination": "https://h/",
            "MessageIds": [format!("ResourceEvent.1.3.{message}")]});
        assert_eq!(bench.post(&format!("{ROOT}/EventService/Subscriptions"), new), 201);
    }
    let entries = bench.get(&format!("{}/LogServices/EventLog/Entries", bench.systems[0]));
    assert_eq!(entries["Members"][1]["MessageId"], "ResourceEvent.1.3.ResourcePoweredOff");
    bench.models[0].stand(crate::machine::Power::On);
    bench.get(&bench.systems[0]);
    bench.models[0].stand(crate::machine::Power::Crashed);
    bench.get(&bench.systems[0]);
    notices.try_recv().unwrap();
    let crashed = &event(&notices.try_recv().unwrap(), "")["Events"][0];
    assert_eq!(
        (&crashed["MessageId"], &crashed["Severity"]),
        (&json!("ResourceEvent.1.3.ResourceStatusChangedCritical"), &json!("Critical"))
    );
}

#[test]
fn who_asks_for_some_events_gets_those() {
    let bench = bench();
    let mut notices = bench.service.hear();
    let reset = format!("{}/Actions/ComputerSystem.Reset", bench.systems[0]);
    assert_eq!(bench.post(&reset, json!({"ResetType": "On"})), 204);
    let on = notices.try_recv().unwrap();
    let gets = |filter: Filter, notice| {
        let subscription = Subscription { filter, ..Subscription::default() };
        wants(&bench.service, &subscription, notice)
    };
    let of_types = |types: &[&str]| {
        let types = types.iter().map(ToString::to_string).collect();
        Filter { types, ..Filter::default() }
    };
    assert!(gets(Filter::default(), &on) && gets(of_types(&["Alert", "StatusChange"]), &on));
    assert!(!gets(of_types(&["Alert"]), &on));
    let from = |origin: &str, subordinate| {
        let origins = vec![origin.to_string()];
        gets(Filter { origins, subordinate, ..Filter::default() }, &on)
    };
    assert!(from(&bench.systems[0], false) && from(&format!("{ROOT}/Systems"), true));
    assert!(!from(&bench.systems[1], true) && !from(&format!("{ROOT}/Systems"), false));
    let messages = vec!["ResourceEvent.ResourceCreated".to_string()];
    assert!(!gets(Filter { messages, ..Filter::default() }, &on));
    // Whoever wants to know whether events arrive.
    let trial = format!("{ROOT}/EventService/Actions/EventService.SubmitTestEvent");
    let body = json!({"EventId": "7", "EventTimestamp": "2026-01-01T00:00:00Z",
        "EventType": "Alert", "Message": "Hello", "MessageArgs": ["a"], "MessageId": "Event.1.0.Test",
        "OriginOfCondition": bench.systems[0], "Severity": "OK"});
    assert_eq!(bench.asks("oper", Method::Post, &trial, body.clone()).status, 403);
    assert_eq!(bench.post(&trial, body), 204);
    let trial_event = notices.try_recv().unwrap();
    let told = event(&trial_event, "");
    assert_eq!(
        (&told["Events"][0]["Message"], &told["Events"][0]["EventId"]),
        (&json!("Hello"), &json!("7"))
    );
    assert!(gets(of_types(&["Alert"]), &trial_event));
    assert_eq!(bench.post(&trial, json!({})), 400);
    assert_eq!(bench.post(&trial, json!({"MessageId": "x", "EventType": "Bogus"})), 400);
}
