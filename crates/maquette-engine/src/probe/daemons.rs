//! How libvirt's daemons are started: with systemd, or directly where there is none.

/// How the daemons of a hypervisor are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Daemons {
    /// systemd units.
    Systemd(&'static [&'static str]),
    /// Programs that go into the background themselves.
    Direct(Vec<&'static str>),
    /// None is installed.
    Missing,
}

/// The one that is asked first comes last: when it answers, all do.
const MODULAR: &[&str] = &["virtnetworkd.socket", "virtstoraged.socket", "virtqemud.socket"];
const MONOLITHIC: &[&str] = &["libvirtd.socket"];

/// Paths that tell which daemons are installed.
pub(super) const PATHS: &[&str] =
    &["/usr/sbin/libvirtd", "/usr/bin/libvirtd", "/usr/sbin/virtqemud", "/usr/bin/virtqemud"];

impl Daemons {
    /// The one that domains are started by.
    pub(super) fn of_domains(&self) -> &'static str {
        let all = match self {
            Self::Systemd(units) => units,
            Self::Direct(programs) => programs.as_slice(),
            Self::Missing => &[],
        };
        match all.iter().any(|name| name.starts_with("virtqemud")) {
            true => "virtqemud",
            false => "libvirtd",
        }
    }
}

/// Tells how daemons are started, from the paths that exist and whether systemd runs
/// (<https://www.freedesktop.org/software/systemd/man/sd_booted.html>) and has libvirtd enabled.
pub(super) fn detect(
    there: &dyn Fn(&str) -> bool,
    systemd: bool,
    libvirtd_enabled: bool,
) -> Daemons {
    let monolithic = there("/usr/sbin/libvirtd") || there("/usr/bin/libvirtd");
    let modular = there("/usr/sbin/virtqemud") || there("/usr/bin/virtqemud");
    match (systemd, monolithic, modular) {
        (_, false, false) => Daemons::Missing,
        (true, _, true) if !libvirtd_enabled => Daemons::Systemd(MODULAR),
        (true, true, _) => Daemons::Systemd(MONOLITHIC),
        (true, false, true) => Daemons::Systemd(MODULAR),
        (false, true, _) => Daemons::Direct(vec!["virtlogd", "libvirtd"]),
        (false, false, true) => {
            Daemons::Direct(vec!["virtlogd", "virtnetworkd", "virtstoraged", "virtqemud"])
        }
    }
}
