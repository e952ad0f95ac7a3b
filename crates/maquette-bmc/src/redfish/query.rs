//! Query parameters: only, $expand, $select, $filter, $top, $skip (DSP0266, 7.3).

use serde_json::{Map, Value, json};

use super::filter::Filter;
use super::problem::Problem;
use super::{Call, fields, inner};

/// Deepest that links are followed.
const LEVELS: u32 = 3;
/// Most resources that one answer has in it, and most bytes of them, about.
const MOST: usize = 4096;
const BYTES: usize = 8 << 20;

/// Which of them there are, as the service root says.
pub fn features() -> Value {
    json!({
        "ExcerptQuery": false,
        "ExpandQuery": {
            "ExpandAll": true,
            "Levels": true,
            "Links": true,
            "NoLinks": true,
            "MaxLevels": LEVELS,
        },
        "FilterQuery": true,
        "OnlyMemberQuery": true,
        "SelectQuery": true,
        "TopSkipQuery": true,
    })
}

/// Which links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those in `Links`.
    Links,
    /// All others.
    Others,
    /// All.
    All,
}

/// The query parameters of a request.
#[derive(Debug, Default)]
pub struct Query {
    expand: Option<(Which, u32)>,
    select: Option<Vec<String>>,
    filter: Option<Filter>,
    top: Option<usize>,
    skip: Option<usize>,
    only: bool,
}

/// Text with its percent-encoding taken off; none if that is not well-formed.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Refuses what is asked of something that knows no query.
pub fn refuse(text: &str) -> Result<(), Problem> {
    let names = text.split('&').map(|part| part.split_once('=').map_or(part, |(name, _)| name));
    let unknown = names.filter_map(decoded).find(|name| name.starts_with('$'));
    let refused = |name: String| Problem::query_unsupported(&fields::shown(&Value::from(name)));
    unknown.map_or(Ok(()), |name| Err(refused(name)))
}

impl Query {
    /// Reads a query.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut query = Self::default();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, raw) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (part, None),
            };
            let shown = |text: &str| fields::shown(&Value::from(text));
            let name = decoded(name).unwrap_or_default();
            let wrong = || Problem::query_value(&shown(&name), &shown(raw.unwrap_or_default()));
            let value = decoded(raw.unwrap_or_default()).ok_or_else(wrong)?;
            match name.as_str() {
                "$expand" => query.expand = Some(expand(&value).ok_or_else(wrong)?),
                // All of it, as without.
                "$select" if value.trim() == "*" => query.select = None,
                "$select" => {
                    let all = value.split(',').map(|name| name.trim().to_string());
                    query.select = Some(all.filter(|name| !name.is_empty()).collect());
                }
                "$filter" => query.filter = Some(Filter::parse(&value).ok_or_else(wrong)?),
                "$top" => query.top = Some(value.parse().map_err(|_| wrong())?),
                "$skip" => query.skip = Some(value.parse().map_err(|_| wrong())?),
                "only" if raw.is_none() => query.only = true,
                "only" => return Err(wrong()),
                name if name.starts_with('$') => {
                    return Err(Problem::query_unsupported(&shown(name)));
                }
                _ => {}
            }
        }
        Ok(query)
    }

    /// Whether it is about other resources than the one that is asked for.
    pub fn is_wide(&self) -> bool {
        self.expand.is_some() || self.filter.is_some() || self.only
    }

    /// Whether it asks for some members of a collection.
    fn is_of_collections(&self) -> bool {
        self.only || self.filter.is_some() || self.top.is_some() || self.skip.is_some()
    }

    /// The resource as it is asked for; a problem if it is not a collection and members are asked for.
    pub fn apply(&self, call: &Call<'_>, mut value: Value) -> Result<Value, Problem> {
        if self.is_of_collections() && !value["Members"].is_array() {
            return Err(Problem::query_of_collections());
        }
        if let (true, Some([one])) = (self.only, value["Members"].as_array().map(Vec::as_slice)) {
            let path = one["@odata.id"].as_str().unwrap_or_default();
            value = inner(call, path).map_or(value, |(inner, _)| inner);
        }
        let list = value["Members"].is_array();
        if let Some(filter) = self.filter.as_ref().filter(|_| list) {
            self.filter(call, filter, &mut value);
        }
        if list && (self.top.is_some() || self.skip.is_some()) {
            let members = value["Members"].as_array().cloned().unwrap_or_default();
            let taken = members.into_iter().skip(self.skip.unwrap_or_default());
            value["Members"] = taken.take(self.top.unwrap_or(usize::MAX)).collect();
        }
        if let Some((which, levels)) = self.expand {
            Expansion { call, which, left: MOST, bytes: BYTES }.below(&mut value, levels, false);
        }
        if let Some(select) = &self.select {
            if let (true, Some(members)) = (list, value["Members"].as_array_mut()) {
                members.iter_mut().for_each(|member| *member = selected(member, select));
            } else {
                value = selected(&value, select);
            }
        }
        Ok(value)
    }

    /// Leaves the members that a filter lets through.
    fn filter(&self, call: &Call<'_>, filter: &Filter, value: &mut Value) {
        let Some(members) = value["Members"].as_array_mut() else { return };
        members.retain(|member| {
            let whole = member.as_object().is_some_and(|fields| fields.len() > 1);
            if whole {
                return filter.holds(member);
            }
            let read = member["@odata.id"].as_str().and_then(|path| inner(call, path));
            read.is_some_and(|(member, _)| filter.holds(&member))
        });
        value["Members@odata.count"] = json!(value["Members"].as_array().map_or(0, Vec::len));
    }
}

/// `*`, `.` or `~`, with the number of levels.
fn expand(text: &str) -> Option<(Which, u32)> {
    let (sign, rest) = text.split_at_checked(1)?;
    let which = match sign {
        "*" => Which::All,
        "." => Which::Others,
        "~" => Which::Links,
        _ => return None,
    };
    let levels = match rest {
        "" => 1,
        _ => rest.strip_prefix("($levels=")?.strip_suffix(')')?.parse().ok()?,
    };
    (levels > 0).then_some((which, levels.min(LEVELS)))
}

/// Puts resources in the place of links to them.
struct Expansion<'a, 'b> {
    call: &'a Call<'b>,
    which: Which,
    /// How many more it may be, and how long they may be together.
    left: usize,
    bytes: usize,
}

impl Expansion<'_, '_> {
    fn below(&mut self, value: &mut Value, levels: u32, in_links: bool) {
        match value {
            Value::Array(list) => {
                list.iter_mut().for_each(|value| self.one(value, levels, in_links));
            }
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut().filter(|(name, _)| !name.starts_with('@')) {
                    self.one(value, levels, in_links || name == "Links");
                }
            }
            _ => {}
        }
    }

    fn one(&mut self, value: &mut Value, levels: u32, in_links: bool) {
        let only_link = value.as_object().is_some_and(|fields| fields.len() == 1);
        let path = value["@odata.id"].as_str().filter(|path| only_link && !path.contains('#'));
        let Some(path) = path else { return self.below(value, levels, in_links) };
        let wanted = match self.which {
            Which::All => true,
            Which::Links => in_links,
            Which::Others => !in_links,
        };
        if !wanted || self.left == 0 || self.bytes == 0 {
            return;
        }
        let Some((mut resource, bytes)) = inner(self.call, path) else { return };
        self.left -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        if levels > 1 {
            self.below(&mut resource, levels - 1, false);
        }
        *value = resource;
    }
}

/// The chosen properties, and the annotations that tell what they are of.
fn selected(value: &Value, names: &[String]) -> Value {
    let Some(fields) = value.as_object() else { return value.clone() };
    let mut chosen = Map::new();
    for (name, value) in fields.iter().filter(|(name, _)| name.starts_with("@odata.")) {
        chosen.insert(name.clone(), value.clone());
    }
    for name in names {
        let (first, rest) = name.split_once('/').unwrap_or((name, ""));
        let Some(value) = fields.get(first) else { continue };
        let inner = if rest.is_empty() { value.clone() } else { part(value, rest) };
        match (chosen.get_mut(first).and_then(Value::as_object_mut), inner) {
            (Some(known), Value::Object(more)) => known.extend(more),
            (_, inner) => {
                chosen.insert(first.to_string(), inner);
            }
        }
    }
    Value::Object(chosen)
}

fn part(value: &Value, path: &str) -> Value {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let Some(inner) = value.get(first) else { return json!({}) };
    let inner = if rest.is_empty() { inner.clone() } else { part(inner, rest) };
    json!({first: inner})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused() {
        let status = |text| Query::parse(text).map_or_else(|problem| problem.status, |_| 200);
        for good in ["", "a", "a=b", "$expand=*", "$expand=.($levels=9)", "$select=A,B/C", "only"] {
            assert_eq!(status(good), 200, "{good}");
        }
        for bad in
            ["$expand=x", "$expand=", "$top=-1", "$skip=x", "only=1", "$filter=Name", "$top=%z"]
        {
            assert_eq!(status(bad), 400, "{bad}");
        }
        assert_eq!(status("$unknown"), 501);
    }

    #[test]
    fn properties_are_chosen_with_what_tells_whose_they_are() {
        let value = json!({"@odata.id": "/x", "A": 1, "B": {"C": 2, "D": {"E": 3}}, "F": 4});
        let names = ["A", "B/C", "B/D/E", "Missing"].map(String::from);
        let expected = json!({"@odata.id": "/x", "A": 1, "B": {"C": 2, "D": {"E": 3}}});
        assert_eq!(selected(&value, &names), expected);
    }
}
