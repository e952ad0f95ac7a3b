//! How many calls libvirt works on at once.

use super::sections::Sections;

/// How many calls a daemon of libvirt's works on at once, by its configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// `max_workers`: of all connections.
    pub all: usize,
    /// `max_client_requests`: of one.
    pub each: usize,
}

impl Workers {
    /// What the file says of the daemon; libvirt's own numbers where it says nothing
    /// (`daemonConfigNew` of src/remote/remote_daemon_config.c).
    pub(super) fn read(seen: &Sections, daemon: &str) -> Self {
        let value = |key: &str| {
            let said = seen.lines("workers").filter_map(|line| {
                line.strip_prefix(daemon)?.strip_prefix(' ')?.strip_prefix(key)?.trim().parse().ok()
            });
            said.last().filter(|number| *number > 0)
        };
        Self {
            all: value("max_workers").unwrap_or(20),
            each: value("max_client_requests").unwrap_or(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemons_file_says_how_many_calls_it_works_on() {
        let said = "@@ workers\nlibvirtd max_workers 40\nlibvirtd max_client_requests 8\nvirtqemud max_workers 7\n\
                    libvirtd max_workers 30\nvirtqemud max_client_requests 0\n@@ paths\n";
        let workers = |program: &str| crate::probe::read(&format!("{said}{program}\n")).workers;
        assert_eq!(workers("/usr/sbin/libvirtd"), Workers { all: 30, each: 8 });
        assert_eq!(workers("/usr/sbin/virtqemud"), Workers { all: 7, each: 5 });
        assert_eq!(crate::probe::read("").workers, Workers { all: 20, each: 5 });
    }
}
