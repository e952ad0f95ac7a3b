//! What machines that boot from a network are told: lines of dnsmasq's options, in which commas part words.

use super::{Form, ValueError, checked, shortened};

/// What BOOTP's field for a file's name takes besides its end (RFC 951, section 3), in characters.
const LONGEST_FILE: usize = 127;

/// Signs of names and addresses that mean nothing to dnsmasq.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-+:~%=&?@[]".contains(c)
}

fn boot_file(text: &str) -> Result<(), ValueError> {
    Form {
        what: "a valid boot file",
        longest: LONGEST_FILE,
        first: |c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_'),
        rest: plain,
        rule: "letters, digits and `/._-+:~%=&?@[]` only",
    }
    .check(text)?;
    let shown = shortened(text);
    // Whoever asks for an address on the network is told it, and `virsh net-dumpxml` shows it.
    let server =
        text.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(rest));
    if server.contains('@') {
        return Err(ValueError::new(
            "an address of a boot file cannot have a user and a password: everybody on the network is told it",
        ));
    }
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
