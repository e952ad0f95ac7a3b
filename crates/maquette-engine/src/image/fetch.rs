//! Bringing a base image into the pool: complete and verified, or not at all.

use std::path::Path;

use maquette_core::units::ByteSize;

use super::checksum::{self, Checksum};
use super::source::Source;
use crate::host::{Command, Host, check};
use crate::{StepContext, StepError};

/// Downloads under a lock, resuming what an interrupted run left; two runs that want the same image
/// wait for each other, and the second finds it done. A server that cannot resume (curl's status 33)
/// is asked for the whole again.
const DOWNLOAD: &str = r#"exec 9> "$2.lock"; flock 9
[ ! -e "$3" ] || exit 0
get() { curl --fail --location --retry 3 --connect-timeout 30 --output "$2" "$3" "$4" -- "$1"; }
get "$1" "$2" --continue-at - || {
    status=$?
    [ $status = 33 ] || exit $status
    get "$1" "$2" --continue-at 0
}"#;

/// Brings the image `source` into `directory` as `volume`. `smallest` is the smallest disk that
/// shall overlay it, in bytes.
pub fn fetch(
    host: &dyn Host,
    source: &Source,
    directory: &str,
    volume: &str,
    smallest: Option<u64>,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let target = format!("{directory}/{volume}");
    if host.exists(&target) {
        return Ok(());
    }
    let part = format!("{directory}/.{volume}.part");
    let (name, checksum) = match source {
        Source::File(path) => {
            copy(host, path, &part, context)?;
            (path.display().to_string(), None)
        }
        Source::Url(url) => {
            download(host, url, &part, &target, context)?;
            (url.clone(), None)
        }
        Source::Catalogue(entry) => {
            let sum = published(host, entry.url, entry.checksums)?;
            download(host, entry.url, &part, &target, context)?;
            (entry.url.to_string(), Some(sum))
        }
    };
    if !host.exists(&target) {
        if let Some(sum) = &checksum {
            (context.progress)("verifying".into());
            verify(host, &part, sum, &name)?;
        }
        let format = inspect(host, &part, &name, smallest)?;
        finish(host, &part, &target, &format, context)?;
    }
    host.remove(&format!("{part}.lock"))
        .map_err(|e| StepError::new("cannot remove the download's lock").because(&e))
}

fn copy(
    host: &dyn Host,
    from: &Path,
    part: &str,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let total = from.metadata().map_or(0, |m| m.len());
    let mut last = 0;
    host.upload(from, part, &mut |done| {
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        if percent != last {
            last = percent;
            (context.progress)(format!("{percent} % of {}", ByteSize(total)));
        }
    })
    .map_err(|e| StepError::new(format!("cannot copy image {}", from.display())).because(&e))
}

fn download(
    host: &dyn Host,
    url: &str,
    part: &str,
    target: &str,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let command = Command::script(DOWNLOAD, [url, part, target]);
    let output = host
        .run(&command, &mut |line| {
            if let Some(text) = meter(line) {
                (context.progress)(text);
            }
        })
        .map_err(|e| StepError::new(format!("cannot download {url}")).because(&e))?;
    if output.status == Some(0) {
        return Ok(());
    }
    let why = output.stderr.lines().rev().find_map(|l| l.trim().strip_prefix("curl: "));
    let mut error = StepError::new(format!("cannot download {url}"));
    error.causes.extend(why.map(|w| format!("curl: {w}")));
    Err(error
        .hint("what was downloaded is kept; run `maquette up` again to go on from there")
        .hint("without internet access, `maquette image build debian-12` makes an image here"))
}

/// A line of curl's progress meter: `% Total % Received …`, percent first.
fn meter(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let percent: u8 = fields.first()?.parse().ok()?;
    let (total, speed) = (fields.get(1)?, fields.last()?);
    (fields.len() >= 10).then(|| format!("{percent} % of {total}, {speed}/s"))
}

/// The checksum that the distributor publishes.
fn published(host: &dyn Host, url: &str, list: &str) -> Result<Checksum, StepError> {
    let command = Command::new("curl")
        .args(["--fail", "--silent", "--show-error", "--location", "--retry", "3"])
        .args(["--connect-timeout", "30", "--", list]);
    let text = check(host, &command).map_err(|e| {
        StepError::new(format!("cannot read the published checksums {list}"))
            .because(&e)
            .hint("without internet access, `maquette image build debian-12` makes an image here")
    })?;
    let file = url.rsplit('/').next().unwrap_or_default();
    checksum::find(&text, file).ok_or_else(|| {
        StepError::new(format!("{list} has no checksum for {file}"))
            .hint("the distributor may have moved it; give the image's address with `--image-url`")
    })
}

fn verify(host: &dyn Host, part: &str, sum: &Checksum, name: &str) -> Result<(), StepError> {
    let command = Command::new(sum.program).args(["--", part]);
    let printed = check(host, &command)
        .map_err(|e| StepError::new(format!("cannot verify {name}")).because(&e))?;
    let actual = printed.split_whitespace().next().unwrap_or_default();
    if actual == sum.digits {
        return Ok(());
    }
    // Going on from a broken download would never end well.
    host.remove(part).map_err(|e| StepError::new("cannot remove a broken image").because(&e))?;
    Err(StepError::new(format!("{name} does not have its published checksum"))
        .hint("the broken download was removed; run `maquette up` again"))
}

/// Checks that the file is an image that can be overlaid; returns its format.
fn inspect(
    host: &dyn Host,
    part: &str,
    name: &str,
    smallest: Option<u64>,
) -> Result<String, StepError> {
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
    let size = info["virtual-size"].as_u64().unwrap_or(0);
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

fn finish(
    host: &dyn Host,
    part: &str,
    target: &str,
    format: &str,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let failed = |e: &dyn std::error::Error| {
        StepError::new(format!("cannot put image {target} in place")).because(e)
    };
    if format == "qcow2" {
        return host.rename(part, target).map_err(|e| failed(&e));
    }
    (context.progress)(format!("converting from {format}"));
    let converted = format!("{part}.qcow2");
    let command =
        Command::new("qemu-img").args(["convert", "-f", format, "-O", "qcow2", part, &converted]);
    check(host, &command).map_err(|e| failed(&e))?;
    host.rename(&converted, target).map_err(|e| failed(&e))?;
    host.remove(part).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests;
