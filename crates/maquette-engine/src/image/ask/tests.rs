use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};

use super::*;

/// The first bytes of a qcow2 file whose disk has 2 GiB.
fn qcow2() -> Vec<u8> {
    let mut head = vec![0; 512];
    head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x02");
    head[20..24].copy_from_slice(&16_u32.to_be_bytes());
    head[24..32].copy_from_slice(&(2_u64 << 30).to_be_bytes());
    head[36..40].copy_from_slice(&4_u32.to_be_bytes());
    head[40..48].copy_from_slice(&0x30000_u64.to_be_bytes());
    head[48..56].copy_from_slice(&0x10000_u64.to_be_bytes());
    head[56..60].copy_from_slice(&1_u32.to_be_bytes());
    head
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut authorized = false;
    for line in lines.by_ref() {
        let line = line?;
        authorized |= line.starts_with("Authorization: Basic ");
        if line.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let mut send = |head: &str, body: &[u8]| {
        write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n")?;
        stream.write_all(body)
    };
    let part = "206 Partial Content\r\nContent-Length: 512\r\nContent-Range: bytes 0-511/444596224";
    match path {
        "/part" => send(part, &qcow2()),
        "/secret" if authorized => send(part, &qcow2()),
        "/to" => send("302 Found\r\nLocation: /part\r\nContent-Length: 0", b""),
        // It sends all that it has, and is not waited for.
        "/whole" => {
            send("200 OK\r\nContent-Length: 444596224", &qcow2())?;
            stream.write_all(&vec![0; 16 << 20])
        }
        "/endless" => {
            send("200 OK", &qcow2())?;
            stream.write_all(&vec![0; 16 << 20])
        }
        "/page" => send("200 OK\r\nContent-Length: 20", b"<html>welcome</html>"),
        "/empty" => send("200 OK\r\nContent-Length: 0", b""),
        "/busy" => send("503 Busy\r\nContent-Length: 2", b"no"),
        _ => send("404 Not Found\r\nContent-Length: 2", b"no"),
    }
}

/// The address of a server that answers as `answer` does.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Whoever has what was asked for goes.
            std::thread::spawn(move || answer(stream.unwrap()));
        }
    });
    format!("{address}")
}

/// What is said of one address.
fn of(url: &str) -> Said {
    ask(&Local, &[url], None, false).unwrap().remove(0).unwrap()
}

const IMAGE: Option<Result<Format, NotAnImage>> = Some(Ok(Format::Qcow2 { size: 2 << 30 }));

#[test]
fn what_a_server_has_is_known_before_it_is_downloaded() {
    let at = server();
    let whole = Said::Has { length: Some(444_596_224), format: IMAGE };
    for path in ["part", "to", "whole"] {
        assert_eq!(of(&format!("http://{at}/{path}")), whole, "{path}");
    }
    assert_eq!(of(&format!("http://{at}/endless")), Said::Has { length: None, format: IMAGE });
    assert_eq!(of(&format!("http://ann:secret@{at}/secret")), whole);
}

#[test]
fn what_is_no_image_is_told_as_such() {
    let at = server();
    let Said::Has { format: Some(Err(NotAnImage::Other(what, None))), .. } =
        of(&format!("http://{at}/page"))
    else {
        panic!("a page was taken for an image");
    };
    assert!(what.contains("page"), "{what}");
    let empty = Said::Has { length: Some(0), format: Some(Err(NotAnImage::Empty)) };
    assert_eq!(of(&format!("http://{at}/empty")), empty);
}

#[test]
fn what_is_not_there_is_told_from_what_may_be_there_later() {
    let at = server();
    let (gone, busy) = (of(&format!("http://{at}/gone")), of(&format!("http://{at}/busy")));
    assert_eq!((&gone, &busy), (&Said::Refuses(404), &Said::Refuses(503)));
    assert!(gone.is_final());
    assert!(!busy.is_final());
}

/// Several are asked in one round trip, and one that nobody answers for keeps no other.
#[test]
fn each_address_has_its_own_answer() {
    let at = server();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = [
        format!("http://ann:secret@{closed}/x"),
        format!("http://{at}/part"),
        format!("http://{at}/gone"),
    ];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    for remote in [false, true] {
        let said = ask(&Local, &urls, None, remote).unwrap();
        let Some(Said::Unreached(why)) = &said[0] else { panic!("{:?}", said[0]) };
        assert!(why.starts_with("curl: (7)") && !why.contains("secret"), "{why}");
        assert_eq!(said[1], Some(Said::Has { length: Some(444_596_224), format: IMAGE }));
        assert_eq!(said[2], Some(Said::Refuses(404)));
    }
}

#[test]
fn answers_that_make_no_sense_are_none() {
    let urls = ["http://a/x", "http://a/y"];
    for text in ["", "\n", "0", "0 0", "7 0 200 1 00", "0 0 x y z", "0 0 200", "x 0 200 1 00"] {
        assert_eq!(parse(text, &urls), [None, None], "{text}");
    }
    // A length that no image has, and a status that is no number.
    let said = parse("1 0 200 99999999999999999999 514649fb", &urls);
    assert!(matches!(said[1], Some((_, Said::Has { length: None, .. }))), "{said:?}");
    assert_eq!(
        parse("0 28 - - -\n0 | curl: (28) x", &urls)[0],
        Some(("28".into(), Said::Unreached("curl: (28) x".into())))
    );
}

/// What was asked for with encryption, if only by a server that led there, was told without.
#[test]
fn nobody_is_led_from_encryption_to_none() {
    let down = Some((
        "0".to_string(),
        Said::Unreached("it leads from an address with encryption to one without".into()),
    ));
    assert_eq!(said("0 down 512 514649fb", None, "http://h/a"), down);
    // As its shell tells it of headers that it got.
    let directory = tempfile::tempdir().unwrap();
    let headers = |text: &str| {
        let curl = format!(
            "#!/bin/sh\nlast=\nfor word; do [ \"$last\" != --dump-header ] || printf '%s' '{text}' >\"$word\"; \
             last=$word; done\nprintf x\n"
        );
        let file = directory.path().join("curl");
        std::fs::write(&file, curl).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&file, mode).unwrap();
        let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
        let mut sh = std::process::Command::new("sh");
        sh.args(["-euc", SCRIPT, "sh"]).env("PATH", path);
        let (mut child, orders) = {
            sh.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
            (sh.spawn().unwrap(), orders(&["http://h/a"], None))
        };
        child.stdin.take().unwrap().write_all(orders.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let moved = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n");
    let end = "HTTP/2 200\r\ncontent-length: 1\r\n\r\n";
    let up = headers(&(moved("https://h/b") + &moved("/c") + end));
    assert_eq!(up, "0 0 200 1 78\n");
    let down = headers(&(moved("https://h/b") + &moved("HTTP://h/c") + end));
    assert_eq!(down, "0 0 down 1 78\n");
}
