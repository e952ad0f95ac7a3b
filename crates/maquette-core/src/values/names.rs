//! Names of nodes, their types and networks. What a topology calls them and what libvirt calls them are different
//! types: none is taken for the other, and a prefix is given in one place.

use super::{Form, ValueError, checked, shortened, word};
use crate::names::{
    EnvName, LONGEST_INTERFACE, NameError, check, check_name, interface_name, is_interface,
};

/// Longest name of a network, in characters: a prefix and the types of two linked nodes fit into it.
const LONGEST_NETWORK: usize = 200;

fn refused(error: NameError) -> ValueError {
    ValueError::new(error.to_string())
}

checked!(
    /// A name of a network, bridge, portgroup or pool as files have it: what host names and libvirt take.
    Name,
    |text| check_name(text).map_err(refused)
);

checked!(
    /// A node type, without prefix.
    NodeType,
    |text| check_name(text).map_err(refused)
);

checked!(
    /// A node as libvirt calls it, which is its host name, too: `[PREFIX-]TYPE-INDEX`.
    NodeName,
    |text| check_name(text).map_err(refused)
);

checked!(
    /// A network as libvirt calls it: `[PREFIX-]NAME`.
    NetworkName,
    |text| check(text, LONGEST_NETWORK).map_err(refused)
);

checked!(
    /// A network interface or bridge, as Linux takes their names.
    InterfaceName,
    |text| match is_interface(text) {
        true => Ok(()),
        false => {
            let shown = shortened(text);
            Err(ValueError::new(format!(
                "`{shown}` is not a valid network interface: it has at most {LONGEST_INTERFACE} letters, digits, `-`, `_` and `.`"
            )))
        }
    }
);

checked!(
    /// A part of a network's definition, by the elements and the attribute that lead to it: `dns/host`.
    NetworkPart,
    |text| Form {
        what: "a valid part of a network's definition",
        longest: 80,
        first: |c| c.is_ascii_alphabetic(),
        rest: |c| word(c) || matches!(c, '/' | ':' | '-'),
        rule: "letters, digits, `_`, `-`, `:` and `/` only, and it begins with a letter",
    }
    .check(text)
);

impl InterfaceName {
    /// The interface that goes with a name of ours: the name, or a digest at its end where it is too long.
    pub(crate) fn of(name: &str) -> Self {
        Self(interface_name(name))
    }

    /// What a guest calls the interface of a number.
    pub(crate) fn in_guest(number: usize) -> Self {
        Self(format!("eth{number}"))
    }

    /// A NIC that is not found, or has a name that nobody can be given: that is reported before anything is made.
    pub(crate) fn unknown() -> Self {
        Self(String::new())
    }
}

impl Name {
    /// The network of a link, from its ends: node types, as a link's name has them, with their numbers.
    pub(crate) fn of_link(near: (&str, u32), far: (&str, u32)) -> Self {
        Self(format!("{}{}{}{}", near.0, near.1, far.0, far.1))
    }

    /// The same for a further link between the same nodes.
    pub(crate) fn again(&self, times: u32) -> Self {
        Self(format!("{self}x{times}"))
    }
}

impl NodeName {
    /// The node of a type and a number. It may be longer than host names are, which is reported before anything is
    /// made.
    pub fn of(environment: &EnvName, node_type: &NodeType, index: u32) -> Self {
        Self(environment.qualify(&format!("{node_type}-{index}")))
    }

    /// The domain that a template is made from, which is nobody's node.
    pub(crate) fn of_template(name: String) -> Self {
        Self(name)
    }
}

impl NetworkName {
    /// The network of an environment that has a name in its files.
    pub fn of(environment: &EnvName, name: &Name) -> Self {
        Self(environment.qualify(name))
    }

    /// What an interface is on that is plugged into a bridge of the hypervisor's own: that has no prefix.
    pub fn of_host_bridge(name: &Name) -> Self {
        Self(name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_an_environment_have_its_prefix() {
        let lab = EnvName::from_prefix("lab").unwrap();
        assert_eq!(NodeName::of(&lab, &NodeType::known("web"), 3), "lab-web-3");
        assert_eq!(NetworkName::of(&lab, &Name::known("data")), "lab-data");
        assert_eq!(NetworkName::of(&EnvName::default(), &Name::known("data")), "data");
        assert_eq!(NetworkName::of_host_bridge(&Name::known("br0")), "br0");
    }

    #[test]
    fn the_longest_name_that_files_can_have_is_one_for_libvirt() {
        let lab = EnvName::from_prefix(&"p".repeat(EnvName::LONGEST_PREFIX)).unwrap();
        let longest = "n".repeat(63);
        let most = (longest.as_str(), u32::MAX);
        for name in [longest.parse().unwrap(), Name::of_link(most, most).again(u32::MAX)] {
            let network = NetworkName::of(&lab, &name);
            assert_eq!(network.parse::<NetworkName>().as_ref(), Ok(&network));
        }
        assert!("n".repeat(64).parse::<NodeName>().is_err());
        assert!("n/../m".parse::<NetworkName>().is_err());
    }
}
