use super::servers::Place;
use super::*;

/// Runs for two hypervisors share what is downloaded here, and the one that is done first removed it from under the other.
#[test]
fn a_download_that_another_run_was_done_with_is_made_again() {
    let place = Place::new();
    let downloads = tempfile::tempdir().unwrap();
    let kept = downloads.path().join("v.qcow2");
    let programs = Programs::new(&[]);
    programs.quiet("curl", "echo 'curl: (6) Could not resolve host' >&2\nexit 6\n");
    let done = downloads.path().join("done");
    programs.quiet(
        "cat",
        &format!(
            "[ -e '{done}' ] || {{ : >'{done}'; rm -f -- '{kept}'; exit 1; }}\nexec /bin/cat \"$@\"\n",
            done = done.display(),
            kept = kept.display()
        ),
    );
    let host = Dying::new(&programs, None);
    let to = downloads.path().to_path_buf();
    let transfer = Transfer { remote: true, downloads: to, ..Transfer::default() };
    bring_to(&host, &transfer, &place.server.url("etag/a.qcow2"), place.pool.path(), None).unwrap();
    assert!(done.exists(), "nobody removed it");
    place.is_whole();
    assert!(!kept.exists());
}
