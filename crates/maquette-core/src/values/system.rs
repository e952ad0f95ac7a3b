//! Directories of a hypervisor that are its system's own, or its users'.

/// Directories that are the system's, or libvirt's own, and everything below them.
const TREES: [&str; 23] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/backups",
    "/var/cache",
    "/var/lib/libvirt/boot",
    "/var/lib/libvirt/dnsmasq",
    "/var/lib/libvirt/network",
    "/var/lib/libvirt/qemu",
    "/var/lib/libvirt/swtpm",
    "/var/lib/maquette",
    "/var/mail",
    "/var/run",
    "/var/spool",
];

/// Those of them below which there is room for whoever asks for it: memory, disks that desktops mount, and what is the
/// administrator's.
const FREE: [&str; 3] = ["/dev/shm", "/run/media", "/usr/local"];

/// Directories in which there are those of others, and below which there may be one for disks.
const ROOTS: [&str; 10] = [
    "/",
    "/home",
    "/media",
    "/opt",
    "/root",
    "/tmp",
    "/var",
    "/var/lib",
    "/var/lib/libvirt",
    "/var/log",
];

/// Trees of which nothing is to be read by guests, besides those of the system but `/usr`, where distributions have boot files.
const UNREAD: [&str; 4] = ["/dev/shm", "/root", "/var/lib/libvirt/images", "/var/log"];

/// An absolute path without what means nothing in it.
pub fn plain_path(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    let plain = parts.fold(String::new(), |all, part| all + "/" + part);
    if plain.is_empty() { "/".to_string() } else { plain }
}

/// Whether a path, as [`plain_path`] has it, is a directory or below it.
fn is_below(plain: &str, tree: &str) -> bool {
    plain.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Directories of users' that decide who may log in, and what is run, or have their keys.
const OF_USERS: [&str; 6] = [".aws", ".config", ".docker", ".gnupg", ".kube", ".ssh"];

/// Whether a path leads through a directory that is nobody's but its user's.
fn is_of_user(plain: &str) -> bool {
    plain.split('/').any(|part| OF_USERS.contains(&part))
}

/// Whether a path, as [`plain_path`] has it, is in a tree of the system's, or of a user's keys and set-up: no pool is to be there.
pub fn is_of_system(plain: &str) -> bool {
    let is_free = FREE.iter().any(|free| is_below(plain, free) && plain != *free);
    is_of_user(plain)
        || plain == "/"
        || (!is_free && TREES.iter().any(|tree| is_below(plain, tree)))
}

/// The same, or one of the directories in which there are those of others: no disks of one topology alone are to be there.
pub fn is_of_others(plain: &str) -> bool {
    ROOTS.contains(&plain) || is_of_system(plain)
}

/// Whether guests are not to read what is there: dnsmasq hands out what everybody on the hypervisor may read.
pub fn is_unread_by_guests(plain: &str) -> bool {
    let boot_files = is_below(plain, "/usr") || is_below(plain, "/var/cache");
    let is_usual = boot_files && !is_of_user(plain) && plain != "/usr" && plain != "/var/cache";
    !is_usual && (is_of_others(plain) || UNREAD.iter().any(|tree| is_below(plain, tree)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_systems_is_for_no_disks_and_is_not_served() {
        let judged = |path: &str| {
            let plain = plain_path(path);
            (is_of_system(&plain), is_of_others(&plain), is_unread_by_guests(&plain))
        };
        for path in [
            "/",
            "//",
            "/etc",
            "/etc/",
            "/./etc/x",
            "/proc/1",
            "/root/.ssh",
            "/home/bob/.ssh/x",
            "/var/spool/cron/crontabs",
            "/var/mail",
            "/var/lib/maquette/bmc",
            "/dev",
            "/dev/mapper",
            "/run/libvirt",
            "/srv/.ssh",
            "/boot",
        ] {
            assert_eq!(judged(path), (true, true, true), "{path}");
        }
        for path in ["/home", "/root", "/tmp/", "/var", "/var/lib", "/var/log"] {
            assert_eq!(judged(path), (false, true, true), "{path}");
        }
        for path in ["/root/x", "/var/log/x", "/var/lib/libvirt/images", "/dev/shm/pool"] {
            assert_eq!(judged(path), (false, false, true), "{path}");
        }
        for path in [
            "/srv/disks",
            "/home/images",
            "/tmp/x/tftp",
            "/var/lib/tftpboot",
            "/etcetera",
            "/default-pool",
            "/tmp/.tmpX/pool",
            "/home/ann/.local/share/pool",
            "/run/media/ann/disk",
        ] {
            assert_eq!(judged(path), (false, false, false), "{path}");
        }
        for path in ["/usr/lib/ipxe", "/usr/share/syslinux", "/var/cache/boot"] {
            assert_eq!(judged(path), (true, true, false), "{path}");
        }
    }
}
