//! What goes, and what does not.

mod disk_pools;
mod side_by_side;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use maquette_core::names::interface_name;

use super::stand_ins::{NOW, Place};

#[test]
fn what_has_expired_goes_and_nothing_else_does() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    // Somebody has its record name a volume of somebody else's.
    place.recorded("lab-web-1", ("lab", "1"), "precious.qcow2");
    place.node("other-web-0", "other", "other-web-0-disk1.qcow2");
    place.write("domains/stranger", "");
    place.network(
        "lab-lan",
        "lab",
        "<maquette:tenant node=\"lab-db-0\" pool=\"images\" pool-path=\"/x\">\
         <maquette:volume name=\"lab-db-0-disk1.qcow2\"/><maquette:volume name=\"x.img\"/></maquette:tenant>",
    );
    place.network("default", "labs", "");
    place.write(
        "volumes",
        "images/lab-web-0-disk1.qcow2\nimages/lab-web-0-seed.img\nimages/precious.qcow2\n\
         images/lab-db-0-disk1.qcow2\nimages/x.img\nimages/other-web-0-disk1.qcow2\n",
    );
    place.note("lab", NOW + 1);
    place.note("other", NOW + 60);
    assert_eq!(place.once(), "", "its time is not up");
    place.note("lab", NOW);
    assert_eq!(
        place.once(),
        "destroy lab-web-0\ndelete images/lab-web-0-disk1.qcow2\ndelete images/lab-web-0-seed.img\n\
         undefine lab-web-0\ndestroy lab-web-1\nundefine lab-web-1\n\
         delete images/lab-db-0-disk1.qcow2\nnet-destroy lab-lan\nnet-undefine lab-lan\n"
    );
    let left = |directory: &str| {
        let mut names: Vec<String> = fs::read_dir(place.at(directory))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(left("notes"), "environment.other");
    assert_eq!(left("domains"), "other-web-0 stranger");
    assert_eq!(left("locks"), "", "the lock is given back");
}

/// virsh takes a name of digits for an ID: a stranger's domain was undefined in the place of the node that had just
/// been ended.
#[test]
fn a_strangers_domain_that_is_called_like_an_id_stays() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.write("domains/3", "");
    place.write("ids/3", "lab-web-0\n");
    place.note("lab", NOW);
    assert_eq!(place.once(), "destroy lab-web-0\nundefine lab-web-0\n");
    assert!(place.at("domains/3").exists());
}

/// Nothing of an environment went as long as there was such an object, and each minute it was tried again.
#[test]
fn others_objects_with_odd_names_or_that_cannot_be_read_hold_up_nothing() {
    let place = Place::new();
    for name in ["a b", "*", "-x"] {
        place.write(&format!("domains/{name}"), "");
        place.write(&format!("networks/{name}"), "");
    }
    place.write("domains/broken", "unreadable");
    place.write("networks/broken", "unreadable");
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.network("lab-lan", "lab", "");
    place.note("lab", NOW);
    let (done, said, complaints) = place.told();
    let gone = "destroy lab-web-0\nundefine lab-web-0\nnet-destroy lab-lan\nnet-undefine lab-lan\n";
    assert_eq!((done.as_str(), complaints.as_str()), (gone, ""));
    assert_eq!(said.matches("broken is passed over: error: internal error\n").count(), 2);
    assert!(!place.at("notes/environment.lab").exists());
    // One that may be ours is waited for.
    place.write("domains/lab-web-1", "unreadable");
    place.network("lab-lan", "lab", "");
    place.note("lab", NOW);
    let (done, complaints) = place.tried();
    assert_eq!((done.as_str(), complaints.as_str()), (gone, "error: internal error\n"));
    assert!(place.at("notes/environment.lab").exists());
}

/// What `down` leaves alone as well.
#[test]
fn copies_of_nodes_and_what_somebody_renamed_stay_and_are_named() {
    for environment in ["lab", "default"] {
        let place = Place::new();
        place.node("gold", environment, "lab-web-0-disk1.qcow2");
        place.recorded("lab-web-00", (environment, "0"), "lab-web-0-disk1.qcow2");
        place.write("volumes", "images/lab-web-0-disk1.qcow2\n");
        place.note(environment, NOW);
        let (done, said, complaints) = place.told();
        assert_eq!((done.as_str(), complaints.as_str()), ("", ""));
        let own = if environment == "lab" { "lab-web-0" } else { "web-0" };
        let stay = |name: &str| format!("domain {name} stays: it has the record of {own}\n");
        assert_eq!(said, ["gold", "lab-web-00"].map(stay).concat());
    }
    let place = Place::new();
    place.network("copy", "lab", "");
    place.note("lab", NOW);
    let (done, said, _) = place.told();
    assert_eq!(done, "");
    assert_eq!(said, "network copy stays: it has a record of environment lab\n");
    // Without a prefix every name fits.
    let place = Place::new();
    let made = |name: &str, bridge: &str| {
        place.network(name, "default", "");
        let text = fs::read_to_string(place.at(&format!("networks/{name}"))).unwrap();
        let text = text.replace(" forward=", &format!(" bridge=\"{bridge}\" forward="));
        let digest = text.split("digest=\"").nth(1).unwrap().split('"').next().unwrap();
        let text = text.replace(&format!("digest=\"{digest}\""), "digest=\"\"");
        place.write(&format!("networks/{name}"), &place.with_digest("maquette:network", &text));
    };
    let long = "management-of-switches";
    for copy in ["office", "a-network-of-somebody", "lan-of-somebody-else"] {
        made(copy, "lan");
    }
    made("management-of-routers", &interface_name(long));
    made("lan", "lan");
    made(long, &interface_name(long));
    place.note("default", NOW);
    let (done, said, complaints) = place.told();
    assert!(done.contains("net-undefine lan\n"), "{done}");
    assert!(done.contains("net-undefine management-of-switches\n"), "{done}");
    assert_eq!(done.lines().count(), 4, "{done}");
    assert_eq!((said.matches("stays").count(), complaints.as_str()), (4, ""), "{said}");
}

/// What was called otherwise than `disk…` stayed, and was nobody's from then on; so did what was written after a snapshot.
#[test]
fn disks_with_any_key_go_and_so_do_overlays_and_checkpoints() {
    for old in ["checkpoints", "old"] {
        let place = Place::new();
        place.node("lab-web-0", "lab", "lab-web-0-data.qcow2");
        place.recorded("lab-web-1", ("lab", "1"), "lab-web-1-a.b.qcow2");
        place.write("disks/lab-web-0", " vda   /x/lab-web-0-data.before\n");
        place.network(
            "lab-lan",
            "lab",
            "<maquette:tenant node=\"lab-db-0\" pool=\"images\" pool-path=\"/x\">\
             <maquette:volume name=\"lab-db-0-Var_1.qcow2\"/></maquette:tenant>",
        );
        let volumes = [
            "lab-web-0-data.qcow2",
            "lab-web-0-data.before",
            // A disk of another node whose key has a name like it, and one that is called as no disk can be.
            "lab-web-0-data.x.qcow2",
            // What somebody has put aside.
            "lab-web-0-data.qcow2.bak",
            "lab-web-1-a.b.qcow2",
            "lab-db-0-Var_1.qcow2",
        ];
        place.write("volumes", &volumes.map(|v| format!("images/{v}\n")).concat());
        place.write(old, "");
        place.note("lab", NOW);
        assert_eq!(
            place.once(),
            "destroy lab-web-0\ndelete images/lab-web-0-data.before\n\
             delete images/lab-web-0-data.qcow2\nundefine lab-web-0\n\
             destroy lab-web-1\nundefine lab-web-1\n\
             delete images/lab-db-0-Var_1.qcow2\nnet-destroy lab-lan\nnet-undefine lab-lan\n"
        );
    }
}

/// Networks name the volumes of nodes that have gone in the same removal.
#[test]
fn nothing_is_said_to_stay_for_a_domain_that_has_gone() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.write("disks/lab-web-0", " vda   /x/lab-web-0-disk1.qcow2\n");
    let tenant = "<maquette:tenant node=\"lab-web-0\" pool=\"images\" pool-path=\"/x\">\
                  <maquette:volume name=\"lab-web-0-disk1.qcow2\"/></maquette:tenant>";
    place.network("lab-lan", "lab", tenant);
    place.write("volumes", "images/lab-web-0-disk1.qcow2\n");
    place.note("lab", NOW);
    let (_, said, complaints) = place.told();
    assert!(!said.contains("stays"), "{said}");
    assert_eq!(complaints, "");
}

/// A domain under another name was left without them, as by `virsh domrename`.
#[test]
fn disks_that_a_domain_has_under_another_name_stay() {
    for disk in ["lab-web-0-disk1.qcow2", "lab-web-0-disk1.before"] {
        let place = Place::new();
        place.node("keep", "lab", "lab-web-0-disk1.qcow2");
        place.write("disks/keep", &format!(" vda   /x/{disk}\n sda   -\n"));
        place.recorded("lab-web-1", ("lab", "1"), "lab-web-1-disk1.qcow2");
        place.write("domains/copy", "");
        place.write("disks/copy", " vda   /x/lab-web-1-disk1.qcow2\n");
        let tenant = "<maquette:tenant node=\"lab-web-0\" pool=\"images\" pool-path=\"/x\">\
                      <maquette:volume name=\"lab-web-0-disk1.qcow2\"/>\
                      <maquette:volume name=\"lab-web-0-seed.img\"/></maquette:tenant>";
        place.network("lab-lan", "lab", tenant);
        let volumes = ["lab-web-0-disk1.qcow2", "lab-web-0-seed.img", "lab-web-1-disk1.qcow2"];
        place.write("volumes", &volumes.map(|v| format!("images/{v}\n")).concat());
        place.note("lab", NOW);
        let (done, said, complaints) = place.told();
        assert_eq!(
            (done.as_str(), complaints.as_str()),
            (
                "destroy lab-web-1\nundefine lab-web-1\ndelete images/lab-web-0-seed.img\n\
                 net-destroy lab-lan\nnet-undefine lab-lan\n",
                ""
            )
        );
        assert!(
            said.contains("volume lab-web-0-disk1.qcow2 stays: domain keep has it\n"),
            "{said}"
        );
        assert!(
            said.contains("volume lab-web-1-disk1.qcow2 stays: domain copy has it\n"),
            "{said}"
        );
    }
}

/// libvirt does not say what disks of a domain that is off are over: the clone lost what was below it.
#[test]
fn disks_that_somebody_has_made_linked_clones_of_stay() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.recorded("lab-web-1", ("lab", "1"), "lab-web-1-disk1.qcow2");
    place.recorded("lab-web-2", ("lab", "2"), "lab-web-2-disk1.qcow2");
    place.recorded("lab-web-3", ("lab", "3"), "lab-web-3-disk1.qcow2");
    place.overlay("middle.qcow2", "/x/lab-web-0-disk1.qcow2");
    let deep = place.overlay("a clone.qcow2", "middle.qcow2");
    // By another name for the same file.
    let volume = place.at("lab-web-1-disk1.qcow2");
    std::os::unix::fs::symlink(volume, place.at("link")).unwrap();
    let linked = place.overlay("linked.qcow2", "file:link");
    // As QEMU writes it where a name alone does not say all.
    let json = "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\
                \"filename\":\"/x/lab-web-3-disk1.qcow2\"}}";
    let json = place.overlay("json.qcow2", json);
    // What is elsewhere is no file here.
    let far = place.overlay("far.qcow2", "json:{\"driver\":\"nbd\",\"host\":\"h\"}");
    let nbd = place.overlay("nbd.qcow2", "nbd://h/x");
    let clones =
        [("deep", &deep), ("linked", &linked), ("json", &json), ("far", &far), ("nbd", &nbd)];
    for (name, file) in clones {
        place.write(&format!("domains/{name}"), "");
        place.write(&format!("disks/{name}"), &format!(" vda   {file}\n"));
    }
    let volumes = [0, 1, 3, 2].map(|number| format!("lab-web-{number}-disk1.qcow2"));
    place.write("volumes", &volumes.clone().map(|v| format!("images/{v}\n")).concat());
    place.note("lab", NOW);
    let (done, said, complaints) = place.told();
    assert_eq!(
        (done.as_str(), complaints.as_str()),
        (
            "destroy lab-web-0\nundefine lab-web-0\ndestroy lab-web-1\nundefine lab-web-1\n\
             destroy lab-web-2\ndelete images/lab-web-2-disk1.qcow2\nundefine lab-web-2\n\
             destroy lab-web-3\nundefine lab-web-3\n",
            ""
        )
    );
    for (volume, domain) in volumes.iter().zip(["deep", "linked", "json"]) {
        let stays = format!("volume {volume} stays: domain {domain} has a clone of it\n");
        assert!(said.contains(&stays), "{said}");
    }
    assert_eq!(place.kept().len(), 3);
}

/// Only domains were asked for their disks; and what stayed was recorded nowhere, so that nothing ever removed it.
#[test]
fn a_clone_that_no_domain_has_keeps_its_base_which_goes_with_the_images_later() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.recorded("lab-web-1", ("lab", "1"), "lab-web-1-disk1.qcow2");
    place.recorded("lab-web-2", ("lab", "2"), "lab-web-2-disk1.qcow2");
    place.overlay("a clone.qcow2", "/x/lab-web-0-disk1.qcow2");
    // What a snapshot made goes with its disk, whether the domain has it now or not.
    place.overlay("lab-web-1-disk1.before", "/x/lab-web-1-disk1.qcow2");
    place.overlay("lab-web-1-disk1.copy.qcow2", "/x/lab-web-2-disk1.qcow2");
    let volumes = [
        "lab-web-0-disk1.qcow2",
        "lab-web-1-disk1.qcow2",
        "lab-web-1-disk1.before",
        "lab-web-2-disk1.qcow2",
    ];
    let volumes = volumes.map(|v| format!("images/{v}\n")).concat();
    place.write(
        "volumes",
        &format!("{volumes}others/a clone.qcow2\nothers/lab-web-1-disk1.copy.qcow2\n"),
    );
    place.note("lab", NOW);
    let (done, said, complaints) = place.told();
    assert_eq!(
        (done.as_str(), complaints.as_str()),
        (
            "destroy lab-web-0\nundefine lab-web-0\ndestroy lab-web-1\n\
             delete images/lab-web-1-disk1.before\ndelete images/lab-web-1-disk1.qcow2\n\
             undefine lab-web-1\ndestroy lab-web-2\nundefine lab-web-2\n",
            ""
        )
    );
    assert!(
        said.contains("volume lab-web-0-disk1.qcow2 stays: volume a_clone.qcow2 is over it\n"),
        "{said}"
    );
    assert_eq!(
        place.kept(),
        ["/x/lab-web-0-disk1.qcow2\ndisk\n", "/x/lab-web-2-disk1.qcow2\ndisk\n"]
    );
    // As `up` and `image prune` know them.
    let records = place.at("images").display().to_string();
    let kept = crate::image::kept(&crate::host::Local, &records).unwrap();
    assert_eq!(kept.len(), 2, "{kept:?}");
    crate::image::forget(&crate::host::Local, &records, "/x/lab-web-0-disk1.qcow2").unwrap();
    crate::image::keep(&crate::host::Local, &records, "/x/lab-web-2-disk1.qcow2").unwrap();
    assert_eq!(place.kept(), ["/x/lab-web-2-disk1.qcow2\ndisk\n"]);
}

/// What cannot be told was taken for nothing.
#[test]
fn nothing_goes_while_it_cannot_be_told_what_a_disk_is_over() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.write("volumes", "images/lab-web-0-disk1.qcow2\n");
    place.write("domains/strange", "");
    let names = ["json:{\"file.filename\":\"a\\\"b\"}".to_string(), "a".repeat(1024)];
    for name in names {
        let file = place.overlay("strange.qcow2", &name);
        place.write("disks/strange", &format!(" vda   {file}\n"));
        place.note("lab", NOW);
        let (done, _, complaints) = place.told();
        assert_eq!(done, "", "{name}");
        assert!(complaints.contains("qemu-img info"), "{complaints}");
    }
}

/// A guest wrote the head of an image into its raw disk, and nothing ever went, of any environment.
#[test]
fn what_a_guest_has_written_into_a_raw_disk_holds_up_nothing() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.write("volumes", "images/lab-web-0-disk1.qcow2\n");
    let [raw, image] =
        ["raw.img", "image.qcow2"].map(|name| place.overlay(name, &"a".repeat(1024)));
    place.write("domains/strange", "");
    place.write("disks/strange", &format!(" vda   {raw}\n"));
    let disk = |format: &str, file: &str| {
        format!(
            "<disk type='file' device='disk'>\n<driver name='qemu' type='{format}' cache='none'/>\n\
             <source file='{file}' index='1'/>\n<backingStore/>\n</disk>\n"
        )
    };
    place.write("definitions/strange", &(disk("qcow2", "/x/other") + &disk("raw", &raw)));
    place.note("lab", NOW);
    let gone = "destroy lab-web-0\ndelete images/lab-web-0-disk1.qcow2\nundefine lab-web-0\n";
    assert_eq!(place.once(), gone);
    // One that is an image by its definition is looked into, and so is one that is both.
    place.write("disks/strange", &format!(" vda   {image}\n"));
    for others in ["", &disk("raw", &image)] {
        place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
        place.write("volumes", "images/lab-web-0-disk1.qcow2\n");
        place.write("definitions/strange", &(disk("qcow2", &image) + others));
        place.note("lab", NOW);
        let (done, _, complaints) = place.told();
        assert!(complaints.contains("qemu-img info"), "{done} {complaints}");
    }
}

/// Half of its name was deleted each minute, and the environment never went.
#[test]
fn an_overlay_with_blanks_in_its_name_goes() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    let volumes = [
        "lab-web-0-disk1.qcow2",
        "lab-web-0-disk1.before the  upgrade",
        "lab-web-0-disk1.x",
        "a lab-web-0-disk1.y",
    ];
    place.write("volumes", &volumes.map(|v| format!("images/{v}\n")).concat());
    place.note("lab", NOW);
    assert_eq!(
        place.once(),
        "destroy lab-web-0\ndelete images/lab-web-0-disk1.before the  upgrade\n\
         delete images/lab-web-0-disk1.x\ndelete images/lab-web-0-disk1.qcow2\nundefine lab-web-0\n"
    );
    assert!(!place.at("notes/environment.lab").exists());
}

/// What a record names is deleted. `down` shows what it would leave, and asks.
#[test]
fn what_has_a_record_that_was_changed_by_hand_stays_and_so_do_its_networks() {
    let place = Place::new();
    for index in ["0", "1", "2"] {
        let (name, disk) = (format!("lab-web-{index}"), format!("lab-web-{index}-disk1.qcow2"));
        place.recorded(&name, ("lab", index), &disk);
    }
    for name in ["lab-lan", "lab-front", "lab-back", "lab-data"] {
        place.network(name, "lab", "");
    }
    let changed = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(place.at(file)).unwrap();
        assert!(text.contains(from), "{text}");
        place.write(file, &text.replacen(from, to, 1));
    };
    changed("domains/lab-web-1", "pool=\"images\"", "pool=\"others\"");
    changed("domains/lab-web-2", "digest=", "had=");
    changed("networks/lab-data", "\"nat\"", "\"open\"");
    place.write("domains/stranger", "");
    place.write("plugged/stranger", " -  network  lab-front  virtio  52:54:00:00:00:09\n");
    place.write("plugged/lab-web-1", " vnet0  network  lab-lan  virtio  52:54:00:00:00:01\n");
    place.write("plugged/lab-web-0", " vnet1  network  lab-back  virtio  52:54:00:00:00:02\n");
    // A domain of somebody's is on a bridge itself, and not on the network that has it.
    place.write("domains/bridged", "");
    place.write("plugged/bridged", " -  bridge  virbr-tap  virtio  52:54:00:00:00:08\n");
    place.network("lab-tap", "lab", "");
    let text = fs::read_to_string(place.at("networks/lab-tap")).unwrap();
    let bridge = "<bridge name='virbr-tap' stp='on' delay='0'/>\n</network>";
    place.write("networks/lab-tap", &text.replace("</network>", bridge));
    place.write("volumes", "others/lab-web-1-disk1.qcow2\nimages/lab-web-2-disk1.qcow2\n");
    place.note("lab", NOW);
    let (done, said, complaints) = place.told();
    let gone =
        "destroy lab-web-0\nundefine lab-web-0\nnet-destroy lab-back\nnet-undefine lab-back\n";
    assert_eq!((done.as_str(), complaints.as_str()), (gone, ""));
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();
    assert_eq!(
        said,
        [
            "domain lab-web-1 stays, for `maquette down`: its record was changed by hand",
            "domain lab-web-2 stays, for `maquette down`: its record was changed by hand",
            "network lab-data stays, for `maquette down`: its record was changed by hand",
            "network lab-front stays, for `maquette down`: a domain is plugged into it",
            "network lab-lan stays, for `maquette down`: a domain is plugged into it",
            "network lab-tap stays, for `maquette down`: a domain is plugged into it",
            "removing domain lab-web-0",
            "removing network lab-back",
        ]
    );
    let note = fs::read_to_string(place.at("notes/environment.lab")).unwrap();
    assert_eq!(note, format!("environment lab\nexpired {NOW}\nowner ann\n"));
}

/// A machine that has just started or woken up may have a clock that is ahead.
#[test]
fn a_clock_that_was_ahead_for_a_moment_costs_nothing() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.note("lab", NOW + 3600);
    place.now(NOW + 7200);
    assert_eq!(place.look(0).0, "");
    place.now(NOW);
    assert_eq!(place.look(0).0, "");
    place.now(NOW + 7200);
    assert_eq!(place.look(0).0, "", "the look before the last one counts no more");
    assert_eq!(place.look(1_000_000_000).0, "", "it is not a minute later");
    // Somebody gives it more time, which is over as well.
    place.note("lab", NOW + 3700);
    assert_eq!(place.look(0).0, "");
    assert!(place.look(0).0.contains("undefine lab-web-0"));
    assert!(!place.at("locks/expired.lab").exists());
}

#[test]
fn whoever_logs_in_is_told_of_what_goes_soon() {
    let place = Place::new();
    let told = || {
        place.look(0);
        fs::read_to_string(place.at("motd/maquette")).ok()
    };
    place.note("lab", NOW + 3601);
    assert_eq!(told(), None);
    place.note("lab", NOW + 3599);
    let text = told().unwrap();
    assert!(text.contains("environment lab of ann in 60 min"), "{text}");
    let ttl = |ttl_s: u64, left_s: u64| {
        let text = format!("environment lab\nexpires {}\nttl {ttl_s}\n", NOW + left_s);
        place.write("notes/environment.lab", &text);
        told().is_some()
    };
    assert!(ttl(864_000, 86_400) && !ttl(864_000, 86_401));
    assert!(ttl(1800, 900) && !ttl(1800, 901));
    fs::remove_file(place.at("notes/environment.lab")).unwrap();
    assert_eq!(told(), None);
}

/// Whatever libvirt does not answer, nothing goes of which a record would be lost with it.
#[test]
fn what_libvirt_does_not_answer_is_not_taken_for_gone() {
    for (call, done) in [
        ("list", ""),
        ("domblklist", ""),
        ("net-list", ""),
        ("metadata", ""),
        ("vol-info", "destroy lab-web-0\n"),
        (
            "net-dumpxml",
            "destroy lab-web-0\ndelete images/lab-web-0-disk1.qcow2\nundefine lab-web-0\n",
        ),
        // A stranger's domain may be plugged into the network.
        (
            "domiflist",
            "destroy lab-web-0\ndelete images/lab-web-0-disk1.qcow2\nundefine lab-web-0\n",
        ),
    ] {
        let place = Place::new();
        place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
        place.network("lab-lan", "lab", "");
        place.write("domains/stranger", "");
        place.write("volumes", "images/lab-web-0-disk1.qcow2\n");
        place.note("lab", NOW - 5);
        place.write(&format!("fails-{call}"), "");
        let (first, said) = place.tried();
        assert_eq!(first, done, "{call}");
        assert!(said.contains("the connection is lost"), "{call}: {said}");
        fs::remove_file(place.at(&format!("fails-{call}"))).unwrap();
        assert!(place.once().contains("net-undefine lab-lan"), "{call}");
        assert!(!place.at("notes/environment.lab").exists(), "{call}");
    }
}

#[test]
fn a_network_with_a_nic_stays_for_down_and_that_is_noted() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.network("lab-lan", "lab", "<maquette:uplink nic=\"eth0\"/>");
    place.note("lab", NOW - 5);
    assert_eq!(place.once(), "destroy lab-web-0\nundefine lab-web-0\n");
    let note = fs::read_to_string(place.at("notes/environment.lab")).unwrap();
    assert_eq!(note, format!("environment lab\nexpired {}\nowner ann\n", NOW - 5));
    assert_eq!(place.once(), "destroy lab-web-0\nundefine lab-web-0\n", "it is done");
}

#[test]
fn as_long_as_somebody_is_at_work_in_it_nothing_goes() {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.note("lab", NOW - 5);
    place.write("locks/environment.lab", "1 2 ann@desk\nabc\n");
    let mut holder = Command::new("flock");
    holder.arg(place.at("locks/environment.lab")).args(["sh", "-c", "echo held; read -r line"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 4];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(place.once(), "");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    // A note that names another environment than its file does is none.
    place.write("notes/environment.lab", &format!("environment other\nexpires {}\n", NOW - 5));
    assert_eq!(place.once(), "");
    place.note("lab", NOW - 5);
    assert!(place.once().contains("undefine lab-web-0"));
    assert!(!Path::new(&place.at("notes/environment.lab")).exists());
}

/// The key of an environment that has gone would still lead to whatever is at its nodes' addresses.
#[test]
fn the_key_of_what_has_expired_opens_the_hypervisor_no_more() {
    let place = Place::new();
    place.network("lab-lan", "lab", "");
    let id = Command::new("id").arg("-un").output().unwrap();
    let user = String::from_utf8(id.stdout).unwrap().trim().to_string();
    let (file, line) = (place.at("authorized_keys"), "restrict ssh-ed25519 AAAA maquette:lab@hv");
    fs::create_dir(place.at("forwarding")).unwrap();
    place.write("authorized_keys", &format!("{line}\nssh-rsa AAAA maquette:lab@hv2\nb"));
    let record = format!("user {user}\nfile {}\nline {line}\nmade nothing\n", file.display());
    place.write("forwarding/environment.lab", &record);
    place.note("lab", NOW + 60);
    place.once();
    assert!(fs::read_to_string(&file).unwrap().starts_with("restrict"), "its time is not up");
    place.note("lab", NOW);
    place.once();
    assert_eq!(fs::read_to_string(&file).unwrap(), "ssh-rsa AAAA maquette:lab@hv2\nb");
    assert!(
        !place.at("forwarding/environment.lab").exists()
            && !place.at("notes/environment.lab").exists()
    );
}
