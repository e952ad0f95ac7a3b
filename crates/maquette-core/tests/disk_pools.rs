//! Disks in directories of their own (`path`): storage pools that are there, or that come and go with an environment.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::collections::BTreeSet;

use maquette_core::blueprint::ColdReason;
use maquette_core::capacity::{self, Capacity, Templates};
use maquette_core::diagnostic::Diagnostics;
use maquette_core::expand;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Access, DirectoryFacts, HostPool, Observed};
use maquette_core::plan::{self, Action, Plan};
use maquette_testkit::{
    Input, apply, blueprint_of, changes, input, mistakes, node_volumes, perform, plan_of, titles,
    topology, up,
};

const NET: &str = "networks: {net1: {name: lan, ip_address: 10.9.0.1, netmask: 255.255.255.0, forward: nat, dhcp: {range: {start: 10.9.0.2, end: 10.9.0.99}}}}";

/// Nodes of type `web` with these disks.
fn web(count: u32, disks: &str) -> Input {
    let node = format!(
        "web=name: web\ncpu: 1\nmemory: 1024\ndisks: {disks}\ninterfaces: {{nic1: {{network: lan}}}}\nexternal_network: lan\n"
    );
    input(&[(node.as_str(), count)], NET, &[])
}

const OWN: &str = "{disk1: {size: 20G}, disk2: {size: 5G, path: /srv/disks}}";

fn built(count: u32, disks: &str) -> Observed {
    let mut seen = Observed::default();
    up(&mut seen, &web(count, disks));
    seen
}

fn down(seen: &Observed) -> Plan {
    plan::destroy(seen, &EnvName::default())
}

/// What `up` says of directories that are as they are there.
fn refused(wanted: &Input, seen: &Observed) -> String {
    let (topology, blueprint) = (topology(wanted, seen), blueprint_of(wanted, seen));
    let mut diags = Diagnostics::default();
    expand::conflicts(&topology, &blueprint, seen, &mut diags);
    diags.iter().map(|d| d.message.clone()).collect::<Vec<_>>().join("; ")
}

/// The name of the pool that the environment has made.
fn own_pool(seen: &Observed) -> String {
    seen.pools.keys().next().unwrap().clone()
}

#[test]
fn a_disk_that_names_a_directory_is_in_a_pool_which_comes_and_goes_with_the_environment() {
    let mut seen = Observed::default();
    let plan = up(&mut seen, &web(2, OWN));
    let pool = own_pool(&seen);
    assert!(pool.starts_with("pool-"), "{pool}");
    let started = format!("start pool {pool}");
    assert_eq!(titles(&plan).iter().filter(|t| **t == started).count(), 1, "{:?}", titles(&plan));
    assert!(
        changes(&plan)
            .contains(&format!("create host pool {pool}: there is no pool of this directory"))
    );
    let detail = plan.changes.iter().find(|c| c.name == "web-0").unwrap().detail.clone();
    assert!(detail.contains("20 GiB + 5 GiB in /srv/disks"), "{detail}");
    let disks = &seen.domains["web-1"].defined.disks;
    let files: Vec<&str> =
        disks.iter().filter(|d| d.bus == "virtio").map(|d| d.file.as_str()).collect();
    assert_eq!(
        files,
        ["/var/lib/libvirt/images/web-1-disk1.qcow2", "/srv/disks/web-1-disk2.qcow2"]
    );
    assert_eq!(seen.volumes[&pool].len(), 2);

    let plan = down(&seen);
    let step = |title: &str| plan.steps.iter().find(|s| s.action.title() == title).unwrap();
    let removed = step(&format!("remove pool {pool}"));
    for volume in ["web-0-disk2.qcow2", "web-1-disk2.qcow2"] {
        assert!(removed.after.contains(&step(&format!("delete volume {volume}")).id), "{volume}");
    }
    // Something names it until it is gone.
    assert!(step("undefine domain web-1").after.contains(&removed.id));
    apply(&mut seen, &plan.steps);
    assert!(seen.pools.is_empty() && node_volumes(&seen).is_empty() && !seen.exists());
}

#[test]
fn a_pool_that_has_the_directory_is_used_as_it_is_and_stays() {
    let theirs = HostPool { path: "/srv/disks/".into(), active: true };
    let mut seen = Observed::default();
    seen.pools.insert("fast".into(), theirs.clone());
    let plan = up(&mut seen, &web(1, OWN));
    assert!(!changes(&plan).contains(" host pool "), "{}", changes(&plan));
    assert_eq!(seen.volumes["fast"].len(), 1);
    let plan = down(&seen);
    assert!(!titles(&plan).iter().any(|t| t.contains("pool")), "{:?}", titles(&plan));
    apply(&mut seen, &plan.steps);
    assert_eq!(seen.pools["fast"], theirs);
    assert!(node_volumes(&seen).is_empty());
}

#[test]
fn the_directory_of_the_environments_pool_is_that_pool() {
    let same = web(1, "{disk1: {size: 20G, path: /var/lib/libvirt/images/}}");
    let mut seen = built(1, "{disk1: {size: 20G}}");
    assert!(seen.pools.is_empty());
    let plan = up(&mut seen, &same);
    assert!(plan.is_empty(), "{}", changes(&plan));
}

#[test]
fn to_move_a_disk_makes_its_node_again_and_says_what_is_lost() {
    let mut seen = built(2, OWN);
    let (first, moved) = (own_pool(&seen), web(2, &OWN.replace("/srv/disks", "/srv/others")));
    let plan = up(&mut seen, &moved);
    let said = changes(&plan);
    assert!(
        said.contains("replace domain web-0: place of web-0-disk2.qcow2: /srv/disks → /srv/others; all data on vda (20 GiB), vdb (5 GiB) is lost"),
        "{said}"
    );
    assert!(said.contains(&format!("delete host pool {first}")), "{said}");
    assert_eq!(seen.pools.values().map(|p| p.path.as_str()).collect::<Vec<_>>(), ["/srv/others"]);
    let plan = up(&mut seen, &web(2, "{disk1: {size: 20G}, disk2: {size: 5G}}"));
    assert!(changes(&plan).contains("/srv/others → the environment's pool"), "{}", changes(&plan));
    assert!(seen.pools.is_empty());
}

#[test]
fn disks_in_pools_of_their_own_grow_come_and_go_while_nodes_run() {
    let mut seen = built(2, "{disk1: {size: 20G}}");
    let plan = up(&mut seen, &web(2, OWN));
    let order: Vec<String> = titles(&plan);
    let at = |title: &str| order.iter().position(|t| t.contains(title)).unwrap();
    assert!(at("define domain web-0") < at("start pool"));
    assert!(
        at("start pool") < at("create volume web-0-disk2")
            && order.iter().any(|t| t.contains("plug in disk vdb"))
    );
    let plan = up(&mut seen, &web(2, &OWN.replace("5G", "7G")));
    assert!(changes(&plan).contains("vdb: 5 GiB → 7 GiB (while it runs)"), "{}", changes(&plan));
    for domain in seen.domains.values_mut() {
        (domain.active, domain.live) = (false, None);
    }
    let pool = own_pool(&seen);
    let plan = plan_of(&web(2, &OWN.replace("5G", "9G")), &seen);
    let resized = plan.steps.iter().find_map(|s| match &s.action {
        Action::ResizeVolume { pool, .. } => Some(pool.name.to_string()),
        _ => None,
    });
    assert_eq!(resized, Some(pool.clone()));
    let plan = up(&mut seen, &web(2, "{disk1: {size: 20G}}"));
    let order: Vec<String> = titles(&plan);
    let at = |title: &str| order.iter().position(|t| t.contains(title)).unwrap();
    // The record of the last one names the pool until it is gone.
    assert!(at("delete volume web-1-disk2.qcow2") < at("remove pool"));
    assert!(at("remove pool") < at("define domain web-1"), "{order:?}");
    assert!(seen.pools.is_empty());
}

#[test]
fn a_pool_goes_with_the_last_node_that_has_a_disk_in_it() {
    let mut seen = built(2, OWN);
    let remove = |seen: &mut Observed, name: &str| {
        let plan = plan::remove_nodes(seen, &EnvName::default(), &BTreeSet::from([name.into()]));
        apply(seen, &plan.steps);
    };
    remove(&mut seen, "web-0");
    assert_eq!(seen.pools.len(), 1);
    // Whoever undefines a node leaves its disks, which its network names.
    seen.domains.remove("web-1");
    remove(&mut seen, "web-1");
    assert!(seen.pools.is_empty() && node_volumes(&seen).is_empty());
}

#[test]
fn a_pool_with_more_in_it_stays_and_a_stopped_one_is_started() {
    let mut seen = built(1, OWN);
    let pool = own_pool(&seen);
    seen.volumes.get_mut(&pool).unwrap().insert("theirs.qcow2".into());
    let plan = down(&seen);
    let stays = plan.changes.iter().find(|c| c.name.contains(&pool)).unwrap();
    assert_eq!(stays.reason.to_string(), "stays, since there is more in it: theirs.qcow2");
    let mut gone = seen.clone();
    apply(&mut gone, &plan.steps);
    assert_eq!(gone.pools.len(), 1);
    assert_eq!(node_volumes(&gone), BTreeSet::from(["theirs.qcow2".into()]));

    seen.volumes.get_mut(&pool).unwrap().remove("theirs.qcow2");
    seen.pools.get_mut(&pool).unwrap().active = false;
    let plan = up(&mut seen.clone(), &web(1, OWN));
    assert_eq!(titles(&plan), [format!("start pool {pool}")]);
    // So is one that somebody has undefined; in either case it goes in the end.
    for undefined in [false, true] {
        let mut seen = seen.clone();
        if undefined {
            seen.pools.clear();
        }
        for plan in [down(&seen), plan_of(&web(1, "{disk1: {size: 20G}}"), &seen)] {
            let mut seen = seen.clone();
            assert!(titles(&plan).contains(&format!("start pool {pool}")));
            apply(&mut seen, &plan.steps);
            assert!(seen.pools.is_empty(), "{:?}", titles(&plan));
            assert!(!node_volumes(&seen).contains("web-0-disk2.qcow2"));
        }
    }
}

/// A mount that failed was written below, and the new disk was hidden once it was mounted.
#[test]
fn a_disk_that_is_gone_from_its_directory_is_a_loss_that_is_asked_about() {
    let seen = built(1, OWN);
    let mut gone = seen.clone();
    let pool = own_pool(&gone);
    gone.volumes.get_mut(&pool).unwrap().clear();
    let node = gone.domains.get_mut("web-0").unwrap();
    node.active = false;
    let plan = plan_of(&web(1, OWN), &gone);
    assert_eq!(plan.losses().len(), 1, "{}", changes(&plan));
    assert!(
        changes(&plan).contains(
            "replace volume web-0-disk2.qcow2: it is not in /srv/disks any more; is that mounted?"
        ),
        "{}",
        changes(&plan)
    );
    // One that was never there is none: its first boot was not seen to end.
    gone.domains.get_mut("web-0").unwrap().ready = false;
    assert!(plan_of(&web(1, OWN), &gone).losses().is_empty());
}

#[test]
fn a_pool_that_stayed_is_the_environments_still_and_goes_in_the_end() {
    let mut seen = built(1, OWN);
    let pool = own_pool(&seen);
    seen.volumes.get_mut(&pool).unwrap().insert("theirs.qcow2".into());
    let plan = down(&seen);
    apply(&mut seen, &plan.steps);
    up(&mut seen, &web(1, OWN));
    // What a file system has from the beginning is nothing that anybody put there.
    seen.volumes
        .insert(pool.clone(), BTreeSet::from(["web-0-disk2.qcow2".into(), "lost+found".into()]));
    let plan = down(&seen);
    assert!(titles(&plan).contains(&format!("remove pool {pool}")), "{:?}", titles(&plan));
}

/// libvirt has one pool of a directory: `down` ended with an error each time.
#[test]
fn disks_go_through_the_pool_that_somebody_has_made_of_their_directory_since() {
    let mut seen = built(1, OWN);
    let pool = own_pool(&seen);
    seen.pools.remove(&pool);
    seen.pools.insert("fast".into(), HostPool { path: "/srv/disks".into(), active: true });
    let plan = down(&seen);
    let titles = titles(&plan);
    assert!(titles.iter().any(|t| t == "delete volume web-0-disk2.qcow2"), "{titles:?}");
    assert!(!titles.iter().any(|t| t.contains("pool")), "{titles:?}");
}

#[test]
fn nothing_of_one_node_holds_up_the_pool_of_another_one() {
    let mut seen = Observed::default();
    let plan = up(&mut seen, &web(2, OWN));
    let step = |begin: &str| plan.steps.iter().find(|s| s.action.title().starts_with(begin));
    let made = step("start pool").unwrap();
    for after in &made.after {
        let title = plan.steps[after.index()].action.title();
        assert!(title.contains("network"), "{title}");
    }
    assert!(!made.after.is_empty());
}

#[test]
fn a_run_that_is_killed_anywhere_is_finished_or_undone_by_the_next() {
    let ways: [(&str, &str); 3] = [
        ("{disk1: {size: 20G}}", OWN),
        (OWN, "{disk1: {size: 20G}}"),
        (OWN, "{disk1: {size: 20G}, disk2: {size: 5G, path: /srv/others}}"),
    ];
    for (from, to) in ways {
        let before = built(2, from);
        let wanted = web(2, to);
        let plan = plan_of(&wanted, &before);
        for stop in 0..=plan.steps.len() {
            let mut seen = before.clone();
            apply(&mut seen, &plan.steps[..stop]);
            let mut finished = seen.clone();
            let rest = plan_of(&wanted, &finished);
            apply(&mut finished, &rest.steps);
            assert!(plan_of(&wanted, &finished).is_empty(), "{stop}");
            let paths = |s: &Observed| s.pools.values().map(|p| p.path.clone()).collect::<Vec<_>>();
            let mut fresh = before.clone();
            apply(&mut fresh, &plan.steps);
            assert_eq!(paths(&finished), paths(&fresh), "{stop} of {:?}", titles(&plan));
            let gone = down(&seen);
            for cut in 0..=gone.steps.len() {
                let mut seen = seen.clone();
                apply(&mut seen, &gone.steps[..cut]);
                let rest = down(&seen);
                apply(&mut seen, &rest.steps);
                assert!(seen.pools.is_empty() && node_volumes(&seen).is_empty(), "{stop}, {cut}");
            }
        }
    }
}

#[test]
fn what_is_in_the_way_of_a_directory_is_said_before_anything_is_done() {
    let wanted = web(1, OWN);
    let path = || "/srv/disks".parse().unwrap();
    let mut seen = Observed::default();
    let files = BTreeSet::from(["web-0-disk2.qcow2".into()]);
    seen.directories.insert(path(), DirectoryFacts { files, ..DirectoryFacts::default() });
    assert_eq!(
        refused(&wanted, &seen),
        "the file `/srv/disks/web-0-disk2.qcow2` exists and does not belong to this environment"
    );
    // That of an existing node, too.
    let mut there = built(1, "{disk1: {size: 20G}}");
    there.directories = seen.directories.clone();
    assert!(refused(&wanted, &there).contains("does not belong"));
    let mut ours = built(1, OWN);
    ours.directories = seen.directories.clone();
    assert_eq!(refused(&wanted, &ours), "");
    seen.directories.get_mut(&path()).unwrap().files.clear();
    seen.directories.get_mut(&path()).unwrap().instead = Some("a file".into());
    assert!(refused(&wanted, &seen).contains("is a file on the hypervisor"));
    let odd = HostPool { path: "/srv/disks".into(), active: true };
    let seen = Observed { pools: [("my pool".to_string(), odd)].into(), ..Observed::default() };
    assert!(refused(&wanted, &seen).contains("is the directory of storage pool `my pool`"));
    let name = own_pool(&ours);
    let elsewhere = HostPool { path: "/other".into(), active: true };
    let seen = Observed { pools: [(name, elsewhere)].into(), ..Observed::default() };
    assert!(refused(&wanted, &seen).contains("is at /other, not at /srv/disks"));
}

/// One directory, and who may do what in it.
fn access(path: &str, mode: u32, stranger: &str) -> Access {
    let stranger = (!stranger.is_empty()).then(|| stranger.to_string());
    Access { path: path.parse().unwrap(), mode, stranger }
}

/// Whoever can write there has another disk in the place of a node's.
#[test]
fn directories_of_disks_that_others_can_change_are_named() {
    let wanted = web(2, OWN);
    let with = |pool: &[Access], disks: &[Access]| {
        let mut seen = Observed { pool_access: pool.to_vec(), ..Observed::default() };
        let facts = DirectoryFacts { access: disks.to_vec(), ..DirectoryFacts::default() };
        seen.directories.insert("/srv/disks".parse().unwrap(), facts);
        refused(&wanted, &seen)
    };
    let above = || access("/srv", 0o755, "");
    for (mode, stranger) in [(0o711, ""), (0o775, ""), (0o1777, ""), (0o711, "libvirt-qemu")] {
        assert_eq!(with(&[], &[access("/srv/disks", mode, stranger), above()]), "", "{mode:o}");
    }
    let everybody =
        "can be written by every user of the hypervisor, who can put others in their place";
    let open = access("/srv/disks", 0o777, "");
    let said = format!("`/srv/disks`, where disks of nodes are, {everybody}");
    assert_eq!(with(&[], &[open.clone(), above()]), said);
    // Of NFS with `root_squash` a directory that root makes is nobody's.
    let squashed = access("/srv/disks", 0o1711, "nobody");
    let said = "`/srv/disks`, where disks of nodes are, belongs to `nobody`, who can put others in their place";
    assert_eq!(with(&[], &[squashed, above()]), said);
    // Above it, and behind a link; the environment's own pool; each once.
    let srv = access("/srv", 0o777, "");
    let said = format!("`/srv`, on the way to disks of nodes in `/srv/disks`, {everybody}");
    assert_eq!(with(&[], &[access("/srv/disks", 0o711, ""), srv.clone()]), said);
    let pool = [access("/var/lib/libvirt/images", 0o711, ""), srv.clone()];
    let said =
        format!("`/srv`, on the way to disks of nodes in `/var/lib/libvirt/images`, {everybody}");
    assert_eq!(with(&pool, &[access("/srv/disks", 0o711, ""), srv]), said);
    assert_eq!(with(&pool, &[open]).matches("put others in their place").count(), 2);
}

#[test]
fn room_is_counted_where_disks_are() {
    let (mut seen, wanted) = (Observed::default(), web(2, OWN));
    let free = Some(9 << 30);
    seen.directories.insert(
        "/srv/disks".parse().unwrap(),
        DirectoryFacts { free, ..DirectoryFacts::default() },
    );
    seen.pool_free = Some(100 << 30);
    let blueprint = blueprint_of(&wanted, &seen);
    let mut diags = Diagnostics::default();
    let resident_mib = Default::default();
    let capacity = Capacity {
        cpus: 64,
        total_mib: 1 << 20,
        available_mib: 1 << 20,
        reserved_mib: 0,
        resident_mib: &resident_mib,
    };
    capacity::check(&blueprint, &seen, &capacity, Templates::default(), false, &mut diags);
    let said: Vec<&str> = diags.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(said, ["disks of new nodes may grow to 10 GiB, and `/srv/disks` has 9 GiB free"]);
}

#[test]
fn paths_are_checked_before_anything_is_looked_at() {
    let said = |path: &str| {
        let disks = format!("{{disk1: {{size: 20G, path: '{path}'}}}}");
        let said = mistakes(&mut web(1, &disks)).into_iter();
        said.filter(|text| text.contains("`path`")).collect::<Vec<_>>().join("; ")
    };
    for fine in [
        "",
        "/srv",
        "/srv/disks/",
        "//srv//./disks",
        "/var/lib/libvirt/images/fast",
        "/home/ann/disks",
    ] {
        assert_eq!(said(fine), "", "{fine}");
    }
    for system in [
        "/",
        "//",
        "/etc",
        "/usr/local",
        "/var/lib/libvirt/",
        "/var/lib/libvirt/qemu/x",
        "/./root",
        "/proc/1",
        "/root/.ssh",
        "/home/bob/.ssh",
        "/var/spool/cron/crontabs",
    ] {
        assert!(
            said(system).contains("is the system's own directory"),
            "{system}: {}",
            said(system)
        );
    }
    for odd in ["disks", "/srv/../etc", "/srv/<b>"] {
        assert!(said(odd).contains("`path` of a disk: "), "{odd}: {}", said(odd));
    }
}

/// What was built there by an older release is still the environment's.
#[test]
fn the_pool_of_an_environment_is_not_in_the_systems_directories_unless_it_is_there() {
    let (wanted, mut seen) = (web(1, "{disk1: {size: 20G}}"), Observed::default());
    let topology = topology(&wanted, &seen);
    let said = |path: &str, seen: &Observed| {
        let mut blueprint = blueprint_of(&wanted, seen);
        blueprint.pool.path = path.parse().unwrap();
        let mut diags = Diagnostics::default();
        expand::conflicts(&topology, &blueprint, seen, &mut diags);
        diags.iter().map(|d| d.message.clone()).collect::<Vec<_>>().join("; ")
    };
    for fine in
        ["/srv/disks", "/run/media/ann/disk", "/usr/local/vms", "/home", "/var/lib/libvirt/images"]
    {
        assert_eq!(said(fine, &seen), "", "{fine}");
    }
    for system in ["/usr/share/vms", "/etc", "/run/media", "/./proc", "/usr/local"] {
        let refused = said(system, &seen);
        assert!(refused.contains("is the system's own directory"), "{system}: {refused}");
    }
    up(&mut seen, &wanted);
    for domain in seen.domains.values_mut() {
        domain.pool.path = "/usr/share/vms".parse().unwrap();
    }
    assert_eq!(said("/usr/share/vms", &seen), "");
    // Nor does it matter that somebody has edited the record since.
    for disk in seen.domains.values_mut().flat_map(|domain| &mut domain.defined.disks) {
        disk.file = disk.file.replace("/var/lib/libvirt/images", "/usr/share/vms");
    }
    maquette_testkit::edit(&mut seen, ObjectKind::Domain, "web-0");
    let mut pool = blueprint_of(&wanted, &Observed::default()).pool;
    pool.path = "/usr/share/vms".parse().unwrap();
    assert_eq!(expand::pool_of_system(&pool, &seen), None);
    assert!(expand::pool_of_system(&pool, &Observed::default()).is_some());
}

#[test]
fn nodes_with_disks_in_pools_of_their_own_boot() {
    let blueprint = blueprint_of(&web(1, OWN), &Observed::default());
    let mut node = blueprint.nodes[0].clone();
    let template = |node: &maquette_core::blueprint::Node| {
        maquette_core::blueprint::template(node, None, &blueprint.pool, &|_| true, "emulator")
    };
    assert_eq!(template(&node), Err(ColdReason::DiskPool));
    node.disks.pop();
    assert!(template(&node).is_ok());
}

/// `maquette image prune` looks into the environment's pool alone.
#[test]
fn a_disk_there_that_others_have_clones_of_stays_with_its_pool_and_its_way_out_is_said() {
    let mut seen = built(1, OWN);
    seen.claims.hold_below("/srv/disks/web-0-disk2.qcow2", "theirs");
    let plan = down(&seen);
    let stays = plan.changes.iter().find(|c| c.name == "web-0-disk2.qcow2").unwrap();
    let said = stays.reason.to_string();
    assert!(said.contains("`virsh vol-delete /srv/disks/web-0-disk2.qcow2` removes it"), "{said}");
    assert!(!titles(&plan).iter().any(|t| t.contains("record that") || t.contains("pool")));
}

#[test]
fn what_snapshots_have_made_goes_with_the_disk() {
    let mut seen = built(1, OWN);
    let pool = own_pool(&seen);
    seen.volumes.get_mut(&pool).unwrap().insert("web-0-disk2.before".into());
    let plan = down(&seen);
    for step in &plan.steps {
        perform(&mut seen, &step.action);
    }
    assert!(seen.pools.is_empty() && node_volumes(&seen).is_empty());
}
