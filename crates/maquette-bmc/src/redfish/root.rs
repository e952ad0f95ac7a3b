//! The service root.

use serde_json::{Value, json};

use super::resource::{Found, link, resource};
use super::{Call, ROOT, query};
use crate::service::Service;

/// What hangs on the root.
const PARTS: [&str; 8] = [
    "AccountService",
    "Chassis",
    "EventService",
    "Managers",
    "Registries",
    "SessionService",
    "Systems",
    "TaskService",
];

/// The service root.
pub fn root<'a>(call: &'a Call<'a>) -> Found<'a> {
    Found::read(move || {
        let service = call.service;
        let part = |name: &str| match name {
            "TaskService" => ("Tasks", link(format!("{ROOT}/{name}"))),
            _ => ("", link(format!("{ROOT}/{name}"))),
        };
        let mut value = resource(
            "/redfish/v1/",
            "ServiceRoot",
            "Root Service",
            json!({
                "Id": "RootService",
                "RedfishVersion": "1.18.0",
                "UUID": service.uuid.to_string(),
                "Product": "Maquette BMC",
                "Vendor": "Maquette",
                "ProtocolFeaturesSupported": query::features(),
                "Links": {"Sessions": link(format!("{ROOT}/SessionService/Sessions"))},
            }),
        );
        if let Some(fields) = value.as_object_mut() {
            for name in PARTS {
                let (other, link) = part(name);
                let name = if other.is_empty() { name } else { other };
                fields.insert(name.to_string(), link);
            }
        }
        Ok(value)
    })
}

/// OData's service document.
pub fn document(_service: &Service) -> Value {
    let part =
        |name: &str| json!({"name": name, "kind": "Singleton", "url": format!("{ROOT}/{name}")});
    let root = json!({"name": "Service", "kind": "Singleton", "url": "/redfish/v1/"});
    let sessions = json!({"name": "Sessions", "kind": "Singleton", "url": format!("{ROOT}/SessionService/Sessions")});
    let all: Vec<Value> = std::iter::once(root).chain(PARTS.map(part)).chain([sessions]).collect();
    json!({"@odata.context": format!("{ROOT}/$metadata"), "value": all})
}
