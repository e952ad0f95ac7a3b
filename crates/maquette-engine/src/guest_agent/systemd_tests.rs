//! What the way from a template to a node says to systemd, and to whom it is left.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::template_tests::{Template, WAITS, WANTS, complete, line};
use super::tests::IDENTITY;

/// systemd's side of the beginning of a connection.
fn greet(peer: &mut std::os::unix::net::UnixStream) {
    use std::io::Read;
    let mut byte = [0];
    let mut greeting = Vec::new();
    while !greeting.ends_with(b"BEGIN\r\n") {
        peer.read_exact(&mut byte).unwrap();
        greeting.push(byte[0]);
    }
    assert!(greeting.starts_with(b"\0AUTH EXTERNAL "));
    peer.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n").unwrap();
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}

/// A message of D-Bus.
fn send(kind: u8, fields: &[u8], body: &[u8]) -> Vec<u8> {
    let mut message = vec![b'l', kind, 0, 1];
    for number in [body.len(), 7, fields.len()] {
        message.extend((number as u32).to_le_bytes());
    }
    message.extend(fields);
    message.resize(padded(message.len()), 0);
    message.extend(body);
    message
}

/// A text in a message.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.push(0);
    bytes
}

/// As systemd answers: with a job for each order, which is over some time later.
fn systemd(place: &Path) -> std::thread::JoinHandle<Vec<String>> {
    use std::io::Read;
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(place).unwrap();
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        greet(&mut peer);
        let mut orders = Vec::new();
        let mut head = [0; 16];
        while peer.read_exact(&mut head).is_ok() {
            let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
            assert_eq!(&head[..4], b"l\x01\0\x01");
            let mut rest = vec![0; padded(number(12) as usize) + number(4) as usize];
            peer.read_exact(&mut rest).unwrap();
            let words = String::from_utf8_lossy(&rest).into_owned();
            let words: Vec<&str> = words
                .split(|c: char| c.is_ascii_control() || c == '\u{fffd}')
                .filter(|word| word.contains('.') || word.ends_with("Unit"))
                .collect();
            let unit = words.iter().find(|w| w.ends_with(".service")).unwrap();
            let method = words.iter().find(|w| w.ends_with("Unit")).unwrap();
            orders.push(format!("{method} {unit}"));
            // What it says to everybody comes between.
            peer.write_all(&send(4, b"\x03\x01s\0\x06\0\0\0JobNew\0", b"")).unwrap();
            let mut answered = b"\x05\x01u\0".to_vec();
            answered.extend(&head[8..12]);
            if unit.contains("ssh") {
                peer.write_all(&send(3, &answered, &text("there is no such unit"))).unwrap();
                continue;
            }
            let job = format!("/org/freedesktop/systemd1/job/{}", orders.len());
            let both = [
                send(2, &answered, &text(&job)),
                send(
                    4,
                    b"\x03\x01s\0\x0a\0\0\0JobRemoved\0",
                    &[&5u32.to_le_bytes()[..], &text(&job)].concat(),
                ),
            ]
            .concat();
            // Not in one piece.
            for part in both.chunks(50) {
                peer.write_all(part).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        orders
    })
}

#[test]
fn systemd_is_asked_over_its_socket() {
    let system = complete();
    system.put("etc/systemd/system/multi-user.target.wants/ssh.service", "");
    system.put(WANTS, "");
    system.put(WAITS, "");
    let fake = systemd(&system.path("run/systemd/private"));
    let mut template = Template::new(system);
    template.seed(IDENTITY);
    template.connect().write_all(line().as_bytes()).unwrap();
    assert_eq!(template.end(), "ssh: StartUnit: there is no such unit\n");
    assert!(template.said().ends_with("done\n"));
    assert_eq!(
        fake.join().unwrap(),
        ["RestartUnit systemd-journald.service", "StartUnit ssh.service",]
    );
}

/// Up to OpenSSH 9.7 what answers a login reads the keys itself.
#[test]
fn an_sshd_that_reads_its_keys_at_each_login_is_left_alone() {
    let system = complete();
    system.put("run/sshd.pid", "4711\n");
    system.put("etc/systemd/system/multi-user.target.wants/ssh.service", "");
    let mut template = Template::new(system);
    template.seed(IDENTITY);
    template.connect().write_all(line().as_bytes()).unwrap();
    assert_eq!(template.end(), "");
    assert_eq!(template.system.text("hangup"), "");
    assert!(!template.system.text("orders").contains("ssh"));
}
