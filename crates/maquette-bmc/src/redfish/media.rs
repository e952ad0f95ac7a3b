//! Virtual media: the CD-ROM drive, whose image QEMU reads from a web server while it is used. Nothing is copied.

use serde_json::{Value, json};

use super::Call;
use super::fields::{Fields, shown};
use super::problem::{Message, Problem};
use super::resource::{Done, Found, RequestBody, action, collection, enabled, resource};
use crate::accounts::Privilege;
use crate::bmc::Bmc;
use crate::machine::Image;
use crate::reach::Unfit;

/// What is below a system or its manager, which show the same drive.
pub fn find<'a>(
    call: &'a Call<'a>,
    bmc: &'a Bmc,
    owner: &str,
    rest: &[&'a str],
) -> Option<Found<'a>> {
    let path = format!("{owner}/VirtualMedia");
    let drive = call.hardware(bmc).map_or(true, |hardware| hardware.cdrom);
    Some(match *rest {
        [] => Found::read(move || {
            let all = if drive { vec![format!("{path}/Cd")] } else { Vec::new() };
            Ok(collection(&path, "VirtualMediaCollection", "Virtual Media", all))
        }),
        ["Cd"] if drive => {
            let path = format!("{path}/Cd");
            let other = path.clone();
            Found::read(move || Ok(media(call, bmc, &path)))
                .patch(move |given| change(call, bmc, &media(call, bmc, &other), given))
        }
        ["Cd", "Actions", "VirtualMedia.InsertMedia"] if drive => {
            Found::action(move |given| insert(call, bmc, given))
        }
        ["Cd", "Actions", "VirtualMedia.EjectMedia"] if drive => Found::action(move |given| {
            Fields::action(given, "VirtualMedia.EjectMedia").finish()?;
            bmc.insert(None)?;
            Ok(Done::Nothing)
        }),
        _ => return None,
    })
}

/// The parts of an address that an image can be read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address<'t> {
    /// Whether it is `https`.
    pub secure: bool,
    /// The host.
    pub host: &'t str,
    /// The port, also if it is not written.
    pub port: u16,
    /// The path, with the query, without the slash at its beginning.
    pub path: &'t str,
}

impl<'t> Address<'t> {
    /// The host and its port.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The path as plain text, which libvirt takes and encodes again, and the query as it is; none if the server would be asked for
    /// something else then: `%2F` is no `/` and `%3F` no `?`, and what is no text has no plain form.
    pub fn plain(&self) -> Option<(String, Option<&'t str>)> {
        let (path, query) = match self.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.path, None),
        };
        let mut pieces = path.split('%');
        let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
        for piece in pieces {
            let (code, rest) = (piece.get(..2)?, piece.get(2..)?);
            let digits = code.bytes().all(|byte| byte.is_ascii_hexdigit());
            let byte =
                u8::from_str_radix(code, 16).ok().filter(|byte| digits && !b"/?".contains(byte));
            bytes.push(byte?);
            bytes.extend(rest.as_bytes());
        }
        let text = String::from_utf8(bytes).ok()?;
        (!text.chars().any(char::is_control)).then_some((text, query))
    }

    /// Where this server sends somebody, by what its answer says of that (RFC 3986, 4.2); none if that is nothing for images.
    fn leads_to(&self, location: &str) -> Option<String> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = if self.secure { "https" } else { "http" };
        let path = self.path.split('?').next().unwrap_or_default();
        let beside = path.rfind('/').map_or("", |end| &path[..=end]);
        let at = self.authority();
        let absolute = match location {
            _ if location.contains("://") => location.into(),
            _ if location.starts_with("//") => format!("{scheme}:{location}"),
            _ if location.starts_with('/') => format!("{scheme}://{at}{location}"),
            _ => format!("{scheme}://{at}/{beside}{location}"),
        };
        parse(&absolute).is_some().then_some(absolute)
    }
}

/// Longest address.
const LONGEST: usize = 2048;

/// Takes an address apart: `http` or `https`, without a user in it, of characters that an address may have.
pub fn parse(text: &str) -> Option<Address<'_>> {
    let (scheme, rest) = text.split_once("://")?;
    let secure = match scheme {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let plain = |c: char| c.is_ascii_graphic() && !"\"'<>\\^`{|}@#".contains(c);
    if text.len() > LONGEST || !rest.chars().all(plain) {
        return None;
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']')?;
            let address: std::net::Ipv6Addr = host.parse().ok()?;
            let _ = address;
            (host, after.strip_prefix(':').or(after.is_empty().then_some(""))?)
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            if host.is_empty() || host.starts_with('-') || !host.chars().all(good) {
                return None;
            }
            (host, port)
        }
    };
    let usual = if secure { 443 } else { 80 };
    let port = match port {
        "" => usual,
        _ if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok().filter(|p| *p > 0)?,
        _ => return None,
    };
    Some(Address { secure, host, port, path })
}

/// An error if the hypervisor would read from, or send to, a server that users have no business with.
pub fn reachable(call: &Call<'_>, property: &str, text: &str) -> Result<(), Problem> {
    let Some(address) = parse(text) else { return Err(Problem::malformed()) };
    let host = shown(&json!(address.host));
    match call.service.reach().check(address.host, address.port) {
        Ok(_) => Ok(()),
        Err(Unfit::Unknown) => Err(Message::unknown_host(property, &host).into()),
        Err(Unfit::Own) => Err(Message::own_host(property, &host).into()),
    }
}

/// An address for who may not choose it: what follows `?` may be a token.
pub fn without_query(url: &str) -> String {
    url.split_once('?').map_or_else(|| url.to_string(), |(place, _)| format!("{place}?***"))
}

/// Most servers that one image leads to.
const HOPS: usize = 8;

/// The same for an image, which QEMU also reads where its server sends it.
fn readable(call: &Call<'_>, image: &Image) -> Result<(), Problem> {
    reachable(call, "Image", &image.url)?;
    if call.service.options.own_addresses {
        return Ok(());
    }
    let (mut left, mut seen) = (vec![image.url.clone()], Vec::new());
    while let Some(url) = left.pop() {
        let wrong = || Problem::from(Message::bad_format("Image", &shown(&json!(image.url))));
        if seen.len() >= HOPS {
            return Err(wrong());
        }
        for location in call.service.moved(&url, image.verify) {
            let next = parse(&url).and_then(|at| at.leads_to(&location)).ok_or_else(wrong)?;
            reachable(call, "Image", &next)?;
            if next != url && !seen.contains(&next) && !left.contains(&next) {
                left.push(next);
            }
        }
        seen.push(url);
    }
    Ok(())
}

fn media(call: &Call<'_>, bmc: &Bmc, path: &str) -> Value {
    let state = bmc.state();
    let url = state.media.as_ref().map(|image| image.url.as_str());
    let may = call.who.is_some_and(|who| who.role.may(Privilege::ConfigureComponents));
    let image = url.map(|url| if may { url.to_string() } else { without_query(url) });
    let name = url.and_then(|url| url.split(['?']).next()?.rsplit('/').next());
    let protocol = url.map(|url| if url.starts_with("https:") { "HTTPS" } else { "HTTP" });
    let insert = "VirtualMedia.InsertMedia";
    resource(
        path,
        "VirtualMedia",
        "Virtual CD",
        json!({
            "MediaTypes": ["CD", "DVD"],
            "Image": image,
            "ImageName": name,
            "Inserted": url.is_some(),
            "ConnectedVia": if url.is_some() { "URI" } else { "NotConnected" },
            "WriteProtected": true,
            "TransferMethod": url.map(|_| "Stream"),
            "TransferProtocolType": protocol,
            "VerifyCertificate": state.media.as_ref().is_some_and(|image| image.verify),
            "Status": enabled(),
            "Actions": {
                format!("#{insert}"): {
                    "target": format!("{path}/Actions/{insert}"),
                    "TransferProtocolType@Redfish.AllowableValues": ["HTTP", "HTTPS"],
                    "TransferMethod@Redfish.AllowableValues": ["Stream"],
                },
                "#VirtualMedia.EjectMedia": action(path, "VirtualMedia", "EjectMedia", None),
            },
        }),
    )
}

/// What is asked for of a drive.
struct Insertion {
    /// The image; none to leave it, none of that to eject it.
    image: Option<Option<String>>,
    inserted: Option<bool>,
    verify: Option<bool>,
}

fn read(fields: &mut Fields<'_>, needs_image: bool) -> Insertion {
    let image = if needs_image {
        fields.required_text("Image").map(Some)
    } else {
        fields.optional_text("Image")
    };
    if let Some(Some(text)) = image
        && parse(text).and_then(|address| address.plain()).is_none()
    {
        fields.wrong(Message::bad_format("Image", &shown(&json!(text))));
    }
    let inserted = fields.flag("Inserted");
    if fields.flag("WriteProtected") == Some(false) {
        // A web server takes nothing back.
        fields.wrong(Message::not_in_list("WriteProtected", "false"));
    }
    fields.choice("TransferMethod", &[("Stream", ())]);
    fields.choice("TransferProtocolType", &[("HTTP", ()), ("HTTPS", ())]);
    fields.choice("MediaType", &[("CD", ()), ("DVD", ())]);
    for name in ["UserName", "Password"] {
        // QEMU asks for images without an account: whoever says so says what is done.
        if fields.optional_text(name).flatten().is_some_and(|text| !text.is_empty()) {
            fields.wrong(Message::not_in_list(name, "***"));
        }
    }
    let verify = fields.flag("VerifyCertificate");
    Insertion { image: image.map(|image| image.map(String::from)), inserted, verify }
}

fn insert(call: &Call<'_>, bmc: &Bmc, given: &RequestBody) -> Result<Done, Problem> {
    let mut fields = Fields::action(given, "VirtualMedia.InsertMedia");
    let wanted = read(&mut fields, true);
    if wanted.inserted == Some(false) {
        fields.wrong(Message::not_in_list("Inserted", "false"));
    }
    fields.finish()?;
    if bmc.state().media.is_some() {
        return Err(Problem::in_use());
    }
    let url = wanted.image.flatten().ok_or_else(Problem::malformed)?;
    let image = Image { url, verify: wanted.verify.unwrap_or(false) };
    readable(call, &image)?;
    // Somebody may have been faster while servers were asked.
    if bmc.exchange(None, Some(image))? { Ok(Done::Nothing) } else { Err(Problem::in_use()) }
}

fn change(
    call: &Call<'_>,
    bmc: &Bmc,
    current: &Value,
    given: &RequestBody,
) -> Result<Done, Problem> {
    let mut fields = Fields::of(given, current);
    fields.require_any()?;
    let wanted = read(&mut fields, false);
    let before = bmc.state().media.clone();
    if wanted.inserted == Some(true) && wanted.image.is_none() && before.is_none() {
        fields.wrong(Message::missing("Image"));
    }
    fields.finish()?;
    let url = match (wanted.image, wanted.inserted) {
        (_, Some(false)) => None,
        (Some(image), _) => image,
        (None, _) => before.as_ref().map(|image| image.url.clone()),
    };
    let verify = wanted.verify.or(before.as_ref().map(|image| image.verify)).unwrap_or(false);
    let after = url.map(|url| Image { url, verify });
    if after != before {
        if let Some(image) = &after {
            readable(call, image)?;
        }
        if !bmc.exchange(before.as_ref(), after)? {
            return Err(Problem::in_use());
        }
    }
    Ok(Done::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parts = |text| parse(text).map(|a| (a.secure, a.host, a.port, a.path));
        assert_eq!(parts("http://h/a/b.iso?x=1"), Some((false, "h", 80, "a/b.iso?x=1")));
        assert_eq!(parts("https://10.0.0.1:8443"), Some((true, "10.0.0.1", 8443, "")));
        assert_eq!(parts("http://[fd00::1]:81/x"), Some((false, "fd00::1", 81, "x")));
        assert_eq!(parts("http://[fd00::1]/x"), Some((false, "fd00::1", 80, "x")));
        let leads = |from: &str, to: &str| parse(from).unwrap().leads_to(to);
        for (to, wanted) in [
            ("/c.iso", Some("http://h:80/c.iso")),
            ("c.iso?x=1#part", Some("http://h:80/a/c.iso?x=1")),
            ("//other/c.iso", Some("http://other/c.iso")),
            ("https://[fd00::1]/c", Some("https://[fd00::1]/c")),
            ("ftp://other/c.iso", None),
            ("//u:p@other/c.iso", None),
        ] {
            assert_eq!(leads("http://h/a/b.iso?y=/2", to).as_deref(), wanted, "{to}");
        }
        let plain = |path: &str| {
            let text = format!("http://h/{path}");
            let plain = parse(&text).unwrap().plain();
            plain.map(|(path, query)| (path, query.map(String::from)))
        };
        let query = Some("tok=a%2Fb".to_string());
        assert_eq!(
            plain("My%20Images/x%2By/%c3%A9:b.iso?tok=a%2Fb"),
            Some(("My Images/x+y/é:b.iso".into(), query))
        );
        assert_eq!(plain("100%25"), Some(("100%".into(), None)));
        for bad in ["a%2Fb", "a%3fb", "%", "%1", "%zz", "%+1", "%00", "%0a", "%ff"] {
            assert_eq!(plain(bad), None, "{bad}");
        }
        assert_eq!(leads("https://[fd00::1]", "x").as_deref(), Some("https://[fd00::1]:443/x"));
        for bad in [
            "",
            "file:///etc/shadow",
            "nbd://h/x",
            "http://",
            "http:///x",
            "http://u:p@h/x",
            "http://h:0/x",
            "http://h:99999/x",
            "http://h/'/><x",
            "http://h/a b",
            "http://[x]/",
            "http://[::1]x/",
            "HTTP://h/x",
            "http://h:+80/x",
            "http://-h/x",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&format!("http://h/{}", "x".repeat(LONGEST))), None);
    }
}
