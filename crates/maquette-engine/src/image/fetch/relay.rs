//! Images for a hypervisor that cannot reach their server: downloaded here, and pushed from here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Job, downloaded, order_download, place};
use crate::StepError;
use crate::host::Local;
use crate::image::Transfer;
use crate::image::fetch_shell::FetchShell;

/// How old may be what runs have left here, of any image, before the next relay removes it: a copy that was not pushed to its
/// end is gone on with meanwhile, and servers replace their images sooner or later.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

impl Job<'_> {
    /// Downloads here and pushes.
    pub(super) fn relay(&mut self, url: &str) -> Result<(), StepError> {
        let directory = self.transfer.downloads.clone();
        fs::create_dir_all(&directory).map_err(|e| {
            StepError::new(format!("cannot keep a download in {}", directory.display())).because(e)
        })?;
        forget_old(&directory, KEPT);
        let kept = self.keep(url, &directory)?;
        let mut pushed = self.push(&kept);
        if pushed.is_err() && !kept.exists() {
            // A run for another hypervisor had it too, was done with it first, and has removed it.
            let kept = self.keep(url, &directory)?;
            pushed = self.push(&kept);
        }
        // The next download shall not begin with a copy that was not good enough for this one.
        if pushed.is_ok() {
            let _ = fs::remove_file(&kept);
        }
        pushed.map(|_| ())
    }

    /// Has a file in a directory of this machine, whole: under the image's lock here, so that runs for several hypervisors
    /// download it once.
    fn keep(&mut self, url: &str, directory: &Path) -> Result<PathBuf, StepError> {
        let here = Transfer { records: String::new(), ..self.transfer.clone() };
        let place = place(&directory.display().to_string(), &self.volume, &here);
        let kept = PathBuf::from(&place.target);
        let (mut agent, there) = FetchShell::start(&Local, &place, self.context)?;
        if there.is_some() && !self.transfer.force {
            agent.order("leave", &mut |_| {})?;
            return Ok(kept);
        }
        let answer = order_download(&mut agent, url, self.transfer, self.context)?;
        downloaded(url, &answer)?;
        if !agent.order("place", &mut |_| {})?.is_done() {
            return Err(StepError::new(format!("cannot keep a download in {}", kept.display())));
        }
        Ok(kept)
    }
}

/// Removes files that nobody has written to for some time: of whoever is at work, some are younger, and a file that is being
/// pushed is open.
fn forget_old(directory: &Path, age: Duration) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let Ok(about) = entry.metadata() else { continue };
        let idle = about.modified().ok().and_then(|at| at.elapsed().ok());
        // Whoever holds a lock does not write to it.
        let is_lock = entry.file_name().as_encoded_bytes().ends_with(b".lock");
        if about.is_file() && !is_lock && idle.is_some_and(|idle| idle > age) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A killed run's half of a download stayed for ever, unless the same image was wanted again.
    #[test]
    fn what_was_left_of_relays_goes_with_the_next_one_after_a_day() {
        let here = tempfile::tempdir().unwrap();
        let file = |name: &str, hours: u64| {
            let path = here.path().join(name);
            fs::write(&path, "half").unwrap();
            let then = std::time::SystemTime::now() - Duration::from_secs(hours * 3600);
            fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        };
        for (name, hours) in [
            (".maquette-a.qcow2.part", 25),
            (".maquette-a.qcow2.part.from", 25),
            (".maquette-a.qcow2.part.lock", 25),
            (".maquette-b.qcow2.part", 1),
            ("maquette-c.qcow2", 48),
            ("maquette-d.qcow2", 2),
        ] {
            file(name, hours);
        }
        forget_old(here.path(), KEPT);
        let mut left: Vec<String> = fs::read_dir(here.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let kept = [".maquette-a.qcow2.part.lock", ".maquette-b.qcow2.part", "maquette-d.qcow2"];
        assert_eq!(left, kept);
        // Where there is nothing, nothing is looked at.
        forget_old(&here.path().join("none"), KEPT);
    }
}
