//! Ansible's filters and tests of lists and mappings: sets, pairs, what is at a place.

use std::collections::BTreeSet;

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, State, Value};

use super::{failed, is_list, spend, there};

/// Adds them; `name` is a filter's name with its collection.
pub(super) fn add(env: &mut Environment<'_>, name: &dyn Fn(&str) -> String) {
    env.add_filter(name("union"), union);
    env.add_filter(name("intersect"), intersect);
    env.add_filter(name("difference"), difference);
    env.add_filter(name("symmetric_difference"), symmetric_difference);
    env.add_filter(name("flatten"), flatten);
    env.add_filter(name("product"), product);
    env.add_filter(name("zip_longest"), zip_longest);
    env.add_filter(name("dict2items"), dict2items);
    env.add_filter(name("items2dict"), items2dict);
    env.add_filter(name("extract"), extract);
    env.add_test(name("subset"), is_subset);
    env.add_test(name("issubset"), is_subset);
    env.add_test(name("superset"), is_superset);
    env.add_test(name("issuperset"), is_superset);
    env.add_test(name("contains"), contains);
    env.add_test(name("any"), any);
    env.add_test(name("all"), all);
    env.add_test(name("truthy"), is_truthy);
    env.add_test(name("falsy"), is_falsy);
}

/// The items of a list, which a text is not.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    match is_list(there(value)?) {
        true => Ok(value.try_iter()?.collect()),
        false => Err(failed(format!("a list is needed, and not {}", value.kind()))),
    }
}

fn set(value: &Value) -> Result<BTreeSet<Value>, Error> {
    Ok(items(value)?.into_iter().collect())
}

/// Each item once, where it is first.
fn once(items: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    items.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

/// What is in one of two lists. Ansible's sets have no order; here items stay where they are first.
fn union(value: &Value, other: &Value) -> Result<Vec<Value>, Error> {
    Ok(once(items(value)?.into_iter().chain(items(other)?)))
}

fn intersect(value: &Value, other: &Value) -> Result<Vec<Value>, Error> {
    let other = set(other)?;
    Ok(once(items(value)?.into_iter().filter(|item| other.contains(item))))
}

fn difference(value: &Value, other: &Value) -> Result<Vec<Value>, Error> {
    let other = set(other)?;
    Ok(once(items(value)?.into_iter().filter(|item| !other.contains(item))))
}

fn symmetric_difference(value: &Value, other: &Value) -> Result<Vec<Value>, Error> {
    let mut found = difference(value, other)?;
    found.extend(difference(other, value)?);
    Ok(found)
}

fn is_subset(value: &Value, other: &Value) -> Result<bool, Error> {
    Ok(set(value)?.is_subset(&set(other)?))
}

fn is_superset(value: &Value, other: &Value) -> Result<bool, Error> {
    is_subset(other, value)
}

/// Whether something is in a list or a text, or is a key of a mapping.
fn contains(value: &Value, item: &Value) -> Result<bool, Error> {
    let value = there(value)?;
    match (value.as_str(), item.as_str()) {
        (Some(text), Some(part)) => Ok(text.contains(part)),
        _ => Ok(value.try_iter()?.any(|known| known == *item)),
    }
}

fn any(value: &Value) -> Result<bool, Error> {
    Ok(items(value)?.iter().any(Value::is_true))
}

fn all(value: &Value) -> Result<bool, Error> {
    Ok(items(value)?.iter().all(Value::is_true))
}

/// Whether a value is true as Python has it; with `convert_bool` YAML's words for it are read.
fn is_truthy(value: &Value, convert_bool: Option<bool>, named: Kwargs) -> Result<bool, Error> {
    let convert = convert_bool.or(named.get("convert_bool")?).unwrap_or(false);
    named.assert_all_used()?;
    let value = there(value)?;
    let word = value.as_str().filter(|_| convert).map(|text| text.trim().to_lowercase());
    Ok(match word.as_deref() {
        Some("0" | "0.0") => false,
        Some(word) => crate::syntax::parse_bool(word).unwrap_or(value.is_true()),
        None => value.is_true(),
    })
}

fn is_falsy(value: &Value, convert_bool: Option<bool>, named: Kwargs) -> Result<bool, Error> {
    is_truthy(value, convert_bool, named).map(|is| !is)
}

/// Lists in a list as their items, so many levels down, or all; what is nothing is left out, also where it is a word.
fn flatten(
    state: &State,
    value: &Value,
    levels: Option<i64>,
    named: Kwargs,
) -> Result<Vec<Value>, Error> {
    let levels = levels.or(named.get("levels")?);
    let skips = named.get::<Option<bool>>("skip_nulls")?.unwrap_or(true);
    named.assert_all_used()?;
    let mut flat = Vec::new();
    spread(state, items(value)?, levels, skips, &mut flat)?;
    Ok(flat)
}

fn spread(
    state: &State,
    list: Vec<Value>,
    levels: Option<i64>,
    skips: bool,
    flat: &mut Vec<Value>,
) -> Result<(), Error> {
    for item in list {
        spend(state, 1)?;
        let is_null = item.is_none() || matches!(item.as_str(), Some("None" | "null"));
        if skips && is_null {
            continue;
        }
        match is_list(&item) && levels.is_none_or(|levels| levels >= 1) {
            true => spread(state, items(&item)?, levels.map(|levels| levels - 1), skips, flat)?,
            false => flat.push(item),
        }
    }
    Ok(())
}

fn lists(value: &Value, others: &[Value]) -> Result<Vec<Vec<Value>>, Error> {
    std::iter::once(value).chain(others).map(items).collect()
}

/// Every combination of an item of each list; those of the last one change first.
fn product(state: &State, value: &Value, others: Rest<Value>) -> Result<Vec<Value>, Error> {
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for list in lists(value, &others)? {
        let count = rows.len().saturating_mul(list.len());
        spend(state, count)?;
        let mut longer = Vec::with_capacity(count);
        for row in &rows {
            for item in &list {
                let mut row = row.clone();
                row.push(item.clone());
                longer.push(row);
            }
        }
        rows = longer;
    }
    Ok(rows.into_iter().map(Value::from).collect())
}

/// Items of lists side by side, as long as the longest one is.
fn zip_longest(
    state: &State,
    value: &Value,
    others: Rest<Value>,
    named: Kwargs,
) -> Result<Vec<Value>, Error> {
    let fill = named.get::<Option<Value>>("fillvalue")?.unwrap_or_else(|| Value::from(()));
    named.assert_all_used()?;
    let lists = lists(value, &others)?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let count = longest.saturating_mul(lists.len());
    spend(state, count)?;
    let item = |list: &Vec<Value>, at: usize| list.get(at).unwrap_or(&fill).clone();
    let row = |at: usize| lists.iter().map(|list| item(list, at)).collect::<Vec<_>>();
    Ok((0..longest).map(|at| Value::from(row(at))).collect())
}

/// What the keys and the values of pairs are called.
fn pair_names<'a>(
    key: Option<&'a str>,
    value: Option<&'a str>,
    named: &'a Kwargs,
) -> Result<(&'a str, &'a str), Error> {
    let key = key.or(named.get("key_name")?).unwrap_or("key");
    let value = value.or(named.get("value_name")?).unwrap_or("value");
    named.assert_all_used()?;
    Ok((key, value))
}

fn dict2items(
    value: &Value,
    key_name: Option<&str>,
    value_name: Option<&str>,
    named: Kwargs,
) -> Result<Vec<Value>, Error> {
    let (key_name, value_name) = pair_names(key_name, value_name, &named)?;
    if there(value)?.kind() != ValueKind::Map {
        return Err(failed(format!("`dict2items` takes a mapping, and not {}", value.kind())));
    }
    let mut pairs = Vec::new();
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        pairs.push(Value::from_pairs([(key_name, key), (value_name, item)]));
    }
    Ok(pairs)
}

fn items2dict(
    value: &Value,
    key_name: Option<&str>,
    value_name: Option<&str>,
    named: Kwargs,
) -> Result<Value, Error> {
    let (key_name, value_name) = pair_names(key_name, value_name, &named)?;
    let part = |item: &Value, name: &str| -> Result<Value, Error> {
        let found = match item.kind() {
            ValueKind::Map => item.get_item(&Value::from(name))?,
            _ => Value::UNDEFINED,
        };
        match found.is_undefined() {
            true => Err(failed(format!("`items2dict` takes mappings that have `{name}`"))),
            false => Ok(found),
        }
    };
    let mut pairs = Vec::new();
    for item in items(value)? {
        pairs.push((part(&item, key_name)?, part(&item, value_name)?));
    }
    Ok(Value::from_pairs(pairs))
}

/// What a list or mapping has at a place; and at places below that.
fn extract(
    item: &Value,
    container: &Value,
    morekeys: Option<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let more = morekeys.or(named.get("morekeys")?);
    named.assert_all_used()?;
    let below = match more {
        Some(more) if is_list(&more) => items(&more)?,
        Some(more) => vec![more],
        None => Vec::new(),
    };
    let first = there(container)?.get_item(item)?;
    below.iter().try_fold(first, |value, key| there(&value)?.get_item(key))
}

/// Python's `dict`: of a mapping or a list of pairs, and of what is named.
pub(super) fn dict(value: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let Some(list) = value.as_ref().filter(|value| is_list(value)) else {
        return minijinja::functions::dict(value, named);
    };
    let mut pairs = Vec::new();
    for pair in items(list)? {
        let [key, value]: [Value; 2] =
            items(&pair)?.try_into().map_err(|_| failed("`dict` takes a list of pairs".into()))?;
        pairs.push((key, value));
    }
    minijinja::functions::dict(Some(Value::from_pairs(pairs)), named)
}
