//! Images without cloud-init, which virt-customize makes ready.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::observed::Observed;
use maquette_core::plan::{Action, Requirements};
use maquette_core::topology::NodeRequest;
use maquette_testkit::{Input, changes, input, mistakes, plan_of, topology, up};

const NETWORK: &str = "networks:\n  net1: {name: lan, forward: nat, ip_address: 10.9.0.1, dhcp: {range: {start: 10.9.0.2, end: 10.9.0.99}}}\nnodes:\n  default:\n    interfaces: [lan]\n    external_network: lan\n";

fn node(keys: &str) -> Input {
    let text = format!(
        "web={{name: web, cpu: 1, memory: 512, disks: {{disk1: {{size: 20G}}, disk2: {{import_url: debian-12}}}}{keys}}}"
    );
    input(&[(&text, 1)], NETWORK, &[])
}

/// The names of a node's seed files, and what they hold.
fn seed(input: &Input) -> Vec<(&'static str, String)> {
    let plan = plan_of(input, &Observed::default());
    let mut seeds = plan.steps.iter().filter_map(|step| match &step.action {
        Action::CreateSeed { files, .. } => Some(files),
        _ => None,
    });
    let files = seeds.next().unwrap().iter();
    files.map(|file| (file.name, file.content.reveal().to_string())).collect()
}

#[test]
fn an_image_that_is_customised_is_another_volume_and_the_plan_says_so() {
    let mut seen = Observed::default();
    let first = changes(&up(&mut seen, &node("")));
    assert!(!first.contains("virt-customize"), "{first}");
    // The other disk's image is nobody's system.
    let plan = up(&mut seen, &node(", customize: yes"));
    let second = changes(&plan);
    let fetched: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::FetchImage { image, .. } => Some(image),
            _ => None,
        })
        .collect();
    let [image] = fetched.as_slice() else { panic!("{fetched:?}") };
    assert!(image.is_customized(), "{image:?}");
    assert_eq!(image.customized(), **image);
    assert!(!image.as_it_comes().is_customized() && image.as_it_comes().customized() == **image);
    let words = "virt-customize has it set up from the seed, unless it has cloud-init";
    assert!(second.contains(words), "{second}");
    assert!(second.contains("replace domain web-0"), "{second}");
    // Whoever does not say how the image is used leaves a node as it is, whatever is known of its image by now.
    assert!(up(&mut seen.clone(), &node("")).is_empty());
    // Records have an address without what may be secret in it.
    let mut recorded = Observed::default();
    let address = ", import_url: 'https://u:p@example.org/x.qcow2'";
    up(&mut recorded, &node(&format!("{address}, customize: yes")));
    for domain in recorded.domains.values_mut() {
        let image = domain.recorded.disks[0].backing.as_mut().unwrap();
        assert!(image.is_customized());
        image.source = image.shown();
        assert_eq!(image.source, "https://***@example.org/x.qcow2");
    }
    let again = changes(&up(&mut recorded, &node(address)));
    assert!(!again.contains("replace"), "{again}");
    let mut plain = Observed::default();
    up(&mut plain, &node(", customize: no"));
    assert!(up(&mut plain, &node("")).is_empty());
    let back = changes(&up(&mut seen, &node(", customize: no")));
    assert!(back.contains("replace domain web-0"), "{back}");
}

#[test]
fn only_what_is_customised_asks_for_packages_on_the_hypervisor() {
    for (keys, count, wants) in
        [("", 1, false), (", customize: yes", 1, true), (", customize: yes", 0, false)]
    {
        let mut input = node(keys);
        let with = |node: NodeRequest| NodeRequest { count, ..node };
        input.request.nodes = input.request.nodes.into_iter().map(with).collect();
        let topology = topology(&input, &Observed::default());
        assert_eq!(Requirements::of(&topology).customize, wants, "{keys} {count}");
    }
}

#[test]
fn a_first_boot_is_there_in_a_shells_words_where_a_shell_does_it() {
    let keys = ", packages: [nginx], files: {/etc/motd: \"it's\\nhere\\n\", /etc/key: {content: a, mode: 0600, owner: 'www-data:adm'}}, commands: [id, 'echo $x']";
    let plain = node(keys);
    assert!(seed(&plain).iter().all(|(name, _)| *name != "first-boot.sh"));
    let customised = node(&format!("{keys}, customize: yes"));
    let files = seed(&customised);
    let shell = &files.iter().find(|(name, _)| *name == "first-boot.sh").unwrap().1;
    assert_eq!(
        shell,
        "file 0644 '' /etc/motd \"it's\nhere\n\" || return\n\
         file 0600 www-data:adm /etc/key a || return\n\
         packages nginx || return\n\
         commands 'set -e\nid\necho $x' || return\n"
    );
    assert!(seed(&node(", customize: yes")).iter().all(|(name, _)| *name != "first-boot.sh"));
}

#[test]
fn what_cannot_be_done_without_cloud_init_is_refused_by_name() {
    for (keys, said) in [
        (
            ", customize: yes, user_data: {ntp: {enabled: true}}",
            "`user_data` of node type `web` needs cloud-init",
        ),
        (
            ", customize: yes, supports_libguestfs: no",
            "`customize` of node type `web` has no effect: its image is used as it is",
        ),
        (
            ", customize: yes, deploy_os: no",
            "`customize` of node type `web` has no effect: it has no operating system",
        ),
    ] {
        let found = mistakes(&mut node(keys));
        assert!(
            found.iter().any(|line| line.starts_with("topology::customize") && line.contains(said)),
            "{keys}: {found:?}"
        );
    }
    assert_eq!(mistakes(&mut node(", customize: yes, packages: [vim]")), Vec::<String>::new());
}
