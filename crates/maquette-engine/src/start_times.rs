//! Keeps on a hypervisor how long nodes took to start there.

use maquette_core::start_times::Starts;

use crate::host::{Host, HostError, read_text};

/// Where that is, on the hypervisor.
pub const PATH: &str = "/var/lib/maquette/starts";

/// Takes in what a run has learnt; others may have done so since it began. An error if the file cannot be read or written.
pub fn change(host: &dyn Host, learn: &dyn Fn(&mut Starts)) -> Result<(), HostError> {
    change_file(host, PATH, learn)
}

fn change_file(host: &dyn Host, path: &str, learn: &dyn Fn(&mut Starts)) -> Result<(), HostError> {
    let known = Starts::parse(&read_text(host, path)?);
    let mut starts = known.clone();
    learn(&mut starts);
    match starts == known {
        true => Ok(()),
        false => host.write(path, starts.text().as_bytes(), 0o644),
    }
}

/// Removes the file from the hypervisor; nothing if it is not there.
pub fn remove(host: &dyn Host) -> Result<(), HostError> {
    host.remove(&format!("{PATH}.new"))?;
    host.remove(PATH)
}

#[cfg(test)]
mod tests {
    use maquette_core::start_times::Came;

    use super::*;
    use crate::host::Local;

    /// Two that begin with the same file: the later one keeps what the earlier has noted.
    #[test]
    fn a_run_keeps_what_another_has_learnt_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("starts").display().to_string();
        let keys = ["a", "b"].map(|digit| digit.repeat(32));
        let note = |key: &String, came: Came| {
            let came = [(key.clone(), came)].into();
            change_file(&Local, &path, &|starts| starts.learn_templates(&came, 17)).unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        let line = |key: &String| format!("failed {key} 17 why\n");
        assert_eq!(note(&keys[0], Came::Failed("why".into())), line(&keys[0]));
        let both = format!("{}{}", line(&keys[0]), line(&keys[1]));
        assert_eq!(note(&keys[1], Came::Failed("why".into())), both);
        assert_eq!(note(&keys[0], Came::Started), line(&keys[1]));
    }
}
