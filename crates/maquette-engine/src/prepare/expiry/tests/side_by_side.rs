//! Environments that expire together.

use std::fs;

use super::super::stand_ins::{NOW, Place};

/// A pool on a server that is gone was waited for in one environment after the other, and once for each domain.
#[test]
fn an_environment_whose_pool_does_not_answer_holds_up_no_other() {
    let place = Place::new();
    for (index, disk) in [("0", "lab-web-0-disk1.qcow2"), ("1", "lab-web-1-disk1.qcow2")] {
        let name = format!("lab-web-{index}");
        place.recorded(&name, ("lab", index), disk);
        let path = format!("domains/{name}");
        let text = fs::read_to_string(place.at(&path)).unwrap();
        let digest = text.split('"').nth(3).unwrap().to_string();
        let text = text.replace(&digest, "").replace("pool=\"images\"", "pool=\"far\"");
        place.write(&path, &place.with_digest("node", &text));
    }
    place.node("qa-web-0", "qa", "qa-web-0-disk1.qcow2");
    place.network("qa-lan", "qa", "");
    place.write("hangs-far", "");
    for environment in ["lab", "qa"] {
        place.note(environment, NOW);
    }
    let (done, _, complaints) = place.told();
    let of = |name: &str| done.lines().filter(|line| line.contains(name)).collect::<Vec<_>>();
    assert_eq!(
        of("qa"),
        ["destroy qa-web-0", "undefine qa-web-0", "net-destroy qa-lan", "net-undefine qa-lan"]
    );
    assert_eq!(of("lab"), ["destroy lab-web-0", "destroy lab-web-1"]);
    assert!(!place.at("notes/environment.qa").exists());
    assert!(place.at("notes/environment.lab").exists());
    assert_eq!(
        complaints,
        "storage pool far does not answer: what of the environment is in it stays for now\n"
    );
    // One question in each look, whatever number of domains are in it.
    let asked = fs::read_to_string(place.at("refreshed")).unwrap();
    assert_eq!(asked.lines().count(), 1);
    let at = |line: &str| done.lines().position(|known| known == line).unwrap();
    assert!(at("net-undefine qa-lan") < at("destroy lab-web-1"), "{done}");
    // Once it answers again, the rest goes.
    fs::remove_file(place.at("hangs-far")).unwrap();
    let (done, _, _) = place.look(0);
    assert!(done.contains("undefine lab-web-0") && done.contains("undefine lab-web-1"), "{done}");
    assert!(!place.at("notes/environment.lab").exists());
    let locks: Vec<_> =
        fs::read_dir(place.at("locks")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(locks.is_empty(), "{locks:?}");
}
