use std::collections::BTreeMap;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use uuid::Uuid;

use super::*;
use crate::accounts::{Accounts, Role};
use crate::bmc::Bmc;
use crate::clock::Clock;
use crate::machine::{Device, Fault};
use crate::model::Model;
use crate::secret::Secret;
use crate::service::Options;

struct Bench {
    service: Arc<Service>,
    models: Vec<Arc<Model>>,
    systems: Vec<String>,
}

const PASSWORD: &str = "Only-4-trials";

fn bench() -> Bench {
    bench_with(Options::default())
}

fn bench_with(options: Options) -> Bench {
    let clock = Clock::from(|| 1_700_000_000);
    let models: Vec<Arc<Model>> = (0..2).map(|n| Arc::new(Model::numbered(n))).collect();
    let uuid = |n: usize| Uuid::from_u128(n as u128 + 1);
    let bmcs = models.iter().enumerate().map(|(n, model)| {
        Arc::new(Bmc::new(&format!("node-{n}"), uuid(n), model.clone(), clock.clone()))
    });
    let mut accounts = Accounts::default();
    for (name, role) in
        [("admin", Role::Administrator), ("oper", Role::Operator), ("look", Role::ReadOnly)]
    {
        accounts.add(name, Secret::new(PASSWORD), role).unwrap();
    }
    let bmcs: Vec<_> = bmcs.collect();
    let service = Service::new(Uuid::nil(), clock, bmcs, accounts, options);
    // Nobody is asked: `own` is the hypervisor, `nowhere` is not known, and all others are somewhere else.
    service.resolve_with(Arc::new(|host, port| match host {
        "own" => Ok(vec![([127, 0, 0, 1], port).into()]),
        "nowhere" => Err(std::io::Error::other("not known")),
        _ => match host.parse::<std::net::IpAddr>() {
            Ok(address) => Ok(vec![(address, port).into()]),
            Err(_) => Ok(vec![([192, 0, 2, 7], port).into()]),
        },
    }));
    let systems = (0..2).map(|n| format!("{ROOT}/Systems/{}", uuid(n))).collect();
    Bench { service, models, systems }
}

fn headers(user: &str) -> Vec<(String, String)> {
    let value = Base64::encode_string(format!("{user}:{PASSWORD}").as_bytes());
    vec![("authorization".into(), format!("Basic {value}"))]
}

fn request(method: Method, path: &str, body: &Value) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let (path, query, headers) = (path.to_string(), query.to_string(), headers("admin"));
    Request { method, path, query, headers, body, secure: true, peer: "192.0.2.1".into() }
}

impl Bench {
    fn asks(&self, user: &str, method: Method, path: &str, body: Value) -> Response {
        let asked = Request { headers: headers(user), ..request(method, path, &body) };
        answer(&self.service, &asked)
    }

    fn get(&self, path: &str) -> Value {
        let response = self.asks("admin", Method::Get, path, Value::Null);
        assert_eq!(response.status, 200, "{path}: {response:?}");
        response.json().unwrap().clone()
    }

    fn post(&self, path: &str, body: Value) -> u16 {
        self.asks("admin", Method::Post, path, body).status
    }

    fn patch(&self, path: &str, body: Value) -> u16 {
        self.asks("admin", Method::Patch, path, body).status
    }

    /// Every resource that a link leads to, from the root.
    fn all(&self) -> Vec<String> {
        let mut known = vec![format!("{ROOT}/")];
        let mut at = 0;
        while at < known.len() {
            let value = self.get(&known[at]);
            let mut found = Vec::new();
            linked(&value, &mut found);
            for path in found {
                if !path.contains('#') && !known.contains(&path) {
                    known.push(path);
                }
            }
            at += 1;
        }
        known
    }
}

fn linked(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| linked(value, found)),
        Value::Object(fields) => {
            found.extend(fields.get("@odata.id").and_then(Value::as_str).map(String::from));
            fields.values().for_each(|value| linked(value, found));
        }
        _ => {}
    }
}

#[test]
fn every_link_leads_to_a_resource_that_knows_where_it_is() {
    let bench = bench();
    let all = bench.all();
    assert!(all.len() > 60, "{}", all.len());
    for path in all {
        let value = bench.get(&path);
        assert_eq!(value["@odata.id"], path.as_str());
        assert!(value["@odata.type"].as_str().is_some_and(|kind| kind.starts_with('#')));
    }
}

#[test]
fn nobody_reads_or_changes_anything_without_credentials() {
    let bench = bench();
    for path in bench.all() {
        for method in [Method::Get, Method::Post, Method::Patch, Method::Delete] {
            let is_root = path == format!("{ROOT}/") && method == Method::Get;
            let is_login = path.ends_with("/Sessions") && method == Method::Post;
            let asked = Request { headers: vec![], ..request(method, &path, &json!({})) };
            let response = answer(&bench.service, &asked);
            let expected = if is_root {
                200
            } else if is_login {
                400
            } else {
                401
            };
            assert_eq!(response.status, expected, "{path}");
            // Whoever has shown nothing has not been wrong.
            assert_eq!(response.delayed, is_login && expected == 401);
        }
    }
}

#[test]
fn credentials_do_not_travel_in_the_clear() {
    let bench = bench();
    let path = format!("{ROOT}/Systems");
    let asked = Request { secure: false, ..request(Method::Get, &path, &Value::Null) };
    assert_eq!(answer(&bench.service, &asked).status, 403);
    let login = json!({"UserName": "admin", "Password": PASSWORD});
    let path = format!("{ROOT}/SessionService/Sessions");
    let mut asked = request(Method::Post, &path, &login);
    (asked.secure, asked.headers) = (false, vec![]);
    assert_eq!(answer(&bench.service, &asked).status, 403);
}

#[test]
fn a_session_lasts_until_it_is_deleted() {
    let bench = bench();
    let sessions = format!("{ROOT}/SessionService/Sessions");
    let login = |password: &str| {
        let body = json!({"UserName": "look", "Password": password});
        let asked = Request { headers: vec![], ..request(Method::Post, &sessions, &body) };
        answer(&bench.service, &asked)
    };
    let wrong = login("Only-4-trial");
    assert_eq!((wrong.status, wrong.delayed), (401, true));
    let begun = login(PASSWORD);
    assert_eq!(begun.status, 201);
    let token = begun.header("X-Auth-Token").unwrap();
    let location = begun.header("Location").unwrap();
    let ask = |method, path: &str| {
        let headers = vec![("x-auth-token".to_string(), token.to_string())];
        answer(&bench.service, &Request { headers, ..request(method, path, &Value::Null) }).status
    };
    assert_eq!(ask(Method::Get, &bench.systems[0]), 200);
    assert_eq!(ask(Method::Delete, location), 204);
    assert_eq!(ask(Method::Get, &bench.systems[0]), 401);
    assert!(!bench.get(&sessions).to_string().contains(token));
}

#[test]
fn roles_allow_what_they_are_for() {
    let bench = bench();
    let reset = format!("{}/Actions/ComputerSystem.Reset", bench.systems[0]);
    let on = json!({"ResetType": "On"});
    assert_eq!(bench.asks("look", Method::Post, &reset, on.clone()).status, 403);
    assert_eq!(bench.asks("oper", Method::Post, &reset, on).status, 204);
    let accounts = format!("{ROOT}/AccountService/Accounts");
    let new = json!({"UserName": "new", "Password": PASSWORD, "RoleId": "Administrator"});
    assert_eq!(bench.asks("oper", Method::Post, &accounts, new.clone()).status, 403);
    assert_eq!(bench.asks("admin", Method::Post, &accounts, new).status, 201);
    // Their own password, and nothing else, and nobody else's.
    let (own, admin) = (format!("{accounts}/4"), format!("{accounts}/2"));
    let role = json!({"RoleId": "Administrator"});
    assert_eq!(bench.asks("look", Method::Patch, &own, role).status, 403);
    let password = json!({"Password": "Another-1"});
    assert_eq!(bench.asks("look", Method::Patch, &admin, password.clone()).status, 403);
    assert_eq!(bench.asks("look", Method::Patch, &own, password).status, 200);
}

#[test]
fn a_reset_acts_on_its_own_system_and_a_wrong_one_on_none() {
    let bench = bench();
    let reset = format!("{}/Actions/ComputerSystem.Reset", bench.systems[1]);
    for bad in [
        json!({}),
        json!({"ResetType": "Bogus"}),
        json!({"ResetType": 1}),
        json!({"ResetType": "On", "More": 1}),
        json!([]),
        json!("On"),
    ] {
        assert_eq!(bench.post(&reset, bad.clone()), 400, "{bad}");
    }
    assert!(bench.models.iter().all(|model| model.starts().is_empty()));
    assert_eq!(bench.post(&reset, json!({"ResetType": "Nmi"})), 409);
    assert_eq!(bench.post(&reset, json!({"ResetType": "PowerCycle"})), 204);
    assert_eq!(bench.get(&bench.systems[1])["PowerState"], "On");
    assert_eq!(bench.get(&bench.systems[0])["PowerState"], "Off");
    assert_eq!(bench.get(&bench.systems[0])["PowerRestorePolicy"], "LastState");
    assert_eq!(bench.patch(&bench.systems[0], json!({"PowerRestorePolicy": "AlwaysOff"})), 400);
    assert_eq!(bench.post(&reset, json!({"ResetType": "Nmi"})), 204);
    assert_eq!(bench.models[1].presses(), (0, 1));
    // Each word that it says is known it knows.
    let words = bench.get(&bench.systems[1])["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"].clone();
    for word in ["On", "FullPowerCycle", "Suspend", "Pause", "Resume", "ForceOn"] {
        assert!(words.as_array().unwrap().contains(&json!(word)), "{words}");
    }
    assert_eq!(bench.post(&reset, json!({"ResetType": "FullPowerCycle"})), 204);
    assert_eq!(bench.models[1].starts().len(), 2);
    assert_eq!(bench.post(&reset, json!({"ResetType": "Suspend"})), 204);
    assert_eq!(bench.get(&bench.systems[1])["PowerState"], "Off");
    assert_eq!(bench.post(&reset, json!({"ResetType": "Suspend"})), 409);
    assert_eq!(bench.post(&reset, json!({"ResetType": "On"})), 204);
    assert_eq!(bench.models[1].woken(), 1);
    let graceful =
        bench.asks("admin", Method::Post, &reset, json!({"ResetType": "GracefulRestart"}));
    assert_eq!(graceful.status, 202);
    let monitor = graceful.header("Location").unwrap();
    let task = graceful.json().unwrap()["@odata.id"].as_str().unwrap();
    let asked = |path: &str| bench.asks("admin", Method::Get, path, Value::Null);
    assert_eq!(
        (asked(monitor).status, bench.get(task)["TaskState"].clone()),
        (202, json!("Running"))
    );
    bench.models[1].guest_shuts_down();
    bench.service.bmc("node-1").unwrap().tick().unwrap();
    assert_eq!(
        (asked(monitor).status, bench.get(task)["TaskState"].clone()),
        (204, json!("Completed"))
    );
    let again = bench.asks("admin", Method::Post, &reset, json!({"ResetType": "GracefulRestart"}));
    assert_eq!(bench.post(&reset, json!({"ResetType": "ForceOff"})), 204);
    let task = again.json().unwrap()["@odata.id"].as_str().unwrap();
    assert_eq!(bench.get(task)["TaskState"], "Cancelled");
    assert_eq!(asked(again.header("Location").unwrap()).status, 409);
    assert_eq!(asked(&format!("{ROOT}/TaskService/TaskMonitors/99")).status, 404);
}

#[test]
fn the_console_is_a_log_of_its_lines() {
    let bench = bench();
    let logs = format!("{}/LogServices", bench.systems[0]);
    assert_eq!(bench.get(&logs)["Members@odata.count"], 2);
    let entries = format!("{logs}/Console/Entries");
    assert_eq!(bench.get(&entries)["Members@odata.count"], 0);
    bench.models[0].said(0, b"booting\r\nlogin: ");
    let all = bench.get(&entries);
    assert_eq!(all["Members"][1]["Message"], "login: ");
    let one = all["Members"][0]["@odata.id"].as_str().unwrap();
    assert_eq!(bench.get(one)["Message"], "booting");
    for none in ["0", "7", "x", "01"] {
        let path = format!("{entries}/{none}");
        assert_eq!(bench.asks("admin", Method::Get, &path, Value::Null).status, 404, "{none}");
    }
    // The other node has said nothing.
    let other = format!("{}/LogServices/Console/Entries", bench.systems[1]);
    assert_eq!(bench.get(&other)["Members@odata.count"], 0);
    bench.models[0].fail(Some(Fault::Gone));
    assert_eq!(bench.asks("admin", Method::Get, &entries, Value::Null).status, 404);
}

/// What Ironic sends, and what it expects to read after it.
#[test]
fn boot_devices_are_set_as_ironic_sets_them() {
    let bench = bench();
    let system = &bench.systems[0];
    let boot = json!({"Boot": {"BootSourceOverrideTarget": "Pxe", "HttpBootUri": null,
        "BootSourceOverrideEnabled": "Once"}});
    assert_eq!(bench.patch(system, boot), 200);
    assert_eq!(bench.get(system)["Boot"]["BootSourceOverrideTarget"], "Pxe");
    let reset = format!("{system}/Actions/ComputerSystem.Reset");
    assert_eq!(bench.post(&reset, json!({"ResetType": "On"})), 204);
    assert_eq!(bench.models[0].starts()[0].first, Some(Device::Pxe));
    assert_eq!(bench.get(system)["Boot"]["BootSourceOverrideEnabled"], "Disabled");
    let mode = json!({"Boot": {"BootSourceOverrideMode": "Legacy"}});
    assert_eq!(bench.patch(system, mode), 200);
    assert_eq!(bench.get(system)["Boot"]["BootSourceOverrideMode"], "Legacy");
    let mixed =
        json!({"Boot": {"BootSourceOverrideTarget": "Cd", "Bogus": 1}, "PowerState": "Off"});
    let refused = bench.asks("admin", Method::Patch, system, mixed);
    assert_eq!(refused.status, 400);
    let words = refused.json().unwrap().to_string();
    assert!(words.contains("Boot/Bogus") && words.contains("PropertyNotWritable"), "{words}");
    assert_eq!(bench.get(system)["Boot"]["BootSourceOverrideTarget"], "None");
}

#[test]
fn media_are_inserted_and_ejected_also_without_a_body() {
    let bench = bench();
    for owner in ["Systems", "Managers"] {
        let drive = bench.systems[0].replace("Systems", owner) + "/VirtualMedia/Cd";
        let insert = format!("{drive}/Actions/VirtualMedia.InsertMedia");
        assert_eq!(bench.post(&insert, json!({})), 400);
        assert_eq!(bench.post(&insert, json!({"Image": "file:///etc/passwd"})), 400);
        let account = |user: Value| json!({"Image": "http://h/boot.iso", "UserName": user});
        let refused = bench.asks("admin", Method::Post, &insert, account(json!("me")));
        assert_eq!((refused.status, format!("{refused:?}").contains("\"me\"")), (400, false));
        assert_eq!(bench.post(&insert, account(Value::Null)), 204);
        assert_eq!(bench.post(&insert, json!({"Image": "http://h/other.iso"})), 409);
        let shown = bench.get(&drive);
        assert_eq!((&shown["Inserted"], &shown["ImageName"]), (&json!(true), &json!("boot.iso")));
        assert_eq!(bench.models[0].image().unwrap().url, "http://h/boot.iso");
        let eject = format!("{drive}/Actions/VirtualMedia.EjectMedia");
        assert_eq!(bench.post(&eject, Value::Null), 204);
        assert_eq!(
            (bench.get(&drive)["Inserted"].clone(), bench.models[0].image()),
            (json!(false), None)
        );
    }
}

/// QEMU follows its server, and would read what the hypervisor alone can.
#[test]
fn media_that_lead_to_the_hypervisor_are_refused() {
    let bench = bench();
    bench.service.probe_with(Arc::new(|url, _| {
        let to = match url {
            "http://a/own.iso" => "http://127.0.0.1:8080/x",
            "http://a/far.iso" => "https://b/own.iso",
            "https://b/own.iso" => "//own/x",
            "http://a/other.iso" => "/moved.iso",
            "http://a/file.iso" => "ftp://c/x",
            "http://a/loop.iso" => "loop.iso?again",
            "http://a:80/loop.iso?again" => "loop.iso?again",
            _ if url.contains("deeper") => return vec![format!("{url}x")],
            _ => return Vec::new(),
        };
        vec![to.to_string()]
    }));
    let drive = bench.systems[0].clone() + "/VirtualMedia/Cd";
    let insert = format!("{drive}/Actions/VirtualMedia.InsertMedia");
    for refused in ["own", "far", "file", "deeper"] {
        let image = json!({"Image": format!("http://a/{refused}.iso")});
        assert_eq!(bench.post(&insert, image.clone()), 400, "{refused}");
        assert_eq!(bench.patch(&drive, image), 400, "{refused}");
        assert!(bench.models[0].image().is_none());
    }
    for taken in ["other", "loop", "plain"] {
        assert_eq!(bench.post(&insert, json!({"Image": format!("http://a/{taken}.iso")})), 204);
        assert_eq!(
            bench.post(&format!("{drive}/Actions/VirtualMedia.EjectMedia"), Value::Null),
            204
        );
    }
}

#[test]
fn settings_of_the_firmware_wait_for_a_start() {
    let bench = bench();
    let bios = format!("{}/Bios", bench.systems[0]);
    let pending = format!("{bios}/Settings");
    let legacy = json!({"Attributes": {"BootMode": "LegacyBios", "AssetTag": "rack 7"}});
    assert_eq!(bench.patch(&pending, legacy), 200);
    assert_eq!(bench.get(&bios)["Attributes"]["BootMode"], "Uefi");
    assert_eq!(bench.get(&pending)["Attributes"]["BootMode"], "LegacyBios");
    assert_eq!(bench.patch(&pending, json!({"Attributes": {"BootMode": "Coreboot"}})), 400);
    let reset = format!("{}/Actions/ComputerSystem.Reset", bench.systems[0]);
    assert_eq!(bench.post(&reset, json!({"ResetType": "On"})), 204);
    assert_eq!(bench.get(&bios)["Attributes"]["BootMode"], "LegacyBios");
    assert_eq!(bench.get(&bench.systems[0])["AssetTag"], "rack 7");
}

#[test]
fn a_change_of_what_has_changed_since_is_refused() {
    let bench = bench();
    let system = &bench.systems[0];
    let response = bench.asks("admin", Method::Get, system, Value::Null);
    let etag = response.header("ETag").unwrap().to_string();
    assert_eq!(response.json().unwrap()["@odata.etag"], etag.as_str());
    let change = |light: &str| {
        let mut asked = request(Method::Patch, system, &json!({"IndicatorLED": light}));
        asked.headers.push(("if-match".into(), etag.clone()));
        answer(&bench.service, &asked).status
    };
    assert_eq!((change("Lit"), change("Off")), (200, 412));
    assert_eq!(bench.get(system)["IndicatorLED"], "Lit");
}

#[test]
fn what_is_absent_is_not_found_and_never_an_error_of_the_service() {
    let bench = bench();
    let system = &bench.systems[0];
    for below in [
        "x",
        "Storage/2",
        "Storage/1/Volumes/9",
        "Processors/1",
        "EthernetInterfaces/07",
        "VirtualMedia/Floppy",
        "LogServices/EventLog/Entries/9",
        "Bios/x",
        "..",
        "%2e%2e",
        "",
    ] {
        let path = format!("{system}/{below}/");
        let status = bench.asks("admin", Method::Get, &path, Value::Null).status;
        assert_eq!(status, 404, "{path}");
    }
    bench.models[0].fail(Some(Fault::Gone));
    assert_eq!(bench.asks("admin", Method::Get, system, Value::Null).status, 404);
    let put = bench.asks("admin", Method::Put, system, json!({}));
    assert_eq!((put.status, put.header("Allow")), (405, Some("GET, HEAD, PATCH")));
    assert_eq!(bench.asks("admin", Method::Other, system, json!({})).status, 501);
}

#[test]
fn queries_expand_select_and_filter() {
    let bench = bench();
    let systems = format!("{ROOT}/Systems");
    let members = |query: &str| {
        let value = bench.get(&format!("{systems}?{query}"));
        value["Members"].as_array().unwrap().clone()
    };
    let names = members("$expand=.&$select=Name");
    assert_eq!(names.iter().map(|m| m["Name"].clone()).collect::<Vec<_>>(), ["node-0", "node-1"]);
    assert!(names[0].get("Boot").is_none());
    assert_eq!(members("$filter=Name%20eq%20'node-1'").len(), 1);
    assert_eq!(members("$skip=1&$top=5").len(), 1);
    let deep = bench.get(&format!("{ROOT}/?$expand=*($levels=3)"));
    assert_eq!(deep["Systems"]["Members"][0]["Name"], "node-0");
    let all = format!("{}?$select=*", bench.systems[0]);
    assert_eq!(bench.get(&all)["Name"], "node-0");
    let one = bench.get(&format!("{}/Storage?only", bench.systems[0]));
    assert_eq!(one["Name"], "Disks");
    for (query, status) in [("$bogus=1", 501), ("only=1", 400), ("$expand=x", 400), ("x=1", 200)] {
        let path = format!("{systems}?{query}");
        assert_eq!(bench.asks("admin", Method::Get, &path, Value::Null).status, status, "{query}");
    }
    for query in ["only", "$top=1", "$skip=0", "$filter=Name%20eq%20'node-0'"] {
        let path = format!("{}?{query}", bench.systems[0]);
        let refused = bench.asks("admin", Method::Get, &path, Value::Null);
        let words = refused.json().unwrap().to_string();
        assert!(words.contains("QueryNotSupportedOnResource"), "{query}: {words}");
        assert_eq!(refused.status, 400, "{query}");
    }
    let events = |query: &str| {
        let path = format!("{ROOT}/EventService/SSE{query}");
        bench.asks("admin", Method::Get, &path, Value::Null).status
    };
    assert_eq!(
        (events(""), events("?x=1"), events("?%24filter=EventType%20eq%20'Alert'")),
        (200, 200, 501)
    );
}

#[test]
fn what_a_body_is_may_be_said_in_capitals() {
    let bench = bench();
    for (kind, status) in [("Application/JSON; charset=UTF-8", 200), ("text/plain", 415)] {
        let mut asked = request(Method::Patch, &bench.systems[0], &json!({"AssetTag": "rack 7"}));
        asked.headers.push(("content-type".into(), kind.into()));
        assert_eq!(answer(&bench.service, &asked).status, status, "{kind}");
    }
}

#[test]
fn the_mark_of_something_new_is_that_of_what_is_there() {
    let bench = bench();
    for (path, body) in [
        (
            "AccountService/Accounts",
            json!({"UserName": "n", "Password": PASSWORD, "RoleId": "ReadOnly"}),
        ),
        ("EventService/Subscriptions", json!({"Protocol": "Redfish", "Destination": "https://h/"})),
        ("SessionService/Sessions", json!({"UserName": "admin", "Password": PASSWORD})),
    ] {
        let made = bench.asks("admin", Method::Post, &format!("{ROOT}/{path}"), body);
        let at = made.header("Location").unwrap();
        let there = bench.asks("admin", Method::Get, at, Value::Null);
        assert_eq!(made.header("ETag"), there.header("ETag"), "{path}");
    }
}

#[test]
fn marks_on_several_lines_are_one_list() {
    let bench = bench();
    let system = &bench.systems[0];
    let now = bench.asks("admin", Method::Get, system, Value::Null);
    let now = now.header("ETag").unwrap();
    let asks = |method: Method, name: &str, marks: &[&str]| {
        let mut asked = request(method, system, &json!({"AssetTag": "rack 7"}));
        asked.headers.extend(marks.iter().map(|mark| (name.to_string(), mark.to_string())));
        answer(&bench.service, &asked).status
    };
    assert_eq!(asks(Method::Patch, "if-match", &["\"wrong\"", "\"other\""]), 412);
    assert_eq!(asks(Method::Get, "if-none-match", &["\"wrong\"", now]), 304);
    assert_eq!(asks(Method::Patch, "if-match", &["\"wrong\"", now]), 200);
}

mod boots;
mod guarded;
mod many;
mod subscriptions;

mod enemies {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever comes without credentials changes nothing, and is answered.
        #[test]
        fn nothing_breaks_it_and_nothing_acts(
            path in "(/redfish/v1)?(/[A-Za-z0-9.$%_-]{0,20}){0,5}",
            query in "\\PC{0,40}",
            body in prop::collection::vec(any::<u8>(), 0..200),
            name in "[a-z-]{1,20}",
            value in "\\PC{0,40}",
            admin in any::<bool>(),
        ) {
            let bench = bench();
            for method in [Method::Get, Method::Post, Method::Patch, Method::Delete, Method::Other] {
                let mut asked = request(method, &path, &Value::Null);
                (asked.query, asked.body) = (query.clone(), body.clone());
                if !admin {
                    asked.headers = vec![];
                }
                asked.headers.push((name.clone(), value.clone()));
                let status = answer(&bench.service, &asked).status;
                prop_assert!((200..502).contains(&status) && status != 500, "{status}");
            }
            prop_assert!(bench.models.iter().all(|model| model.starts().is_empty()));
        }
    }
}
