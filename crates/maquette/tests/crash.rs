//! Killed at every step and at random moments: `up` gets to the same end, `down` leaves nothing.
//!
//! Most rounds run on libvirt's test driver inside the real daemon: it keeps everything but guests, and
//! survives the killing. Some run on real QEMU.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

mod lab;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lab::{Lab, leftovers, program, repository};

/// The test driver in the daemon: its state is shared by all connections to it.
const TEST_DRIVER: &str = "test+unix:///default?socket=/var/run/libvirt/libvirt-sock";

/// A way to run `maquette` and to see what it made.
struct Ground {
    uri: &'static str,
    up: Vec<String>,
    down: Vec<String>,
    home: tempfile::TempDir,
    /// Keeps the test driver's state alive between runs.
    holder: Option<Child>,
}

impl Drop for Ground {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.command(&self.down.clone()).output();
        }
        if let Some(mut holder) = self.holder.take() {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

impl Ground {
    /// `octet` is that of its subnets: whoever else uses this hypervisor meanwhile has no say in them.
    fn new(uri: &'static str, nodes: &str, prefix: &str, octet: &str, more: &[&str]) -> Self {
        let common = |verb: &str| {
            let mut all = vec![verb.to_string(), "--prefix".into(), prefix.into()];
            if verb == "down" {
                all.push("--yes".into());
            }
            if uri == TEST_DRIVER {
                let pool = ["--pool-name", "default-pool", "--disk-pool", "/default-pool"];
                all.extend(pool.map(String::from));
            }
            all
        };
        let mut up = common("up");
        up.extend(["--topology-nodes", nodes].map(String::from));
        up.extend(["--net_subnet", octet, "--data_subnet", octet].map(String::from));
        up.extend(more.iter().map(|m| (*m).to_string()));
        let holder = (uri == TEST_DRIVER).then(|| {
            // Reads commands from a pipe that nothing is written to.
            Command::new("virsh")
                .args(["-c", uri])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        });
        Self { uri, up, down: common("down"), home: tempfile::tempdir().unwrap(), holder }
    }

    fn command(&self, args: &[String]) -> Command {
        let mut command = Command::new(program());
        command
            .args(args)
            .current_dir(repository().join("tests/e2e"))
            .env("XDG_DATA_HOME", self.home.path())
            // The lock of a run that was killed is there for a moment more.
            .env("MAQUETTE_LOCK_WAIT", "60")
            .env("MAQUETTE_LIBVIRT_URI", self.uri);
        command
    }

    fn ok(&self, args: &[String]) -> (String, Duration) {
        let begun = Instant::now();
        let output = self.command(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        (said, begun.elapsed())
    }

    fn virsh(&self, args: &[&str]) -> String {
        let output =
            Command::new("virsh").args(["-q", "-c", self.uri]).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Every definition, every volume: what the blueprint says, as libvirt has it.
    fn everything(&self, prefix: &str) -> Vec<String> {
        let own = |text: String| -> Vec<String> {
            let names = text.lines().filter_map(|l| l.split_whitespace().next());
            let mut names: Vec<String> =
                names.filter(|n| n.starts_with(prefix)).map(String::from).collect();
            names.sort();
            names
        };
        let pool = if self.uri == TEST_DRIVER { "default-pool" } else { "images" };
        let volumes = format!("vol-list {pool}");
        // One program for all questions: there are many rounds.
        let lists = [
            "list --all --name",
            "echo ===",
            "net-list --all --name",
            "echo ===",
            volumes.as_str(),
        ];
        let text = self.virsh(&[lists.join("; ").as_str()]);
        let mut parts = text.split("===");
        let mut next = || own(parts.next().unwrap_or_default().into());
        let (domains, networks, volumes) = (next(), next(), next());
        let mut questions = Vec::new();
        for name in &domains {
            questions.push(format!("domstate {name}; dumpxml --inactive {name}"));
        }
        questions.extend(networks.iter().map(|name| format!("net-dumpxml {name}")));
        let mut all = domains;
        all.extend(networks);
        all.extend(volumes);
        if !questions.is_empty() {
            let xml = self.virsh(&[questions.join("; ").as_str()]);
            // A bridge's own hardware address and a domain's generation are libvirt's choice, and what is made again is made
            // later.
            let own = |line: &&str| {
                let text = line.trim_start();
                let mac = text.starts_with("<mac address='52:54:00") && !line.starts_with("      ");
                !mac && ["<origin:made ", "<genid>"].iter().all(|own| !text.starts_with(own))
            };
            all.extend(xml.lines().filter(own).map(keyless));
        }
        all
    }
}

/// A line without what follows from the environment's key, and without the generation of a node that was
/// made again: `down` removes the key, and the next `up` makes other ones.
fn keyless(line: &str) -> String {
    let mut text = line.to_string();
    for attribute in
        [" digest=\"", " seal=\"", " authorized-key=\"", " host-key=\"", " generation=\""]
    {
        if let Some(start) = text.find(attribute) {
            let value = start + attribute.len();
            let end = text[value..].find('"').map_or(text.len(), |end| value + end + 1);
            text.replace_range(start..end, "");
        }
    }
    text
}

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// After so many events of its steps.
    Event(usize),
    /// So long after its start.
    After(Duration),
}

/// Starts a run and kills it; whether it was still running, and how many steps it had done.
fn killed(ground: &Ground, kill: Kill) -> (bool, usize) {
    let mut args = ground.up.clone();
    args.push("--json".into());
    let mut child =
        ground.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut done = 0;
    if let Kill::After(time) = kill {
        std::thread::sleep(time);
        let _ = child.kill();
    }
    let mut events = 0;
    for line in lines.map_while(Result::ok) {
        events += usize::from(line.contains("\"step-"));
        done += usize::from(line.contains("\"step-finished\""));
        if matches!(kill, Kill::Event(n) if events >= n) {
            let _ = child.kill();
            break;
        }
    }
    (!child.wait().unwrap().success(), done)
}

/// Into how many parts the moments are dealt, and which of them is today's: each day tries others. All are one part where that is
/// asked for.
fn turn() -> (usize, usize) {
    const DAYS: usize = 3;
    if std::env::var_os("MAQUETTE_TEST_ALL").is_some() {
        return (1, 0);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (DAYS, usize::try_from(since.as_secs() / 86400).unwrap() % DAYS)
}

/// Numbers that look random and are the same all day.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

/// A part of the moments to kill at.
struct Part {
    /// Every so many-th of the ends and beginnings of steps; none with 0.
    boundaries: usize,
    /// With which of them to begin, from 0; also what random moments are drawn with.
    first: usize,
    /// How many random moments.
    random: u32,
}

/// Kills, goes on, compares, takes down; the figures.
fn rounds(
    ground: &Ground,
    prefix: &str,
    part: &Part,
    files: &dyn Fn() -> BTreeSet<String>,
) -> String {
    let all =
        || -> BTreeSet<String> { ground.everything(prefix).into_iter().chain(files()).collect() };
    // What was told to end is there for a moment more.
    let everything_left = || {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let left = all();
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let (_, took) = ground.ok(&ground.up);
    let whole = ground.everything(prefix);
    assert!(whole.len() > 100, "{whole:?}");
    ground.ok(&ground.down);
    assert!(ground.everything(prefix).is_empty());
    let mut kills: Vec<Kill> = Vec::new();
    if part.boundaries > 0 {
        let mut args = ground.up.clone();
        args.push("--json".into());
        let output = ground.command(&args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let events = text.lines().filter(|l| l.contains("\"step-")).count();
        ground.ok(&ground.down);
        kills.extend((1..=events).skip(part.first).step_by(part.boundaries).map(Kill::Event));
    }
    let random = part.random;
    let mut dice = Dice(u64::from(random) + part.first as u64);
    let micros = u64::try_from(took.as_micros()).unwrap();
    let times = (0..random).map(|_| Kill::After(Duration::from_micros(dice.below(micros))));
    kills.extend(times);
    let (mut alive, mut unfinished, mut longest) = (0, 0, Duration::ZERO);
    for kill in &kills {
        let (died, done) = killed(ground, *kill);
        alive += usize::from(died);
        // Now and then it is taken down at once: libvirt may still be busy with what was asked last.
        if dice.below(4) == 0 {
            ground.ok(&ground.down);
            let left = everything_left();
            assert!(left.is_empty(), "{kill:?}, {done} steps done: left behind: {left:?}");
        }
        let (said, took) = ground.ok(&ground.up);
        unfinished += usize::from(!said.contains("nothing to do"));
        longest = longest.max(took);
        let again = ground.everything(prefix);
        let lost: Vec<&String> = whole.iter().filter(|l| !again.contains(l)).collect();
        let new: Vec<&String> = again.iter().filter(|l| !whole.contains(l)).collect();
        assert!(again == whole, "{kill:?}, {done} steps done: {lost:#?} became {new:#?}");
        let (said, _) = ground.ok(&ground.up);
        assert!(said.contains("nothing to do"), "{kill:?}: {said}");
        // Every other removal is killed, too.
        if dice.below(2) == 0 {
            let mut down = ground.command(&ground.down).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_micros(dice.below(micros)));
            let _ = down.kill();
            down.wait().unwrap();
        }
        ground.ok(&ground.down);
        let left = everything_left();
        assert!(left.is_empty(), "{kill:?}: left behind: {left:?}");
    }
    format!(
        "{} rounds: killed while running {alive}, unfinished {unfinished}, first run {took:.1?}, \
         longest continuation {longest:.1?}",
        kills.len()
    )
}

/// Three environments side by side, since each mostly waits, and since a run that is killed beside others must not
/// harm these either.
#[test]
fn killed_at_every_step_and_at_random_moments() {
    const SIDE_BY_SIDE: [(&str, &str); 3] =
        [("crash", "201"), ("crash2", "202"), ("crash3", "203")];
    // A few hundred points inside steps are tried by `maquette-libvirt/tests/killed.rs`, without a program to start for each.
    let (days, today) = turn();
    let random = if days == 1 { 67 } else { 7 };
    std::thread::scope(|scope| {
        for (first, (prefix, octet)) in SIDE_BY_SIDE.into_iter().enumerate() {
            scope.spawn(move || {
                let more = ["--virt-type", "test"];
                let ground = Ground::new(TEST_DRIVER, "bare.yml:6", prefix, octet, &more);
                let first = first + today * SIDE_BY_SIDE.len();
                let part = Part { boundaries: SIDE_BY_SIDE.len() * days, first, random };
                let own = format!("{prefix}-");
                println!("test driver: {}", rounds(&ground, &own, &part, &BTreeSet::new));
            });
        }
    });
}

#[test]
fn killed_at_random_moments_with_real_guests() {
    let image = lab::image();
    // Firmware that finds nothing on the disk is quiet; looking for a network boot keeps a CPU busy.
    let boot = ["--virtopts", "--boot hd"];
    let more = ["--image-url", image.as_str(), boot[0], boot[1]];
    let ground = Ground::new("qemu:///system", "tiny.yml:1,bare.yml:5", "burst", "204", &more);
    let (days, today) = turn();
    let part = Part { boundaries: 0, first: today, random: if days == 1 { 12 } else { 4 } };
    println!("QEMU: {}", rounds(&ground, "burst-", &part, &|| leftovers("burst")));
    drop(Lab::new("burst"));
}
