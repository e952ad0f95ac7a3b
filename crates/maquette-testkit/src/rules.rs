//! The rules of the model: what each step does, and what libvirt would refuse.

use std::collections::BTreeSet;

use maquette_core::blueprint::{self, Pool};
use maquette_core::object::ObjectKind;
use maquette_core::observed::{
    self, DiskDevice, Edited, Hardware, HostLink, HostPool, LinkKind, Nic, Observed, Wiring,
};
use maquette_core::plan::{self, Action, Step};
use maquette_core::values::FileName;

/// A hypervisor with these NICs; the first has the default route.
pub fn machine(nics: &[&str]) -> Observed {
    let mut seen = Observed::default();
    seen.host.default_nic = nics.first().map(|n| (*n).to_string());
    for nic in nics {
        seen.host.links.insert((*nic).to_string(), HostLink::default());
    }
    seen
}

/// Carries steps out on the model, which refuses what libvirt would refuse.
pub fn apply(observed: &mut Observed, steps: &[Step]) {
    for step in steps {
        perform(observed, &step.action);
    }
}

/// Somebody edits an object's metadata so that it is not believed any more.
pub fn edit(seen: &mut Observed, kind: ObjectKind, name: &str) {
    let (active, paused, files, bridge) = match kind {
        ObjectKind::Network => {
            let network = seen.networks.remove(name).expect("it exists");
            (network.active, false, Vec::new(), Some(network.defined.bridge))
        }
        _ => {
            let domain = seen.domains.remove(name).expect("it exists");
            let files = domain.defined.disks.into_iter().map(|d| d.file).collect();
            (domain.active, domain.paused, files, None)
        }
    };
    let why = "its metadata was changed by hand".into();
    seen.edited.push(Edited { kind, name: name.into(), active, paused, files, bridge, why });
}

/// What libvirt does with an object whatever is recorded of it.
fn perform_edited(seen: &mut Observed, action: &Action) {
    let title = action.title();
    match action {
        Action::StopNetwork { name } | Action::StopDomain { name, .. } => {
            let kind = if matches!(action, Action::StopNetwork { .. }) {
                ObjectKind::Network
            } else {
                ObjectKind::Domain
            };
            let stopped = seen.edited.iter_mut().find(|e| e.kind == kind && e.name == *name);
            stopped.into_iter().for_each(|e| e.active = false);
        }
        Action::UndefineNetwork { name } => {
            seen.edited.retain(|e| e.kind != ObjectKind::Network || e.name != *name);
        }
        Action::UndefineDomain { name } => {
            let running = seen.edited(ObjectKind::Domain, name).is_some_and(|e| e.active);
            assert!(!running, "{title}: it runs");
            seen.edited.retain(|e| e.kind != ObjectKind::Domain || e.name != *name);
        }
        Action::DefineDomain { node, .. } => {
            assert_eq!(
                seen.edited(ObjectKind::Domain, &node.name),
                None,
                "{title}: it is in the way"
            );
        }
        Action::DefineNetwork { network, .. } => {
            assert_eq!(
                seen.edited(ObjectKind::Network, &network.name),
                None,
                "{title}: it is in the way"
            );
        }
        Action::DeleteVolume { volume, pool } => {
            let file = format!("{}/{volume}", pool.path);
            let used = seen.edited.iter().any(|e| e.active && e.files.contains(&file));
            assert!(!used, "{title}: a running domain uses it");
        }
        _ => {}
    }
}

/// Carries one step out on the model. A step that libvirt would refuse is a panic.
pub fn perform(seen: &mut Observed, action: &Action) {
    perform_edited(seen, action);
    let title = action.title();
    match action {
        Action::Apply(_) | Action::Restore(_) => {}
        Action::FetchImage { image, pool, .. } => {
            seen.volumes.entry(pool.name.to_string()).or_default().insert(image.volume.to_string());
        }
        Action::DefineNetwork { network, allocation, .. } => {
            let active = seen.networks.get(&network.name).is_some_and(|n| n.active);
            let network = observed::Network {
                name: network.name.clone(),
                recorded: (**network).clone(),
                allocation: *allocation,
                active,
                defined: Wiring::of(network),
                added: BTreeSet::new(),
            };
            seen.networks.insert(network.name.clone(), network);
        }
        Action::UpdateNetwork { network, .. } => {
            let existing = seen.networks.get_mut(&network.name).expect("it exists");
            existing.recorded = (**network).clone();
            existing.defined = Wiring::of(network);
            existing.added.clear();
        }
        Action::Reconnect { network, .. } => {
            assert!(seen.networks.get(network).is_some_and(|n| n.active), "{title}: it is off");
        }
        Action::BridgeNic { bridge, uplink } => {
            let recorded = seen.networks.values().any(|n| n.recorded.bridge == *bridge);
            assert!(recorded, "{title}: nobody would know how to undo it");
            seen.host.links.entry(bridge.to_string()).or_default().kind = LinkKind::Bridge;
            let nic = seen.host.links.get_mut(uplink.nic.as_str()).expect("the NIC is there");
            nic.master = Some(bridge.to_string());
        }
        Action::ReleaseNic { bridge, nic } => {
            seen.host.links.remove(bridge.as_str());
            seen.host.links.get_mut(nic.as_str()).expect("the NIC is there").master = None;
        }
        Action::MakeVswitch { bridge, vswitch, .. } => {
            let recorded = seen.networks.values().any(|n| n.recorded.bridge == *bridge);
            assert!(recorded, "{title}: nobody would know how to undo it");
            for port in &vswitch.ports {
                seen.host.links.entry(port.name.to_string()).or_default();
            }
        }
        Action::RemoveVswitch { bridge, .. } => {
            let network = seen.networks.values().find(|n| n.recorded.bridge == *bridge);
            let ports = network.and_then(|n| n.recorded.carrier.vswitch().cloned());
            let ports = ports.expect("it is recorded").ports;
            seen.host.links.retain(|name, _| !ports.iter().any(|p| p.name == *name));
        }
        Action::StartNetwork { name, .. } => {
            let network =
                seen.networks.get_mut(name).expect("a network is defined before it starts");
            if let Some(uplink) = network.recorded.carrier.uplink() {
                assert!(
                    seen.host.is_port(&uplink.nic, &network.recorded.bridge),
                    "{title}: no NIC"
                );
                if uplink.guard {
                    seen.host.guarded.insert(network.recorded.bridge.to_string());
                }
            }
            network.active = true;
        }
        Action::StopNetwork { name } => {
            let users = seen
                .domains
                .values()
                .filter(|d| d.live.iter().flat_map(|l| &l.nics).any(|i| i.network == *name))
                .count();
            // A bridge that is not libvirt's stays, and so does who is on it.
            let served =
                seen.networks.get(name.as_str()).is_none_or(|n| n.recorded.carrier.is_served());
            assert!(users == 0 || !served, "{title}: domains still use it");
            if let Some(network) = seen.networks.get_mut(name.as_str()) {
                network.active = false;
                seen.host.guarded.remove(network.recorded.bridge.as_str());
            }
        }
        Action::UndefineNetwork { name } => {
            let Some(network) = seen.networks.remove(name.as_str()) else { return };
            let left = !network.recorded.carrier.is_served();
            let there = seen.host.links.contains_key(network.recorded.bridge.as_str());
            assert!(!(left && there), "{title}: its bridge would be nobody's");
        }
        Action::DefineDomain { node, pool, .. } => {
            let old = seen.domains.get(&node.name);
            let domain = observed::Domain {
                name: node.name.clone(),
                recorded: (**node).clone(),
                pool: pool.clone(),
                active: old.is_some_and(|d| d.active),
                paused: old.is_some_and(|d| d.paused),
                persistent: true,
                ready: old.is_some_and(|d| d.ready),
                failed: None,
                pulled: Vec::new(),
                defined: Hardware::of(node, pool),
                live: old.and_then(|d| d.live.clone()),
                vnc_port: None,
            };
            seen.domains.insert(node.name.clone(), domain);
        }
        Action::MakePool { pool } => {
            let recorded = seen.disk_pools().any(|own| own == pool);
            assert!(recorded, "{title}: no record names it yet");
            let Pool { name, path } = &pool.pool;
            let other = seen.pools.iter().find(|(n, p)| *n != name.as_str() && p.path == **path);
            assert_eq!(other, None, "{title}: the directory has a pool");
            let found = HostPool { path: path.to_string(), active: true };
            assert!(seen.pools.insert(name.to_string(), found).is_none_or(|p| !p.active));
            seen.volumes.entry(name.to_string()).or_default();
        }
        Action::RemovePool { pool } => {
            let name = pool.name.as_str();
            let recorded = seen.disk_pools().any(|own| own.pool == *pool && own.made);
            assert!(recorded || !seen.pools.contains_key(name), "{title}: it is not ours any more");
            if seen.volumes.get(name).is_none_or(|volumes| volumes.is_empty()) {
                seen.pools.remove(name);
                seen.volumes.remove(name);
            }
        }
        Action::CreateVolume { disk, pool, over } => {
            let own = disk.pool_or(pool);
            assert!(own == pool || !seen.lacks_pool(own), "{title}: its pool does not run");
            let named = seen
                .domains
                .values()
                .any(|d| d.recorded.disks.iter().any(|own| own.volume == disk.volume));
            assert!(named, "{title}: no domain names it yet, a crash would lose it");
            if let Some(image) = &disk.backing {
                let instead = over.as_ref().map(|template| &template.image.volume);
                let there = |volume: &FileName| seen.has_volume(pool, volume);
                let any = there(&image.volume) || instead.is_some_and(there);
                assert!(any, "{title}: its image is missing");
            }
            let volumes = seen.volumes.entry(own.name.to_string()).or_default();
            volumes.insert(disk.volume.to_string());
        }
        Action::CreateSeed { volume, pool, files } => {
            assert!(!files.is_empty());
            seen.volumes.entry(pool.name.to_string()).or_default().insert(volume.to_string());
        }
        Action::ResizeVolume { volume, pool, .. } => {
            assert!(seen.has_volume(pool, volume), "{title}: it does not exist");
        }
        Action::DeleteVolume { volume, pool } => {
            let own = seen.disk_pools().any(|own| own.pool == *pool);
            assert!(!own || !seen.lacks_pool(pool), "{title}: its pool does not run");
            let file = pool.file(volume);
            let used = seen
                .domains
                .values()
                .any(|d| d.live.iter().flat_map(|l| &l.disks).any(|own| own.file == file));
            assert!(!used, "{title}: a running domain uses it");
            // Whose it is must be known until it is gone.
            let named = seen.domains.values().any(|d| d.recorded.volumes().any(|v| v == volume));
            let mut tenants = seen.networks.values().flat_map(|n| &n.recorded.tenants);
            // libvirt calls the overlay of a snapshot after the volume.
            let stem = |v: &str| v.rsplit_once('.').is_some_and(|(v, _)| volume.starts_with(v));
            let overlay = seen.domains.values().any(|d| d.recorded.volumes().any(stem));
            let known = named || overlay || tenants.any(|t| t.placed().any(|(_, v)| v == volume));
            assert!(known || !seen.has_volume(pool, volume), "{title}: nobody names it any more");
            seen.volumes.entry(pool.name.to_string()).or_default().remove(volume);
        }
        Action::KeepVolume { volume, pool } => {
            assert!(seen.has_volume(pool, volume), "{title}: it does not exist");
            let named = seen.domains.values().any(|d| d.recorded.volumes().any(|v| v == volume));
            let mut tenants = seen.networks.values().flat_map(|n| &n.recorded.tenants);
            let known = named || tenants.any(|t| t.placed().any(|(_, v)| v == volume));
            assert!(known, "{title}: nobody has named it until now");
        }
        Action::StartDomain { name, ready } => {
            let domain = seen.domains.get(name).expect("a domain is defined before it starts");
            let node = domain.recorded.clone();
            for (pool, volume) in node.placed(&domain.pool) {
                assert!(seen.has_volume(pool, volume), "{title}: {volume} is missing");
            }
            let defined = domain.defined.clone();
            for interface in &node.interfaces {
                if interface.is_on_host_bridge() {
                    assert!(seen.host.has_bridge(&interface.network), "{title}: no such bridge");
                    continue;
                }
                let network = seen.networks.get(&interface.network);
                assert!(network.is_some_and(|n| n.active), "{title}: its network is off");
            }
            let domain = seen.domains.get_mut(name).expect("just seen");
            domain.active = true;
            if domain.live.is_none() {
                domain.live = Some(defined);
            }
            let _ = ready;
            domain.ready = true;
        }
        Action::MakeTemplate { template, pool, .. } => {
            let (image, volumes) =
                (&template.image.volume, seen.volumes.get_mut(pool.name.as_str()));
            let volumes = volumes.expect("there is such a pool");
            assert!(volumes.contains(image.as_str()), "{title}: {image} is missing");
            volumes.extend([template.disk(), template.memory()].map(String::from));
        }
        Action::RestoreDomain { node, template, ready, pool } => {
            let overlaid = [template.disk(), template.image.volume.clone()];
            let there = overlaid.iter().any(|volume| seen.has_volume(pool, volume));
            assert!(there, "{title}: what its disk overlays is missing");
            let start = Action::StartDomain { name: node.name.clone(), ready: Some(ready.clone()) };
            perform(seen, &start);
        }
        Action::AwaitDomain { name, .. } => {
            seen.domains.get_mut(name).expect("it exists").ready = true;
        }
        Action::ChangeDomain { name, change } => {
            let pool_has =
                |disk: &blueprint::Disk, pool| seen.has_volume(disk.pool_or(pool), &disk.volume);
            if let plan::LiveChange::AttachDisk { disk, pool } = change {
                assert!(pool_has(disk, pool), "{title}: its volume is missing");
            }
            if let plan::LiveChange::AttachInterface { interface } = change {
                let network = seen.networks.get(&interface.network);
                assert!(network.is_some_and(|n| n.active), "{title}: its network is off");
            }
            let domain = seen.domains.get_mut(name).expect("it exists");
            change_live(domain, change);
        }
        Action::SetTimezone { node, .. } => {
            let domain = seen.domains.get_mut(&node.name).expect("it exists");
            assert!(domain.active && !domain.paused && domain.ready, "{title}: nobody can log in");
            domain.recorded = (**node).clone();
        }
        Action::ShareDomain { node, sharing, .. } => {
            let domain = seen.domains.get_mut(&node.name).expect("it exists");
            assert!(domain.active && !domain.paused, "{title}: nobody can log in");
            if *sharing != plan::Sharing::Guest {
                assert!(domain.persistent, "{title}: nothing can be recorded");
                domain.recorded = (**node).clone();
            }
        }
        Action::RecordDomain { node, .. } => {
            seen.domains.get_mut(&node.name).expect("it exists").recorded = (**node).clone();
        }
        Action::ServeBmcs { nodes, .. } => {
            for node in nodes {
                let network = seen.networks.get(&node.bmc.network);
                assert!(network.is_some_and(|n| n.active), "{title}: its network is off");
                if node.bridge.is_some() {
                    seen.host.addresses.insert(node.bmc.address);
                }
            }
            let digests = nodes.iter().map(|n| (n.name.clone(), n.digest.clone())).collect();
            seen.bmcs =
                Some(observed::Bmcs { run: true, holds: true, digests, ..Default::default() });
        }
        Action::ForgetBmcs { nodes, .. } => {
            let bmcs = seen.bmcs.as_mut().expect("there are some");
            bmcs.digests.retain(|name, _| !nodes.contains(name));
            assert!(!bmcs.digests.is_empty(), "{title}: nothing stays");
        }
        Action::StopBmcs { .. } => seen.bmcs = None,
        Action::OpenForwarding { forwarding, .. } => {
            let recorded = forwarding.clone();
            seen.forwarding = Some(observed::Forwarding { recorded, authorized: true });
        }
        Action::CloseForwarding { .. } => seen.forwarding = None,
        Action::PauseDomain { name } => {
            seen.domains.get_mut(name).expect("it exists").paused = true;
        }
        Action::ResetDomain { name } => assert!(seen.domains[name].active, "{title}: it is off"),
        Action::ResumeDomain { name } => {
            seen.domains.get_mut(name).expect("it exists").paused = false;
        }
        Action::StopDomain { name, .. } => {
            if let Some(domain) = seen.domains.get_mut(name.as_str()) {
                (domain.active, domain.paused, domain.live) = (false, false, None);
                if !domain.persistent {
                    seen.domains.remove(name.as_str());
                }
            }
        }
        Action::UndefineDomain { name } => {
            assert!(seen.domains.get(name.as_str()).is_none_or(|d| !d.active), "{title}: it runs");
            seen.domains.remove(name.as_str());
        }
    }
}

fn change_live(domain: &mut observed::Domain, change: &plan::LiveChange) {
    use plan::LiveChange;
    let live = domain.live.as_mut().expect("it runs");
    match change {
        LiveChange::Memory { mib } => {
            assert!(*mib <= live.maximum_mib);
            live.memory_mib = *mib;
        }
        LiveChange::AttachDisk { disk, pool } => {
            let file = disk.file(pool);
            if !live.disks.iter().any(|d| d.file == file) {
                assert!(live.disks.iter().all(|d| d.device != disk.device), "it is taken");
                live.disks.push(DiskDevice {
                    file,
                    device: disk.device.to_string(),
                    bus: disk.bus.as_str().into(),
                    cache: disk.cache.to_string(),
                });
                live.disks.sort_by(|a, b| a.device.cmp(&b.device));
            }
        }
        LiveChange::DetachDisk { file, .. } => live.disks.retain(|d| d.file != *file),
        LiveChange::ResizeDisk { .. } | LiveChange::Vnc { .. } => {}
        LiveChange::AttachInterface { interface } => {
            if !live.nics.iter().any(|n| n.mac == interface.mac) {
                live.nics.push(Nic {
                    mac: interface.mac,
                    network: interface.source(),
                    portgroup: interface
                        .attachment
                        .portgroup()
                        .map(|p| p.to_string())
                        .unwrap_or_default(),
                    model: interface.model.to_string(),
                });
            }
        }
        LiveChange::DetachInterface { mac, .. } => live.nics.retain(|n| n.mac != *mac),
    }
}

/// Volumes other than base images.
pub fn node_volumes(seen: &Observed) -> BTreeSet<String> {
    seen.volumes.values().flatten().filter(|v| !v.starts_with("maquette-")).cloned().collect()
}
