//! The machine Maquette runs on.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Child, Stdio};
use std::time::Duration;

use super::process::collect;
use super::{Command, Host, HostError, Output};

/// The machine Maquette runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

impl Host for Local {
    fn is_here(&self) -> bool {
        true
    }

    fn run(&self, command: &Command, on_line: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
        let mut process = process::Command::new(&command.program);
        process
            .args(&command.args)
            .envs(command.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null());
        collect(&mut process, &command.into(), None, on_line)
    }

    fn spawn(&self, command: &Command) -> Result<Child, HostError> {
        process::Command::new(&command.program)
            .args(&command.args)
            .envs(command.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for us: what holds our lock goes on until we are done.
            .process_group(0)
            .spawn()
            .map_err(|source| HostError::Start { program: command.program.clone(), source })
    }

    fn read_tail(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, HostError> {
        let failed = |source| HostError::File { verb: "read", path: path.into(), source };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let length = file.metadata().map_err(failed)?.len();
        if length > limit {
            file.seek(SeekFrom::Start(length - limit)).map_err(failed)?;
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    fn upload(
        &self,
        from: &Path,
        to: &str,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), HostError> {
        let failed = |verb, path: &Path| {
            let path = path.display().to_string();
            move |source| HostError::File { verb, path, source }
        };
        let mut source = File::open(from).map_err(failed("read", from))?;
        let mut target = File::create(to).map_err(failed("write", Path::new(to)))?;
        copy(&mut source, &mut target, progress).map_err(failed("write", Path::new(to)))?;
        target.sync_all().map_err(failed("write", Path::new(to)))
    }

    fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<(), HostError> {
        use std::os::unix::fs::OpenOptionsExt;
        let failed = |source| HostError::File { verb: "write", path: path.into(), source };
        if let Some(directory) = Path::new(path).parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let temporary = format!("{path}.new");
        self.remove(&temporary)?;
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(mode).open(&temporary).map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        drop(file);
        rename(&temporary, path).map_err(failed)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), HostError> {
        rename(from, to).map_err(|source| HostError::File {
            verb: "rename",
            path: from.into(),
            source,
        })
    }

    fn answers(&self, address: SocketAddr) -> bool {
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    }

    fn remove(&self, path: &str) -> Result<(), HostError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(HostError::File { verb: "remove", path: path.into(), source: error })
            }
            _ => Ok(()),
        }
    }
}

/// Renames a file so that after a power cut there is the old file or the whole new one: a name may
/// reach the disk before the content does.
fn rename(from: &str, to: &str) -> std::io::Result<()> {
    File::open(from)?.sync_all()?;
    fs::rename(from, to)?;
    let directory = Path::new(to).parent().filter(|p| !p.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Copies to the end; `progress` hears the bytes done.
pub(super) fn copy(
    from: &mut dyn Read,
    to: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> std::io::Result<()> {
    let mut buffer = vec![0u8; 1 << 20];
    let mut done = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count])?;
        done += count as u64;
        progress(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_report_status_and_lines() {
        let mut seen = Vec::new();
        let command = Command::script("echo out; echo one >&2; printf 'two\\r' >&2; exit 3", [""]);
        let output = Local.run(&command, &mut |l| seen.push(l.to_string())).unwrap();
        assert_eq!(output.status, Some(3));
        assert_eq!(output.stdout, "out\n");
        assert_eq!(seen, ["one", "two"]);
        assert!(output.success(&command).unwrap_err().to_string().contains("status 3"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Local.run(&Command::new("no-such-program"), &mut |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "cannot run `no-such-program`");
    }

    #[test]
    fn only_the_tail_of_a_file_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "0123456789").unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(Local.read_tail(path, 4).unwrap().unwrap(), b"6789");
        assert_eq!(Local.read_tail("/no/such/file", 4).unwrap(), None);
    }
}
