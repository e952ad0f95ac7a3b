//! What somebody can do who may define domains on the same hypervisor: write a record with a right digest,
//! since it has no secret in it. For fuzz targets.

use roxmltree::{Document, Node as Element};

use super::{DIGEST, NAMESPACE, fingerprint};

/// An object's XML with the digest that its record should have; none without a record that has one.
pub fn sealed_anew(xml: &str) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let ours = |e: &Element<'_, '_>| e.tag_name().namespace() == Some(NAMESPACE);
    let record = document.descendants().find(|e| ours(e) && e.has_attribute(DIGEST))?;
    let place = record.attribute_node(DIGEST)?.range_value();
    let (before, after) = (xml.get(..place.start)?, xml.get(place.end..)?);
    Some(format!("{before}{}{after}", fingerprint(record)))
}

#[cfg(test)]
mod tests {
    use super::super::MetadataError;
    use super::*;
    use crate::xml::read::{Record, network};

    #[test]
    fn a_digest_is_made_to_fit() {
        let xml = format!(
            "<network><name>x-a</name><uuid>{}</uuid><metadata>\
             <m:network xmlns:m='{NAMESPACE}' schema='1' digest='0' environment='x'/>\
             </metadata></network>",
            uuid::Uuid::nil()
        );
        let why = |xml: &str| match network(xml).unwrap().record {
            Record::Bad(_, why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(&xml), MetadataError::Edited);
        assert!(matches!(why(&sealed_anew(&xml).unwrap()), MetadataError::Attribute(_)));
        assert_eq!(sealed_anew("<a/>"), None);
    }
}
