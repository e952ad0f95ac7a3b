//! The two ends of a link between nodes.

use super::{Interface, Node};

/// The other end of a link: the only other interface on the same network. None where there is no
/// other, or more than one: that is a switch.
pub fn far_end<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    end: &Interface,
) -> Option<(&'a Node, &'a Interface)> {
    let interfaces = nodes.into_iter().flat_map(|n| n.interfaces.iter().map(move |i| (n, i)));
    let mut others = interfaces.filter(|(_, i)| i.mac != end.mac && i.source() == end.source());
    let first = others.next()?;
    others.next().is_none().then_some(first)
}
