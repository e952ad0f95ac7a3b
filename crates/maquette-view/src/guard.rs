//! Who gets an answer: whoever has the token, and comes from the page itself.

use axum::http::{HeaderMap, Method, Uri, header};

/// What whoever is let in has to know: 128 random bits in hexadecimal.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new one. Fails if the system has no random numbers.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0u8; 16];
        getrandom::getrandom(&mut bytes)
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// As it stands in the page's address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether text is the token. How long it takes tells nothing about where they differ.
    fn is(&self, text: &str) -> bool {
        let (own, other) = (self.0.as_bytes(), text.as_bytes());
        let differ = own.iter().zip(other).fold(0u8, |differ, (a, b)| differ | (a ^ b));
        own.len() == other.len() && differ == 0
    }
}

/// Names of this machine that no other site's name leads to. A page of another site whose name was made to mean this
/// machine (DNS rebinding) asks for its own name.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Whether a request is answered. The port may be another one: of a tunnel that leads here.
pub fn admits(token: &Token, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let first = uri.path().split('/').nth(1).unwrap_or_default();
    if !token.is(first) {
        return false;
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|h| h.to_str().ok()), hosts.next()) else {
        return false;
    };
    if !is_ours(host) {
        return false;
    }
    let upgrades = headers.contains_key(header::UPGRADE);
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next().map(|o| o.as_bytes()), origins.next()) {
        (Some(origin), None) if origin == format!("http://{host}").as_bytes() => {}
        // Browsers name it wherever they change something, and for every web socket.
        (None, None) if method == Method::GET && !upgrades => {}
        _ => return false,
    }
    // Somebody may follow the printed address from anywhere; all else is asked for by the page.
    let says = |name: &str| headers.get(name).map(|value| value.as_bytes().to_vec());
    let navigates = says("sec-fetch-mode").as_deref() == Some(b"navigate");
    match says("sec-fetch-site").as_deref() {
        None | Some(b"same-origin" | b"none") => true,
        Some(_) => navigates && method == Method::GET,
    }
}

fn is_ours(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, "80"),
    };
    NAMES.contains(&name) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, path: &str, headers: &[(&'static str, &str)]) -> bool {
        let token = Token("7oken".into());
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, value.parse().unwrap());
        }
        admits(&token, &method, &path.parse().unwrap(), &all)
    }

    #[test]
    fn tokens_are_random_and_compared_whole() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(one.as_str(), other.as_str());
        assert!(one.as_str().len() == 32 && one.is(&one.0.clone()) && !one.is(other.as_str()));
        assert!(!one.is("") && !one.is(&one.0[..31]) && !one.is(&format!("{}0", one.0)));
    }

    #[test]
    fn only_the_token_lets_in() {
        let host = [("host", "127.0.0.1:80")];
        assert!(asked(Method::GET, "/7oken/", &host));
        for path in ["/", "/wrong/", "/7oke/", "/7okenx/", "//7oken/", "/?7oken"] {
            assert!(!asked(Method::GET, path, &host), "{path}");
        }
    }

    #[test]
    fn another_name_of_this_machine_is_refused() {
        for host in ["127.0.0.1:7", "localhost:7", "localhost", "[::1]:7", "[::1]"] {
            assert!(asked(Method::GET, "/7oken/", &[("host", host)]), "{host}");
        }
        for host in ["evil.example:7", "127.0.0.1.evil.example", "localhost:x", "127.0.0.1:7:7", ""]
        {
            assert!(!asked(Method::GET, "/7oken/", &[("host", host)]), "{host}");
        }
        assert!(!asked(Method::GET, "/7oken/", &[]));
        let twice = [("host", "localhost:7"), ("host", "localhost:7")];
        assert!(!asked(Method::GET, "/7oken/", &twice));
    }

    #[test]
    fn another_origin_is_refused_and_none_where_browsers_name_it() {
        let host = ("host", "localhost:7");
        let origin = |origin| [host, ("origin", origin)];
        for method in [Method::GET, Method::POST] {
            assert!(asked(method.clone(), "/7oken/x", &origin("http://localhost:7")));
            for other in ["http://localhost:8", "https://localhost:7", "null", "http://evil"] {
                assert!(!asked(method.clone(), "/7oken/x", &origin(other)), "{other}");
            }
        }
        assert!(!asked(Method::POST, "/7oken/x", &[host]));
        assert!(!asked(Method::GET, "/7oken/x", &[host, ("upgrade", "websocket")]));
    }

    #[test]
    fn other_sites_may_lead_here_and_ask_for_nothing() {
        let host = ("host", "localhost:7");
        let site = |site| ("sec-fetch-site", site);
        let navigates = ("sec-fetch-mode", "navigate");
        assert!(asked(Method::GET, "/7oken/", &[host, site("cross-site"), navigates]));
        assert!(asked(Method::GET, "/7oken/", &[host, site("same-origin")]));
        for other in ["cross-site", "same-site"] {
            assert!(!asked(Method::GET, "/7oken/events", &[host, site(other)]), "{other}");
        }
    }
}
