//! What verbs print with `--json` once, as a whole.

use super::Kind::{Map, Maps, Number, Text, Texts, Truth, Whole, Wholes, Words};
use super::{Field, Kind, Output};

const NODE: Field = Field::new("node", Text, "the node's name");
const ENVIRONMENT: Field = Field::new("environment", Text, "the environment's name");
const EXPIRES: &str = "when the environment is removed, in seconds since 1970; null if it is not";
const DIGEST: &str = "its SHA-256 digest, as `ssh-keygen -l` shows it";
const OPS: Kind = Words(&["create", "update", "replace", "delete", "keep"]);
const OBJECTS: Kind = Words(&["host", "image", "network", "domain", "volume", "bmc"]);
const LANES: Kind = Words(&["host", "fetch", "control", "bulk", "boot", "power"]);
const STATES: Kind = Words(&[
    "ready",
    "running",
    "starting",
    "booting",
    "unreachable",
    "failed",
    "paused",
    "shut off",
]);
const LAYERS: Kind = Words(&[
    "hypervisor",
    "network",
    "domain",
    "firmware",
    "kernel",
    "nic",
    "dhcp",
    "address",
    "port",
    "login",
    "first-boot",
    "guest",
]);
const POWER: Field = Field::new("power", Words(&["on", "off"]), "whether the node is on");

const BMC_ORDER: &[Field] = &[
    NODE,
    POWER,
    Field::new("boot", Map, "what it boots from the next time; null if nothing else than usual")
        .or_null(),
    Field::new("boot.device", Text, "the device"),
    Field::new("boot.once", Truth, "whether that holds for one boot only"),
];

/// NICs, as `link` shows them.
const LINKS: &[Field] = &[
    Field::new("interfaces", Maps, "one for each NIC"),
    Field::new("interfaces[].node", Text, "the node's name"),
    Field::new("interfaces[].interface", Text, "its name in the node"),
    Field::new("interfaces[].mac", Text, "its MAC address"),
    Field::new("interfaces[].network", Text, "what it is plugged into"),
    Field::new("interfaces[].portgroup", Text, "the port group there").or_null(),
    Field::new("interfaces[].address", Text, "its IP address").or_null(),
    Field::new("interfaces[].tap", Text, "its interface on the hypervisor, while the node runs")
        .or_null(),
    Field::new(
        "interfaces[].link",
        Words(&["up", "down"]),
        "whether its cable is plugged in; null while the node is off",
    )
    .or_null(),
    Field::new("interfaces[].limit_kib_s", Whole, "its limit in KiB/s").or_null(),
    Field::new("interfaces[].delay_ms", Number, "the delay of its frames in milliseconds")
        .or_null(),
    Field::new("interfaces[].loss_percent", Number, "how many of its frames are lost, in percent")
        .or_null(),
];

/// All of them, by verb.
pub const OUTPUTS: &[Output] = &[
    Output { verb: "bmc boot", tells: "the node after the order", list: false, fields: BMC_ORDER },
    Output { verb: "bmc power", tells: "the node after the order", list: false, fields: BMC_ORDER },
    Output {
        verb: "bmc status",
        tells: "BMCs of the nodes",
        list: false,
        fields: &[
            Field::new("bmcs", Maps, "one for each node that has a BMC"),
            Field::new("bmcs[].node", Text, "the node's name"),
            Field::new("bmcs[].served", Truth, "whether the hypervisor serves it now"),
            Field::new("bmcs[].power", Words(&["on", "off"]), "whether the node is on"),
            Field::new("bmcs[].protocol", Words(&["redfish", "ipmi", "both"]), "what it speaks"),
            Field::new("bmcs[].address", Text, "its IP address"),
            Field::new("bmcs[].redfish", Text, "its Redfish service, a URL").or_null(),
            Field::new("bmcs[].ipmi_port", Whole, "its UDP port of IPMI").or_null(),
            Field::new(
                "bmcs[].system",
                Text,
                "the node's UUID, which is the name of its system in Redfish",
            ),
            Field::new(
                "credentials",
                Text,
                "the file with users and passwords; null in workspaces that have none",
            )
            .or_null(),
        ],
    },
    Output {
        verb: "cp",
        tells: "how copying went",
        list: false,
        fields: &[
            Field::new("sources", Texts, "what was to be copied, as it was given"),
            Field::new("destination", Text, "where to, as it was given"),
            Field::new("status", Whole, "the exit status of `scp`; null if a signal ended it")
                .or_null(),
            Field::new("error", Text, "the last line of what `scp` said, if it failed").or_null(),
        ],
    },
    Output {
        verb: "doctor",
        tells: "what is wrong",
        list: false,
        fields: &[
            ENVIRONMENT,
            Field::new("findings", Maps, "what was found, the lowest layer first"),
            Field::new(
                "findings[].kind",
                Words(&["hypervisor", "network", "node"]),
                "what it is about",
            ),
            Field::new("findings[].name", Text, "the name of that node or network").or_null(),
            Field::new("findings[].layer", LAYERS, "where the fault is, from the hypervisor up"),
            Field::new("findings[].code", Text, "which fault it is; see the page of findings"),
            Field::new("findings[].cause", Text, "what is wrong, in words"),
            Field::new("findings[].evidence", Texts, "what shows it"),
            Field::new("findings[].advice", Texts, "what to do about it"),
            Field::new("nodes", Texts, "the nodes that were looked at"),
            Field::new("sound", Texts, "those of them with which nothing is wrong"),
        ],
    },
    Output {
        verb: "exec",
        tells: "what the command did on each node",
        list: false,
        fields: &[
            Field::new("nodes", Maps, "one for each node"),
            Field::new("nodes[].name", Text, "the node's name"),
            Field::new("nodes[].status", Whole, "the command's exit status; null if it has none")
                .or_null(),
            Field::new("nodes[].error", Text, "why there is none: the node was not reached, for example")
                .or_null(),
            Field::new("nodes[].stdout", Text, "what it printed"),
            Field::new("nodes[].stderr", Text, "what it printed on standard error"),
            Field::new("nodes[].truncated", Truth, "whether it printed more than is kept"),
        ],
    },
    Output {
        verb: "explain",
        tells: "settings and keys",
        list: true,
        fields: &[
            Field::new(
                "key",
                Text,
                "where it is in `maquette.yaml`, as `nodes.NAME.memory`; or its flag",
            ),
            Field::new("group", Text, "what it is shown together with"),
            Field::new("meaning", Text, "what it is"),
            Field::new("type", Text, "how it is written"),
            Field::new("default", Text, "what holds without it; null if it is required").or_null(),
            Field::new("required", Truth, "whether there must be one in its mapping"),
            Field::new("change", Text, "what a change of it does to what is there").or_null(),
            Field::new("keys", Texts, "names of the keys below it"),
            Field::new("example", Text, "an example, in YAML or as a flag"),
            Field::new("written", Texts, "where it may be written"),
            Field::new(
                "has_effect",
                Truth,
                "false for keys that are taken for other tools' files alone",
            ),
        ],
    },
    Output {
        verb: "forward",
        tells: "the ports that are forwarded, once they are open",
        list: false,
        fields: &[
            NODE,
            Field::new("address", Text, "the address of this machine where they are open"),
            Field::new("forwards", Maps, "one for each port"),
            Field::new("forwards[].port", Whole, "the port here"),
            Field::new("forwards[].to", Whole, "the node's port"),
        ],
    },
    Output {
        verb: "host check",
        tells: "what the hypervisor is and lacks",
        list: false,
        fields: &[
            Field::new("hypervisor", Text, "how it is reached"),
            Field::new("name", Text, "its own name and system"),
            Field::new("checks", Maps, "what was looked at"),
            Field::new("checks[].name", Text, "what it is"),
            Field::new(
                "checks[].verdict",
                Words(&["ok", "up will", "warning", "error"]),
                "how that is; `up will`: it is not good yet, and `maquette up` changes it",
            ),
            Field::new("checks[].text", Text, "what was found, or will be done"),
            Field::new("checks[].remedy", Text, "what the user can do about it").or_null(),
        ],
    },
    Output {
        verb: "image build",
        tells: "the image",
        list: false,
        fields: &[
            Field::new("image", Text, "its name"),
            Field::new("file", Text, "the file that it is in"),
            Field::new("built", Truth, "whether it was built now; false if it was there already"),
            Field::new("current", Truth, "whether this version of Maquette would build the same"),
        ],
    },
    Output {
        verb: "image list",
        tells: "images by name, and what the pool holds",
        list: false,
        fields: &[
            Field::new("images", Maps, "the images that have names"),
            Field::new("images[].name", Text, "its name, for `image:`"),
            Field::new("images[].url", Text, "where it is downloaded from"),
            Field::new("images[].checksums", Text, "where its checksum is from"),
            Field::new(
                "images[].built",
                Truth,
                "whether one of that name was built on this machine",
            ),
            Field::new(
                "cached",
                Maps,
                "what the hypervisor's pool holds; null if that is not known",
            )
            .or_null(),
            Field::new("cached[].volume", Text, "the volume"),
            Field::new(
                "cached[].kind",
                Words(&["image", "template", "disk"]),
                "an image, a template that nodes start from, or a disk of somebody's that was kept",
            ),
            Field::new("cached[].image", Text, "the image that a template was made of").or_null(),
            Field::new(
                "cached[].usable",
                Truth,
                "whether it is whole and fits the hypervisor as it is now",
            ),
            Field::new("cached[].bytes", Whole, "the room that it takes"),
            Field::new("cached[].overlays", Whole, "how many disks are over it"),
        ],
    },
    Output {
        verb: "image prune",
        tells: "what was removed from the pool",
        list: false,
        fields: &[
            Field::new("pool", Text, "the pool"),
            Field::new("removed", Texts, "images and templates that were removed, by volume"),
            Field::new("swept", Texts, "files of interrupted runs that were removed"),
            Field::new(
                "unrecorded",
                Texts,
                "volumes that look like images and stay, since nothing records that they are ours",
            ),
        ],
    },
    Output {
        verb: "init",
        tells: "`init --list`: the examples; without it, an event is printed",
        list: true,
        fields: &[
            Field::new("name", Text, "its name, for `maquette init NAME`"),
            Field::new("title", Text, "what it describes"),
        ],
    },
    Output { verb: "link down", tells: "NICs without carrier now", list: false, fields: LINKS },
    Output { verb: "link limit", tells: "the NIC as it is now", list: false, fields: LINKS },
    Output { verb: "link show", tells: "NICs of nodes", list: false, fields: LINKS },
    Output { verb: "link up", tells: "NICs with carrier again", list: false, fields: LINKS },
    Output {
        verb: "list",
        tells: "all environments on the hypervisor",
        list: false,
        fields: &[
            Field::new("environments", Maps, "one for each"),
            Field::new("environments[].name", Text, "its name"),
            Field::new(
                "environments[].prefix",
                Text,
                "what its nodes' names begin with; empty for that without",
            ),
            Field::new("environments[].nodes", Whole, "how many nodes it has"),
            Field::new("environments[].running", Whole, "how many of them run"),
            Field::new("environments[].memory_mib", Whole, "memory of all nodes, in MiB"),
            Field::new(
                "environments[].running_memory_mib",
                Whole,
                "memory of those that run, in MiB",
            ),
            Field::new(
                "environments[].disk_bytes",
                Whole,
                "sizes of all disks as nodes see them, in bytes",
            ),
            Field::new("environments[].owner", Text, "whose it is").or_null(),
            Field::new(
                "environments[].made_by",
                Text,
                "who made its oldest node, and on which machine",
            )
            .or_null(),
            Field::new("environments[].made_at_s", Whole, "when, in seconds since 1970").or_null(),
            Field::new("environments[].expires_at_s", Whole, EXPIRES).or_null(),
            Field::new("environments[].keys", Texts, "digests of the keys that it was built with"),
            Field::new("environments[].shared_with", Maps, "further keys that open it"),
            Field::new("environments[].shared_with[].who", Text, "the key's comment").or_null(),
            Field::new("environments[].shared_with[].fingerprint", Text, DIGEST).or_null(),
            Field::new(
                "environments[].can_log_in",
                Truth,
                "whether a key here opens it; null if no node can be logged in to",
            )
            .or_null(),
            Field::new(
                "environments[].workspace",
                Text,
                "the directory with that key, if it is in a workspace",
            )
            .or_null(),
        ],
    },
    Output {
        verb: "open",
        tells: "where the node's screen is",
        list: false,
        fields: &[
            NODE,
            Field::new("address", Text, "the address of its VNC server, on the hypervisor"),
            Field::new("port", Whole, "the port of its VNC server"),
            Field::new(
                "hypervisor",
                Text,
                "the user and address by which SSH reaches the hypervisor; null if it is this machine",
            )
            .or_null(),
            Field::new("password_file", Text, "the file with the password; null if there is none")
                .or_null(),
        ],
    },
    Output {
        verb: "plan",
        tells: "what `up` would do",
        list: false,
        fields: &[
            ENVIRONMENT,
            Field::new("preparation", Map, "what is done to the hypervisor itself beforehand"),
            Field::new("preparation.changes", Maps, "as `changes`"),
            Field::new("preparation.changes[].op", OPS, "as in `changes`"),
            Field::new("preparation.changes[].kind", OBJECTS, "as in `changes`"),
            Field::new("preparation.changes[].name", Text, "as in `changes`"),
            Field::new("preparation.changes[].detail", Text, "as in `changes`"),
            Field::new("preparation.changes[].reason", Text, "as in `changes`"),
            Field::new("preparation.changes[].reasons", Texts, "as in `changes`"),
            Field::new("preparation.changes[].how", Text, "as in `changes`").or_null(),
            Field::new("preparation.steps", Maps, "as `steps`"),
            Field::new("preparation.steps[].id", Whole, "as in `steps`"),
            Field::new("preparation.steps[].action", Text, "as in `steps`"),
            Field::new("preparation.steps[].title", Text, "as in `steps`"),
            Field::new("preparation.steps[].after", Wholes, "as in `steps`"),
            Field::new("preparation.steps[].lane", LANES, "as in `steps`"),
            Field::new("preparation.steps[].reason", Text, "as in `steps`"),
            Field::new("changes", Maps, "each object, and what happens to it"),
            Field::new("changes[].op", OPS, "what happens; `keep`: nothing"),
            Field::new("changes[].kind", OBJECTS, "what kind of object it is"),
            Field::new("changes[].name", Text, "its name"),
            Field::new("changes[].detail", Text, "what it is, in a few words"),
            Field::new(
                "changes[].reason",
                Text,
                "why this happens, and how, in one text; empty for `keep`",
            ),
            Field::new("changes[].reasons", Texts, "why, each reason by itself"),
            Field::new("changes[].how", Text, "how, as `restarts` or `while it runs`").or_null(),
            Field::new("steps", Maps, "what is done for that"),
            Field::new("steps[].id", Whole, "its number, to which `after` refers"),
            Field::new("steps[].action", Text, "the kind of action, as `define-domain`"),
            Field::new("steps[].title", Text, "what it does, in words"),
            Field::new("steps[].after", Wholes, "steps that have to be done before"),
            Field::new("steps[].lane", LANES, "what it waits in line for"),
            Field::new("steps[].reason", Text, "why it is done"),
            Field::new("lease", Map, "how long the environment lasts"),
            Field::new("lease.expires_at_s", Whole, EXPIRES).or_null(),
            Field::new("lease.ttl_s", Whole, "how long it is to last, in seconds").or_null(),
            Field::new("lease.owner", Text, "whose it is").or_null(),
            Field::new(
                "lease.noted_expires_at_s",
                Whole,
                "the same as `expires_at_s`, as it is before the run",
            )
            .or_null(),
            Field::new(
                "lease.sooner",
                Truth,
                "whether it would end sooner than noted, which takes consent",
            ),
        ],
    },
    Output {
        verb: "report",
        tells: "the archive that was written",
        list: false,
        fields: &[
            Field::new("file", Text, "the archive"),
            Field::new("folder", Text, "the folder in it"),
            Field::new("files", Texts, "the files in that folder"),
        ],
    },
    Output {
        verb: "screenshot",
        tells: "the picture that was written",
        list: false,
        fields: &[
            NODE,
            Field::new("file", Text, "the file"),
            Field::new("format", Words(&["png"]), "the picture's format"),
        ],
    },
    Output {
        verb: "share",
        tells: "`share --list`: who may log in; with a key, events are printed",
        list: false,
        fields: &[
            ENVIRONMENT,
            Field::new("keys", Maps, "one for each key"),
            Field::new(
                "keys[].who",
                Text,
                "the key's comment; null for the key of who built it, and for keys without",
            )
            .or_null(),
            Field::new("keys[].fingerprint", Text, DIGEST).or_null(),
            Field::new("keys[].key", Text, "the public key, as in `authorized_keys`"),
            Field::new("keys[].built", Truth, "whether the environment was built with it"),
            Field::new("keys[].nodes", Texts, "the nodes that it opens"),
        ],
    },
    Output {
        verb: "status",
        tells: "the environment as it is",
        list: false,
        fields: &[
            ENVIRONMENT,
            Field::new("nodes", Maps, "one for each node"),
            Field::new("nodes[].name", Text, "its name"),
            Field::new("nodes[].role", Text, "its node type"),
            Field::new(
                "nodes[].state",
                STATES,
                "what it does: `ready` takes logins and has set itself up, `running` is not to be asked, `failed` crashed or could not set itself up",
            ),
            Field::new("nodes[].reason", Text, "why it is not ready, where there is more to say")
                .or_null(),
            Field::new("nodes[].pulled", Texts, "its interfaces whose cables are pulled"),
            Field::new("nodes[].address", Text, "the IP address it is reached at").or_null(),
            Field::new("nodes[].user", Text, "the user to log in as; null for blank nodes")
                .or_null(),
            Field::new("nodes[].vcpus", Whole, "its vCPUs"),
            Field::new("nodes[].memory_mib", Whole, "its memory, in MiB"),
            Field::new(
                "nodes[].vnc_port",
                Whole,
                "the port of its screen on the hypervisor, while it runs",
            )
            .or_null(),
            Field::new("nodes[].uptime_s", Whole, "how long it has been up, in seconds").or_null(),
            Field::new("nodes[].drift", Texts, "what somebody changed of it outside Maquette"),
            Field::new("networks", Maps, "one for each network"),
            Field::new("networks[].name", Text, "its name"),
            Field::new("networks[].active", Truth, "whether it is started"),
            Field::new("networks[].bridge", Text, "its bridge on the hypervisor").or_null(),
            Field::new("networks[].drift", Texts, "what somebody changed of it outside Maquette"),
            Field::new("drift", Maps, "all that somebody changed outside Maquette"),
            Field::new("drift[].kind", OBJECTS, "the kind of object"),
            Field::new("drift[].name", Text, "its name"),
            Field::new("drift[].what", Text, "what was changed"),
            Field::new("changed_by", Text, "who runs a command that changes the environment now")
                .or_null(),
            Field::new("expires_at_s", Whole, EXPIRES).or_null(),
            Field::new("owner", Text, "whose it is, if that was said").or_null(),
            Field::new("workspace", Text, "the directory with its inventory, ssh config and key"),
        ],
    },
    Output {
        verb: "validate",
        tells: "what is wrong with the input",
        list: false,
        fields: &[
            Field::new(
                "valid",
                Truth,
                "whether it can be built, as far as no hypervisor is needed to see that",
            ),
            Field::new("nodes", Whole, "how many nodes are asked for; null if it is not valid")
                .or_null(),
            Field::new(
                "networks",
                Whole,
                "how many networks are asked for; null if it is not valid",
            )
            .or_null(),
            Field::new("diagnostics", Maps, "errors and warnings"),
            Field::new(
                "diagnostics[].severity",
                Words(&["error", "warning"]),
                "warnings do not keep it from being built",
            ),
            Field::new(
                "diagnostics[].code",
                Text,
                "which mistake it is; see the page of diagnostics",
            ),
            Field::new("diagnostics[].message", Text, "what is wrong"),
            Field::new("diagnostics[].help", Texts, "what to do about it"),
            Field::new("diagnostics[].file", Text, "the file, variable or flag it is in").or_null(),
            Field::new("diagnostics[].line", Whole, "the line there, from 1").or_null(),
            Field::new("diagnostics[].column", Whole, "the column there, from 1").or_null(),
            Field::new("diagnostics[].related", Maps, "other places that it is about"),
            Field::new("diagnostics[].related[].file", Text, "the file there"),
            Field::new("diagnostics[].related[].line", Whole, "the line there"),
            Field::new("diagnostics[].related[].column", Whole, "the column there"),
            Field::new("diagnostics[].related[].message", Text, "what is to be said of it"),
        ],
    },
    Output {
        verb: "view",
        tells: "where the page is, once it is served",
        list: false,
        fields: &[
            Field::new("address", Text, "the page's address, with its token"),
            Field::new("allow_changes", Truth, "whether who has that may change anything"),
        ],
    },
];
