//! Both sides in one process, over real pipes, with a resolver that does as it is told.

use std::io::{PipeWriter, pipe};
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// Somebody who hears what is told to whoever looks after the hypervisor.
fn journal() -> (BmcJournal, Receiver<String>) {
    let (sender, said) = channel();
    let journal: BmcJournal = Arc::new(move |line: &str| sender.send(line.to_string()).unwrap());
    (journal, said)
}

/// Who is asked over pipes that lead to a resolver.
fn through(resolver: BmcResolver, patience: Duration, journal: &BmcJournal) -> BmcResolver {
    let (asked, to) = pipe().unwrap();
    let (from, answers) = pipe().unwrap();
    let answers: Mutex<PipeWriter> = Mutex::new(answers);
    let say: Say =
        Arc::new(move |line: &str| answers.lock().unwrap().write_all(line.as_bytes()).unwrap());
    std::thread::spawn(move || answer_all(BufReader::new(asked), &resolver, &say));
    connect(Box::new(to), BufReader::new(from), patience, journal, || ())
}

fn at(last: u8, port: u16) -> SocketAddr {
    ([192, 0, 2, last], port).into()
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn names_are_looked_up_beside_each_other_and_answers_are_whose_they_are() {
    let (go, waits) = channel();
    let waits = Mutex::new(waits);
    let resolver: BmcResolver = Arc::new(move |host: &str, port: u16| match host {
        "slow" => {
            let () = waits.lock().unwrap().recv().unwrap();
            Ok(vec![at(1, port)])
        }
        "none" => Err(Error::other("nobody\nknows it")),
        _ => Ok(vec![at(2, port), at(3, port)]),
    });
    let (journal, _said) = journal();
    let asking = through(resolver, LONG, &journal);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| asking("slow", 80).unwrap());
        assert_eq!(asking("quick", 81).unwrap(), [at(2, 81), at(3, 81)]);
        assert_eq!(asking("none", 80).unwrap_err().to_string(), "nobodyknows it");
        assert_eq!(asking("two\nlines", 80).unwrap_err().kind(), ErrorKind::InvalidInput);
        go.send(()).unwrap();
        assert_eq!(slow.join().unwrap(), [at(1, 80)]);
    });
}

#[test]
fn an_answer_that_comes_too_late_is_nobodys() {
    let (go, waits) = channel();
    let waits = Mutex::new(waits);
    let resolver: BmcResolver = Arc::new(move |host: &str, port: u16| {
        if host == "slow" {
            let () = waits.lock().unwrap().recv().unwrap();
            return Ok(vec![at(1, port)]);
        }
        Ok(vec![at(2, port)])
    });
    let (journal, said) = journal();
    let asking = through(resolver, Duration::from_millis(200), &journal);
    assert_eq!(asking("slow", 80).unwrap_err().kind(), ErrorKind::TimedOut);
    go.send(()).unwrap();
    // Whenever the late answer arrives, it is not this one's.
    for _ in 0..20 {
        assert_eq!(asking("quick", 80).unwrap(), [at(2, 80)]);
    }
    assert!(said.try_recv().is_err());
}

#[test]
fn a_process_that_has_ended_is_told_of_once_and_whoever_waits_does_not_wait() {
    let (asked, to) = pipe().unwrap();
    let (from, answers) = pipe().unwrap();
    let ((journal, said), (ended, end)) = (journal(), channel());
    let done = move || ended.send(()).unwrap();
    let asking = connect(Box::new(to), BufReader::new(from), LONG, &journal, done);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| asking("name", 80).unwrap_err());
        let mut asked = BufReader::new(asked);
        assert_eq!(lines::next(&mut asked).unwrap().as_deref(), Some("1 name 80"));
        // Killed.
        drop((asked, answers));
        let error = waiting.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        assert!(error.to_string().contains("`maquette up` starts both"), "{error}");
    });
    end.recv().unwrap();
    assert_eq!(asking("name", 80).unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(said.recv().unwrap().contains("cannot be looked up"));
    assert!(said.try_recv().is_err());
    assert_eq!(nobody()("name", 80).unwrap_err().kind(), ErrorKind::NotConnected);
}

/// With whoever asks, so that the process ends that does not serve.
#[test]
fn whoever_looks_names_up_ends_with_whoever_asks() {
    let (asked, to) = pipe().unwrap();
    let (from, answers) = pipe().unwrap();
    let ((journal, said), (ended, end)) = (journal(), channel());
    let done = move || ended.send(()).unwrap();
    let asking = connect(Box::new(to), BufReader::new(from), LONG, &journal, done);
    drop(asking);
    assert_eq!(lines::next(&mut BufReader::new(asked)).unwrap(), None);
    drop(answers);
    end.recv().unwrap();
    drop(journal);
    // Nobody listens any more, and nothing was said.
    assert!(said.recv().is_err());
}

#[test]
fn what_is_not_asked_for_in_a_line_ends_it() {
    let resolver: BmcResolver = Arc::new(|_: &str, port: u16| Ok(vec![at(1, port)]));
    let say: Say = Arc::new(|_: &str| ());
    for bad in ["1 a b 80\n", "1 a\n", "1 -a 80\n", "1 a 80", "\n"] {
        let error = answer_all(bad.as_bytes(), &resolver, &say).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{bad:?}");
    }
    answer_all(&b""[..], &resolver, &say).unwrap();
}

#[test]
fn a_limit_is_set_to_names_that_nobody_answers_for() {
    let (go, waits) = channel::<()>();
    let waits = Mutex::new(waits);
    let resolver: BmcResolver = Arc::new(move |_: &str, port: u16| {
        // Until the test ends.
        let _ = waits.lock().unwrap().recv();
        Ok(vec![at(1, port)])
    });
    let (sender, said) = channel();
    let say: Say = Arc::new(move |line: &str| {
        let _ = sender.send(line.to_string());
    });
    let lines: String = (0..=AT_ONCE).map(|number| format!("{number} slow 80\n")).collect();
    answer_all(lines.as_bytes(), &resolver, &say).unwrap();
    let refused = said.recv().unwrap();
    assert_eq!(refused, format!("{AT_ONCE} failed {AT_ONCE} names are looked up already\n"));
    drop(go);
}
