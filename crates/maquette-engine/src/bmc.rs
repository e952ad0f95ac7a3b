//! The BMCs of an environment on its hypervisor: their secrets, which follow from the environment's, and the process that
//! serves them, which has a directory there for all that it reads.

mod secrets;

use std::net::SocketAddr;
use std::path::Path;

use maquette_core::blueprint::BmcNode;
use maquette_core::names::EnvName;
use maquette_core::values::NodeName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use secrets::{BmcSecrets, CREDENTIALS, SecretsError};

use crate::backend::{StepContext, StepError};
use crate::host::{Command, Host, HostError, check};
use crate::ssh_keys::RecordKey;

/// Where the directories are, on the hypervisor: one for each environment.
pub const DIRECTORY: &str = "/var/lib/maquette/bmc";
/// Where the programs are that serve them, one for each environment.
pub const PROGRAMS: &str = "/usr/local/libexec/maquette";
/// The file in it that says what is served, a line for each node.
pub const NODES: &str = "bmcs";
/// The file in it that the process holds a lock on once it serves.
pub const LOCK: &str = "lock";
/// The file in it that lines of the process go to where no journal takes them.
pub const LOG: &str = "log";
/// The directory in it with what BMCs know over a restart.
pub const STATE: &str = "state";
/// The file in it with addresses that the process cannot have, a line for each: the node, the protocol, the address, and all
/// of it in a sentence.
pub const UNREACHED: &str = "unreached";
/// How the script, and the program that it asks, end where another program has an address.
pub const ADDRESS_TAKEN: u8 = 3;
/// How the script ends where the program does not run there.
const UNFIT: u8 = 4;
/// The same where one that was there before goes on serving.
const UNFIT_AND_SERVED: u8 = 5;

const SCRIPT: &str = include_str!("../assets/bmc.sh");

/// A node's BMC as its directory has it: a line of JSON, which begins with the node and the digest. The shell there looks
/// for these.
#[derive(Serialize, Deserialize)]
pub struct Served {
    /// The node, which is its domain's name.
    #[serde(with = "text")]
    pub node: NodeName,
    /// Tells it from what it was before.
    pub digest: String,
    /// Its domain's identifier.
    #[serde(with = "text")]
    pub uuid: Uuid,
    /// Where it speaks Redfish.
    pub redfish: Option<SocketAddr>,
    /// Where it speaks IPMI.
    pub ipmi: Option<SocketAddr>,
    /// Name of the account that it has at first.
    pub user: String,
    /// Password of that account.
    pub password: String,
    /// Its certificate, and the authority's, as PEM.
    pub certificates: String,
    /// The certificate's private key, as PEM.
    pub key: String,
    /// Interfaces of the environment's networks: images and receivers of events may be there.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Whether images and receivers of events may be at addresses of the hypervisor itself, and wherever else it reaches.
    #[serde(default)]
    pub hypervisor_urls: bool,
}

/// Values as the text that their types read and write.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl Served {
    fn of(node: &BmcNode, secrets: &BmcSecrets) -> Result<Self, SecretsError> {
        let (certificates, key) = secrets.certificate(node)?;
        Ok(Self {
            node: node.name.clone(),
            digest: node.digest.clone(),
            uuid: node.uuid,
            redfish: node.bmc.redfish(),
            ipmi: node.bmc.ipmi(),
            user: secrets.user().into(),
            password: secrets.password(node.uuid).reveal().into(),
            certificates,
            key: key.reveal().into(),
            networks: node.networks.iter().map(ToString::to_string).collect(),
            hypervisor_urls: node.hypervisor_urls,
        })
    }

    /// Reads a directory's file.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, serde_json::Error> {
        text.lines().map(serde_json::from_str).collect()
    }
}

fn directory(environment: &EnvName) -> String {
    format!("{DIRECTORY}/environment.{environment}")
}

/// A command of the script there.
fn command(what: &str, environment: &EnvName, more: &[&str]) -> Command {
    let unit = format!("maquette-bmc-{environment}.service");
    let first = [what.to_string(), directory(environment), unit];
    Command::script(SCRIPT, first.into_iter().chain(more.iter().map(|word| (*word).to_string())))
}

/// Serves the BMCs of some nodes and no others of the environment: brings the program there, tries it, and has it take on
/// what it is told.
pub fn serve(
    host: &dyn Host,
    environment: &EnvName,
    nodes: &[BmcNode],
    key: Option<&RecordKey>,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let failed = || StepError::new("cannot serve the BMCs");
    let key = key.ok_or_else(|| {
        failed().hint("only the workspace that built the environment has its secret")
    })?;
    let lines: Result<String, StepError> = nodes.iter().try_fold(String::new(), |text, node| {
        let secrets = BmcSecrets::new(key, environment, &node.credentials);
        let served = Served::of(node, &secrets).map_err(|e| failed().because(e))?;
        let line = serde_json::to_string(&served).map_err(|e| failed().because(e))?;
        Ok(text + &line + "\n")
    });
    let lines = lines?;
    if let Err(error) = bring(host, environment, context)? {
        return not_served(nodes, error, context);
    }
    let directory = directory(environment);
    let addresses: String = nodes.iter().filter_map(own_address).collect();
    let texts = [("bmc.sh", SCRIPT), ("addresses.new", &addresses), ("bmcs.new", &lines)];
    for (name, text) in texts {
        host.write(&format!("{directory}/{name}"), text.as_bytes(), 0o600)
            .map_err(|e| failed().because(e))?;
    }
    match check(host, &command("serve", environment, &[])) {
        Ok(_) => Ok(()),
        Err(error) => not_served(nodes, error, context),
    }
}

/// The line of a BMC's own address, if it has one: the address alone, whatever subnet it is of.
fn own_address(node: &BmcNode) -> Option<String> {
    let (bridge, address) = (node.bridge.as_ref()?, node.bmc.address);
    let bits = if address.is_ipv4() { 32 } else { 128 };
    Some(format!("{address}/{bits} {bridge} {}\n", node.name))
}

/// Says why BMCs are not served, or not as they were to be. An error, unless the program does not run there and nobody has
/// asked for them: nodes are as good without.
fn not_served(
    nodes: &[BmcNode],
    error: HostError,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let status = match &error {
        HostError::Failed { status: Some(status), .. } => u8::try_from(*status).ok(),
        _ => None,
    };
    let failed = StepError::new("cannot serve the BMCs").because(error);
    let without = match status {
        Some(UNFIT) => "nodes do without",
        Some(UNFIT_AND_SERVED) => {
            "the program that is there goes on serving, and new nodes do without"
        }
        _ => "",
    };
    if !without.is_empty() && !nodes.iter().any(|node| node.asked) {
        (context.remark)(format!("{}; {without}", failed.causes.join("; ")));
        return Ok(());
    }
    Err(failed.hint(match status {
        Some(ADDRESS_TAKEN) => {
            "another program may have that address; `ss -lntup` on the hypervisor says which"
        }
        _ => "nodes do without a BMC with `bmc: off`, or `--bmc off`",
    }))
}

/// Brings this very program there, unless another environment has it there already. Within is why it does not run there.
fn bring(
    host: &dyn Host,
    environment: &EnvName,
    context: &StepContext<'_>,
) -> Result<Result<(), HostError>, StepError> {
    let failed = || StepError::new("cannot bring the program there that serves the BMCs");
    let run = |what: &str, digest: &str| {
        let unfit = [UNFIT, UNFIT_AND_SERVED].map(i32::from);
        match check(host, &command(what, environment, &[digest])) {
            Err(HostError::Failed { status: Some(status), command, stderr })
                if unfit.contains(&status) =>
            {
                Ok(Err(HostError::Failed { status: Some(status), command, stderr }))
            }
            done => done.map(Ok).map_err(|e| failed().because(e)),
        }
    };
    // Also where its file was replaced or removed meanwhile.
    let program = Path::new("/proc/self/exe");
    let digest = digest_of(program).map_err(|e| failed().because(e))?;
    match run("program", &digest)? {
        Ok(told) if told.trim() != "there" => {}
        there => return Ok(there.map(drop)),
    }
    let to = format!("{}/maquette.new", directory(environment));
    let mut progress = |bytes: u64| (context.progress)(format!("program: {} MiB", bytes >> 20));
    host.upload(program, &to, &mut progress).map_err(|e| failed().because(e))?;
    Ok(run("install", &digest)?.map(drop))
}

fn digest_of(file: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(&mut std::fs::File::open(file)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// What a BMC says of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether the node is on.
    pub on: bool,
    /// What it boots from next, if that is not as its definition says, and whether that holds once only.
    pub boot: Option<(String, bool)>,
}

/// Asks a node's BMC, or tells it what to do, in the words of `maquette bmc tell`.
pub fn tell(
    host: &dyn Host,
    environment: &EnvName,
    node: &NodeName,
    words: &[&str],
) -> Result<Answer, HostError> {
    let directory = directory(environment);
    let command = Command::new(format!("{PROGRAMS}/environment.{environment}/maquette"))
        .args(["bmc", "tell", &directory, node.as_str()])
        .args(words.iter().copied());
    let said = check(host, &command)?;
    let words: Vec<&str> = said.trim().split(' ').collect();
    Ok(match words.as_slice() {
        [power, device, how] if *how != "-" => {
            Answer { on: *power == "on", boot: Some(((*device).into(), *how == "once")) }
        }
        [power, ..] => Answer { on: *power == "on", boot: None },
        [] => Answer { on: false, boot: None },
    })
}

/// Stops serving the BMCs of some nodes, and forgets them.
pub fn forget(host: &dyn Host, environment: &EnvName, nodes: &[NodeName]) -> Result<(), HostError> {
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    check(host, &command("forget", environment, &names)).map(|_| ())
}

/// Stops serving all BMCs of an environment, and forgets them.
pub fn stop(host: &dyn Host, environment: &EnvName) -> Result<(), HostError> {
    check(host, &command("stop", environment, &[])).map(|_| ())
}

#[cfg(test)]
mod kill_points;
#[cfg(test)]
mod tests;
