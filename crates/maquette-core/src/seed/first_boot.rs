//! Packages, files and commands of a first boot, for cloud-init and for the agent of prepared images.

use std::fmt::Write;

use serde_json::json;

use super::user_data::UserData;
use crate::syntax::quoted;
use crate::topology::FirstBoot;
use crate::values::is_unprintable;

/// cloud-init's modules for the last stage, and what they read.
///
/// <https://cloudinit.readthedocs.io/en/latest/reference/modules.html>
pub(super) fn cloud_config(first_boot: &FirstBoot, own: &UserData) -> (Vec<&'static str>, String) {
    // The others became some of these, or are the user's own.
    let FirstBoot { packages, files, commands, autologin: _, user_data: _, password: _ } =
        first_boot;
    let (mut modules, mut out) = (Vec::new(), String::new());
    let mut line = |text: &str| {
        let _ = writeln!(out, "{text}");
    };
    if !files.is_empty() || own.has("write_files") {
        line("write_files:");
        for file in files {
            line(&format!("  - path: {}", quoted(&file.path)));
            line(&format!("    permissions: \"{:04o}\"", file.mode.bits()));
            if let Some(owner) = &file.owner {
                line(&format!("    owner: {}", quoted(owner)));
            }
            line(&format!("    content: {}", quoted(file.content.reveal())));
        }
        own.items("write_files").for_each(|item| line(&format!("  - {item}")));
    }
    if !packages.is_empty() || own.has("packages") {
        modules.push("package-update-upgrade-install");
        let names = packages.iter().map(|name| quoted(name)).chain(own.items("packages"));
        let names: Vec<String> = names.collect();
        if !own.has("package_update") {
            line("package_update: true");
        }
        line(&format!("packages: [{}]", names.join(", ")));
    }
    if !commands.is_empty() || own.has("runcmd") {
        // The first writes a script of the commands, the second runs it.
        modules.extend(["runcmd", "scripts-user"]);
        line("runcmd:");
        if !commands.is_empty() {
            line("  - set -e");
        }
        for command in commands {
            line(&format!("  - {}", quoted(command.reveal())));
        }
        if !commands.is_empty() && own.has("runcmd") {
            line("  - set +e");
        }
        own.items("runcmd").for_each(|item| line(&format!("  - {item}")));
    }
    (modules, out)
}

/// The same as JSON.
pub(super) fn json(first_boot: &FirstBoot) -> String {
    let FirstBoot { packages, files, commands, autologin: _, user_data: _, password: _ } =
        first_boot;
    let files: Vec<_> = files
        .iter()
        .map(|file| {
            json!({
                "path": file.path.as_str(),
                "mode": file.mode.bits(),
                "owner": file.owner.as_deref(),
                "content": file.content.reveal(),
            })
        })
        .collect();
    let packages: Vec<&str> = packages.iter().map(|name| name.as_str()).collect();
    let commands: Vec<&str> = commands.iter().map(|command| command.reveal()).collect();
    escaped(&json!({ "packages": packages, "files": files, "commands": commands }).to_string())
}

/// The same in the words of what virt-customize puts into images (`setup.sh` in the engine's assets).
pub(super) fn shell(first_boot: &FirstBoot) -> String {
    let FirstBoot { packages, files, commands, autologin: _, user_data: _, password: _ } =
        first_boot;
    let mut out = String::new();
    // Only a byte 0 cannot be quoted, and no text of a first boot has one.
    let word = |text: &str| shlex::try_quote(text).unwrap_or_default().into_owned();
    for file in files {
        let owner = file.owner.as_deref().unwrap_or_default();
        let (path, content) = (word(&file.path), word(file.content.reveal()));
        let _ = writeln!(
            out,
            "file {:04o} {} {path} {content} || return",
            file.mode.bits(),
            word(owner)
        );
    }
    if !packages.is_empty() {
        let names: Vec<String> = packages.iter().map(|name| word(name)).collect();
        let _ = writeln!(out, "packages {} || return", names.join(" "));
    }
    if !commands.is_empty() {
        let lines: Vec<&str> = commands.iter().map(|command| command.reveal()).collect();
        let script = format!("set -e\n{}", lines.join("\n"));
        let _ = writeln!(out, "commands {} || return", word(&script));
    }
    out
}

/// JSON in which nothing shows something else than is there, as in YAML: outside of its texts there is nothing to escape.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unprintable(c) {
            // Beyond the first 65536 characters, JSON names the halves of UTF-16 (RFC 8259, section 7).
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::BootFile;
    use crate::values::{FileMode, Secret};

    #[test]
    fn whatever_a_file_holds_is_told_to_the_letter_without_a_sign_that_hides() {
        let text = "a\n\t\"\u{202e}\u{2028}\u{7f}\u{9b}\u{61c}\u{e0041}\u{1f600}";
        let file = BootFile {
            path: "/x".parse().unwrap(),
            content: Secret::new(text),
            mode: FileMode::USUAL,
            owner: None,
        };
        let commands = vec![Secret::new(text)];
        let json = json(&FirstBoot { files: vec![file], commands, ..FirstBoot::default() });
        assert!(!json.contains(is_unprintable), "{json:?}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["files"][0]["content"], text);
        assert_eq!(read["commands"][0], text);
    }
}
