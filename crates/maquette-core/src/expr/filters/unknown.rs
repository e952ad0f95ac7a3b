//! What can be done about a filter that is not known here.

use crate::diagnostic::closest;

/// Filters that files may mean: Ansible's that are here, and Jinja's.
const NAMES: &[&str] = &[
    "abs",
    "attr",
    "b64decode",
    "b64encode",
    "basename",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "checksum",
    "cidr_merge",
    "combine",
    "count",
    "default",
    "dict2items",
    "dictsort",
    "difference",
    "dirname",
    "extract",
    "first",
    "flatten",
    "float",
    "format",
    "from_json",
    "from_yaml",
    "groupby",
    "hash",
    "hwaddr",
    "indent",
    "int",
    "intersect",
    "ip4_hex",
    "ipaddr",
    "ipmath",
    "ipsubnet",
    "ipv4",
    "ipv6",
    "ipv6form",
    "ipwrap",
    "items",
    "items2dict",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "macaddr",
    "mandatory",
    "map",
    "max",
    "min",
    "network_in_network",
    "network_in_usable",
    "next_nth_usable",
    "nthhost",
    "path_join",
    "previous_nth_usable",
    "product",
    "quote",
    "reduce_on_network",
    "regex_escape",
    "regex_findall",
    "regex_replace",
    "regex_search",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slaac",
    "slice",
    "sort",
    "split",
    "splitext",
    "string",
    "sum",
    "symmetric_difference",
    "ternary",
    "title",
    "to_json",
    "to_nice_json",
    "to_uuid",
    "trim",
    "union",
    "unique",
    "upper",
    "zip",
    "zip_longest",
];

/// Ansible's that never will be here: their results are other ones on another machine, or the next time.
const OTHER_EACH_TIME: [&str; 10] = [
    "expanduser",
    "expandvars",
    "fileglob",
    "password_hash",
    "random",
    "random_mac",
    "realpath",
    "shuffle",
    "strftime",
    "vault",
];

/// What can be done about an unknown filter; `detail` is what Jinja says of it, if that may be shown.
pub fn instead_of(detail: Option<&str>) -> String {
    let name = detail.and_then(|d| d.strip_prefix("filter ")?.strip_suffix(" is unknown"));
    let name = name.map(|name| name.rsplit('.').next().unwrap_or(name));
    if let Some(name) = name.filter(|name| OTHER_EACH_TIME.contains(name)) {
        return format!(
            "a topology is the same on every machine and each time, which `{name}` is not: give its result with `-e`"
        );
    }
    match name.and_then(|name| closest(name, NAMES.iter().copied())) {
        Some(near) => format!("did you mean the filter `{near}`?"),
        None => "filters are Jinja's, and most of Ansible's own and of `ansible.utils`; what another one makes can be given with `-e`"
            .into(),
    }
}
