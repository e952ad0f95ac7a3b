//! A great many requests of somebody who has no password, or one that allows nothing but looking.

use super::*;
use crate::enemy::{Leak, Random, tries};

/// What the service knows that somebody could change.
fn known(bench: &Bench) -> String {
    let nodes = bench.service.bmcs().map(|bmc| {
        let state = bmc.state();
        format!("{:?} {:?} {:?} {:?}", state.boot, state.settings, state.pending, state.light)
    });
    let accounts = bench.service.accounts().clone();
    let accounts: Vec<_> =
        accounts.iter().map(|a| format!("{}{:?}{}", a.name, a.role, a.serial)).collect();
    let subscriptions = bench.service.subscriptions().len();
    format!("{:?} {accounts:?} {subscriptions}", nodes.collect::<Vec<_>>())
}

/// Requests that would act, if they were whose they say they are.
fn overheard(bench: &Bench) -> Vec<(Method, String, Value)> {
    let system = &bench.systems[0];
    let accounts = format!("{ROOT}/AccountService/Accounts");
    vec![
        (Method::Get, format!("{ROOT}/Systems?$expand=.($levels=1)&$top=1"), Value::Null),
        (Method::Get, format!("{system}/Bios?$select=Attributes"), Value::Null),
        (Method::Get, format!("{ROOT}/Systems?$filter=Name%20eq%20'node-1'"), Value::Null),
        (
            Method::Post,
            format!("{system}/Actions/ComputerSystem.Reset"),
            json!({"ResetType": "On"}),
        ),
        (Method::Patch, system.clone(), json!({"Boot": {"BootSourceOverrideTarget": "Pxe"}})),
        (
            Method::Patch,
            format!("{system}/Bios/Settings"),
            json!({"Attributes": {"AssetTag": "x"}}),
        ),
        (Method::Patch, format!("{system}/VirtualMedia/Cd"), json!({"Image": "http://h/x.iso"})),
        (
            Method::Post,
            accounts.clone(),
            json!({"UserName": "new", "Password": PASSWORD, "RoleId": "Administrator"}),
        ),
        (Method::Delete, format!("{accounts}/3"), Value::Null),
        (Method::Patch, format!("{accounts}/2"), json!({"Password": "Another-1"})),
        (
            Method::Post,
            format!("{ROOT}/SessionService/Sessions"),
            json!({"UserName": "admin", "Password": "wrong-one"}),
        ),
        (
            Method::Post,
            format!("{ROOT}/EventService/Subscriptions"),
            json!({"Destination": "https://h/", "Protocol": "Redfish"}),
        ),
    ]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn changed(random: &mut Random, asked: &mut Request, other: &[u8]) {
    match random.below(5) {
        0 => asked.path = text(&random.mutated(asked.path.as_bytes(), other)),
        1 => asked.query = text(&random.mutated(asked.query.as_bytes(), other)),
        2 => asked.body = random.mutated(&asked.body, other),
        3 => {
            let names = [
                "if-match",
                "if-none-match",
                "content-type",
                "accept",
                "odata-version",
                "authorization",
            ];
            let name = (*random.one(&names)).to_string();
            asked.headers.push((name, text(&random.bytes(40))));
        }
        _ => {
            let methods = [
                Method::Get,
                Method::Head,
                Method::Post,
                Method::Patch,
                Method::Put,
                Method::Delete,
                Method::Other,
            ];
            asked.method = random.one(&methods).clone();
        }
    }
}

#[test]
fn a_great_many_requests_that_may_not_act_do_nothing() {
    let bench = bench();
    let before = known(&bench);
    let all = overheard(&bench);
    let guesses = ["Basic YWRtaW46d3Jvbmctb25l", "Bearer x", "Basic ====", "Basic OmE="];
    for may_look in [false, true] {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut counts = BTreeMap::new();
        let (requests, mut leak) = (tries(20_000, 210_000), None);
        for number in 0..requests {
            if number == requests / 10 {
                leak = Some(Leak::watch());
            }
            let (method, path, body) = random.one(&all);
            let mut asked = request(method.clone(), path, body);
            asked.headers = match random.below(3) {
                _ if may_look => headers("look"),
                0 => vec![],
                1 => vec![("x-auth-token".into(), text(&random.bytes(60)))],
                _ => vec![("authorization".into(), (*random.one(&guesses)).into())],
            };
            let other = random.one(&all).1.clone().into_bytes();
            for _ in 0..random.below(3) {
                changed(&mut random, &mut asked, &other);
            }
            // Their own password is theirs to change.
            if may_look && asked.path.contains("Accounts/4") {
                continue;
            }
            let response = answer(&bench.service, &asked);
            assert!((200..502).contains(&response.status) && response.status != 500, "{asked:?}");
            *counts.entry(response.status).or_insert(0) += 1;
        }
        leak.unwrap().check();
        assert!(counts.len() > 3, "{counts:?}");
        assert_eq!(known(&bench), before, "{may_look}");
        for model in &bench.models {
            assert_eq!((model.starts().len(), model.presses(), model.image()), (0, (0, 0), None));
        }
    }
}
