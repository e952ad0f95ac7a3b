//! A user's word for an image: an address, a path or a name, and perhaps its checksum.

use thiserror::Error;

use super::checksum::{Checksum, ChecksumError};
use crate::values::is_unprintable;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageLocation {
    /// An address of `http` or `https`, with whatever credentials it has.
    Url(String),
    /// A path, or the name of an image: which of them, the file system tells.
    Local(String),
}

/// A word for an image, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// Where it is.
    pub place: ImageLocation,
    /// What it has to be, where somebody said so after `#`.
    pub sum: Option<Checksum>,
}

/// Why a word for an image is not taken. What it shows of an address is without credentials.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ImageRefError {
    /// An address that is not of the web.
    #[error("image `{word}`: `{scheme}:` is not supported, only `https:`, `http:` and paths")]
    Scheme {
        /// The word as it was given.
        word: String,
        /// What it has before the colon, as in `ftp`.
        scheme: String,
    },
    /// An address without host, or with characters that addresses do not have.
    #[error("image `{word}` is not an address that can be fetched: {why}")]
    Url {
        /// The word as it was given.
        word: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// `file:` names a file of this machine.
    #[error("image `{word}`: `file:` takes the path of a file of this machine, without a host")]
    FileHost {
        /// The word as it was given.
        word: String,
    },
    /// `file:` with a `%` that begins no character.
    #[error(
        "image `{word}`: in a `file:` address, `%` is written as `%25`, and other characters as their two digits after it"
    )]
    FilePath {
        /// The word as it was given.
        word: String,
    },
    /// What follows `#` is not a checksum.
    #[error("image `{word}`: {error}")]
    Checksum {
        /// The word as it was given.
        word: String,
        /// Why that is not a checksum.
        error: ChecksumError,
    },
    /// No word at all, or one that would not stay on its line.
    #[error("the name of an image must not be empty or hold control characters")]
    Characters,
}

impl ImageRef {
    /// Takes a word apart. An error if no image can be called so, or what follows `#` is not a checksum.
    pub fn parse(word: &str) -> Result<Self, ImageRefError> {
        if word.trim().is_empty() || word.chars().any(is_unprintable) {
            return Err(ImageRefError::Characters);
        }
        let shown = || redact(word);
        let (whole, fragment) = match scheme(word) {
            // In an address, whatever follows `#` is its fragment, which no server ever sees.
            Some(_) => word.split_once('#').map_or((word, None), |(a, b)| (a, Some(b))),
            None => local_fragment(word),
        };
        let sum = fragment
            .map(str::parse)
            .transpose()
            .map_err(|error| ImageRefError::Checksum { word: shown(), error })?;
        let place = match scheme(whole) {
            None => ImageLocation::Local(whole.into()),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "http" | "https" => {
                    check_url(rest).map_err(|why| ImageRefError::Url { word: shown(), why })?;
                    ImageLocation::Url(whole.into())
                }
                "file" => {
                    let path = rest.strip_prefix("localhost").unwrap_or(rest);
                    if !path.starts_with('/') {
                        return Err(ImageRefError::FileHost { word: shown() });
                    }
                    let path =
                        decoded(path).ok_or_else(|| ImageRefError::FilePath { word: shown() })?;
                    if path.chars().any(is_unprintable) {
                        return Err(ImageRefError::Characters);
                    }
                    ImageLocation::Local(path)
                }
                other => return Err(ImageRefError::Scheme { word: shown(), scheme: other.into() }),
            },
        };
        Ok(Self { place, sum })
    }
}

/// A path with its percent-encoding taken off (RFC 8089, RFC 3986); none if that is not well-formed, or is not UTF-8.
fn decoded(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The scheme of an address, and what follows `://`.
fn scheme(word: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = word.split_once("://")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (!scheme.is_empty() && scheme.chars().all(plain)).then_some((scheme, rest))
}

/// File names may have a `#`: only what looks like a checksum is taken for one.
fn local_fragment(word: &str) -> (&str, Option<&str>) {
    let Some((path, fragment)) = word.rsplit_once('#') else { return (word, None) };
    let kind = fragment.split([':', '=']).next().unwrap_or_default().to_ascii_lowercase();
    let marked = fragment.contains([':', '=']);
    if marked && (kind.starts_with("sha") || kind.starts_with("md")) {
        (path, Some(fragment))
    } else {
        (word, None)
    }
}

fn check_url(rest: &str) -> Result<(), &'static str> {
    let authority = authority(rest);
    if !authority.contains('@') && authority.contains(':') && !port(authority) {
        return Err(
            "what follows `:` is not a port; in a password, `/`, `?` and `#` have to be written as \
                    `%2F`, `%3F` and `%23`",
        );
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Err("it does not name a host");
    }
    if host.starts_with('-') {
        return Err("a host name cannot begin with `-`");
    }
    if rest.chars().any(|c| c.is_whitespace() || "\"\\<>^`".contains(c)) {
        return Err("it holds blanks or other characters that have to be written as `%..`");
    }
    if authority.starts_with("***@") || rest.contains("?***") {
        return Err("`***` stands for what is not shown of it, which expressions do not see of a \
                    setting either: an extra variable, such as `-e provision.image.mirror.url=URL`, \
                    is seen as it is");
    }
    Ok(())
}

/// User, password, host and port of what follows `://`.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#', '\\']).next().unwrap_or_default()
}

/// An address without what may be secret in it: user and password, and whatever follows `?`, or `;`, which parts parameters
/// from a path (RFC 3986, section 3.3). A
/// checksum after `#` stays. Words that are not addresses stay as they are.
pub fn redact(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.into() };
    let authority = authority(rest);
    let after = &rest[authority.len()..];
    // A password with an unescaped `/` or `?` would end early; `@` after it gives it away. What looks like a port may be the
    // beginning of one; no user is called as an IPv6 address is written.
    let (authority, after) = match (authority.contains('@'), after.split_once('@')) {
        (false, Some((_, host))) if authority.contains(':') && !authority.starts_with('[') => {
            let split = self::authority(host).len();
            (format!("***@{}", &host[..split]), &host[split..])
        }
        _ => match authority.rsplit_once('@') {
            Some((_, host)) => (format!("***@{host}"), after),
            None => (authority.to_string(), after),
        },
    };
    let (path, fragment) = after.split_once('#').map_or((after, None), |(a, b)| (a, Some(b)));
    let path = match path.find(['?', ';']) {
        Some(at) => format!("{}***", &path[..=at]),
        None => path.to_string(),
    };
    // A fragment that is not a checksum is nobody's, so it may be anything.
    let fragment = fragment.map_or(String::new(), |f| match f.parse::<Checksum>() {
        Ok(_) => format!("#{f}"),
        Err(_) => "#***".into(),
    });
    format!("{scheme}://{authority}{path}{fragment}")
}

/// Words of others without what may be secret in the addresses among them.
pub fn redact_words(words: &str) -> String {
    let shown = |word: &str| match word.matches("://").count() {
        0 => word.to_string(),
        1 => redact(word),
        // Where one ends and the next begins is anybody's guess.
        _ => {
            word.split_once("://").map_or_else(String::new, |(scheme, _)| format!("{scheme}://***"))
        }
    };
    words.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

/// Whether what follows the last `:` of a host is its port.
fn port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, p)| p.chars().all(|c| c.is_ascii_digit()))
        || authority.ends_with(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn words_are_taken_apart() {
        let url = "https://user:pw@h:1/a%20b.qcow2?token=x";
        let word = ImageRef::parse(&format!("{url}#{SUM}")).unwrap();
        assert_eq!(word.place, ImageLocation::Url(url.into()));
        assert_eq!(word.sum.unwrap().to_string(), SUM);
        for local in ["debian-12", "./a#b.qcow2", "/x/y", "file:/etc/passwd"] {
            let word = ImageRef::parse(local).unwrap();
            assert_eq!((word.place, word.sum), (ImageLocation::Local(local.into()), None));
        }
        let word =
            ImageRef::parse(&format!("file:///x/y.qcow2#{}", SUM.replace(':', "="))).unwrap();
        assert_eq!(word.place, ImageLocation::Local("/x/y.qcow2".into()));
        assert!(word.sum.is_some());
        assert!(ImageRef::parse(&format!("debian-12#{SUM}")).unwrap().sum.is_some());
    }

    #[test]
    fn a_file_address_is_taken_for_the_path_that_it_stands_for() {
        for (word, path) in [
            ("file:///srv/my%20image.qcow2", "/srv/my image.qcow2"),
            ("file://localhost/srv/a%2Bb%23c.qcow2", "/srv/a+b#c.qcow2"),
            ("FILE:///srv/100%25.qcow2", "/srv/100%.qcow2"),
            ("file:///srv/%C3%A4.qcow2", "/srv/ä.qcow2"),
            ("file:///srv/ä b.qcow2", "/srv/ä b.qcow2"),
            // A path is what it is.
            ("/srv/my%20image.qcow2", "/srv/my%20image.qcow2"),
        ] {
            assert_eq!(
                ImageRef::parse(word).unwrap().place,
                ImageLocation::Local(path.into()),
                "{word}"
            );
        }
        for word in ["file:///a%2", "file:///a%", "file:///a%zz", "file:///a%+1", "file:///a%ff"] {
            let error = ImageRef::parse(word).unwrap_err();
            assert!(matches!(error, ImageRefError::FilePath { .. }), "{word}: {error}");
        }
        for word in ["file:///a%00b", "file:///a%0Ab"] {
            assert_eq!(ImageRef::parse(word), Err(ImageRefError::Characters), "{word}");
        }
    }

    #[test]
    fn what_curl_would_do_besides_the_web_is_refused() {
        for word in ["ftp://x/y", "scp://x/y", "dict://x/y", "gopher://x/_", "FTP://x/y"]
            .into_iter()
            .chain(["s3://bucket/y.qcow2", "S3://bucket/y.qcow2", "gs://bucket/y", "oci://x/y:1"])
        {
            assert!(matches!(ImageRef::parse(word), Err(ImageRefError::Scheme { .. })), "{word}");
        }
        assert!(matches!(ImageRef::parse("file://host/x"), Err(ImageRefError::FileHost { .. })));
        for word in ["https://", "https:///x", "http://a b/", "http://x/\"", "http://-x/"]
            .into_iter()
            // The end of a password that is not escaped would be taken for a path, and be shown.
            .chain([
                "https://u:sec/ret@h/x",
                "https://u:sec?ret@h/x",
                "https://h:x/",
                "https://[::1]:x/",
                "https://***@h/x",
                "https://h/x?***",
            ])
        {
            assert!(matches!(ImageRef::parse(word), Err(ImageRefError::Url { .. })), "{word}");
        }
        for word in ["", " ", "a\nb", "http://x/\u{1b}[2J", "a\u{202e}b"] {
            assert_eq!(ImageRef::parse(word), Err(ImageRefError::Characters), "{word}");
        }
    }

    #[test]
    fn a_checksum_that_is_none_is_an_error_and_not_ignored() {
        for word in [
            "https://x/y#sha256=0000",
            "https://x/y#md5:d41d8cd98f00b204e9800998ecf8427e",
            "https://x/y#top",
            "https://x/y#",
            "./y.qcow2#sha256:00",
            "debian-12#sha1=00",
        ] {
            assert!(matches!(ImageRef::parse(word), Err(ImageRefError::Checksum { .. })), "{word}");
        }
    }

    #[test]
    fn secrets_of_an_address_are_not_shown() {
        let cases = [
            ("https://user:secret@host:8/x.qcow2?token=secret", "https://***@host:8/x.qcow2?***"),
            ("https://secret@host?secret", "https://***@host?***"),
            ("https://host/x;token=secret", "https://host/x;***"),
            ("https://u:secret@host/x;a=secret/y?b=secret#secret", "https://***@host/x;***#***"),
            ("https://host/x?a=secret;b=secret", "https://host/x?***"),
            ("https://u:sec/ret@host/x", "https://***@host/x"),
            ("https://u:p@secret@host/x", "https://***@host/x"),
            ("https://host/x?a@secret#secret", "https://host/x?***#***"),
            ("https://u:123/secret@host/x", "https://***@host/x"),
            ("https://u:/secret@host/x", "https://***@host/x"),
            ("https://host:80/x", "https://host:80/x"),
            ("https://host/x@y", "https://host/x@y"),
            ("https://[::1]:80/x@y", "https://[::1]:80/x@y"),
            ("debian-12", "debian-12"),
            ("/a/b?c", "/a/b?c"),
            ("/a/b;c", "/a/b;c"),
        ];
        for (word, shown) in cases {
            assert_eq!(redact(word), shown, "{word}");
            assert_eq!(redact(shown), shown, "twice");
        }
        let said = "E: 'https://u:secret@h/x?secret' a://b,c://u:secret@h no: a/b:c";
        assert_eq!(redact_words(said), "E: 'https://***@h/x?*** a://*** no: a/b:c");
        let with = format!("https://h/x?secret#{SUM}");
        assert_eq!(redact(&with), format!("https://h/x?***#{SUM}"));
        let error = ImageRef::parse("https://u:secret@h/x?secret#sha1:00").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
