//! Servers with encryption: whose certificate is trusted, and that nothing goes on without it.

use maquette_core::image::Kind;

use super::servers::Place;
use super::*;
use crate::python_server::{PythonServer, certificate};

/// Files of the directory it runs in; `/to?ADDRESS` leads to an address. Its certificate is `cert.pem`.
const SERVER: &str = "import http.server, ssl
class H(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        to = self.path.partition('?')[2]
        if not to: return super().do_GET()
        self.send_response(302)
        self.send_header('Location', to)
        self.end_headers()
server = http.server.HTTPServer(('127.0.0.1', 0), H)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'key.pem')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()";

struct Server {
    python: PythonServer,
    certificate: PathBuf,
}

impl Server {
    fn start(directory: &Path) -> Self {
        let (_, certificate) = certificate(directory, "DNS:localhost");
        Self { python: PythonServer::start(SERVER, directory, &[]), certificate }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.python.port)
    }
}

#[test]
fn a_server_with_an_authority_of_its_own_needs_to_be_told_of_it() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    image(&here.path().join("a.qcow2"), "1G");
    let server = Server::start(here.path());
    let error = bring(&server.url("a.qcow2"), pool.path(), None).unwrap_err();
    assert!(error.hints.iter().any(|h| h.contains("--tls-ca")), "{error:?}");
    let authorities = Some(fs::read_to_string(&server.certificate).unwrap());
    let transfer = Transfer { authorities, ..Transfer::default() };
    bring_to(&Local, &transfer, &server.url("a.qcow2"), pool.path(), None).unwrap();
    assert_eq!(left(pool.path()), ["v.qcow2"]);
}

/// What was begun with encryption went on without it.
#[test]
fn a_redirection_that_gives_encryption_up_is_not_followed() {
    let place = Place::new();
    let server = Server::start(place.here.path());
    let authorities = Some(fs::read_to_string(&server.certificate).unwrap());
    let transfer = Transfer { authorities, ..Transfer::default() };
    let bring = |to: &str| {
        bring_to(&Local, &transfer, &server.url(&format!("to?{to}")), place.pool.path(), None)
    };
    let error = bring(&place.server.url("etag/a.qcow2")).unwrap_err();
    assert!(error.hints.iter().any(|h| h.contains("not encrypted")), "{error:?}");
    assert!(place.server.codes().is_empty(), "it was asked");
    assert!(left(place.pool.path()).is_empty());
    bring(&server.url("a.qcow2")).unwrap();
    place.is_whole();
}

/// The publisher's addresses lead to servers of the test; everything else is as curl was told.
const CURL: &str = r#"
publisher=https://cloud.debian.org/images/cloud/bookworm/latest/
for word; do
    shift
    case $word in "$publisher"SHA512SUMS) word='@LIST@' ;; esac
    set -- "$@" "$word"
done
set -- --cacert '@CERTIFICATE@' "$@"
PATH='@REAL@'
case " $* " in
    *" --config - "*) sed "s|$publisher|@HERE@|" | curl "$@" ;;
    *) exec curl "$@" ;;
esac
"#;

/// A publisher of `debian-12`.
struct Publisher {
    place: Place,
    server: Server,
    right: String,
}

impl Publisher {
    const FILE: &str = "debian-12-generic-amd64.qcow2";

    fn new() -> Self {
        let place = Place::new();
        let path = place.here.path().join(Self::FILE);
        fs::write(&path, &place.content).unwrap();
        let right = format!("{}  {}\n", checksum::of(&path, Kind::Sha512).unwrap(), Self::FILE);
        let server = Server::start(place.here.path());
        Self { place, server, right }
    }

    fn bring(&self, list_at: &str, list: &str) -> Result<(), StepError> {
        self.bring_as("debian-12", list_at, list)
    }

    fn bring_as(&self, word: &str, list_at: &str, list: &str) -> Result<(), StepError> {
        fs::write(self.place.here.path().join("LIST"), list).unwrap();
        let curl = CURL
            .replace("@LIST@", list_at)
            .replace("@HERE@", &self.server.url(""))
            .replace("@CERTIFICATE@", self.server.certificate.to_str().unwrap())
            .replace("@REAL@", &std::env::var("PATH").unwrap());
        let programs = Programs::new(&[]);
        programs.quiet("curl", &curl);
        let host = Dying::new(&programs, None);
        bring_to(&host, &Transfer::default(), word, self.place.pool.path(), None)
    }
}

/// Sums came from wherever the server led.
#[test]
fn published_checksums_decide_and_come_encrypted_all_the_way() {
    let publisher = Publisher::new();
    let (place, right) = (&publisher.place, publisher.right.as_str());
    let list = publisher.server.url("LIST");
    let around = publisher.server.url(&format!("to?{list}"));
    for list in [&list, &around] {
        publisher.bring(list, right).unwrap();
        place.is_whole();
        place.clear();
    }
    let refused = |at: &str, list: &str, says: &str| {
        let error = publisher.bring(at, list).unwrap_err();
        assert!(error.message.contains(says), "{error:?}");
        assert!(left(place.pool.path()).is_empty(), "{:?}", left(place.pool.path()));
    };
    let wrong = format!("{}  {}\n", "0".repeat(128), Publisher::FILE);
    refused(&list, &wrong, "does not match its checksum");
    refused(&list, "", "has no checksum for debian-12-generic-amd64.qcow2");
    let plain = place.server.url("plain/LIST");
    let down = publisher.server.url(&format!("to?{plain}"));
    for list in [&plain, &down] {
        refused(list, right, "cannot read the published checksums");
        assert!(place.server.codes().is_empty(), "it was asked");
    }
    // Who gives a checksum is not in need of the publisher's.
    let own = |sum: &str| publisher.bring_as(&format!("debian-12#sha512:{sum}"), &list, &wrong);
    let error = own(&"1".repeat(128)).unwrap_err();
    assert!(error.message.contains("does not match its checksum"), "{error:?}");
    assert!(left(place.pool.path()).is_empty());
    own(right.split(' ').next().unwrap()).unwrap();
    place.is_whole();
    place.clear();
    // More than any list has.
    let long = format!("{right}{}", "x".repeat(4 << 20));
    refused(&list, &long, "cannot read the published checksums");
}

/// A server that says nothing ends what is asked of it.
#[test]
fn a_publisher_is_given_a_time() {
    let pool = tempfile::tempdir().unwrap();
    let programs = Programs::new(&[]);
    programs.quiet("curl", "echo \"told $*\" >&2\nexit 28\n");
    let host = Dying::new(&programs, None);
    let error = bring_to(&host, &Transfer::default(), "debian-12", pool.path(), None).unwrap_err();
    let said = error.causes.join("\n");
    assert!(said.contains("--connect-timeout 10 --max-time 60 "), "{error:?}");
}
