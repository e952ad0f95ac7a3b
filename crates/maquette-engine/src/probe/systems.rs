//! Operating systems that a hypervisor's libosinfo knows.

use std::collections::BTreeSet;

use crate::host::{Command, Host, HostError, check};

/// What [`systems`] runs on the hypervisor.
const SYSTEMS: &str = concat!(
    "# Looks for operating systems in the database of libosinfo.\n",
    include_str!("../../assets/host/systems.sh"),
);

/// Where libosinfo has its databases: the distribution's, the site's and the administrator's.
const DATABASES: [&str; 3] =
    ["/usr/share/osinfo/os", "/usr/local/share/osinfo/os", "/etc/osinfo/os"];

/// Short names (`rhel9.4`) in the hypervisor's databases of libosinfo, in small letters and in one round trip; none where it
/// has no database.
pub fn systems(host: &dyn Host) -> Result<Option<BTreeSet<String>>, HostError> {
    systems_of(host, &DATABASES)
}

fn systems_of(host: &dyn Host, places: &[&str]) -> Result<Option<BTreeSet<String>>, HostError> {
    let said = check(host, &Command::script(SYSTEMS, places.iter().copied()))?;
    Ok(read(&said))
}

/// Understands what the script prints.
fn read(said: &str) -> Option<BTreeSet<String>> {
    let mut lines = said.lines().map(str::trim).skip_while(|line| *line != "database");
    lines.next()?;
    let known: BTreeSet<String> =
        lines.filter(|line| !line.is_empty()).map(str::to_lowercase).collect();
    // A package that was removed leaves empty directories.
    (!known.is_empty()).then_some(known)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::Local;

    #[test]
    fn systems_are_those_of_all_databases_that_are_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), text).unwrap();
        };
        write(
            "usr/os/redhat.com/rhel-9.4.xml",
            "<libosinfo>\n  <os id=\"http://redhat.com/rhel/9.4\">\n    <short-id>rhel9.4</short-id>\n    <name>RHEL</name>\n",
        );
        write("usr/os/one.xml", "<os><short-id>One1</short-id><short-id>other-1</short-id></os>\n");
        write(
            "etc/os/own.xml",
            "<os><short-id>rhel9.4</short-id></os>\n<os><short-id>ours</short-id></os>",
        );
        write("usr/os/odd.xml", "<short-id>a b\u{1b}[2J</short-id>\n<short-id></short-id>\n");
        fs::create_dir(path("empty")).unwrap();
        let places =
            ["usr/os", "none", "etc/os", "empty"].map(|name| path(name).display().to_string());
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        let found = systems_of(&Local, &places).unwrap().unwrap();
        let wanted = ["one1", "other-1", "ours", "rhel9.4"].map(String::from);
        assert_eq!(found, BTreeSet::from(wanted));
        for without in [&[][..], &places[1..2], &places[3..]] {
            assert_eq!(systems_of(&Local, without).unwrap(), None, "{without:?}");
        }
    }

    #[test]
    fn without_a_database_nothing_is_known() {
        assert_eq!(read(""), None);
        assert_eq!(read("database\n"), None);
        assert_eq!(read("motd\ndatabase\ndebian12\n"), Some(BTreeSet::from(["debian12".into()])));
    }
}
