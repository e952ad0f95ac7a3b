//! Which schema a resource is of, and where DMTF has it.

/// Types of resources with their versions, which are in DMTF's bundle of schemas (DSP8010) since 2023.
const VERSIONS: [(&str, &str); 34] = [
    ("AccountService", "v1_15_0"),
    ("AttributeRegistry", "v1_3_8"),
    ("Bios", "v1_2_2"),
    ("Chassis", "v1_25_0"),
    ("ComputerSystem", "v1_22_0"),
    ("Drive", "v1_19_0"),
    ("EthernetInterface", "v1_11_0"),
    ("Event", "v1_10_0"),
    ("EventDestination", "v1_14_0"),
    ("EventService", "v1_10_1"),
    ("LogEntry", "v1_16_0"),
    ("LogService", "v1_7_0"),
    ("Manager", "v1_19_0"),
    ("ManagerAccount", "v1_12_0"),
    ("ManagerNetworkProtocol", "v1_10_0"),
    ("Memory", "v1_20_0"),
    ("Message", "v1_2_0"),
    ("MessageRegistryFile", "v1_1_4"),
    ("Power", "v1_7_2"),
    ("Processor", "v1_20_0"),
    ("Role", "v1_3_2"),
    ("SecureBoot", "v1_1_2"),
    ("ServiceRoot", "v1_17_0"),
    ("Session", "v1_7_0"),
    ("SessionService", "v1_1_9"),
    ("Settings", "v1_3_5"),
    ("SimpleStorage", "v1_3_1"),
    ("Storage", "v1_16_0"),
    ("StorageController", "v1_8_0"),
    ("Task", "v1_7_3"),
    ("TaskService", "v1_2_1"),
    ("Thermal", "v1_7_2"),
    ("VirtualMedia", "v1_6_3"),
    ("Volume", "v1_10_0"),
];

/// Types of collections, which have no version.
const COLLECTIONS: [&str; 22] = [
    "ChassisCollection",
    "ComputerSystemCollection",
    "DriveCollection",
    "EthernetInterfaceCollection",
    "EventDestinationCollection",
    "LogEntryCollection",
    "LogServiceCollection",
    "ManagerAccountCollection",
    "ManagerCollection",
    "MemoryCollection",
    "MessageRegistryFileCollection",
    "ProcessorCollection",
    "RoleCollection",
    "SessionCollection",
    "SimpleStorageCollection",
    "StorageCollection",
    "StorageControllerCollection",
    "TaskCollection",
    "VirtualMediaCollection",
    "VolumeCollection",
    "RedfishExtensions",
    "Resource",
];

const DMTF: &str = "http://redfish.dmtf.org/schemas/v1";

/// The type of a resource, as it stands in it.
pub fn odata_type(name: &str) -> String {
    match VERSIONS.iter().find(|(known, _)| *known == name) {
        Some((_, version)) => format!("#{name}.{version}.{name}"),
        None => format!("#{name}.{name}"),
    }
}

/// Where the schema of a resource is, by its type as it stands in it.
pub fn described_by(odata_type: &str) -> String {
    let mut words: Vec<&str> = odata_type.trim_start_matches('#').split('.').collect();
    words.pop();
    format!("<{DMTF}/{}.json>; rel=describedby", words.join("."))
}

/// OData's document of all types.
pub fn metadata() -> String {
    const EDMX: &str = "http://docs.oasis-open.org/odata/ns/edmx";
    const EDM: &str = "http://docs.oasis-open.org/odata/ns/edm";
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text += &format!("<edmx:Edmx xmlns:edmx=\"{EDMX}\" Version=\"4.0\">\n");
    let mut reference = |name: &str, namespaces: &[String]| {
        text += &format!("  <edmx:Reference Uri=\"{DMTF}/{name}_v1.xml\">\n");
        for namespace in namespaces {
            let alias = if name == "RedfishExtensions" { " Alias=\"Redfish\"" } else { "" };
            text += &format!("    <edmx:Include Namespace=\"{namespace}\"{alias}/>\n");
        }
        text += "  </edmx:Reference>\n";
    };
    for (name, version) in VERSIONS {
        let mut namespaces = vec![name.to_string(), format!("{name}.{version}")];
        if name == "ServiceRoot" {
            // The container below is of the first version.
            namespaces.push("ServiceRoot.v1_0_0".into());
        }
        reference(name, &namespaces);
    }
    for name in COLLECTIONS {
        let versioned = format!("{name}.v1_0_0");
        let namespace = if name == "RedfishExtensions" { &versioned } else { name };
        reference(name, &[namespace.to_string()]);
    }
    text += "  <edmx:DataServices>\n";
    text += &format!("    <Schema xmlns=\"{EDM}\" Namespace=\"Service\">\n");
    text += "      <EntityContainer Name=\"Service\" Extends=\"ServiceRoot.v1_0_0.ServiceContainer\"/>\n";
    text += "    </Schema>\n  </edmx:DataServices>\n</edmx:Edmx>\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_their_schemas() {
        assert_eq!(odata_type("Bios"), "#Bios.v1_2_2.Bios");
        assert_eq!(odata_type("RoleCollection"), "#RoleCollection.RoleCollection");
        let described = described_by("#Bios.v1_2_2.Bios");
        assert_eq!(described, format!("<{DMTF}/Bios.v1_2_2.json>; rel=describedby"));
    }

    #[test]
    fn metadata_is_xml_with_every_type() {
        let text = metadata();
        let document = roxmltree::Document::parse(&text).unwrap();
        let includes = document
            .descendants()
            .filter(|e| e.has_tag_name(("http://docs.oasis-open.org/odata/ns/edmx", "Include")));
        assert_eq!(includes.count(), 1 + 2 * VERSIONS.len() + COLLECTIONS.len());
    }
}
