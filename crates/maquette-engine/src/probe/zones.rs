//! What a hypervisor tells of firewalld.

use super::Daemons;
use super::sections::Sections;

/// Whether firewalld runs, and has not read libvirt's zone although the zone's file is there, or comes with libvirt.
pub(super) fn is_unknown(seen: &Sections, daemons: &Daemons) -> bool {
    let says = |word: &str| seen.lines("firewalld").any(|line| line == word);
    // A libvirt without the zone does without it: it is older than 5.1.
    let has_file = says("file") || *daemons == Daemons::Missing;
    says("runs") && has_file && !says("zone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firewalld_is_reloaded_where_it_has_not_read_libvirts_zone() {
        let there = Daemons::Direct(Vec::new());
        let is = |said: &str, daemons: &Daemons| {
            is_unknown(&Sections::parse(&format!("@@ firewalld\n{said}\n")), daemons)
        };
        assert!(is("runs\nfile", &there) && is("runs", &Daemons::Missing));
        for fine in ["", "file", "runs", "runs\nfile\nzone"] {
            assert!(!is(fine, &there), "{fine}");
        }
        assert!(!is("", &Daemons::Missing));
    }
}
