//! Installing what is missing.

use std::collections::BTreeSet;

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, Output, check};
use crate::probe::family::{Family, Manager};
use crate::{StepContext, StepError};

mod needs;

/// Installs packages, and records which ones that has brought.
pub(super) fn apply(
    host: &dyn Host,
    family: Option<&'static Family>,
    names: &[String],
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let family = family.ok_or_else(|| {
        StepError::new("cannot install packages: this system's package manager is not known")
            .hint(format!("install these by hand: {}", names.join(", ")))
    })?;
    bring(host, family, names, context)
        .map_err(|error| StepError::new("cannot install packages").because(error))
}

fn bring(
    host: &dyn Host,
    family: &Family,
    names: &[String],
    context: &StepContext<'_>,
) -> Result<(), HostError> {
    let before = installed(host, family)?;
    // Should this be interrupted, then what was asked for is what is known to have come.
    let note = |names: Vec<String>| {
        record::update(host, |r| {
            r.packages.extend(names);
            r.packages.sort();
            r.packages.dedup();
        })
    };
    note(missing(names, &before))?;
    let mut on_line = |line: &str| (context.progress)(line.to_string());
    let mut coming = |names: Vec<String>| {
        note(names.into_iter().filter(|name| !before.contains(name)).collect())
    };
    install(host, family, names, &mut on_line, &mut coming)?;
    let after = installed(host, family)?;
    note(after.difference(&before).cloned().collect())
}

/// Those that are not installed: what a program needs is asked for as a whole, and part of it may be there, which stays
/// when all is undone.
fn missing(names: &[String], installed: &BTreeSet<String>) -> Vec<String> {
    names.iter().filter(|name| !installed.contains(*name)).cloned().collect()
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    let names = record.packages.clone();
    (!names.is_empty()).then_some(Setting::Packages { names })
}

pub(super) fn restore(
    host: &dyn Host,
    family: Option<&'static Family>,
    names: &[String],
    context: &StepContext<'_>,
) -> Result<(), HostError> {
    let Some(family) = family else { return Ok(()) };
    let mut on_line = |line: &str| (context.progress)(line.to_string());
    let kept = uninstall(host, family, names, &mut on_line)?;
    if !kept.is_empty() {
        let why = "kept, since they may never be removed, or others need them by now";
        on_line(&format!("{why}: {}", kept.join(", ")));
    }
    Ok(())
}

pub(super) fn forget(record: &mut Record) {
    record.packages.clear();
}

/// Names of all installed packages, to tell later what an installation has brought.
pub fn installed(host: &dyn Host, family: &Family) -> Result<BTreeSet<String>, HostError> {
    let list = match family.manager {
        Manager::Apt => {
            Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Abbrev}${Package}\n"])
        }
        Manager::Dnf | Manager::Zypper => Command::new("rpm").args(["-qa", "--qf", "ii %{NAME}\n"]),
        Manager::Pacman => Command::new("pacman").arg("-Qq"),
    };
    let text = check(host, &list)?;
    let names = text.lines().filter_map(|line| match family.manager {
        Manager::Pacman => Some(line.trim()),
        _ => line.strip_prefix("ii ").map(str::trim),
    });
    Ok(names.filter(|n| !n.is_empty()).map(String::from).collect())
}

/// Removes packages that an earlier preparation installed, but for those that something else needs by
/// now, which it returns. Nothing that is not among `packages` is removed.
pub fn uninstall(
    host: &dyn Host,
    family: &Family,
    packages: &[String],
    on_line: &mut dyn FnMut(&str),
) -> Result<Vec<String>, HostError> {
    let list = inventory(family.manager);
    let all = needs::parse(&check(host, &list)?);
    let (mut free, mut kept) = needs::removable(&all, packages);
    loop {
        if free.is_empty() {
            return Ok(kept);
        }
        // What the list does not tell (a file that is required, a conflict), the manager does.
        let trial = rehearsal(family.manager, &free);
        let result = host.run(&trial, &mut |_| {})?;
        let said = format!("{}\n{}", result.stdout, result.stderr);
        let (more, fine) = (needs::in_the_way(&said, &free), result.status == Some(0));
        if fine && more.strangers.is_empty() {
            break;
        }
        if more.ours.is_empty() {
            // Whatever is in the way has no name that we know: nothing is risked.
            let command = trial.to_string();
            let stderr = match more.strangers.is_empty() {
                true => result.stderr,
                false => format!("it would remove {} as well", more.strangers.join(", ")),
            };
            return Err(HostError::Failed { command, status: result.status, stderr });
        }
        free.retain(|name| !more.ours.contains(name));
        kept.extend(more.ours);
    }
    let command = removal(family.manager, &free);
    let result = match family.manager {
        Manager::Apt => apt(host, &command, on_line)?,
        _ => host.run(&command, on_line)?,
    };
    result.success(&command)?;
    Ok(kept)
}

/// Runs apt, which refuses everything for as long as dpkg was killed half-way, be it by a run of ours or by a
/// power cut: then what it left is configured, which is what apt asks for, and apt is run once more. It looks for
/// that only once apt has failed, since a dpkg at work, which apt waits for, leaves the same files.
fn apt(
    host: &dyn Host,
    command: &Command,
    on_line: &mut dyn FnMut(&str),
) -> Result<Output, HostError> {
    let first = host.run(command, on_line)?;
    if first.status == Some(0) {
        return Ok(first);
    }
    // Where dpkg notes what it does until its lists are written: what apt looks at.
    let left = Command::new("find").args(["/var/lib/dpkg/updates", "-name", "[0-9]*"]);
    if check(host, &left).map(|list| list.trim().is_empty()).unwrap_or(true) {
        return Ok(first);
    }
    on_line("dpkg was interrupted before: configuring what it left");
    let configure = Command::new("dpkg")
        .args(["--force-confold", "--configure", "-a"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    host.run(&configure, on_line)?.success(&configure)?;
    host.run(command, on_line)
}

/// Lists all installed packages, their names, what they provide and need: see [`needs::parse`].
fn inventory(manager: Manager) -> Command {
    match manager {
        Manager::Apt => Command::new("dpkg-query").args([
            "-W",
            "-f",
            "P\t${db:Status-Abbrev}\t${Package}\t${Essential}${Protected}${Important}\nO\t${Provides}\nN\t${Pre-Depends}\nN\t${Depends}\n",
        ]),
        Manager::Dnf | Manager::Zypper => Command::new("rpm").args([
            "-qa",
            "--qf",
            "P\tii\t%{NAME}\tno\n[O\t%{PROVIDENAME}\n][N\t%{REQUIRENAME}\n]",
        ]),
        // It refuses by itself, and says what is in the way.
        Manager::Pacman => Command::new("true"),
    }
}

/// Says what a removal would do, and does nothing.
fn rehearsal(manager: Manager, packages: &[String]) -> Command {
    let names = || packages.iter().cloned();
    match manager {
        Manager::Apt => {
            Command::new("apt-get").args(["purge", "-s", "-q"]).args(names()).env("LC_ALL", "C")
        }
        Manager::Dnf | Manager::Zypper => {
            Command::new("rpm").args(["-e", "--test"]).args(names()).env("LC_ALL", "C")
        }
        Manager::Pacman => {
            Command::new("pacman").args(["-R", "--print"]).args(names()).env("LC_ALL", "C")
        }
    }
}

fn removal(manager: Manager, packages: &[String]) -> Command {
    let names = || packages.iter().cloned();
    match manager {
        Manager::Apt => Command::new("apt-get")
            // As an installation, it waits for somebody else's apt.
            .args(["-o", "DPkg::Lock::Timeout=600", "purge", "-y", "-q"])
            .args(names())
            .env("DEBIAN_FRONTEND", "noninteractive"),
        Manager::Dnf => Command::new("dnf").args(["remove", "-y", "--noautoremove"]).args(names()),
        Manager::Zypper => {
            Command::new("zypper").args(["--non-interactive", "remove"]).args(names())
        }
        Manager::Pacman => Command::new("pacman").args(["-R", "--noconfirm"]).args(names()),
    }
}

/// Installs packages. `coming` hears, before anything comes, what will besides: an installation that is
/// interrupted has brought some of that. Only apt tells; of others it is known once they are through.
pub fn install(
    host: &dyn Host,
    family: &Family,
    packages: &[String],
    on_line: &mut dyn FnMut(&str),
    coming: &mut dyn FnMut(Vec<String>) -> Result<(), HostError>,
) -> Result<(), HostError> {
    for command in commands(family.manager, packages) {
        host.run(&command, on_line)?.success(&command)?;
    }
    if family.manager == Manager::Apt {
        return apt_install(host, packages, on_line, coming);
    }
    Ok(())
}

/// Commands that install packages. For apt, only the list of packages is brought up to date here.
fn commands(manager: Manager, packages: &[String]) -> Vec<Command> {
    let names = || packages.iter().cloned();
    match manager {
        Manager::Apt => vec![Command::new("apt-get").args(["update", "-q"])],
        Manager::Dnf => {
            vec![
                Command::new("dnf")
                    .args(["install", "-y", "--setopt=install_weak_deps=False"])
                    .args(names()),
            ]
        }
        Manager::Zypper => vec![
            Command::new("zypper")
                .args(["--non-interactive", "install", "--no-recommends"])
                .args(names()),
        ],
        Manager::Pacman => {
            vec![Command::new("pacman").args(["-Sy", "--noconfirm", "--needed"]).args(names())]
        }
    }
}

/// Where a newer `qemu-utils` from a suite that is not enabled is in the way, apt either refuses or
/// silently removes it, which no hypervisor's owner has asked for: `--no-remove` makes it refuse.
/// Then all parts of QEMU are asked for in the enabled suite's version, in one call.
fn apt_install(
    host: &dyn Host,
    packages: &[String],
    on_line: &mut dyn FnMut(&str),
    coming: &mut dyn FnMut(Vec<String>) -> Result<(), HostError>,
) -> Result<(), HostError> {
    let install = |names: &[String]| {
        // Somebody else's apt, or one of a run that was killed, is waited for.
        Command::new("apt-get")
            .args(["-o", "DPkg::Lock::Timeout=600"])
            .args(["install", "-y", "-q", "--no-install-recommends", "--no-remove"])
            .args(names.iter().cloned())
            .env("DEBIAN_FRONTEND", "noninteractive")
    };
    // Its own failure is that of what follows.
    let rehearse = |command: &Command| {
        let trial = command.clone().arg("-s").env("LC_ALL", "C");
        host.run(&trial, &mut |_| {}).map(|output| arriving(&output.stdout))
    };
    let plain = install(packages);
    coming(rehearse(&plain)?)?;
    let first = apt(host, &plain, on_line)?;
    if first.status == Some(0) {
        return Ok(());
    }
    if !packages.iter().any(|p| p.starts_with("qemu")) {
        return first.success(&plain).map(|_| ());
    }
    let mut names: Vec<String> =
        packages.iter().filter(|p| !p.starts_with("qemu")).cloned().collect();
    names.insert(0, "--allow-downgrades".into());
    for part in ["qemu-system-x86", "qemu-system-common", "qemu-utils", "qemu-system-data"] {
        let list = check(host, &Command::new("apt-cache").args(["madison", part]))?;
        if let Some(version) = newest(&list) {
            names.push(format!("{part}={version}"));
        }
    }
    let pinned = install(&names);
    coming(rehearse(&pinned)?)?;
    host.run(&pinned, on_line)?.success(&pinned).map(|_| ())
}

/// Packages that a rehearsal of apt's would install: `Inst NAME (VERSION …)`, with `[OLD]` if it is there.
fn arriving(said: &str) -> Vec<String> {
    let names = said.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
        // Of another architecture it says so.
        let name = name.split(':').next().unwrap_or(name);
        (!rest.starts_with('[')).then(|| name.to_string())
    });
    names.collect()
}

/// The first version that `apt-cache madison` lists.
fn newest(madison: &str) -> Option<&str> {
    madison.lines().next()?.split('|').nth(1).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::family::FAMILIES;

    #[test]
    fn every_manager_has_its_own_words() {
        let packages = ["a".to_string(), "b".to_string()];
        let lines: Vec<String> = FAMILIES
            .iter()
            .flat_map(|f| commands(f.manager, &packages))
            .map(|c| c.to_string())
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        apt-get update -q
        dnf install -y --setopt=install_weak_deps=False a b
        zypper --non-interactive install --no-recommends a b
        pacman -Sy --noconfirm --needed a b
        ");
    }

    #[test]
    fn every_manager_removes_what_was_installed() {
        let packages = ["a".to_string(), "b".to_string()];
        let lines: Vec<String> =
            FAMILIES.iter().map(|f| removal(f.manager, &packages).to_string()).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    /// A host that is told what its commands answer.
    struct Played<F>(F);

    impl<F: Fn(&Command) -> Result<Output, HostError> + Send + Sync> Host for Played<F> {
        fn run(&self, command: &Command, _: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
            self.0(command)
        }

        fn spawn(&self, _: &Command) -> Result<std::process::Child, HostError> {
            Err(HostError::Failed { command: String::new(), status: None, stderr: String::new() })
        }

        fn read_tail(&self, _: &str, _: u64) -> Result<Option<Vec<u8>>, HostError> {
            Ok(None)
        }

        fn exists(&self, _: &str) -> bool {
            false
        }

        fn upload(
            &self,
            _: &std::path::Path,
            _: &str,
            _: &mut dyn FnMut(u64),
        ) -> Result<(), HostError> {
            Ok(())
        }

        fn write(&self, _: &str, _: &[u8], _: u32) -> Result<(), HostError> {
            Ok(())
        }

        fn answers(&self, _: std::net::SocketAddr) -> bool {
            false
        }

        fn rename(&self, _: &str, _: &str) -> Result<(), HostError> {
            Ok(())
        }

        fn remove(&self, _: &str) -> Result<(), HostError> {
            Ok(())
        }
    }

    /// A Debian with a few packages, where the rehearsal would take `b` along as long as `c` goes; what is
    /// really done is noted.
    fn debian(done: &std::sync::Mutex<Vec<String>>) -> impl Host {
        Played(move |command: &Command| {
            let line = command.to_string();
            let stdout = if line.starts_with("dpkg-query") {
                "P\tii \tinit\tyes\nN\tliba (>= 1)\nP\tii \tliba\tno\nP\tii \tb\tno\nP\tii \tc\tno\n"
            } else if line.contains(" -s ") {
                "Purg b [1]\nPurg c [1]\n"
            } else {
                done.lock().unwrap().push(line);
                ""
            };
            Ok(Output { status: Some(0), stdout: stdout.into(), stderr: String::new() })
        })
    }

    /// As on Debian 13: what preparation brought is needed by an essential package by now.
    #[test]
    fn packages_that_others_need_by_now_stay_and_the_rest_goes() {
        let (done, family) = (std::sync::Mutex::default(), &FAMILIES[0]);
        assert_eq!(family.manager, Manager::Apt);
        let packages = ["liba", "b", "c", "gone"].map(String::from);
        let kept = uninstall(&debian(&done), family, &packages, &mut |_| {}).unwrap();
        assert_eq!(kept, ["liba"]);
        assert_eq!(
            done.into_inner().unwrap(),
            ["apt-get -o DPkg::Lock::Timeout=600 purge -y -q b c"]
        );
    }

    /// The rehearsal has the last word: what nobody named is not removed.
    #[test]
    fn nothing_is_removed_that_the_rehearsal_takes_others_along_for() {
        let (done, family) = (std::sync::Mutex::default(), &FAMILIES[0]);
        // The rehearsal says that b goes, too, which is not among them.
        let packages = ["c".to_string()];
        assert!(uninstall(&debian(&done), family, &packages, &mut |_| {}).is_err());
        assert!(done.into_inner().unwrap().is_empty());
    }

    /// A Debian whose dpkg was killed, or not, until it is told to configure; what is really done is noted.
    fn killed_dpkg<'a>(
        left: &'a std::sync::atomic::AtomicBool,
        broken: bool,
        done: &'a std::sync::Mutex<Vec<String>>,
    ) -> impl Host + 'a {
        use std::sync::atomic::Ordering::SeqCst;
        Played(move |command: &Command| {
            let line = command.to_string();
            let (mut status, mut stdout) = (0, "");
            if line.starts_with("find ") {
                stdout = if left.load(SeqCst) { "/var/lib/dpkg/updates/0003\n" } else { "" };
            } else if !line.contains(" -s") {
                if line.starts_with("dpkg ") {
                    left.store(false, SeqCst);
                }
                status = if broken || left.load(SeqCst) { 100 } else { 0 };
                done.lock().unwrap().push(line);
            }
            Ok(Output { status: Some(status), stdout: stdout.into(), stderr: String::new() })
        })
    }

    #[test]
    fn a_dpkg_that_was_killed_is_brought_to_an_end_before_apt_is_asked_again() {
        let (done, left) = (std::sync::Mutex::default(), true.into());
        let host = killed_dpkg(&left, false, &done);
        let packages = ["a".to_string()];
        apt_install(&host, &packages, &mut |_| {}, &mut |_| Ok(())).unwrap();
        drop(host);
        let done = done.into_inner().unwrap();
        assert_eq!(done.len(), 3, "{done:?}");
        assert_eq!(done[1], "dpkg --force-confold --configure -a");
        assert_eq!(done[0], done[2]);
    }

    /// What others have in the way is not ours to configure.
    #[test]
    fn where_apt_fails_for_another_reason_nothing_is_configured() {
        let (done, left) = (std::sync::Mutex::default(), false.into());
        let host = killed_dpkg(&left, true, &done);
        let packages = ["a".to_string()];
        apt_install(&host, &packages, &mut |_| {}, &mut |_| Ok(())).unwrap_err();
        drop(host);
        assert_eq!(done.into_inner().unwrap().len(), 1);
    }

    /// This machine as it is, in a layer above it that goes with the one who made it, and packages made up.
    #[cfg(feature = "e2e")]
    const LAYER: &str = r#"
mount -t tmpfs none "$1"
cd "$1"
mkdir up work root
mount -t overlay none -o lowerdir=/,upperdir="$1/up",workdir="$1/work" root
mount --rbind /dev root/dev
mount --rbind /proc root/proc
package() {
    mkdir -p "tree/$1/DEBIAN"
    printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n%b' \
        "$1" "$2" >"tree/$1/DEBIAN/control"
    dpkg-deb -b "tree/$1" root/tmp >/dev/null
}
package mqt-lib ''
package mqt-tool 'Depends: mqt-lib\n'
package mqt-low ''
package mqt-core 'Essential: yes\nDepends: mqt-low\n'
package mqt-free ''
package mqt-above 'Depends: mqt-free\n'
chroot root sh -c 'dpkg -i /tmp/mqt-*.deb >/dev/null 2>&1'
echo made
read -r end"#;

    /// What somebody has installed since stays, and what it needs; so does what an essential package needs.
    /// Debian's own tools in a layer above this machine.
    #[cfg(feature = "e2e")]
    #[test]
    fn a_real_debian_loses_nothing_that_others_need() {
        use std::io::{BufRead, BufReader};
        use std::process::{self, Stdio};
        let place = tempfile::tempdir().unwrap();
        let mut layer = process::Command::new("unshare")
            .args(["-m", "sh", "-euc", LAYER, "sh"])
            .arg(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(layer.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "made\n");
        let root = place.path().join("root").display().to_string();
        let into = ["-t", &layer.id().to_string(), "-m", "chroot", &root, "env"].map(String::from);
        let inside = Played(|command: &Command| {
            let env = command.env.iter().map(|(name, value)| format!("{name}={value}"));
            let words = into.iter().cloned().chain(env).chain([command.program.clone()]);
            let all = Command::new("nsenter").args(words).args(command.args.iter().cloned());
            crate::host::Local.run(&all, &mut |_| {})
        });
        let ours = ["mqt-lib", "mqt-low", "mqt-free", "mqt-above"].map(String::from);
        let kept = uninstall(&inside, &FAMILIES[0], &ours, &mut |_| {});
        let there = installed(&inside, &FAMILIES[0]).unwrap();
        drop(layer.stdin.take());
        layer.wait().unwrap();
        assert_eq!(kept.unwrap(), ["mqt-lib", "mqt-low"]);
        let left: Vec<&String> = there.iter().filter(|p| p.starts_with("mqt-")).collect();
        assert_eq!(left, ["mqt-core", "mqt-lib", "mqt-low", "mqt-tool"]);
    }

    /// What a killed installation has brought besides what was asked for stayed for ever.
    #[test]
    fn what_was_there_is_not_noted_though_it_is_asked_for() {
        let names = ["curl", "ca-certificates"].map(String::from);
        let installed = BTreeSet::from(["ca-certificates".to_string(), "dash".into()]);
        assert_eq!(missing(&names, &installed), ["curl"]);
    }

    #[test]
    fn what_comes_along_is_known_before_it_comes() {
        let said = "Reading package lists...\nInst libaio1 (0.3.113-4 Debian:12.5 [amd64])\n\
                    Inst libc6:i386 (2.36 x)\nInst tzdata [2024a] (2024b x)\nConf libaio1 (0.3 x)\n";
        assert_eq!(arriving(said), ["libaio1", "libc6"]);
    }

    #[test]
    fn the_newest_version_is_the_first_listed() {
        let list = "qemu-utils | 1:7.2+dfsg-7+deb12u18 | http://x main\nqemu-utils | 1:7.1 | y\n";
        assert_eq!(newest(list), Some("1:7.2+dfsg-7+deb12u18"));
        assert_eq!(newest(""), None);
    }
}
