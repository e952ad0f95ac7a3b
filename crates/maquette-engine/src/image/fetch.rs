//! Bringing a base image into the pool: complete and verified, or not at all.

mod customize;
mod look;
mod relay;

use std::path::{Path, PathBuf};

use maquette_core::blueprint::{Image, Pool};
use maquette_core::hex::hex;
use maquette_core::image::{
    Checksum, Compression, Format, HEAD, NotAnImage, inspect, redact, redact_words,
};
use maquette_core::units::ByteSize;

pub use look::Found;

use super::build;
use super::checksum;
use super::fetch_shell::{self, Answer, FetchShell};
use super::leftovers::record_of;
use super::source::{Origin, Source};
use crate::host::{Command, Host, Local, check};
use crate::{Cause, StepContext, StepError};

/// Where it is recorded which files of a hypervisor's pools are images that Maquette brought: one file
/// for each, with its path in it.
pub const RECORDS: &str = "/var/lib/maquette/images";

/// How large a file may become that is downloaded, or unpacked for disks of no certain size, in bytes.
pub(super) const LARGEST: u64 = 256 << 30;

/// What a qcow2 file may have besides the content of its disk, in bytes: tables of all sizes.
const OVERHEAD: u64 = 64 << 20;

/// How images are brought to a hypervisor.
#[derive(Debug, Clone, Default)]
pub struct Transfer {
    /// Where images are that were built here.
    pub built: PathBuf,
    /// Where downloads are kept that a hypervisor could not make itself.
    pub downloads: PathBuf,
    /// Where images are recorded on the hypervisor ([`RECORDS`]); empty for nowhere.
    pub records: String,
    /// Whether the hypervisor is another machine.
    pub remote: bool,
    /// Whether to download what is there already.
    pub force: bool,
    /// Certificate authorities besides the system's, in PEM, if there are any.
    pub authorities: Option<String>,
    /// How long others may keep us waiting.
    pub limits: Limits,
}

/// How long others may keep us waiting, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A server that sends next to nothing.
    pub stall: u64,
    /// A server that sends all the time: for a download of nothing. It may take longer by what there is to come.
    pub slow: u64,
    /// The rate at which that is to come on average, in bytes a second: a line that is slow and works has it.
    pub slowest: u64,
    /// Another run that has an image's lock and makes no progress.
    pub patience: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { stall: 60, slow: 600, slowest: 16 << 10, patience: 900 }
    }
}

/// Bytes a second below which a server sends next to nothing.
const STALLED: u64 = 4 << 10;
/// How long a download may take whatever it is of, in seconds. What has come by then is gone on with by the next run.
const LONGEST: u64 = 24 * 60 * 60;

/// Whether the image may not be replaced, because domains were made from it.
pub type Used<'a> = &'a dyn Fn() -> Result<bool, StepError>;

/// Brings an image into a pool. `smallest` is the smallest disk that shall overlay it, in bytes. What is neither published for
/// clouds nor built here is looked into, and what was found out of it is recorded there.
pub fn fetch(
    host: &dyn Host,
    transfer: &Transfer,
    image: &Image,
    pool: &Pool,
    smallest: Option<u64>,
    used: Used<'_>,
    context: &StepContext<'_>,
) -> Result<Found, StepError> {
    let source = Source::parse(&image.source, &transfer.built).map_err(|e| {
        StepError::new(format!("cannot fetch image {}", redact(&image.source))).because(e)
    })?;
    let mut place = place(&pool.path, &image.volume, transfer);
    if let Origin::File(path) = &source.origin {
        let built = build::recipe_beside(path).and_then(|recipe| recipe.record(image));
        place.about = built.map_or(String::new(), |record| record.line());
    }
    let (part, is_built) = (place.part.clone(), !place.about.is_empty());
    let (agent, there) = FetchShell::start(host, &place, context)?;
    let name = match &source.origin {
        Origin::File(path) => path.display().to_string(),
        Origin::Url(url) => redact(url),
        Origin::Catalogue(entry) => entry.url.into(),
    };
    let volume = image.as_it_comes().volume.into();
    let identity = source.identity();
    let mut job = Job { host, transfer, agent, volume, part, name, identity, context };
    let again = there.is_some() && transfer.force && !matches!(source.origin, Origin::File(_));
    if let Some(there) = there.filter(|_| !again) {
        job.leave()?;
        job.is_it(&there.identity, image)?;
        return Ok(there.found);
    }
    let brought = match image.is_customized() {
        true => job.bring_customized(&source, smallest),
        false => job.bring(&source, smallest),
    };
    let is_known = is_built || matches!(source.origin, Origin::Catalogue(_));
    let looked = brought.and_then(|()| match is_known || image.is_customized() {
        true => Ok(Found::Nothing),
        false => job.look(),
    });
    let result = looked.and_then(|found| job.place(again, used, found).map(|()| found));
    if result.is_err() {
        // Whatever may be left is there for the next run; the first error is the one to tell.
        let _ = job.leave();
    }
    result
}

fn place(directory: &str, volume: &str, transfer: &Transfer) -> fetch_shell::FetchPaths {
    let target = format!("{directory}/{volume}");
    let record = record_of(&transfer.records, &target);
    let part = format!("{directory}/.{volume}.part");
    let patience = transfer.limits.patience;
    fetch_shell::FetchPaths { target, part, patience, record, about: String::new() }
}

/// One image on its way.
struct Job<'a> {
    host: &'a dyn Host,
    transfer: &'a Transfer,
    agent: FetchShell<'a>,
    /// Its volume as it comes, which is named after what is in it.
    volume: String,
    /// Where it grows.
    part: String,
    /// What it is called for people.
    name: String,
    /// What it is known by, of which its volume's name has a part; of a file once it has been read.
    identity: Option<String>,
    context: &'a StepContext<'a>,
}

impl Job<'_> {
    /// Brings it, whatever state a run before has left, until it is a verified qcow2 file beside its place.
    fn bring(&mut self, source: &Source, smallest: Option<u64>) -> Result<(), StepError> {
        let (url, sum) = match &source.origin {
            Origin::File(path) => {
                let digits = self.push(path)?;
                self.is_named_so(path, digits)?;
                if let Some(sum) = &source.sum {
                    self.verify(sum)?;
                }
                return self.judge(smallest);
            }
            Origin::Url(url) => (url.as_str(), source.sum.clone()),
            Origin::Catalogue(entry) => {
                let sum = match &source.sum {
                    Some(sum) => sum.clone(),
                    None => self.published(entry.url, entry.checksums)?,
                };
                (entry.url, Some(sum))
            }
        };
        let resumed = self.download(url)?;
        if let Some(sum) = sum {
            let verified = self.verify(&sum);
            // What an earlier run left may have been of another file, and the run does not fail of it.
            if resumed && verified.is_err() {
                self.progress("the resumed download is damaged; downloading it again");
                self.download(url)?;
                self.verify(&sum)?;
            } else {
                verified?;
            }
        }
        self.judge(smallest)
    }

    fn progress(&self, text: &str) {
        (self.context.progress)(text.into());
    }

    fn order(&mut self, order: &str) -> Result<Answer, StepError> {
        self.agent.order(order, &mut |_| {})
    }

    /// An order whose failure is one of ours and not of the image.
    fn must(&mut self, order: &str, what: &str) -> Result<Answer, StepError> {
        let answer = self.order(order)?;
        self.succeeded(answer, what)
    }

    fn succeeded(&self, answer: Answer, what: &str) -> Result<Answer, StepError> {
        if answer.is_done() {
            return Ok(answer);
        }
        let mut error = StepError::new(format!("cannot {what} image {}", self.name));
        error.causes.extend(answer.said.last().cloned());
        Err(error)
    }

    fn leave(&mut self) -> Result<(), StepError> {
        self.must("leave", "leave").map(|_| ())
    }

    /// An image that cannot be used; what came is removed, so that the next run begins again.
    fn broken(&mut self, error: StepError) -> StepError {
        match self.must("forget", "remove what is left of") {
            Ok(_) => error,
            Err(more) => StepError { causes: [error.causes, vec![more.message]].concat(), ..error },
        }
    }

    /// Downloads on the hypervisor; where that has no way out, downloads here and pushes. Returns
    /// whether it went on from what an earlier run left.
    fn download(&mut self, url: &str) -> Result<bool, StepError> {
        let answer = order_download(&mut self.agent, url, self.transfer, self.context)?;
        let no_way_out = NO_WAY_OUT.contains(&answer.status());
        if no_way_out && self.transfer.remote {
            self.progress("the hypervisor cannot reach it; downloading here");
            return self.relay(url).map(|()| false);
        }
        downloaded(url, &answer)?;
        Ok(answer.word(2) == "resumed")
    }

    /// Copies a file of this machine under a name of this run's own, and to another machine with a
    /// checksum, which is returned.
    fn push(&mut self, from: &Path) -> Result<Option<String>, StepError> {
        let failed =
            |e: Cause| StepError::new(format!("cannot copy image {}", from.display())).because(e);
        let mut random = [0u8; 8];
        getrandom::getrandom(&mut random)
            .map_err(|e| failed(std::io::Error::other(e.to_string()).into()))?;
        let run = hex(random);
        let total = from.metadata().map_or(0, |m| m.len());
        let answer = self.order(&format!("fits {total}"))?;
        if answer.status() == "large" {
            let error = no_room(format!("{} has {}", from.display(), ByteSize(total)), &answer);
            return Err(self.broken(error));
        }
        let mut last = None;
        self.host
            .upload(from, &format!("{}-{run}", self.part), &mut |done| {
                let percent = (done * 100).checked_div(total).unwrap_or(100);
                if last.replace(percent) != Some(percent) {
                    self.progress(&format!("{percent} % of {}", ByteSize(total)));
                }
            })
            .map_err(|e| failed(e.into()))?;
        self.must(&format!("take {run}"), "take over")?;
        if self.transfer.remote {
            let digits = checksum::sha256(from).map_err(|e| failed(e.into()))?;
            if let Some(sum) = Checksum::from_digits(&digits) {
                self.verify(&sum)?;
            }
            return Ok(Some(digits));
        }
        Ok(None)
    }

    /// A file is called by what was in it when this run began. Somebody may have replaced it since: whoever names it next
    /// would get what it was called by then, and not what it is.
    fn is_named_so(&mut self, from: &Path, digits: Option<String>) -> Result<(), StepError> {
        let stem = self.volume.strip_suffix(".qcow2").unwrap_or(&self.volume);
        let Some((_, key)) = stem.rsplit_once('-') else { return Ok(()) };
        let key = key.to_string();
        let digits = match digits {
            Some(digits) => digits,
            None => self.must("sum sha256sum", "verify")?.word(2).to_string(),
        };
        if digits.starts_with(&key) {
            self.identity = Some(digits);
            return Ok(());
        }
        let error = StepError::new(format!("image {} was changed meanwhile", from.display()));
        let error = error.hint("run the same command again: it takes the file as it is now");
        Err(self.broken(error))
    }

    /// The checksum that the distributor publishes, over an encrypted connection all the way.
    fn published(&self, url: &str, list: &str) -> Result<Checksum, StepError> {
        self.progress(&format!("reading its checksum from {list}"));
        let command = Command::new("curl")
            .args(["--fail", "--silent", "--show-error", "--location", "--retry", "2"])
            .args(["--proto", "=https", "--proto-redir", "=https", "--max-filesize", "4194304"])
            .args(["--connect-timeout", "10", "--max-time", "60", "--retry-max-time", "60"])
            .args(["--", list]);
        let there = check(self.host, &command);
        let text =
            if there.is_err() && self.transfer.remote { check(&Local, &command) } else { there };
        let text = text.map_err(|e| {
            StepError::new(format!("cannot read the published checksums {list}")).because(e).hint(
                "without internet access, `maquette image build debian-12` makes an image here",
            )
        })?;
        let file = url.rsplit('/').next().unwrap_or_default();
        checksum::find(&text, file).ok_or_else(|| {
            StepError::new(format!("{list} has no checksum for {file}")).hint(
                "the distributor may have moved it; give the image's address with `--image-url`",
            )
        })
    }

    fn verify(&mut self, sum: &Checksum) -> Result<(), StepError> {
        self.progress("verifying");
        let answer = self.must(&format!("sum {}", sum.kind().program()), "verify")?;
        let actual = answer.word(2);
        if actual == sum.digits() {
            return Ok(());
        }
        let kind = sum.kind().word();
        let error = StepError::new(format!("image {} does not match its checksum", self.name));
        let mut error = error.hint(
            "the copy was removed; if the checksum is the right one, the file that is offered there \
             is not the one that you want",
        );
        error.causes.push(format!("wanted {sum}, and it has {kind}:{actual}"));
        Err(self.broken(error))
    }

    /// Finds out from its first bytes what it is, and makes a qcow2 file of it.
    fn judge(&mut self, smallest: Option<u64>) -> Result<(), StepError> {
        let mut unpacked = None;
        loop {
            let answer = self.must(&format!("head {HEAD}"), "read")?;
            let len: u64 = answer.word(2).parse().unwrap_or(0);
            let mut head = bytes(answer.word(3));
            // Zeros may fill the last of its words.
            head.truncate(usize::try_from(len).unwrap_or(usize::MAX));
            match inspect(&head, len) {
                Ok(Format::Compressed(compression)) if unpacked.is_none() => {
                    self.unpack(compression, smallest)?;
                    unpacked = Some(compression);
                }
                Ok(Format::Compressed(_)) => {
                    let error = StepError::new(format!("image {} is packed twice", self.name));
                    return Err(self.broken(error.hint("unpack it first")));
                }
                Ok(Format::Qcow2 { size }) => {
                    self.fits(size, smallest)?;
                    return self.check();
                }
                Ok(Format::Raw) => {
                    self.fits(len, smallest)?;
                    self.progress("converting from raw");
                    let limit = len + len / 16 + OVERHEAD;
                    return self.convert(limit);
                }
                Err(why) => {
                    let packed = unpacked
                        .map_or(String::new(), |c| format!(", unpacked with {},", c.program()));
                    let message =
                        format!("{}{packed} is not a disk image that can be used", self.name);
                    let hint = why.hint();
                    let mut error = StepError::new(message).because(why).hint(hint);
                    if matches!(why, NotAnImage::Other(_, None)) {
                        // Files of this machine were looked at before.
                        error =
                            error.hint("servers answer with a page where they do not have a file");
                    }
                    return Err(self.broken(error));
                }
            }
        }
    }

    /// Makes qcow2 of raw. Both are there for a while.
    fn convert(&mut self, limit: u64) -> Result<(), StepError> {
        let answer = self.order(&format!("convert {limit}"))?;
        if answer.status() != "large" {
            return self.succeeded(answer, "convert").map(|_| ());
        }
        let error = no_room(format!("image {} is larger as qcow2", self.name), &answer);
        Err(self.broken(error))
    }

    fn unpack(&mut self, packed: Compression, smallest: Option<u64>) -> Result<(), StepError> {
        let program = packed.program();
        self.progress(&format!("unpacking with {program}"));
        // More than its disk can hold is of no use to anybody.
        let limit = smallest.map_or(LARGEST, |s| s.saturating_add(s / 16 + OVERHEAD));
        let answer = self.order(&format!("unpack {program} {limit}"))?;
        let name = &self.name;
        let mut error = match answer.status() {
            "0" => return Ok(()),
            "large" => {
                let allowed = answer.word(2).parse().map_or(limit, |l: u64| l);
                StepError::new(format!("image {name} unpacks to more than {}", ByteSize(allowed)))
                    .hint("that is more than its disk, or than the pool has room for")
            }
            "127" => StepError::new(format!(
                "image {name} is packed, and the hypervisor has no `{program}`"
            ))
            .hint(format!("install it there, or unpack the image with `{program} -d` first")),
            _ => StepError::new(format!("image {name} is packed with {program} and damaged"))
                .hint("fetch it again, or make a new one"),
        };
        if !matches!(answer.status(), "large") {
            error.causes.extend(answer.said.last().cloned());
        }
        Err(self.broken(error))
    }

    fn fits(&mut self, size: u64, smallest: Option<u64>) -> Result<(), StepError> {
        match too_large(&self.name, size, smallest) {
            Some(message) => Err(StepError::new(message).hint(ENLARGE)),
            None => Ok(()),
        }
    }

    /// Checks its tables: an image that was cut off shows here and nowhere else.
    fn check(&mut self) -> Result<(), StepError> {
        let answer = self.order("check")?;
        // 3: clusters that nobody uses, which harm nobody.
        if matches!(answer.status(), "0" | "3") {
            return Ok(());
        }
        let mut error = StepError::new(format!("{} is damaged", self.name));
        error.causes.extend(answer.said.last().cloned());
        if answer.status() == "127" {
            error = StepError { message: format!("cannot check image {}", self.name), ..error };
        }
        Err(self.broken(error.hint("fetch it again, or make a new one")))
    }

    /// Puts it in place. A forced download never replaces an image that domains were made from; one that brought
    /// nothing new is dropped.
    fn place(&mut self, again: bool, used: Used<'_>, found: Found) -> Result<(), StepError> {
        let (identity, found) = (self.identity.clone(), found.word());
        let identity = identity.as_deref().unwrap_or("-");
        if again {
            if self.order("same")?.is_done() {
                self.progress("it has not changed");
                return self.must(&format!("drop {identity} {found}"), "drop").map(|_| ());
            }
            if used()? {
                let message = format!(
                    "{} has changed, and nodes exist whose disks overlay the old one",
                    self.name
                );
                let error = StepError::new(message)
                    .hint("remove those nodes first, or leave `--force-image-download` out");
                return Err(self.broken(error));
            }
        }
        self.must(&format!("place 644 {identity} {found}"), "put in place").map(|_| ())
    }
}

/// What is done about an image that is too large.
pub const ENLARGE: &str = "enlarge the node's disk1";

/// What is said of an image whose disk has so many bytes, where the smallest disk on it would cut it off.
pub fn too_large(name: &str, size: u64, smallest: Option<u64>) -> Option<String> {
    let smallest = smallest.filter(|smallest| *smallest < size)?;
    let (size, smallest) = (ByteSize(size), ByteSize(smallest));
    Some(format!("{name} holds a disk of {size}, larger than the {smallest} that a node asks for"))
}

/// Lets a shell download an address, which only its standard input ever holds.
fn order_download(
    agent: &mut FetchShell<'_>,
    url: &str,
    transfer: &Transfer,
    context: &StepContext<'_>,
) -> Result<Answer, StepError> {
    // What was begun with encryption goes on so.
    let redirects = if is_encrypted(url) { "=https" } else { "=http,https" };
    // It was checked to have neither quotes nor backslashes nor line ends.
    let Limits { stall, slow, slowest, patience: _ } = transfer.limits;
    let from = format!(
        "from {redirects} {stall} {LARGEST} {STALLED} {slow} {slowest} {LONGEST}\nurl = \"{url}\"\n"
    );
    agent.order(&from, &mut |_| {})?;
    if let Some(text) = &transfer.authorities {
        let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
        agent.order(&format!("authorities\n{}\n", lines.join("\n")), &mut |_| {})?;
    }
    agent.order("download", &mut |line| {
        if let Some(text) = meter(line) {
            (context.progress)(text);
        }
    })
}

pub(super) fn is_encrypted(url: &str) -> bool {
    url.get(..8).is_some_and(|s| s.eq_ignore_ascii_case("https://"))
}

/// The error of what would fill the pool: guests whose disks are there would stop.
fn no_room(what: String, answer: &Answer) -> StepError {
    let most = ByteSize(answer.word(2).parse().unwrap_or(0));
    let message = format!("{what}, and the pool has room for {most}");
    StepError::new(message)
        .hint("a tenth of what is free stays free; `maquette image prune` removes images that nothing uses")
}

fn downloaded(url: &str, answer: &Answer) -> Result<(), StepError> {
    if answer.is_done() {
        return Ok(());
    }
    let shown = redact(url);
    if answer.status() == "large" {
        let most = ByteSize(answer.word(2).parse().unwrap_or(LARGEST));
        return Err(StepError::new(format!("{shown} has more than {most}")).hint(
            "that is more than the pool has room for beside what others are downloading, or than any image has; it was removed",
        ));
    }
    let why = answer.said.iter().rev().find_map(|l| l.trim().strip_prefix("curl: "));
    let mut error = StepError::new(format!("cannot download {shown}"));
    // It may name where the server has led it.
    error.causes.extend(why.map(|w| format!("curl: {}", redact_words(&w.replace(url, &shown)))));
    let error = match answer.status() {
        // curl's word for a protocol that it must not use, which only a redirection can lead to.
        "1" if is_encrypted(url) => error
            .hint("the server redirects to an address that is not encrypted; that is not followed"),
        "1" => error.hint(
            "the server redirects to an address that is neither `http:` nor `https:`; that is not \
             followed",
        ),
        "190" => error.hint(
            "a server that was asked with encryption leads to an address without; that is not followed",
        ),
        "28" => error.hint(format!(
            "the server does not answer, sends next to nothing, less than {} a second on average, or takes a day",
            ByteSize(Limits::default().slowest)
        )),
        // A certificate that nobody known has signed.
        "60" => error.hint("`--tls-ca` names further certificate authorities"),
        "127" => error.hint("the hypervisor has no `curl`"),
        _ => error,
    };
    Err(error
        .hint("what was downloaded is kept; run the same command again to go on from there")
        .hint("without internet access, `maquette image build debian-12` makes an image here"))
}

/// Bytes from their hexadecimal digits.
pub(super) fn bytes(digits: &str) -> Vec<u8> {
    let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).ok()?, 16).ok();
    digits.as_bytes().chunks_exact(2).map_while(pair).collect()
}

/// Virtual size of an image in a pool, in bytes: what its own header says.
pub fn virtual_size(host: &dyn Host, path: &str) -> Result<u64, StepError> {
    let failed = || StepError::new(format!("cannot find out the size of image {path}"));
    let command = Command::new("od").args(["-An", "-v", "-tx1", "-N", "512", "--", path]);
    let text = check(host, &command).map_err(|e| failed().because(e))?;
    let digits: String = text.split_whitespace().collect();
    // Where its tables end was looked at when it came.
    match inspect(&bytes(&digits), u64::MAX) {
        Ok(Format::Qcow2 { size }) => Ok(size),
        Ok(_) => Err(failed().hint("it is not the qcow2 image that Maquette brought")),
        Err(why) => Err(failed().because(why)),
    }
}

/// curl's words for a server that cannot be reached: no proxy, no address, no connection, no answer
/// in time.
pub(super) const NO_WAY_OUT: [&str; 4] = ["5", "6", "7", "28"];

/// A line of curl's progress meter: `% Total % Received …`, percent first.
fn meter(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let percent: u8 = fields.first()?.parse().ok()?;
    let (total, speed) = (fields.get(1)?, fields.last()?);
    (fields.len() >= 10).then(|| format!("{percent} % of {total}, {speed}/s"))
}

#[cfg(test)]
mod tests;
