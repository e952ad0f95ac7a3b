//! Text without secrets, for reports that people pass on: what is known to be secret, and what looks like it.

use crate::image::redact;

/// What stands in the place of a secret.
const GONE: &str = "***";

/// Words before the value of something secret.
const NAMES: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "apikey",
    "api_key",
    "api-key",
    "credential",
    "authorization",
];

/// Whether what has this name is secret, as `db_password` is.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES.iter().any(|word| name.contains(word))
}

/// A text without any of some `secrets`, private keys, what is secret in addresses of the web, and values of what is named
/// like a password, such as `passwd='x'`, `token=x`, `--token x` or `"password": "x"`; nor passwords that cloud-init drew.
pub fn scrub(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_string();
    let mut known: Vec<&String> = secrets.iter().filter(|secret| secret.len() >= 4).collect();
    // One may be part of another.
    known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in known {
        text = text.replace(secret.as_str(), GONE);
    }
    let mut out = String::with_capacity(text.len());
    let (mut in_key, mut in_passwords) = (false, false);
    for line in text.split_inclusive('\n') {
        let begins = line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
        if begins {
            out.push_str(&format!("{GONE} (a private key)\n"));
        }
        if in_key || begins {
            in_key = !line.contains("-----END");
            continue;
        }
        let drawn = drawn(line).filter(|_| in_passwords);
        in_passwords = drawn.is_some() || line.contains(DRAWN);
        match drawn {
            Some((before, after)) => out.push_str(&format!("{before}{GONE}{after}")),
            None => out.push_str(&values(&addresses(&queries(line)))),
        }
    }
    out
}

/// What cloud-init says before the passwords that it drew, each in a line: `user:password`.
const DRAWN: &str = "Set the following 'random' passwords";

/// What is before and after such a password; whatever writes to the console may put words before it.
fn drawn(line: &str) -> Option<(&str, &str)> {
    let text = line.trim_end();
    let word = text.rsplit(char::is_whitespace).next()?;
    let (user, password) = word.split_once(':')?;
    let is_named = |c: char| c.is_ascii_alphanumeric() || "-_.$".contains(c);
    let is_one = !user.is_empty() && user.chars().all(is_named) && !password.is_empty();
    is_one.then(|| (&text[..text.len() - password.len()], &line[text.len()..]))
}

/// A line without what follows `?` in an address that libvirt has taken apart.
fn queries(line: &str) -> String {
    let attribute = line.find("<source ").and_then(|at| Some(line[at..].find(" query=")? + at));
    let Some(at) = attribute.map(|at| at + " query=".len()) else { return line.into() };
    let (before, value) = line.split_at(at);
    let Some(quote @ ('"' | '\'')) = value.chars().next() else { return line.into() };
    let after = value[1..].split_once(quote).map_or("", |(_, after)| after);
    format!("{before}{quote}{GONE}{quote}{after}")
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || "\"'<>`,;()".contains(c)
}

/// A line without what is secret in addresses.
fn addresses(line: &str) -> String {
    if !line.contains("://") {
        return line.into();
    }
    let mut out = String::new();
    let mut rest = line;
    while let Some(end) = rest.find(ends_word) {
        out.push_str(&redact(&rest[..end]));
        let c = rest[end..].chars().next().map_or(1, char::len_utf8);
        out.push_str(&rest[end..end + c]);
        rest = &rest[end + c..];
    }
    out + &redact(rest)
}

/// A line without the values of what is named like a secret.
fn values(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut out = String::new();
    let mut at = 0;
    while let Some((found, name)) = next_name(&lower, at) {
        let after = found + name.len();
        let Some((from, to)) = value(line, (found, after), name == "authorization") else {
            out.push_str(&line[at..after]);
            at = after;
            continue;
        };
        out.push_str(&line[at..from]);
        out.push_str(GONE);
        at = to;
    }
    out + &line[at..]
}

fn next_name(lower: &str, from: usize) -> Option<(usize, &'static str)> {
    let found = NAMES.iter().filter_map(|name| Some((lower[from..].find(name)? + from, *name)));
    found.min_by_key(|(at, name)| (*at, std::cmp::Reverse(name.len())))
}

/// Where the value begins and ends that follows a name: after the rest of the name, quotes, and `=` or `:`, or after a blank if
/// the name is an option's. `whole` takes it up to the end of the line.
fn value(line: &str, (name, after): (usize, usize), whole: bool) -> Option<(usize, usize)> {
    let rest = &line[after..];
    let named = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)))?;
    let quoted = rest[named..].trim_start_matches(['"', '\'', '\\']).trim_start();
    let word = line[..name].rfind(ends_word).map_or(0, |at| at + 1);
    let is_option = line.get(word..).is_some_and(|word| word.starts_with('-'));
    let value = match quoted.strip_prefix(['=', ':']) {
        Some(value) => value.trim_start(),
        None if is_option && !quoted.starts_with('-') && rest[named..].starts_with(' ') => quoted,
        None => return None,
    };
    let value = value.trim_start_matches('\\');
    let begin = line.len() - value.len();
    let (begin, end) = match value.chars().next()? {
        quote @ ('"' | '\'') => {
            let end = value[1..].find(quote).map_or(value.trim_end().len(), |end| end + 1);
            (begin + 1, begin + end)
        }
        _ => {
            let end = if whole {
                value.trim_end().len()
            } else {
                value.find(ends_word).unwrap_or(value.len())
            };
            (begin, begin + end)
        }
    };
    (begin < end).then_some((begin, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The image of a virtual CD, as `virsh dumpxml` shows it.
    #[test]
    fn what_an_address_asks_for_is_not_shown_where_libvirt_has_taken_it_apart() {
        for quote in ["'", "\""] {
            let line = "<source protocol='https' name='a.iso' query='sig=abc&amp;x=1' index='1'>";
            let shown = "<source protocol='https' name='a.iso' query='***' index='1'>";
            let with = |text: &str| text.replace('\'', quote);
            assert_eq!(scrub(&with(line), &[]), with(shown));
        }
        let other = "<source network='query='/>";
        assert_eq!(scrub(other, &[]), other);
    }

    #[test]
    fn what_is_secret_goes_and_the_rest_stays() {
        for (text, shown) in [
            ("all is well\n", "all is well\n"),
            (
                "<graphics type='vnc' passwd='abc' port='1'/>",
                "<graphics type='vnc' passwd='***' port='1'/>",
            ),
            ("{\"password\": \"a b\", \"x\": 1}", "{\"password\": \"***\", \"x\": 1}"),
            ("db_password_file = /x, vnc-password: y", "db_password_file = ***, vnc-password: ***"),
            ("Authorization: Bearer abc def\n", "Authorization: ***\n"),
            ("get https://u:p@h/x?token=1&b=2 now", "get https://***@h/x?*** now"),
            ("image='https://h/x.qcow2?sig=1'/>", "image='https://h/x.qcow2?***'/>"),
            ("the password is wrong", "the password is wrong"),
            ("x=CANARY y", "x=*** y"),
            (
                "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\nb",
                "a\n*** (a private key)\nb",
            ),
            ("token=ö\u{130}token=x", "token=***"),
            ("+ join --auth-token abc --as x", "+ join --auth-token *** --as x"),
            ("a --password 'b c' d --token --x", "a --password '***' d --token --x"),
            ("a --token", "a --token"),
            (
                "a:b\n[1.2] ci: Set the following 'random' passwords\n[1.3] ci: root:x7F:q\r\nann:y\na b:c d\nroot:z",
                "a:b\n[1.2] ci: Set the following 'random' passwords\n[1.3] ci: root:***\r\nann:***\na b:c d\nroot:z",
            ),
            ("passwd=", "passwd="),
            ("secret: \"open", "secret: \"***"),
        ] {
            assert_eq!(scrub(text, &["CANARY".into(), "x".into()]), shown);
        }
    }
}
