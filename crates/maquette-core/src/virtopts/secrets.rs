//! Options that have a secret in their value. What is asked for is recorded with each node, stands in plans and in
//! libvirt's definition, and in arguments of programs: nothing of that is a place for a secret.

/// Last words of names whose values are secrets.
const NAMES: [&str; 7] =
    ["password", "passwd", "passphrase", "token", "apikey", "api_key", "secret_key"];

/// What systemd in guests takes for secrets, of strings that machines tell of themselves.
const CREDENTIAL: &str = "io.systemd.credential";

/// Why such a value is refused.
pub(super) fn refused(option: &str, name: &str) -> String {
    let instead = match option {
        "--graphics" => "nodes have VNC, whose password `--vnc-password` sets",
        "--qemu-commandline" => "`-object secret,id=…,file=PATH` has QEMU read one of a file",
        _ => "set it on the node itself, once it is there",
    };
    format!(
        "virt-install's option `{option}` with a secret (`{name}`) is not for --virtopts: it would be in each node's \
         definition, where everybody reads it who may ask libvirt; {instead}"
    )
}

/// The name in an option's value whose own value is a secret, if there is one.
pub(super) fn named<'a>(option: &str, value: &'a str) -> Option<&'a str> {
    if value.contains(CREDENTIAL) {
        return Some(CREDENTIAL);
    }
    // QEMU's own objects that hold one have it as `data`.
    if option == "--qemu-commandline" && holds_secret(value) {
        return Some("data");
    }
    if option == "--xml" && !value.starts_with("xpath.delete=") {
        let set = value.split(',').filter_map(|part| part.strip_prefix("xpath.set="));
        if let Some(path) =
            set.map(|path| path.split('=').next().unwrap_or(path)).find(|p| is_one(p))
        {
            return Some(last(path));
        }
    }
    let given = value.char_indices().filter(|(_, c)| matches!(c, '=' | ':'));
    given.filter_map(|(at, _)| name_of(option, value, at)).next()
}

/// The secret's name before the sign at a place, if one is there with a value.
fn name_of<'a>(option: &str, value: &'a str, at: usize) -> Option<&'a str> {
    let before = value.get(..at)?.trim_end_matches(['"', '\'', ' ']);
    let is_named = |c: char| c.is_ascii_alphanumeric() || "-_.@/".contains(c);
    let begin = before
        .rfind(|c| !is_named(c))
        .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
    let name = before.get(begin..).filter(|name| is_one(name))?;
    let given = value.get(at + 1..)?.split([',', ' ']).next().unwrap_or_default();
    // `-vnc :0,password=on` has QEMU ask for one that somebody sets later.
    let is_switch = option == "--qemu-commandline" && matches!(given, "on" | "off" | "yes" | "no");
    (!is_switch).then(|| last(name))
}

/// Whether a name is that of a secret, and not that of what leads to one, such as `password-secret`.
fn is_one(name: &str) -> bool {
    let name = last(name).to_ascii_lowercase();
    NAMES.iter().any(|word| name.ends_with(word))
}

/// The last part of a name: virtinst's have dots, paths of XML have slashes.
fn last(name: &str) -> &str {
    name.rsplit(['.', '/', '@']).next().unwrap_or(name)
}

/// Whether arguments for QEMU have an object that holds a secret, and not the name of a file with one.
fn holds_secret(value: &str) -> bool {
    let words = || value.split(|c: char| c.is_whitespace() || ",\"'{}".contains(c));
    let has_data = words().any(|word| word == "data" || word.starts_with("data="));
    has_data && words().any(|word| matches!(word, "secret" | "qom-type=secret"))
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn no_option_takes_a_secret_and_no_error_shows_one() {
        for (text, said) in [
            ("--graphics spice,password=hunter2", "`--vnc-password`"),
            ("--graphics type=spice,passwd=hunter2,port=5901", "`--vnc-password`"),
            ("--graphics vnc,passwd=hunter2", "`--vnc-password`"),
            ("--graphics port=5901,password=hunter2", "`--vnc-password`"),
            ("--graphics=spice,PASSWD=hunter2", "`--vnc-password`"),
            ("--xml ./devices/graphics/@passwd=hunter2", "(`passwd`)"),
            ("--xml xpath.set=./devices/graphics/@passwd,xpath.value=hunter2", "(`passwd`)"),
            ("--qemu-commandline='-object secret,id=a,data=hunter2'", "file=PATH"),
            ("--qemu-commandline='-object secret,data=hunter2,id=a'", "file=PATH"),
            (
                r#"--qemu-commandline='-object {"qom-type": "secret", "id": "a", "data": "hunter2"}'"#,
                "file=PATH",
            ),
            (r#"--qemu-commandline='-x {"password": "hunter2"}'"#, "(`password`)"),
            ("--qemu-commandline='-spice port=1,password=hunter2'", "(`password`)"),
            ("--qemu-commandline env=API_TOKEN=hunter2", "(`API_TOKEN`)"),
            (
                "--qemu-commandline='-smbios type=11,value=io.systemd.credential:a=hunter2'",
                "libvirt",
            ),
            ("--sysinfo oemStrings.entry0=io.systemd.credential.binary:a=hunter2", "libvirt"),
            ("--hostdev 1:2,source.auth.password=hunter2", "(`password`)"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        // What only leads to one, or says how long it counts, is none.
        for text in [
            "--graphics spice,passwdValidTo=2030-01-01T00:00:00",
            "--tpm emulator,backend.encryption.secret=12345678-0000-0000-0000-000000000000",
            "--qemu-commandline='-object secret,id=a,file=/etc/a -drive x,password-secret=a'",
            "--qemu-commandline='-vnc :0,password=on'",
            "--xml xpath.delete=./devices/graphics/@passwd",
            "--sysinfo system.serial=token",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
    }
}
