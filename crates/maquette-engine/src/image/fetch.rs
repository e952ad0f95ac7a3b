//! Bringing a base image into the pool: complete and verified, or not at all.

use std::path::{Path, PathBuf};

use maquette_core::blueprint::{Image, Pool};
use maquette_core::units::ByteSize;

use super::checksum::{self, Checksum};
use super::source::Source;
use crate::host::{Command, Host, HostError, Local, Output, check};
use crate::{StepContext, StepError};

/// Downloads under a lock, resuming what an interrupted run left; two runs that want the same image
/// wait for each other, and the second finds it done. A server that cannot resume (curl's status 33)
/// is asked for the whole again. `$4` is a file of further certificate authorities, or empty.
const DOWNLOAD: &str = r#"exec 9> "$2.lock"; flock 9
[ -z "$3" ] || [ ! -e "$3" ] || exit 0
if [ -n "$4" ]; then
    cat /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem \
        "$4" 2>/dev/null > "$4.all" || :
    trap 'rm -f -- "$4.all"' EXIT
fi
get() {
    curl --fail --location --retry 2 --connect-timeout 10 ${4:+--cacert "$4.all"} \
        --output "$2" --continue-at "$5" -- "$1"
}
get "$1" "$2" "$3" "$4" - || {
    status=$?
    [ $status = 33 ] || exit $status
    get "$1" "$2" "$3" "$4" 0
}"#;

/// No disk that boots is smaller, in bytes: a mebibyte is where partitions begin.
const SMALLEST_RAW: u64 = 1 << 20;

/// How images are brought to a hypervisor.
#[derive(Debug, Clone, Default)]
pub struct Transfer {
    /// Where images are that were built here.
    pub built: PathBuf,
    /// Where downloads are kept that a hypervisor could not make itself.
    pub downloads: PathBuf,
    /// Whether the hypervisor is another machine.
    pub remote: bool,
    /// Whether to download what is there already.
    pub force: bool,
    /// Certificate authorities besides the system's, in PEM.
    pub authorities: Option<String>,
}

/// Whether the image may not be replaced, because domains were made from it.
pub type Used<'a> = &'a dyn Fn() -> Result<bool, StepError>;

/// Brings an image into a pool. `smallest` is the smallest disk that shall overlay it, in bytes.
pub fn fetch(
    host: &dyn Host,
    transfer: &Transfer,
    image: &Image,
    pool: &Pool,
    smallest: Option<u64>,
    used: Used<'_>,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let source = Source::parse(&image.source, &transfer.built)
        .map_err(|e| StepError::new(format!("cannot fetch image {}", image.source)).because(&e))?;
    let volume = &image.volume;
    let job = Job {
        host,
        transfer,
        target: format!("{}/{volume}", pool.path),
        part: format!("{}/.{volume}.part", pool.path),
        name: match &source {
            Source::File(path) => path.display().to_string(),
            Source::Url(url) => url.clone(),
            Source::Catalogue(entry) => entry.url.into(),
        },
        context,
    };
    job.fetch(&source, smallest, used)
}

/// One image on its way.
struct Job<'a> {
    host: &'a dyn Host,
    transfer: &'a Transfer,
    /// Where it shall be.
    target: String,
    /// Where it grows.
    part: String,
    /// What it is called for people.
    name: String,
    context: &'a StepContext<'a>,
}

impl Job<'_> {
    fn fetch(
        &self,
        source: &Source,
        smallest: Option<u64>,
        used: Used<'_>,
    ) -> Result<(), StepError> {
        let there = self.host.exists(&self.target);
        let again = there && self.transfer.force && !matches!(source, Source::File(_));
        if there && !again {
            return Ok(());
        }
        // What a download finds there, it need not bring; unless it shall be brought anew.
        let finished = if again { "" } else { &self.target };
        let sum = match source {
            Source::File(path) => {
                self.push(path)?;
                None
            }
            Source::Url(url) => {
                self.bring(url, finished)?;
                None
            }
            Source::Catalogue(entry) => {
                let sum = self.published(entry.url, entry.checksums)?;
                self.bring(entry.url, finished)?;
                Some(sum)
            }
        };
        let arrived = self.host.exists(&self.part);
        if arrived {
            if let Some(sum) = &sum {
                self.progress("verifying");
                self.verify(sum)?;
            }
            let format = self.inspect(smallest)?;
            if !again || self.differs(used)? {
                self.finish(&format)?;
            }
        }
        self.host
            .remove(&format!("{}.lock", self.part))
            .map_err(|e| StepError::new("cannot remove the download's lock").because(&e))
    }

    fn progress(&self, text: &str) {
        (self.context.progress)(text.into());
    }

    /// Downloads on the hypervisor; where that has no way out, downloads here and pushes.
    fn bring(&self, url: &str, finished: &str) -> Result<(), StepError> {
        let output = self.download(self.host, url, &self.part, finished)?;
        let no_way_out = output.status.is_some_and(|s| NO_WAY_OUT.contains(&s));
        if no_way_out && self.transfer.remote {
            self.progress("the hypervisor cannot reach it; downloading here");
            return self.relay(url);
        }
        self.downloaded(url, &output)
    }

    fn relay(&self, url: &str) -> Result<(), StepError> {
        let directory = &self.transfer.downloads;
        let failed = |e: &dyn std::error::Error| {
            StepError::new(format!("cannot keep a download in {}", directory.display())).because(e)
        };
        std::fs::create_dir_all(directory).map_err(|e| failed(&e))?;
        let file = self.target.rsplit('/').next().unwrap_or_default();
        let kept = directory.join(file);
        let (whole, part) = (kept.display().to_string(), format!("{}.part", kept.display()));
        if !kept.exists() || self.transfer.force {
            let output = self.download(&Local, url, &part, "")?;
            self.downloaded(url, &output)?;
            Local.rename(&part, &whole).map_err(|e| failed(&e))?;
            Local.remove(&format!("{part}.lock")).map_err(|e| failed(&e))?;
        }
        self.push(&kept)
    }

    fn download(
        &self,
        host: &dyn Host,
        url: &str,
        part: &str,
        finished: &str,
    ) -> Result<Output, StepError> {
        let failed = |e: HostError| StepError::new(format!("cannot download {url}")).because(&e);
        let mut authorities = String::new();
        if let Some(text) = &self.transfer.authorities {
            authorities = format!("{part}.ca");
            host.write(&authorities, text.as_bytes(), 0o644).map_err(failed)?;
        }
        let command = Command::script(DOWNLOAD, [url, part, finished, &authorities]);
        let output = host.run(&command, &mut |line| {
            if let Some(text) = meter(line) {
                self.progress(&text);
            }
        });
        if !authorities.is_empty() {
            host.remove(&authorities).map_err(failed)?;
        }
        output.map_err(failed)
    }

    fn downloaded(&self, url: &str, output: &Output) -> Result<(), StepError> {
        if output.status == Some(0) {
            return Ok(());
        }
        let why = output.stderr.lines().rev().find_map(|l| l.trim().strip_prefix("curl: "));
        let mut error = StepError::new(format!("cannot download {url}"));
        error.causes.extend(why.map(|w| format!("curl: {w}")));
        // curl's words for a certificate that nobody known has signed.
        if output.status == Some(60) {
            error = error.hint("`--tls-ca` names further certificate authorities");
        }
        Err(error
            .hint("what was downloaded is kept; run `maquette up` again to go on from there")
            .hint("without internet access, `maquette image build debian-12` makes an image here"))
    }

    /// Copies a file of this machine, and to another machine with a checksum.
    fn push(&self, from: &Path) -> Result<(), StepError> {
        let failed = |e: &dyn std::error::Error| {
            StepError::new(format!("cannot copy image {}", from.display())).because(e)
        };
        let total = from.metadata().map_or(0, |m| m.len());
        let mut last = None;
        self.host
            .upload(from, &self.part, &mut |done| {
                let percent = (done * 100).checked_div(total).unwrap_or(100);
                if last.replace(percent) != Some(percent) {
                    self.progress(&format!("{percent} % of {}", ByteSize(total)));
                }
            })
            .map_err(|e| failed(&e))?;
        if self.transfer.remote {
            self.progress("verifying");
            let digits = checksum::sha256(from).map_err(|e| failed(&e))?;
            self.verify(&Checksum { program: "sha256sum", digits })?;
        }
        Ok(())
    }

    /// Whether a forced download brought something new, which must not pull the rug from under
    /// domains; an equal one is dropped.
    fn differs(&self, used: Used<'_>) -> Result<bool, StepError> {
        let failed = |e: HostError| {
            StepError::new(format!("cannot compare image {}", self.name)).because(&e)
        };
        let compare = Command::new("cmp").args(["-s", "--", &self.part, &self.target]);
        let same = self.host.run(&compare, &mut |_| {}).map_err(failed)?.status == Some(0);
        if same {
            self.progress("it has not changed");
            self.host.remove(&self.part).map_err(failed)?;
            return Ok(false);
        }
        if used()? {
            self.host.remove(&self.part).map_err(failed)?;
            return Err(StepError::new(format!(
                "{} has changed, and nodes exist whose disks overlay the old one",
                self.name
            ))
            .hint("remove those nodes first, or leave `--force-image-download` out"));
        }
        Ok(true)
    }

    /// The checksum that the distributor publishes.
    fn published(&self, url: &str, list: &str) -> Result<Checksum, StepError> {
        let command = Command::new("curl")
            .args(["--fail", "--silent", "--show-error", "--location", "--retry", "2"])
            .args(["--connect-timeout", "10", "--", list]);
        let there = check(self.host, &command);
        let text =
            if there.is_err() && self.transfer.remote { check(&Local, &command) } else { there };
        let text = text.map_err(|e| {
            StepError::new(format!("cannot read the published checksums {list}")).because(&e).hint(
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

    fn verify(&self, sum: &Checksum) -> Result<(), StepError> {
        let command = Command::new(sum.program).args(["--", &self.part]);
        let printed = check(self.host, &command)
            .map_err(|e| StepError::new(format!("cannot verify {}", self.name)).because(&e))?;
        let actual = printed.split_whitespace().next().unwrap_or_default();
        if actual == sum.digits {
            return Ok(());
        }
        // Going on from a broken download would never end well.
        self.host
            .remove(&self.part)
            .map_err(|e| StepError::new("cannot remove a broken image").because(&e))?;
        Err(StepError::new(format!("{} arrived with another checksum than it has", self.name))
            .hint("the broken copy was removed; run `maquette up` again"))
    }

    /// Checks that the file is an image that can be overlaid; returns its format.
    fn inspect(&self, smallest: Option<u64>) -> Result<String, StepError> {
        let (host, part, name) = (self.host, self.part.as_str(), self.name.as_str());
        let command = Command::new("qemu-img").args(["info", "--output=json", part]);
        let text = check(host, &command)
            .map_err(|e| StepError::new(format!("{name} is not a disk image")).because(&e))?;
        let info: serde_json::Value = serde_json::from_str(&text)
            .map_err(|e| StepError::new("cannot read what qemu-img says").because(&e))?;
        let broken = |why: &str| {
            let removed = host.remove(part);
            let error = StepError::new(format!("{name} {why}"));
            match removed {
                Ok(()) => error,
                Err(e) => error.because(&e),
            }
        };
        // An image from elsewhere must not pull in files of the hypervisor.
        let format = info["format"].as_str().unwrap_or("raw").to_string();
        if info.get("backing-filename").is_some()
            || info["format-specific"]["data"].get("data-file").is_some()
        {
            return Err(broken("refers to another file")
                .hint("flatten it with `qemu-img convert -O qcow2` first"));
        }
        if format == "qcow2" {
            // Its tables must hold; what was cut off shows here and nowhere else.
            let command = Command::new("qemu-img").args(["check", "-f", "qcow2", part]);
            if let Err(error) = check(host, &command) {
                return Err(broken("is damaged")
                    .because(&error)
                    .hint("fetch it again, or make it anew"));
            }
        }
        let size = info["virtual-size"].as_u64().unwrap_or(0);
        if format == "raw" && size < SMALLEST_RAW {
            // Anything at all is a raw image to qemu-img; a disk has at least a boot sector.
            return Err(
                broken("is not a disk image").hint("was it an error page that was downloaded?")
            );
        }
        match smallest {
            Some(smallest) if smallest < size => Err(StepError::new(format!(
                "{name} holds a disk of {}, larger than the {} that a node asks for",
                ByteSize(size),
                ByteSize(smallest)
            ))
            .hint("enlarge the node's disk1")),
            _ => Ok(format),
        }
    }

    fn finish(&self, format: &str) -> Result<(), StepError> {
        let (host, part, target) = (self.host, self.part.as_str(), self.target.as_str());
        let failed = |e: &dyn std::error::Error| {
            StepError::new(format!("cannot put image {target} in place")).because(e)
        };
        if format == "qcow2" {
            return host.rename(part, target).map_err(|e| failed(&e));
        }
        self.progress(&format!("converting from {format}"));
        let converted = format!("{part}.qcow2");
        let command = Command::new("qemu-img")
            .args(["convert", "-f", format, "-O", "qcow2", part, &converted]);
        check(host, &command).map_err(|e| failed(&e))?;
        host.rename(&converted, target).map_err(|e| failed(&e))?;
        host.remove(part).map_err(|e| failed(&e))
    }
}

/// Virtual size of an image file on the hypervisor, in bytes.
pub fn virtual_size(host: &dyn Host, path: &str) -> Result<u64, StepError> {
    // Running guests may hold a lock on it; reading its size harms nobody.
    let command = Command::new("qemu-img").args(["info", "--force-share", "--output=json", path]);
    let failed = |e: &dyn std::error::Error| {
        StepError::new(format!("cannot find out the size of image {path}")).because(e)
    };
    let text = check(host, &command).map_err(|e| failed(&e))?;
    let info: serde_json::Value = serde_json::from_str(&text).map_err(|e| failed(&e))?;
    info["virtual-size"]
        .as_u64()
        .ok_or_else(|| StepError::new(format!("image {path} does not tell its size")))
}

/// curl's words for a server that cannot be reached: no proxy, no address, no connection, no answer
/// in time.
const NO_WAY_OUT: [i32; 4] = [5, 6, 7, 28];

/// A line of curl's progress meter: `% Total % Received …`, percent first.
fn meter(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let percent: u8 = fields.first()?.parse().ok()?;
    let (total, speed) = (fields.get(1)?, fields.last()?);
    (fields.len() >= 10).then(|| format!("{percent} % of {total}, {speed}/s"))
}

#[cfg(test)]
mod tests;
