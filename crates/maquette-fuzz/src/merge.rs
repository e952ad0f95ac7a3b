//! An inventory of ours and one that others have written into.

use maquette::fuzzing;

/// What we wrote, as we write it.
const OURS: &str = "\
hypervisor ansible_host=hyper.example ansible_user=root
lab-web-0 ansible_host=10.1.0.2 ansible_user=cloud-user ansible_ssh_common_args='-F /w/maquette/ansible.ssh.config'
lab-web-1 ansible_host=10.1.0.3 ansible_user=cloud-user ansible_ssh_common_args='-F /w/maquette/ansible.ssh.config'

[web]
lab-web-0
lab-web-1

[hypervisor]
hypervisor
";

/// The input is the inventory as it is now: whatever is in it, our hosts are in what becomes of it.
pub fn merge(data: &[u8]) {
    let Ok(theirs) = std::str::from_utf8(data) else { return };
    let known = |text: &str| fuzzing::merged(OURS, text, OURS);
    let first = |text: &str| fuzzing::merged_first(text, OURS, "/w/maquette");
    for merged in [&known as &dyn Fn(&str) -> String, &first] {
        let once = merged(theirs);
        let hosts = fuzzing::inventory(&once);
        for name in ["hypervisor", "lab-web-0", "lab-web-1"] {
            let is = |(host, vars, _): &fuzzing::Host| {
                host == name || vars.values().any(|value| value == name)
            };
            assert!(hosts.iter().any(is), "{name} is not in {once:?}");
        }
    }
}
