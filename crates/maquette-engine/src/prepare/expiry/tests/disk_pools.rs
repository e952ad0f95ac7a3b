//! Pools of directories that disks of what has expired name.

use super::super::stand_ins::{NOW, Place};

#[test]
fn disks_in_directories_of_their_own_go_and_so_do_their_pools() {
    let place = Place::new();
    let disk = |node: &str, pool: &str, made: &str| {
        format!(
            "<disk volume=\"{node}-data.qcow2\" pool=\"{pool}\" pool-path=\"/srv/{pool}\"{made}/>"
        )
    };
    for (index, pool, made) in [
        ("0", "own", " pool-made=\"true\""),
        ("1", "full", " pool-made=\"true\""),
        ("2", "theirs", ""),
        ("3", "gone", " pool-made=\"true\""),
    ] {
        let node = format!("lab-web-{index}");
        let text = format!(
            "<node schema=\"1\" digest=\"\" environment=\"lab\" role=\"web\" index=\"{index}\" pool=\"images\" \
             pool-path=\"/x\"><disk volume=\"{node}-disk1.qcow2\"/>{}</node>",
            disk(&node, pool, made)
        );
        place.write(&format!("domains/{node}"), &place.with_digest("node", &text));
    }
    let tenant = "<maquette:tenant node=\"lab-db-0\" pool=\"images\" pool-path=\"/x\"><maquette:volume \
                  name=\"lab-db-0-data.qcow2\" pool=\"last\" pool-path=\"/srv/last\" pool-made=\"true\"/></maquette:tenant>";
    place.network("lab-lan", "lab", tenant);
    for pool in ["own", "full", "theirs", "last"] {
        place.write(&format!("pools/{pool}"), &format!("<pool><path>/srv/{pool}</path></pool>"));
    }
    // Somebody has stopped one.
    place.write("off/pools/own", "");
    place.write(
        "volumes",
        "images/lab-web-0-disk1.qcow2\nown/lab-web-0-data.qcow2\nown/lost+found\nfull/lab-web-1-data.qcow2\nfull/precious\n\
         theirs/lab-web-2-data.qcow2\nlast/lab-db-0-data.qcow2\n",
    );
    place.note("lab", NOW);
    let (done, said, complaints) = place.told();
    assert_eq!(complaints, "");
    for step in [
        "pool-start own\ndelete images/lab-web-0-disk1.qcow2\ndelete own/lab-web-0-data.qcow2\npool-destroy own\n\
         pool-undefine own\nundefine lab-web-0\n",
        "delete full/lab-web-1-data.qcow2\nundefine lab-web-1\n",
        "delete theirs/lab-web-2-data.qcow2\nundefine lab-web-2\n",
        "destroy lab-web-3\nundefine lab-web-3\n",
        "delete last/lab-db-0-data.qcow2\npool-destroy last\npool-undefine last\nnet-destroy lab-lan\n",
    ] {
        assert!(done.contains(step), "{step}: {done}");
    }
    assert!(said.contains("storage pool full stays: there is more in it"), "{said}");
    assert!(place.at("pools/full").exists() && place.at("pools/theirs").exists());
    assert!(!place.at("pools/own").exists() && !place.at("notes/environment.lab").exists());
}

/// The record went, and with it all that told of the files.
#[test]
fn a_node_stays_whose_disk_is_in_a_directory_that_has_lost_its_pool() {
    let place = Place::new();
    std::fs::create_dir(place.at("srv")).unwrap();
    place.write("srv/lab-web-0-data.qcow2", "");
    place.write("srv/lab-db-0-data.qcow2", "");
    let srv = place.at("srv").display().to_string();
    let own = format!("pool=\"gone\" pool-path=\"{srv}\" pool-made=\"true\"");
    let text = format!(
        "<node schema=\"1\" digest=\"\" environment=\"lab\" role=\"web\" index=\"0\" pool=\"images\" pool-path=\"/x\">\
         <disk volume=\"lab-web-0-data.qcow2\" {own}/></node>"
    );
    place.write("domains/lab-web-0", &place.with_digest("node", &text));
    let tenant = format!(
        "<maquette:tenant node=\"lab-db-0\" pool=\"images\" pool-path=\"/x\">\
         <maquette:volume name=\"lab-db-0-data.qcow2\" {own}/></maquette:tenant>"
    );
    place.network("lab-lan", "lab", &tenant);
    place.note("lab", NOW);
    let (done, said, complaints) = place.told();
    assert_eq!((done.as_str(), complaints.as_str()), ("", ""));
    for what in ["domain lab-web-0", "network lab-lan"] {
        assert!(said.contains(&format!("{what} stays, for `maquette down`: a disk")), "{said}");
    }
    assert!(said.contains(&srv) && place.at("domains/lab-web-0").exists(), "{said}");
    std::fs::remove_file(place.at("srv/lab-web-0-data.qcow2")).unwrap();
    std::fs::remove_file(place.at("srv/lab-db-0-data.qcow2")).unwrap();
    place.note("lab", NOW);
    let (done, _, _) = place.told();
    assert!(
        done.contains("undefine lab-web-0\n") && done.contains("net-undefine lab-lan\n"),
        "{done}"
    );
}
