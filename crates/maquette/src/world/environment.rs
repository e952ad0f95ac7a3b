//! The variables and the current directory that a command sees. Nothing else asks the process for them, but clap for flags' own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use maquette_core::names::EnvName;
use maquette_engine::host::ssh::Directories;

/// Variables and directories of whoever runs a command.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    directory: PathBuf,
    home: Option<PathBuf>,
}

impl Environment {
    /// That of this process. The home directory of a user without `HOME` is that of the account.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            directory: std::env::current_dir().unwrap_or_default(),
            home: std::env::home_dir(),
        }
    }

    /// One with these variables alone; `HOME` among them is the home directory.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
        directory: impl Into<PathBuf>,
    ) -> Self {
        let pairs = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        let variables: BTreeMap<OsString, OsString> = pairs.collect();
        let home = variables.get(OsStr::new("HOME")).map(PathBuf::from);
        Self { variables, directory: directory.into(), home }
    }

    /// All variables.
    pub fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The value of a variable, whatever bytes it has. One of ours that is empty is not set.
    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        let value = self.variables.get(OsStr::new(name)).map(OsString::as_os_str);
        value.filter(|_| !self.is_blank(name))
    }

    /// Whether a variable of ours, or of InfraRed's, is there and empty: so CI systems hand on what nobody has filled in.
    pub fn is_blank(&self, name: &str) -> bool {
        ["MAQUETTE_", "IR_"].iter().any(|prefix| name.starts_with(prefix))
            && self.variables.get(OsStr::new(name)).is_some_and(|value| value.is_empty())
    }

    /// The value of a variable, if it is text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.raw(name)?.to_str().map(String::from)
    }

    /// The same, unless it is empty.
    pub fn said(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// The user's home directory.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// A path as people type it: below their home directory it begins with `~`, where shells take that for the same.
    pub fn at_home(&self, path: &Path) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@".contains(c);
        let home = self.home.as_ref().filter(|home| home.is_absolute());
        let inside = home.and_then(|home| path.strip_prefix(home).ok());
        match inside.map(|inside| inside.display().to_string()) {
            Some(inside) if inside.chars().all(plain) => format!("~/{inside}"),
            _ => path.display().to_string(),
        }
    }

    /// A path that means the same in every directory.
    pub fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        std::path::absolute(self.directory.join(path)).unwrap_or_else(|_| path.into())
    }

    /// Whether a program is in one of the directories of `PATH`.
    pub fn has_program(&self, name: &str) -> bool {
        let path = self.raw("PATH").unwrap_or_default();
        std::env::split_paths(path).any(|directory| directory.join(name).is_file())
    }

    /// A directory of the XDG base directory specification.
    fn xdg(&self, variable: &str, fallback: &str) -> Option<PathBuf> {
        let named = self.raw(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        named.or_else(|| self.home().map(|home| home.join(fallback)))
    }

    /// Where users keep their own topology files.
    pub fn config_directory(&self) -> Option<PathBuf> {
        self.xdg("XDG_CONFIG_HOME", ".config").map(|directory| directory.join("maquette"))
    }

    /// Where it is noted what happened here.
    pub fn state_directory(&self) -> Option<PathBuf> {
        self.xdg("XDG_STATE_HOME", ".local/state").map(|directory| directory.join("maquette"))
    }

    fn cache_directory(&self) -> PathBuf {
        let directory = self.xdg("XDG_CACHE_HOME", ".cache");
        directory.unwrap_or_else(|| PathBuf::from("/var/cache")).join("maquette")
    }

    /// Where images are kept that were built on this machine.
    pub fn built_images(&self) -> PathBuf {
        self.cache_directory().join("images")
    }

    /// Where built-in node and network files are written for playbooks that read them.
    pub fn built_in_topology(&self) -> PathBuf {
        self.cache_directory().join("topology")
    }

    /// Where downloads are kept that a hypervisor could not make itself.
    pub fn downloads(&self) -> PathBuf {
        self.cache_directory().join("downloads")
    }

    /// What `ssh` and its sockets need.
    pub fn of_ssh(&self) -> Directories {
        let named = |name| self.raw(name).map(PathBuf::from);
        Directories {
            home: self.home.clone(),
            runtime: named("XDG_RUNTIME_DIR"),
            temporary: named("TMPDIR"),
        }
    }

    /// The workspace directory of an environment, unless the user names another one.
    pub fn workspace(&self, environment: &EnvName) -> PathBuf {
        let data = self.xdg("XDG_DATA_HOME", ".local/share").unwrap_or_else(|| PathBuf::from("."));
        data.join("maquette/workspaces").join(environment.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_follow_from_the_variables_that_are_handed_in() {
        let none: [(&str, &str); 0] = [];
        let bare = Environment::new(none, "/work");
        assert_eq!(bare.config_directory(), None);
        assert_eq!(bare.built_images(), Path::new("/var/cache/maquette/images"));
        assert_eq!(bare.absolute("./a/b"), Path::new("/work/a/b"));
        assert_eq!(bare.absolute("/a"), Path::new("/a"));
        let own = Environment::new([("HOME", "/h"), ("XDG_CACHE_HOME", "relative")], "/work");
        assert_eq!(own.built_images(), Path::new("/h/.cache/maquette/images"));
        let named = Environment::new([("HOME", "/h"), ("XDG_CACHE_HOME", "/c")], "/work");
        assert_eq!(named.downloads(), Path::new("/c/maquette/downloads"));
        assert_eq!(named.config_directory(), Some("/h/.config/maquette".into()));
        let at_home = |path: &str| named.at_home(Path::new(path));
        assert_eq!(at_home("/h/.local/x"), "~/.local/x");
        // In quotes `~` is a name like others.
        assert_eq!(at_home("/h/a b"), "/h/a b");
        assert_eq!(at_home("/home/x"), "/home/x");
        assert_eq!(bare.at_home(Path::new("/x")), "/x");
        assert!(Environment::new([("PATH", "/nowhere:/bin")], "/").has_program("sh"));
        assert!(!Environment::new([("PATH", "/nowhere")], "/").has_program("sh"));
    }
}
