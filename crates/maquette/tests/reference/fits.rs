//! Whether values fit JSON schemas.

use std::cell::RefCell;
use std::collections::HashMap;

use regex_automata::meta::Regex;
use serde_json::{Map, Value};

/// Whether a value fits, by the keywords of draft 2020-12 that our schemas have. Any other keyword fails the test.
pub fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    let keywords = schema.as_object().unwrap();
    let refuse = |why: &str| Err(format!("{why}: {value} against {schema}"));
    for (keyword, says) in keywords {
        let number = |n: &Value| n.as_f64().unwrap();
        let good = match keyword.as_str() {
            "title" | "description" => says.is_string(),
            "deprecated" => says.is_boolean(),
            "type" => match says {
                Value::Array(types) => types.iter().any(|t| is(value, t)),
                one => is(value, one),
            },
            "enum" => says.as_array().unwrap().contains(value),
            "pattern" => value.as_str().is_none_or(|text| matches(says.as_str().unwrap(), text)),
            "minimum" => !value.is_number() || number(value) >= number(says),
            "maximum" => !value.is_number() || number(value) <= number(says),
            "anyOf" => says.as_array().unwrap().iter().any(|s| fits(s, value).is_ok()),
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|item| fits(says, item))?;
                true
            }
            "required" => value.as_object().is_none_or(|map| {
                says.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))
            }),
            "properties" | "patternProperties" | "additionalProperties" => {
                value.as_object().map_or(Ok(()), |map| members(keywords, map))?;
                true
            }
            other => panic!("nothing is known of the keyword `{other}`"),
        };
        if !good {
            return refuse(keyword);
        }
    }
    Ok(())
}

/// Each member by its key's own schema, by those of patterns, else by that of all others.
fn members(keywords: &Map<String, Value>, map: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in map {
        let own = keywords.get("properties").and_then(|p| p.get(key));
        let patterns = keywords.get("patternProperties").and_then(Value::as_object);
        let patterns = patterns.into_iter().flatten().filter(|(p, _)| matches(p, key));
        let schemas: Vec<&Value> = own.into_iter().chain(patterns.map(|(_, s)| s)).collect();
        schemas.iter().try_for_each(|schema| fits(schema, value))?;
        match keywords.get("additionalProperties").filter(|_| schemas.is_empty()) {
            Some(Value::Bool(false)) => return Err(format!("no key `{key}`")),
            Some(schema @ Value::Object(_)) => fits(schema, value)?,
            _ => {}
        }
    }
    Ok(())
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("nothing is known of the type `{other}`"),
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    thread_local! {
        static KNOWN: RefCell<HashMap<String, Regex>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let compile = || Regex::new(pattern).unwrap();
        known.entry(pattern.into()).or_insert_with(compile).is_match(text)
    })
}
