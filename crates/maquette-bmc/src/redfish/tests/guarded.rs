//! What clients cannot do to a service and to each other.

use std::sync::{Arc, Mutex};

use super::*;

/// A login of `look`: its token, and its session's path.
fn login(bench: &Bench, user: &str, password: &str) -> Response {
    let body = json!({"UserName": user, "Password": password});
    let sessions = format!("{ROOT}/SessionService/Sessions");
    answer(&bench.service, &Request { headers: vec![], ..request(Method::Post, &sessions, &body) })
}

impl Bench {
    fn with_token(&self, token: &str, method: Method, path: &str, body: &Value) -> Response {
        let headers = vec![("x-auth-token".to_string(), token.to_string())];
        answer(&self.service, &Request { headers, ..request(method, path, body) })
    }
}

#[test]
fn a_session_ends_with_its_account_and_with_its_password() {
    let bench = bench();
    let token = |response: &Response| response.header("X-Auth-Token").unwrap().to_string();
    let look = format!("{ROOT}/AccountService/Accounts/4");
    let reads =
        |token: &str| bench.with_token(token, Method::Get, &bench.systems[0], &Value::Null).status;
    let (own, other) = (login(&bench, "look", PASSWORD), login(&bench, "look", PASSWORD));
    let (own, other) = (token(&own), token(&other));
    let password = json!({"Password": "Another-1"});
    assert_eq!(bench.with_token(&own, Method::Patch, &look, &password).status, 200);
    // Whoever has changed it stays; all others are out.
    assert_eq!((reads(&own), reads(&other)), (200, 401));
    // IPMI changes accounts, and knows nothing of sessions here.
    let change = crate::accounts::Change {
        password: Some(Secret::new("Another-2")),
        ..crate::accounts::Change::default()
    };
    bench.service.shared_accounts().lock().unwrap().change(4, change).unwrap();
    assert_eq!(reads(&own), 401);
    let later = token(&login(&bench, "look", "Another-2"));
    assert_eq!(reads(&later), 200);
    assert_eq!(bench.asks("admin", Method::Delete, &look, Value::Null).status, 204);
    let new = json!({"UserName": "new", "Password": PASSWORD, "RoleId": "Administrator"});
    assert_eq!(bench.post(&format!("{ROOT}/AccountService/Accounts"), new), 201);
    // It has the number of the one that has gone, and not its sessions.
    assert_eq!(reads(&later), 401);
}

#[test]
fn a_bmc_that_is_reset_ends_sessions_and_leaves_its_node_alone() {
    let bench = bench();
    let system = &bench.systems[0];
    let manager = system.replace("Systems", "Managers");
    let reset = format!("{manager}/Actions/Manager.Reset");
    assert_eq!(
        bench.post(&format!("{system}/Actions/ComputerSystem.Reset"), json!({"ResetType": "On"})),
        204
    );
    let allowed = &bench.get(&manager)["Actions"]["#Manager.Reset"];
    assert_eq!(allowed["target"], reset.as_str());
    let token = login(&bench, "look", PASSWORD).header("X-Auth-Token").unwrap().to_string();
    let reads = |token: &str| bench.with_token(token, Method::Get, system, &Value::Null).status;
    for (user, body, status) in [
        ("oper", json!({}), 403),
        ("admin", json!({"ResetType": "On"}), 400),
        ("admin", json!({"ResetType": "ForceRestart", "More": 1}), 400),
    ] {
        assert_eq!(bench.asks(user, Method::Post, &reset, body.clone()).status, status, "{body}");
    }
    assert_eq!(reads(&token), 200);
    for body in [json!({"ResetType": "ForceRestart"}), json!({})] {
        let token = login(&bench, "look", PASSWORD).header("X-Auth-Token").unwrap().to_string();
        assert_eq!((bench.post(&reset, body), reads(&token)), (204, 401));
    }
    assert_eq!(reads(&token), 401);
    assert_eq!(
        (bench.get(system)["PowerState"].clone(), bench.models[0].presses().0),
        (json!("On"), 0)
    );
    // Whoever has asked for it logs out after it, as DMTF's own tools do; the next one ends that session, too.
    for (again, status) in [(false, 204), (true, 401)] {
        let own = login(&bench, "admin", PASSWORD);
        let token = own.header("X-Auth-Token").unwrap();
        let asks =
            |method: Method, path: &str| bench.with_token(token, method, path, &json!({})).status;
        assert_eq!(asks(Method::Post, &reset), 204);
        if again {
            assert_eq!(bench.post(&reset, json!({})), 204);
        }
        assert_eq!(asks(Method::Delete, own.header("Location").unwrap()), status);
    }
}

#[test]
fn a_wrong_token_is_told_as_wrong_credentials_are() {
    let bench = bench();
    let said = Arc::new(Mutex::new(Vec::new()));
    let journal = said.clone();
    bench.service.report_to(Box::new(move |line| journal.lock().unwrap().push(line.to_string())));
    let system = &bench.systems[0];
    let reads = |token: &str| bench.with_token(token, Method::Get, system, &Value::Null).status;
    assert_eq!(reads("0123456789abcdef"), 401);
    let said = said.lock().unwrap().join(" ");
    assert!(said.starts_with("wrong credentials over Redfish from "), "{said}");
    assert!(!said.contains("0123456789abcdef"), "{said}");
}

#[test]
fn a_stream_ends_when_its_session_or_its_account_does() {
    let bench = bench();
    let begun = login(&bench, "look", PASSWORD);
    let who = bench.service.by_token(begun.header("X-Auth-Token").unwrap()).unwrap();
    let stream = bench.service.stream(&who).unwrap();
    let basic = bench.service.by_password("oper", PASSWORD).unwrap();
    let other = bench.service.stream(&basic).unwrap();
    assert!(stream.holds() && other.holds());
    bench.service.end(who.session.as_ref().unwrap());
    let disabled = json!({"Enabled": false});
    assert_eq!(bench.patch(&format!("{ROOT}/AccountService/Accounts/3"), disabled), 200);
    assert!(!stream.holds() && !other.holds());
    drop((stream, other));
    assert!(bench.service.subscriptions().is_empty());
}

#[test]
fn streams_of_one_account_take_nobodys_place() {
    let bench = bench();
    let look = bench.service.by_password("look", PASSWORD).unwrap();
    let streams: Vec<_> = (0..40).filter_map(|_| bench.service.stream(&look)).collect();
    assert_eq!(streams.len(), bench.service.options.limits.streams_each);
    let oper = bench.service.by_password("oper", PASSWORD).unwrap();
    assert!(bench.service.stream(&oper).is_some());
    let new = json!({"Protocol": "Redfish", "Destination": "https://h/"});
    assert_eq!(bench.post(&format!("{ROOT}/EventService/Subscriptions"), new), 201);
    let sse = bench.asks("look", Method::Head, STREAM, Value::Null);
    assert_eq!((sse.status, sse.header("Allow")), (405, Some("GET")));
}

#[test]
fn sessions_of_one_account_push_out_nobody_elses() {
    let bench = bench();
    let admin = login(&bench, "admin", PASSWORD);
    for _ in 0..200 {
        assert_eq!(login(&bench, "look", PASSWORD).status, 201);
    }
    let token = admin.header("X-Auth-Token").unwrap();
    assert_eq!(bench.with_token(token, Method::Get, &bench.systems[0], &Value::Null).status, 200);
    assert_eq!(bench.service.sessions().len(), 1 + bench.service.options.limits.sessions_each);
}

#[test]
fn the_hypervisor_is_sent_to_nobody_whom_only_it_can_reach() {
    let bench = bench();
    let drive = format!("{}/VirtualMedia/Cd", bench.systems[0]);
    let insert = format!("{drive}/Actions/VirtualMedia.InsertMedia");
    let subscriptions = format!("{ROOT}/EventService/Subscriptions");
    for host in ["127.0.0.1:9090", "169.254.169.254", "[::1]", "0.0.0.0", "own", "nowhere"] {
        let image = format!("http://{host}/latest/meta-data");
        let asked = bench.asks("oper", Method::Post, &insert, json!({"Image": image}));
        assert_eq!(asked.status, 400, "{host}");
        let changed = bench.asks("oper", Method::Patch, &drive, json!({"Image": image}));
        assert_eq!(changed.status, 400, "{host}");
        let new = json!({"Protocol": "Redfish", "Destination": image});
        assert_eq!(bench.post(&subscriptions, new), 400, "{host}");
    }
    assert_eq!(bench.models[0].image(), None);
    // What libvirt would have QEMU ask for is something else.
    assert_eq!(bench.post(&insert, json!({"Image": "http://198.51.100.1/a%2Fb.iso"})), 400);
    assert_eq!(bench.post(&insert, json!({"Image": "http://198.51.100.1/a%20b.iso"})), 204);
}

#[test]
fn whoever_may_only_look_does_not_see_what_a_subscriber_is_known_by() {
    let bench = bench();
    let subscriptions = format!("{ROOT}/EventService/Subscriptions");
    let new = json!({"Protocol": "Redfish", "Destination": "http://h/hook?token=canary",
        "Context": "canary"});
    let made = bench.asks("admin", Method::Post, &subscriptions, new);
    let at = made.header("Location").unwrap();
    for path in [at, &format!("{subscriptions}?$expand=*")] {
        let seen = |user| {
            let answer = bench.asks(user, Method::Get, path, Value::Null);
            assert_eq!(answer.status, 200);
            answer.json().unwrap().to_string()
        };
        assert_eq!(seen("admin").matches("canary").count(), 2);
        for user in ["look", "oper"] {
            assert!(!seen(user).contains("canary") && seen(user).contains("http://h/hook"));
        }
    }
}

/// Servers are asked before anything is inserted, which takes some time.
#[test]
fn of_two_who_insert_an_image_at_once_one_is_told_that_there_is_one() {
    let bench = bench();
    let drive = format!("{}/VirtualMedia/Cd", bench.systems[0]);
    let insert = format!("{drive}/Actions/VirtualMedia.InsertMedia");
    let image = |name: &str| json!({"Image": format!("http://198.51.100.1/{name}")});
    let bmc = bench.service.bmcs().next().unwrap().clone();
    let other = crate::machine::Image { url: "http://198.51.100.2/other".into(), verify: false };
    let meanwhile = other.clone();
    bench.service.probe_with(Arc::new(move |_, _| {
        bmc.insert(Some(meanwhile.clone())).unwrap();
        Vec::new()
    }));
    assert_eq!(bench.post(&insert, image("mine")), 409);
    assert_eq!(bench.models[0].image(), Some(other.clone()));
    let bmc = bench.service.bmcs().next().unwrap().clone();
    bench.service.probe_with(Arc::new(move |_, _| {
        bmc.insert(None).unwrap();
        Vec::new()
    }));
    assert_eq!(bench.patch(&drive, image("mine")), 409);
    assert_eq!(bench.models[0].image(), None);
}

#[test]
fn other_peoples_pages_do_not_press_buttons() {
    let bench = bench();
    let reset = format!("{}/Actions/ComputerSystem.Reset", bench.systems[0]);
    let with = |more: &[(&str, &str)]| {
        let mut asked = request(Method::Post, &reset, &json!({"ResetType": "On"}));
        let more = more.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        asked.headers.extend(more);
        answer(&bench.service, &asked).status
    };
    let host = ("host", "bmc.example:8443");
    for origin in ["https://evil.example", "null", "https://bmc.example", ""] {
        assert_eq!(with(&[host, ("origin", origin)]), 403, "{origin}");
    }
    assert_eq!(with(&[host, ("sec-fetch-site", "cross-site")]), 403);
    assert_eq!(with(&[host, ("sec-fetch-site", "same-site")]), 403);
    assert!(bench.models[0].starts().is_empty());
    let own = ("origin", "https://bmc.example:8443");
    assert_eq!(with(&[host, own, ("sec-fetch-site", "same-origin")]), 204);
}

#[test]
fn what_is_changed_of_one_node_is_not_changed_of_another() {
    let bench = bench();
    let protocol = |n: usize| bench.systems[n].replace("Systems", "Managers") + "/NetworkProtocol";
    let servers = json!({"NTP": {"NTPServers": ["192.0.2.123"]}});
    assert_eq!(bench.patch(&protocol(0), servers), 200);
    assert_eq!(bench.get(&protocol(0))["NTP"]["NTPServers"], json!(["192.0.2.123"]));
    assert_eq!(bench.get(&protocol(1))["NTP"]["NTPServers"], json!([]));
    bench.service.bmc("node-0").unwrap().state().ipmi_port = Some(6231);
    assert_eq!(bench.get(&bench.systems[0])["SerialConsole"]["IPMI"]["Port"], 6231);
    assert_eq!(bench.get(&bench.systems[1])["SerialConsole"]["IPMI"]["Port"], 623);
}

#[test]
fn an_asset_tag_that_is_set_at_once_is_not_overwritten_by_one_that_waited() {
    let bench = bench();
    let system = &bench.systems[0];
    let pending = json!({"Attributes": {"AssetTag": "old"}});
    assert_eq!(bench.patch(&format!("{system}/Bios/Settings"), pending), 200);
    assert_eq!(bench.patch(system, json!({"AssetTag": "new"})), 200);
    let reset = format!("{system}/Actions/ComputerSystem.Reset");
    assert_eq!(bench.post(&reset, json!({"ResetType": "On"})), 204);
    assert_eq!(bench.get(system)["AssetTag"], "new");
}

/// What hangs for one node keeps nobody else from anything: no lock that others need is held meanwhile.
#[test]
fn a_node_that_hangs_keeps_no_lock_of_others() {
    let bench = bench();
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (begun, hangs) = std::sync::mpsc::channel();
    let wait = Mutex::new((begun, wait));
    bench.models[0].hook(move |call| {
        if call == "insert" {
            let both = wait.lock().unwrap();
            both.0.send(()).unwrap();
            let _ = both.1.recv();
        }
    });
    let drive = format!("{}/VirtualMedia/Cd", bench.systems[0]);
    let service = bench.service.clone();
    let asked = request(Method::Patch, &drive, &json!({"Image": "http://h/boot.iso"}));
    let hanging = std::thread::spawn(move || answer(&service, &asked).status);
    hangs.recv().unwrap();
    assert_eq!(login(&bench, "admin", PASSWORD).status, 201);
    let light = json!({"IndicatorLED": "Lit"});
    assert_eq!(bench.patch(&bench.systems[1], light.clone()), 200);
    let new = json!({"UserName": "new", "Password": PASSWORD, "RoleId": "ReadOnly"});
    assert_eq!(bench.post(&format!("{ROOT}/AccountService/Accounts"), new), 201);
    drop(release);
    assert_eq!(hanging.join().unwrap(), 200);
}

#[test]
fn one_answer_asks_a_node_once() {
    let bench = bench();
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for model in &bench.models {
        let asked = asked.clone();
        model.hook(move |_| {
            asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        });
    }
    bench.get(&format!("{ROOT}/?$expand=*($levels=3)"));
    let calls = asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!(calls <= 2 * bench.models.len(), "{calls}");
}

#[test]
fn secrets_are_not_printed() {
    let bench = bench();
    let begun = login(&bench, "look", PASSWORD);
    let token = begun.header("X-Auth-Token").unwrap();
    assert!(!format!("{begun:?}").contains(token));
    let asked = request(Method::Post, "/x", &json!({"Password": PASSWORD}));
    let shown = format!("{asked:?}");
    assert!(!shown.contains(PASSWORD) && !shown.contains("Basic"), "{shown}");
}

#[test]
fn accounts_are_for_ipmi_where_there_is_ipmi() {
    let bench = bench_with(Options { ipmi_port: None, ..Options::default() });
    let types = || bench.get(&format!("{ROOT}/AccountService/Accounts/2"))["AccountTypes"].clone();
    assert_eq!(types(), json!(["Redfish"]));
    bench.service.bmcs().next().unwrap().state().ipmi_port = Some(623);
    assert_eq!(types(), json!(["Redfish", "IPMI"]));
}

/// QEMU may have to say how large its disks are, and may not answer.
#[test]
fn sizes_of_disks_are_asked_for_where_they_are_shown() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let bench = bench();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    bench.models[0].hook(move |call| {
        count.fetch_add(usize::from(call == "sizes"), Ordering::Relaxed);
    });
    let system = &bench.systems[0];
    for below in ["", "/Storage/1", "/Storage/1/Volumes", "/SimpleStorage"] {
        bench.get(&format!("{system}{below}"));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let simple = bench.get(&format!("{system}/SimpleStorage/1"));
    assert_eq!(simple["Devices"][1]["CapacityBytes"], 10_u64 << 30);
    let volumes = bench.get(&format!("{system}/Storage/1/Volumes?$expand=."));
    assert_eq!(volumes["Members"][0]["CapacityBytes"], 20_u64 << 30);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[test]
fn messages_have_the_arguments_of_their_registry() {
    let bench = bench();
    let system = &bench.systems[0];
    let message = |response: &Response| {
        let message = response.json().unwrap()["error"]["@Message.ExtendedInfo"][0].clone();
        let id = message["MessageId"].as_str().unwrap().rsplit('.').next().unwrap().to_string();
        let count = message["MessageArgs"].as_array().unwrap().len();
        (id, count, message["MessageSeverity"].as_str().unwrap().to_string())
    };
    let asks = |method, path: &str, body| message(&bench.asks("admin", method, path, body));
    let is = |id: &str, count, severity: &str| (id.to_string(), count, severity.to_string());
    let accounts = format!("{ROOT}/AccountService/Accounts");
    let taken = json!({"UserName": "oper", "Password": PASSWORD, "RoleId": "ReadOnly"});
    let exists = asks(Method::Post, &accounts, taken);
    assert_eq!(exists, is("ResourceAlreadyExists", 3, "Critical"));
    let unknown = asks(Method::Patch, system, json!({"Bogus": 1}));
    assert_eq!(unknown, is("PropertyUnknown", 1, "Warning"));
    let mut asked = request(Method::Patch, system, &json!({"IndicatorLED": "Lit"}));
    asked.headers.push(("content-type".into(), "text/plain".into()));
    assert_eq!(message(&answer(&bench.service, &asked)), is("HeaderInvalid", 1, "Warning"));
    bench.models[0].fail(Some(Fault::Failed("libvirt is away".into())));
    let away = asks(Method::Get, system, Value::Null);
    assert_eq!(away, is("ServiceTemporarilyUnavailable", 1, "Critical"));
    bench.models[0].fail(Some(Fault::Refused("there is too little memory".into())));
    assert_eq!(asks(Method::Get, system, Value::Null), is("GeneralError", 0, "Critical"));
    assert_eq!(bench.asks("admin", Method::Get, system, Value::Null).status, 400);
    bench.models[0].fail(Some(Fault::Gone));
    assert_eq!(asks(Method::Get, system, Value::Null), is("ResourceNotFound", 2, "Critical"));
    let metadata = bench.asks("admin", Method::Post, &format!("{ROOT}/$metadata"), json!({}));
    assert_eq!((metadata.status, metadata.header("Allow")), (405, Some("GET, HEAD")));
    assert_eq!(refusal(413).json().unwrap()["error"]["code"], "Base.1.18.GeneralError");
}

#[test]
fn a_node_is_found_by_its_name_and_by_one_form_of_its_uuid() {
    let bench = bench();
    let uuid = Uuid::from_u128(1);
    assert!(bench.service.bmc("node-0").is_some());
    assert!(bench.service.bmc(&uuid.to_string()).is_some());
    for other in [uuid.simple().to_string(), uuid.urn().to_string(), uuid.braced().to_string()] {
        assert!(bench.service.bmc(&other).is_none(), "{other}");
    }
}

/// Addresses of object stores have what opens them behind `?`.
#[test]
fn whoever_may_only_look_does_not_see_what_opens_an_image() {
    let bench = bench();
    let drive = format!("{}/VirtualMedia/Cd", bench.systems[0]);
    let insert = format!("{drive}/Actions/VirtualMedia.InsertMedia");
    let image = "http://198.51.100.1/boot.iso?signature=1234";
    assert_eq!(bench.post(&insert, json!({"Image": image})), 204);
    for (user, shown) in
        [("oper", image), ("admin", image), ("look", "http://198.51.100.1/boot.iso?***")]
    {
        let seen = bench.asks(user, Method::Get, &drive, Value::Null);
        assert_eq!(seen.json().unwrap()["Image"], shown, "{user}");
    }
}
