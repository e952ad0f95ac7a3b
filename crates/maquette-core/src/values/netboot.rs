//! What machines that boot from a network are told: lines of dnsmasq's options, in which commas part words.

use super::{Form, ValueError, checked, shortened};

/// What BOOTP's field for a file's name takes besides its end (RFC 951, section 3), in characters.
const LONGEST_FILE: usize = 127;

/// Signs of names and addresses that mean nothing to dnsmasq.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-+:~%=&?@[]".contains(c)
}

/// What the names of an address's parameters have in them that let whoever knows them in.
const SECRET: [&str; 8] =
    ["passw", "token", "secret", "signature", "credential", "apikey", "api_key", "api-key"];

/// Such names, as a whole.
const SECRET_NAMES: [&str; 6] = ["sig", "key", "auth", "pass", "pwd", "access_key"];

/// Why an address may not be told to everybody on a network, and to whoever may look at libvirt's definition of it.
fn told_to_nobody(text: &str) -> Option<&'static str> {
    let (_, rest) = text.split_once("://")?;
    // A password with a `/` in it would end what has it early.
    let server = rest.split('/').next().unwrap_or(rest);
    let begins_password = server.contains(':')
        && !server.starts_with('[')
        && !server.rsplit(':').next().is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    if server.contains('@') || (begins_password && rest.contains('@')) {
        return Some("a user and a password");
    }
    let query = rest.split_once(['?', ';'])?.1.to_ascii_lowercase();
    let names = query.split(['&', ';', '?']).map(|pair| pair.split('=').next().unwrap_or(pair));
    let mut secret = names.filter(|name| {
        SECRET.iter().any(|word| name.contains(word)) || SECRET_NAMES.contains(name)
    });
    secret.next().map(|_| "a token or another secret after `?`")
}

fn boot_file(text: &str) -> Result<(), ValueError> {
    // Before anything else, which would show it.
    if let Some(what) = told_to_nobody(text) {
        return Err(ValueError::new(format!(
            "an address of a boot file cannot have {what}, since everybody on the network is told it, and reads it in libvirt's definition; \
             have the server let machines of the network in by their addresses"
        )));
    }
    Form {
        what: "a valid boot file",
        longest: LONGEST_FILE,
        first: |c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_'),
        rest: plain,
        rule: "letters, digits and `/._-+:~%=&?@[]` only",
    }
    .check(text)?;
    let shown = shortened(text);
    if text.split('/').any(|part| part == "..") {
        return Err(ValueError::new(format!("`{shown}` is not a valid boot file: it has `..`")));
    }
    // A server of TFTP knows no such signs, and one of HTTP only these.
    let codes = |code: &str| {
        code.get(..2).is_some_and(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    if !text.split('%').skip(1).all(|code| text.contains("://") && codes(code)) {
        return Err(ValueError::new(format!(
            "`{shown}` is not a valid boot file: `%` stands before two hexadecimal digits of an address"
        )));
    }
    Ok(())
}

checked!(
    /// A file that firmware loads from a network: its name on a TFTP server, or an address.
    NetbootFile,
    boot_file
);

impl NetbootFile {
    /// Whether it is an address, which names its server itself.
    pub fn is_address(&self) -> bool {
        self.contains("://")
    }
}

checked!(
    /// An address that firmware loads over HTTP.
    NetbootUrl,
    |text| {
        boot_file(text)?;
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
            let shown = shortened(text);
            return Err(ValueError::new(format!(
                "`{shown}` is not an address that begins with http:// or https://"
            )));
        }
        Ok(())
    }
);

checked!(
    /// A directory of the hypervisor whose files dnsmasq serves over TFTP, as an absolute path without `..`; dnsmasq reads
    /// the name of an interface after a comma.
    TftpRoot,
    |text| {
        let what = "a valid directory for TFTP";
        Form {
            what,
            longest: 1000,
            first: |c| c == '/',
            rest: |c| c.is_ascii_alphanumeric() || "/._-+@:=".contains(c),
            rule: "it is an absolute path of letters, digits and `/._-+@:=`",
        }
        .check(text)?;
        if text.split('/').any(|part| part == "..") || text.split('/').all(str::is_empty) {
            let shown = shortened(text);
            return Err(ValueError::new(format!(
                "`{shown}` is not {what}: it is a directory below `/`, without `..`"
            )));
        }
        Ok(())
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_boot_file_means_something_to_dnsmasq() {
        for good in
            ["undionly.kpxe", "/efi/ipxe.efi", "http://[fd00::1]:8080/boot.ipxe?mac=a&b=%20"]
        {
            assert!(good.parse::<NetbootFile>().is_ok(), "{good}");
        }
        let long = "a".repeat(128);
        for bad in [
            "",
            "a,b",
            "a b",
            "a\nb",
            "#a",
            "a\"b",
            "a\\b",
            "-a",
            &long,
            "../a",
            "a/../b",
            "/..",
            "a%20",
            "a%h",
            "http://a/%h%%",
            "http://a/%2",
            "http://user:secret@boot.example/ipxe.efi",
            "tftp://user@boot.example/x",
        ] {
            assert!(bad.parse::<NetbootFile>().is_err(), "{bad:?}");
        }
        for secret in [
            "http://user:hunter2@boot.example/a",
            "http://hunter2@boot.example/a b",
            "http://user:hunt/er2@boot.example/a",
            "http://boot.example/a?token=hunter2",
            "http://boot.example/a?mac=1&Access_Token=hunter2",
            "http://boot.example/a?x=1&X-Amz-Signature=hunter2",
            "https://a.example/a?sv=1&sig=hunter2\"",
            "tftp://boot.example/a?password=hunter2",
            "https://a.example/a;token=hunter2",
            "https://a.example/a?mac=1;token=hunter2",
        ] {
            let error = secret.parse::<NetbootFile>().unwrap_err().to_string();
            assert!(
                error.contains("everybody on the network") && !error.contains("hunt"),
                "{error}"
            );
            assert!(secret.parse::<NetbootUrl>().is_err(), "{secret}");
        }
        for good in ["http://a:80/b@c", "http://a/b?keyboard=de&sigma=1", "http://[fd00::1]/a@b"] {
            assert!(good.parse::<NetbootFile>().is_ok(), "{good}");
        }
        assert!("https://boot.example/ipxe.efi".parse::<NetbootUrl>().is_ok());
        for bad in ["ipxe.efi", "tftp://a/b", "http://", "http:///a", "http://a,b"] {
            assert!(bad.parse::<NetbootUrl>().is_err(), "{bad:?}");
        }
        assert!("/srv/tftp".parse::<TftpRoot>().is_ok());
        for bad in ["", "/", "//", "srv", "/srv/../etc", "/srv,eth0", "/a b", "/a#b"] {
            assert!(bad.parse::<TftpRoot>().is_err(), "{bad:?}");
        }
    }
}
