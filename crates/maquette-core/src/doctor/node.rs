//! What is wrong with one node: its layers from the bottom, up to the first that is at fault. What
//! `status` says of a node in a word, without looking at layers, is in `node_state.rs`.

mod silent;

use std::net::IpAddr;

use super::{
    Finding, HostSigns, Inside, Layer, LoginTried, Neighbour, NodeSigns, Power, Space, host,
    may_be_starting,
};
use crate::blueprint::Interface;
use crate::node_state::{
    ConsoleEnd, FIRST_BOOT_S, Halt, START_S, SshAnswer, failed_units, last_words, short,
};
use crate::observed::{Domain, Network, Observed};

/// What is wrong with a node; nothing if all is well.
pub(super) fn node(
    host: &HostSigns,
    observed: &Observed,
    domain: &Domain,
    signs: &NodeSigns,
) -> Vec<Finding> {
    let look = Look { host, observed, domain, signs };
    if let Some(finding) = look.power() {
        return vec![finding];
    }
    let mut found = look.cables();
    if domain.recorded.guest.is_none() {
        return found;
    }
    let answer = signs.evidence.ssh;
    let reached = answer == Some(SshAnswer::Greeted);
    if !reached && look.nic().is_some_and(|nic| domain.pulled.contains(&nic.mac)) {
        return found;
    }
    if let Some(finding) = look.unprepared() {
        found.push(finding);
        return found;
    }
    found.extend(match answer {
        Some(SshAnswer::Greeted) => look.login(),
        None | Some(SshAnswer::Unknown) => look.boot().or_else(|| look.nameless()),
        Some(answer) => {
            let way = || look.barred().or_else(|| look.way());
            look.boot().or_else(way).or_else(|| look.port(answer))
        }
    });
    found.extend(look.first_boot());
    found
}

/// What to do after a first boot that failed: waiting changes nothing.
pub fn first_boot_again(name: &str) -> String {
    format!(
        "`maquette restart {name}` begins its first boot again; if what it does is wrong, correct that in the node type, \
         and `maquette up` replaces the node"
    )
}

struct Look<'a> {
    host: &'a HostSigns,
    observed: &'a Observed,
    domain: &'a Domain,
    signs: &'a NodeSigns,
}

impl Look<'_> {
    fn finding(&self, layer: Layer, code: &'static str, cause: impl Into<String>) -> Finding {
        Finding::of(&self.domain.name, layer, code, cause)
    }

    /// The NIC through which the node is reached.
    fn nic(&self) -> Option<&Interface> {
        self.domain.recorded.way_in()
    }

    fn network(&self) -> Option<&Network> {
        self.observed.networks.get(&self.nic()?.network)
    }

    fn console(&self) -> Option<&ConsoleEnd> {
        self.signs.evidence.recent_console()
    }

    /// How long it may take to answer, in seconds.
    fn limit(&self) -> u64 {
        if self.domain.ready { START_S } else { FIRST_BOOT_S }
    }

    /// For how many seconds it has run, while it may still be booting.
    fn booting_s(&self) -> Option<u64> {
        self.signs.evidence.uptime_s.filter(|up| *up < self.limit())
    }

    /// Why it may only need longer: others keep the hypervisor busy, or it was started a moment ago.
    fn slow(&self) -> impl Iterator<Item = String> + use<> {
        host::busy(self.host).into_iter().chain(self.booting_s().map(may_be_starting))
    }

    /// What a node looks like, too, while it boots.
    fn passing(&self, finding: Finding) -> Finding {
        Finding { booting_s: self.booting_s(), ..finding }
    }

    fn sent(&self) -> Option<u64> {
        let all = &self.signs.frames;
        (!all.is_empty())
            .then(|| all.values().fold(0, |sum: u64, frames| sum.saturating_add(frames.sent)))
    }

    /// Whether the domain runs, and why not.
    fn power(&self) -> Option<Finding> {
        let name = &self.domain.name;
        let log = || self.signs.emulator_log.iter().map(|line| format!("QEMU's log: {line}"));
        let off = |said: &str| {
            let finding = self.finding(Layer::Domain, "shut-off", "it does not run");
            finding
                .seen([format!("libvirt says: {said}")])
                .advise(format!("`maquette start {name}` starts it"))
        };
        match self.signs.power.as_ref().unwrap_or(&self.guessed()) {
            Power::Running => None,
            Power::Paused => Some(
                self.finding(Layer::Domain, "paused", "it is paused")
                    .advise(format!("`maquette resume {name}` lets it go on")),
            ),
            Power::IoError => Some(self.io_error()),
            Power::GuestCrashed => Some(
                self.finding(
                    Layer::Kernel,
                    "kernel-panic",
                    "its guest crashed, and QEMU stopped it",
                )
                .seen(self.quote())
                .advise(format!(
                    "`maquette logs {name}` shows more; `maquette reset {name}` boots it again"
                )),
            ),
            Power::Watchdog => Some(
                self.finding(
                    Layer::Kernel,
                    "watchdog",
                    "its guest did not feed its watchdog, which stopped it",
                )
                .seen(self.quote())
                .advise(format!("`maquette reset {name}` boots it again")),
            ),
            Power::EmulatorDied => {
                Some(self.killed().or_else(|| self.denied()).unwrap_or_else(|| {
                    self.finding(Layer::Domain, "emulator-died", "its QEMU ended by itself")
                        .seen(log())
                        .advise(format!("`maquette start {name}` starts it again"))
                }))
            }
            Power::StartFailed => Some(self.denied().unwrap_or_else(|| {
                self.finding(Layer::Domain, "start-failed", "it could not be started")
                    .seen(log())
                    .seen(host::denied(self.host, self.domain, self.signs).map(|d| d.line))
                    .advise(format!("`maquette start {name}` says why"))
            })),
            // What was denied to a QEMU that ended as others do has kept nothing from running.
            Power::Off(said) => Some(off(said)),
        }
    }

    /// What is known without libvirt's reason.
    fn guessed(&self) -> Power {
        match (self.domain.active, self.domain.paused) {
            (false, _) => Power::Off("shut off".into()),
            (true, true) => Power::Paused,
            (true, false) => Power::Running,
        }
    }

    /// That its QEMU may not use a file of its own.
    fn denied(&self) -> Option<Finding> {
        let denied = host::denied(self.host, self.domain, self.signs)?;
        let line = Some(denied).filter(|denied| denied.is_own_file)?.line;
        let (code, cause, advice) = match line.contains("apparmor=") {
            true => (
                "apparmor-denied",
                "AppArmor does not let its QEMU use a file",
                "`aa-status` shows the profile; files of a pool have to be where libvirt's profile lets QEMU read \
                 them, or be named in /etc/apparmor.d/local/abstractions/libvirt-qemu",
            ),
            false if line.contains("virtlogd") => (
                "selinux-denied",
                "SELinux does not let libvirt log its console",
                "without `--serial-files` consoles are logged in /var/log/libvirt/qemu, where it lets virtlogd write; \
                 `ausearch -m avc -ts recent` shows more",
            ),
            false => (
                "selinux-denied",
                "SELinux does not let its QEMU use a file",
                "`restorecon -R` on the pool's directory gives files their labels again; `ausearch -m avc -ts \
                 recent` shows more",
            ),
        };
        Some(self.finding(Layer::Hypervisor, code, cause).seen([line]).advise(advice))
    }

    fn killed(&self) -> Option<Finding> {
        let line = host::killed(self.host, self.domain, self.signs)?;
        let cause = "the hypervisor's memory was used up, and its kernel ended the node's QEMU";
        Some(
            self.finding(Layer::Hypervisor, "out-of-memory", cause)
                .seen([line])
                .advise(
                    "give nodes less memory, or keep some for others with `--host-memory-reserve`",
                )
                .advise(format!("`maquette start {}` starts it again", self.domain.name)),
        )
    }

    /// Room in directories of its disks that name another pool, as far as it is known.
    fn own_pools(&self) -> impl Iterator<Item = (&str, &Space)> {
        let directories = self.domain.recorded.disk_pools().map(|own| own.pool.path.as_str());
        directories.filter_map(move |path| Some((path, self.host.disk_pools.get(path)?)))
    }

    fn io_error(&self) -> Finding {
        let resume = format!("`maquette resume {}` lets it go on where it was", self.domain.name);
        let seen = "libvirt says: paused by an I/O error".to_string();
        if let Some(pool) = self.host.pool.as_ref().filter(|pool| host::is_full(pool)) {
            let cause = "the storage pool is full, and QEMU has paused it until it can write again";
            return self
                .finding(Layer::Hypervisor, "pool-full", cause)
                .seen([seen, host::room(pool)])
                .advise("make room there; `maquette image prune` removes images that nothing uses")
                .advise(format!("then {resume}"));
        }
        if let Some((directory, space)) = self.own_pools().find(|(_, space)| host::is_full(space)) {
            let cause =
                "the directory of a disk is full, and QEMU has paused it until it can write again";
            return self
                .finding(Layer::Hypervisor, "pool-full", cause)
                .seen([seen, host::room_of(directory, space)])
                .advise("make room there")
                .advise(format!("then {resume}"));
        }
        let cause = "a disk could not be read or written, and QEMU has paused it";
        self.finding(Layer::Hypervisor, "io-error", cause)
            .seen([seen].into_iter().chain(self.host.pool.as_ref().map(host::room)))
            .seen(self.own_pools().map(|(directory, space)| host::room_of(directory, space)))
            .seen(self.signs.emulator_log.iter().map(|line| format!("QEMU's log: {line}")))
            .advise(
                "the hypervisor's `dmesg` says more, unless it only lacked room, and has it again",
            )
            .advise(resume)
    }

    fn cables(&self) -> Vec<Finding> {
        let nics = self.domain.recorded.interfaces.iter();
        let pulled = nics.filter(|nic| self.domain.pulled.contains(&nic.mac));
        let finding = |nic: &Interface| {
            let name = &self.domain.name;
            let cause = format!("the cable of {} (network {}) is pulled", nic.name, nic.network);
            let up = format!("`maquette link up {name} {}` plugs it in", nic.name);
            self.finding(Layer::Domain, "cable-pulled", cause).advise(up)
        };
        pulled.map(finding).collect()
    }

    /// What its console says: what systemd could not start, or else its last line.
    fn quote(&self) -> Vec<String> {
        let Some(console) = self.console() else { return Vec::new() };
        let failed = failed_units(&console.text);
        if !failed.is_empty() {
            return failed.iter().map(|line| format!("its console says: {line}")).collect();
        }
        let last = console.text.lines().rfind(|line| !line.trim().is_empty());
        last.iter().map(|line| format!("its console ends with: {}", short(line))).collect()
    }

    /// Whether it boots at all, and its kernel comes as far as its NIC.
    fn boot(&self) -> Option<Finding> {
        self.halted().or_else(|| self.silent()).or_else(|| self.no_frames())
    }

    fn halted(&self) -> Option<Finding> {
        let (halt, said) = last_words(&self.console()?.text)?;
        let (layer, code) = match halt {
            Halt::NothingToBoot => (Layer::Firmware, "nothing-to-boot"),
            Halt::NotSigned => (Layer::Firmware, "boot-refused"),
            Halt::Grub => (Layer::Firmware, "boot-loader"),
            Halt::Panic => (Layer::Kernel, "kernel-panic"),
            Halt::Emergency => (Layer::Kernel, "emergency-mode"),
            Halt::NoRoot => (Layer::Kernel, "no-root"),
            Halt::NoSeed => (Layer::FirstBoot, "no-seed"),
        };
        let name = &self.domain.name;
        let more = format!("`maquette logs {name}` shows what came before");
        let finding = self.finding(layer, code, halt.meaning());
        let finding = finding.seen([format!("its console says: {said}")]).advise(more);
        Some(match halt {
            Halt::NotSigned => finding.advise(
                "take an image whose boot loader is signed for it, or firmware without Secure Boot (`virtopts`)",
            ),
            Halt::NoSeed => finding.advise(
                "`seed: disk` of its node type is for images without drivers for virtio-scsi and CD-ROMs; what is there has \
                 to be made again for that: `maquette down`, then `maquette up`",
            ),
            _ => finding,
        })
    }

    /// Whether the hypervisor itself keeps what it sends from arriving.
    fn barred(&self) -> Option<Finding> {
        let (network, address) = (self.network()?, self.domain.recorded.access.address?);
        let IpAddr::V4(address) = address else { return None };
        let dropped = host::ssh_dropped(self.host, network, address)?;
        let cause = format!("the hypervisor's firewall drops what goes to port 22 of {address}");
        let finding = self.finding(Layer::Network, "ssh-filtered", cause).seen([dropped.by]);
        Some(finding.advise(format!(
            "let what leaves through `{}` to TCP port 22 pass in the hypervisor's firewall",
            network.recorded.bridge
        )))
    }

    /// Whether it has said which address it has from its LAN, if that is for somebody there to give.
    fn nameless(&self) -> Option<Finding> {
        let record = &self.domain.recorded;
        let late = self.signs.evidence.uptime_s.is_none_or(|up| up >= START_S);
        if record.guest.is_none() || record.access.address.is_some() || self.domain.ready || !late {
            return None;
        }
        let nic = self.nic()?;
        let frames = self.signs.frames.get(&nic.mac).map(|f| {
            format!("{} has sent {} frames and received {}", nic.name, f.sent, f.received)
        });
        let cause = format!("it has not said which address it has on {}", nic.network);
        let name = &record.name;
        Some(
            self.finding(Layer::Network, "lan-no-address", cause)
                .seen(host::busy(self.host))
                .seen(frames)
                .advise(format!(
                    "a DHCP server of that LAN gives it one: is there one, and does it answer {}?",
                    nic.mac
                ))
                .advise(format!("`maquette console {name}` shows what the guest itself says")),
        )
    }

    /// Whether it has its address.
    fn way(&self) -> Option<Finding> {
        self.dhcp().or_else(|| self.address())
    }

    /// Whether it is known to have its address, since it refused a connection or was asked for it.
    fn has_address(&self) -> bool {
        let own = |mac| self.nic().is_some_and(|nic| nic.mac == mac);
        match self.signs.evidence.ssh {
            Some(SshAnswer::Refused | SshAnswer::Other | SshAnswer::Greeted) => true,
            Some(SshAnswer::NoRoute) => false,
            _ => matches!(self.signs.neighbour, Some(Neighbour::Has(mac)) if own(mac)),
        }
    }

    fn dhcp(&self) -> Option<Finding> {
        let (nic, network) = (self.nic()?, self.network()?);
        let name = &network.name;
        if !network.active {
            let cause = format!("its network `{name}` is not running");
            return Some(
                self.finding(Layer::Network, "network-stopped", cause)
                    .advise("`maquette up` starts it"),
            );
        }
        let known = self.host.networks.get(name.as_str())?;
        if !nic.ipv4.asks_dhcp() || network.recorded.dhcp4.is_none() || self.has_address() {
            return None;
        }
        let sent = self.signs.frames.get(&nic.mac).map(|f| {
            format!("{} has sent {} frames and received {}", nic.name, f.sent, f.received)
        });
        let log = self.signs.dhcp_log.iter().map(|line| format!("its DHCP server's log: {line}"));
        let seen = || sent.into_iter().chain(log);
        if host::dhcp_stopped(self.host, network) {
            let cause =
                format!("it gets no address: the DHCP server of network `{name}` does not run");
            return Some(self.finding(Layer::Network, "dhcp-server-stopped", cause).seen(seen()).advise(format!(
                "`virsh net-destroy {name}` and `maquette up` start both again, and connect nodes"
            )));
        }
        if let Some(dropped) = host::dhcp_dropped(self.host, network) {
            let (cause, advice) = dropped.said_of_node(network.recorded.bridge.as_str());
            let finding = self.finding(Layer::Network, "dhcp-filtered", cause);
            return Some(finding.seen(seen().chain([dropped.by.by])).advise(advice));
        }
        if known.leases.contains_key(&nic.mac) {
            return None;
        }
        let seen =
            || [format!("network `{name}` has no lease for {}", nic.mac)].into_iter().chain(seen());
        let asks = |line: &String| line.contains("DHCPDISCOVER") || line.contains("DHCPREQUEST");
        let asked = self.signs.dhcp_log.iter().any(asks);
        let (code, cause) = match asked {
            true => ("dhcp-unanswered", "it asks for an address (DHCP), and does not get one"),
            false => (
                "dhcp-no-lease",
                "it has not got an address (DHCP): it does not ask, or is not heard",
            ),
        };
        let finding = self.finding(Layer::Dhcp, code, cause).seen(seen()).seen(self.slow());
        // One that asks in vain has come as far as it can.
        let finding = if asked { finding } else { self.passing(finding) };
        Some(finding.advise(format!(
            "`maquette capture {} {}` records what it sends; `maquette logs {0}` shows what it says of its network",
            self.domain.name, nic.name
        )))
    }

    fn address(&self) -> Option<Finding> {
        let address = self.domain.recorded.access.address?;
        let nic = self.nic();
        match (self.signs.neighbour, nic) {
            (Some(Neighbour::Has(mac)), Some(nic)) if mac != nic.mac => {
                let cause = format!("somebody else has its address {address}");
                let seen = format!("{mac} answers for it; the node's is {}", nic.mac);
                Some(
                    self.finding(Layer::Address, "address-taken", cause).seen([seen]).advise(
                        "give the address back, or the node another (`ip` of an interface)",
                    ),
                )
            }
            (_, nic) if self.signs.evidence.ssh == Some(SshAnswer::NoRoute) => {
                let cause = format!(
                    "nothing answers at its address {address}: the guest has not set it up, or does not react"
                );
                let sent = nic.and_then(|n| self.signs.frames.get(&n.mac)).map(|f| {
                    format!("its NIC has sent {} frames and received {}", f.sent, f.received)
                });
                let finding = self.finding(Layer::Address, "address-silent", cause);
                // What is known of these is about IPv4.
                let unseen = address.is_ipv6().then_some(
                    "whether DHCP and the hypervisor's firewall let it have that is known of IPv4 alone",
                );
                let finding = finding.seen(sent).seen(self.slow()).seen(self.quote()).seen(unseen);
                Some(
                    self.passing(finding).advise(format!(
                        "`maquette logs {}` shows how far it came",
                        self.domain.name
                    )),
                )
            }
            _ => None,
        }
    }

    /// Its address answers, and its SSH server does not.
    fn port(&self, answer: SshAnswer) -> Option<Finding> {
        let address = self.domain.recorded.access.address?;
        let (code, cause) = match answer {
            SshAnswer::Refused => {
                ("port-closed", format!("port 22 of {address} is closed: no SSH server runs there"))
            }
            SshAnswer::Silent => (
                "port-filtered",
                format!(
                    "port 22 of {address} does not answer: a firewall drops what comes, or the guest hangs"
                ),
            ),
            SshAnswer::Other => (
                "not-ssh",
                format!("what listens on port 22 of {address} does not speak SSH, or ends at once"),
            ),
            SshAnswer::Greeted | SshAnswer::NoRoute | SshAnswer::Unknown => return None,
        };
        let finding = self.finding(Layer::Port, code, cause).seen(self.slow()).seen(self.quote());
        Some(
            self.passing(finding)
                .advise(format!("`maquette logs {}` shows how far it came", self.domain.name)),
        )
    }

    fn login(&self) -> Option<Finding> {
        let name = &self.domain.name;
        let address = self.domain.recorded.access.address;
        let at = address.map_or(String::new(), |a: IpAddr| format!(" at {a}"));
        match self.signs.login.as_ref()? {
            LoginTried::In(inside) => self.inside(inside),
            LoginTried::OtherHostKey(said) => Some(
                self.finding(Layer::Login, "host-key", format!("what answers{at} has another host key than the one made for it"))
                    .seen([format!("ssh says: {said}")])
                    .advise("it may be another machine with this address; if somebody changed the key in the guest, replace the node"),
            ),
            LoginTried::Refused(said) => Some(
                self.finding(Layer::Login, "login-refused", "its SSH server does not take this workspace's key")
                    .seen([format!("ssh says: {said}")])
                    .advise(format!("`maquette status` says whose key opens `{name}`")),
            ),
            LoginTried::Failed(said) => Some(
                self.finding(Layer::Login, "login-failed", "its SSH server answers, and the login fails")
                    .seen([format!("ssh says: {said}")])
                    .advise(format!("`maquette ssh {name} -v` shows how far it comes")),
            ),
            LoginTried::NoKey => Some(
                self.finding(Layer::Login, "no-key", "this workspace has no key to log in with")
                    .advise("`maquette status` says who has it"),
            ),
        }
    }

    fn inside(&self, inside: &Inside) -> Option<Finding> {
        let name = &self.domain.name;
        let status = || inside.status.iter().map(|line| format!("cloud-init says: {line}"));
        let errors = inside.errors.clone().unwrap_or_default();
        if !inside.full.is_empty() {
            let full = inside.full.iter().map(|(at, used)| format!("{used} % of {at} are used"));
            return Some(
                self.finding(Layer::Guest, "guest-disk-full", "a file system in the guest is full")
                    .seen(full)
                    .seen(status().filter(|_| !errors.is_empty()))
                    .advise("remove files there, or give the disk another `size`: it grows at the next boot"),
            );
        }
        if !errors.is_empty() {
            let cause = format!("cloud-init failed: {}", errors.join("; "));
            return Some(
                self.finding(Layer::FirstBoot, "cloud-init-failed", cause)
                    .seen(status())
                    .advise(format!(
                        "`maquette ssh {name} sudo cat /var/log/cloud-init-output.log` shows more"
                    ))
                    .advise(first_boot_again(name)),
            );
        }
        if self.domain.ready || self.domain.failed.is_some() {
            return None;
        }
        Some(match inside.errors {
            None => self
                .finding(Layer::FirstBoot, "first-boot-runs", "its first boot has not ended")
                .seen(status())
                .advise("`maquette up` waits for it"),
            Some(_) => self
                .finding(
                    Layer::FirstBoot,
                    "first-boot-unseen",
                    "its first boot has ended, and nobody saw that",
                )
                .advise("`maquette up` takes note of it"),
        })
    }

    /// What was noted of its first boot.
    fn first_boot(&self) -> Option<Finding> {
        let why = self.domain.failed.as_ref()?;
        // What it says of itself now is worth more.
        let told = matches!(&self.signs.login, Some(LoginTried::In(i)) if i.errors.as_ref().is_some_and(|e| !e.is_empty()));
        let more = format!("`maquette logs {}` shows more", self.domain.name);
        (!told)
            .then(|| self.finding(Layer::FirstBoot, "cloud-init-failed", why.clone()).advise(more))
    }
}
