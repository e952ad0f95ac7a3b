//! Options of virt-install that virtinst's own `virt-xml` applies to a definition, on the hypervisor.
//!
//! <https://github.com/virt-manager/virt-manager/blob/main/man/virt-xml.rst>

use maquette_core::blueprint::Node;
use maquette_core::topology::virtopts::{Edit, VirtOpt};
use maquette_engine::StepError;
use maquette_engine::host::{Command, Host, check};

/// Has `virt-xml` read a definition, apply an option and print what comes of it.
const SCRIPT: &str = include_str!("../assets/virt-xml.sh");

/// What comes of a definition by the options of its node that are for `virt-xml`, one after the other.
pub fn edited(host: &dyn Host, node: &Node, xml: String) -> Result<String, StepError> {
    let mut xml = xml;
    for option in node.virtopts.iter() {
        if let VirtOpt::Edit { how, name, value } = option {
            xml = edit(host, node, &xml, (*how, name, value)).map_err(|error| {
                let message = format!("`{name} {value}` of --virtopts cannot be applied");
                StepError::new(message).because(error)
            })?;
        }
    }
    Ok(xml)
}

fn edit(
    host: &dyn Host,
    node: &Node,
    xml: &str,
    (how, name, value): (Edit, &str, &str),
) -> Result<String, StepError> {
    // It may have a password in it, so no list of processes shows it.
    let file = format!("/run/maquette-{}.xml", node.uuid);
    host.write(&file, xml.as_bytes(), 0o600).map_err(StepError::of)?;
    let how = match how {
        Edit::Change => "--edit",
        Edit::Add => "--add-device",
        Edit::Remove => "--remove-device",
    };
    let command = Command::script(SCRIPT, [file.as_str(), how, &format!("{name}={value}")]);
    let printed = check(host, &command.env("LC_ALL", "C"));
    host.remove(&file).map_err(StepError::of)?;
    printed.map_err(StepError::of)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process;

    use super::*;

    /// Stands in for `virt-xml`: it changes what the definition has, and adds what it lacks.
    const STAND_IN: &str = "#!/bin/sh\n\
        [ \"$1 $2\" = '--connect qemu:///system' ] || exit 9\n\
        text=$(cat)\n\
        case \"$3 $4\" in\n\
        '--edit --seclabel=type=none') echo 'ERROR No --seclabel objects found in the XML' >&2; exit 1 ;;\n\
        --remove-device*) echo 'ERROR No --input objects found in the XML' >&2; exit 1 ;;\n\
        *colour*) echo 'ERROR Unknown --watchdog options: [colour]' >&2; exit 1 ;;\n\
        esac\n\
        echo \"$text$3 $4\"\n";

    fn run(how: &str, option: &str) -> (bool, String, String) {
        let directory = tempfile::tempdir().unwrap();
        let (program, file) = (directory.path().join("virt-xml"), directory.path().join("x.xml"));
        fs::write(&program, STAND_IN).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&file, "<domain/>\n").unwrap();
        let output = process::Command::new("sh")
            .args(["-euc", SCRIPT, "sh", file.to_str().unwrap(), how, option])
            .env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()))
            .output()
            .unwrap();
        // Nothing is left but what was there.
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_string();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    #[test]
    fn virt_xml_changes_what_there_is_and_adds_what_there_is_not() {
        let done = |text: &str| (true, text.to_string(), String::new());
        assert_eq!(run("--edit", "--cpu=host,-svm"), done("<domain/>--edit --cpu=host,-svm"));
        let added = "<domain/>--add-device --hostdev=1:2";
        assert_eq!(run("--add-device", "--hostdev=1:2"), done(added));
        let added = "<domain/>--add-device --seclabel=type=none";
        assert_eq!(run("--edit", "--seclabel=type=none"), done(added));
        // What is to be taken away and is not there is away.
        assert_eq!(run("--remove-device", "--input=all"), done("<domain/>"));
        let (is_done, _, said) = run("--add-device", "--watchdog=colour=red");
        assert!(!is_done && said.contains("Unknown --watchdog options"), "{said}");
    }
}
