//! Ansible's filters that write a value as text, or read one: JSON, YAML, Base64, hashes, parts of paths.

use base64ct::{Base64, Base64Url, Encoding};
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, Value};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use uuid::Uuid;

use super::{failed, there};
use crate::hex::hex;
use crate::syntax::Plain;

/// Adds them; `name` is a filter's name with its collection.
pub(super) fn add(env: &mut Environment<'_>, name: &dyn Fn(&str) -> String) {
    env.add_filter(name("quote"), quote);
    env.add_filter(name("to_json"), to_json);
    env.add_filter(name("tojson"), to_json);
    env.add_filter(name("to_nice_json"), to_nice_json);
    env.add_filter(name("from_json"), from_json);
    env.add_filter(name("from_yaml"), from_yaml);
    env.add_filter(name("b64encode"), b64encode);
    env.add_filter(name("b64decode"), b64decode);
    env.add_filter(name("hash"), hash);
    env.add_filter(name("sha1"), sha1);
    env.add_filter(name("checksum"), sha1);
    env.add_filter(name("to_uuid"), to_uuid);
    env.add_filter(name("basename"), basename);
    env.add_filter(name("dirname"), dirname);
    env.add_filter(name("splitext"), splitext);
}

/// A value as Python's `str` has it.
pub(super) fn written(value: &Value) -> Result<String, Error> {
    there(value).map(ToString::to_string)
}

/// A word of a shell's.
fn quote(value: &Value) -> Result<String, Error> {
    let text = if there(value)?.is_none() { String::new() } else { written(value)? };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    Ok(match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r#"'"'"'"#)),
    })
}

/// JSON as Python writes it: without an indentation in one line, with a blank after `,` and `:`.
fn json(value: &Value, indent: Option<usize>, is_ascii: bool) -> Result<String, Error> {
    /// Nobody reads what is further to the right.
    const WIDEST: usize = 16;
    let plain = crate::expr::plain(there(value)?);
    let text = match indent {
        None => {
            let mut text = String::new();
            in_a_line(&plain, &mut text)?;
            text
        }
        Some(width) => {
            let indent = " ".repeat(width.min(WIDEST));
            let formatter = PrettyFormatter::with_indent(indent.as_bytes());
            let mut bytes = Vec::new();
            let mut to = Serializer::with_formatter(&mut bytes, formatter);
            plain.serialize(&mut to).map_err(|error| failed(error.to_string()))?;
            String::from_utf8(bytes).map_err(|error| failed(error.to_string()))?
        }
    };
    if !is_ascii || text.is_ascii() {
        return Ok(text);
    }
    let mut escaped = String::new();
    for c in text.chars() {
        match c.is_ascii() {
            true => escaped.push(c),
            false => {
                let units = c.encode_utf16(&mut [0; 2]).to_vec();
                escaped.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
    Ok(escaped)
}

fn in_a_line(plain: &Plain, to: &mut String) -> Result<(), Error> {
    match plain {
        Plain::List(items) => {
            to.push('[');
            for (at, item) in items.iter().enumerate() {
                to.push_str(if at == 0 { "" } else { ", " });
                in_a_line(item, to)?;
            }
            to.push(']');
        }
        Plain::Map(map) => {
            to.push('{');
            for (at, (key, value)) in map.iter().enumerate() {
                to.push_str(if at == 0 { "" } else { ", " });
                in_a_line(&Plain::text(key), to)?;
                to.push_str(": ");
                in_a_line(value, to)?;
            }
            to.push('}');
        }
        scalar => {
            let text = serde_json::to_string(scalar).map_err(|error| failed(error.to_string()))?;
            to.push_str(&text);
        }
    }
    Ok(())
}

/// What Python's `json.dumps` is told; keys are sorted here in any case.
fn to_json(value: &Value, named: Kwargs) -> Result<String, Error> {
    named.get::<Option<bool>>("sort_keys")?;
    let indent = named.get("indent")?;
    let is_ascii = named.get::<Option<bool>>("ensure_ascii")?.unwrap_or(true);
    named.assert_all_used()?;
    json(value, indent, is_ascii)
}

fn to_nice_json(value: &Value, indent: Option<usize>, named: Kwargs) -> Result<String, Error> {
    named.get::<Option<bool>>("sort_keys")?;
    let indent = indent.or(named.get("indent")?).unwrap_or(4);
    let is_ascii = named.get::<Option<bool>>("ensure_ascii")?.unwrap_or(true);
    named.assert_all_used()?;
    json(value, Some(indent), is_ascii)
}

fn from_json(value: &Value) -> Result<Value, Error> {
    let text = written(value)?;
    let json: serde_json::Value = serde_json::from_str(&text)
        .map_err(|_| failed("`from_json` reads JSON, and that is not".into()))?;
    Ok(crate::expr::value(&of_json(&json)))
}

fn of_json(json: &serde_json::Value) -> Plain {
    use serde_json::Value as Json;
    match json {
        Json::Null => Plain::Null,
        Json::Bool(truth) => Plain::Bool(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Plain::Int(number),
            (None, Some(number)) => Plain::Float(number),
            (None, None) => Plain::text(number.to_string()),
        },
        Json::String(text) => Plain::text(text),
        Json::Array(items) => Plain::List(items.iter().map(of_json).collect()),
        Json::Object(map) => {
            Plain::Map(map.iter().map(|(key, json)| (key.clone(), of_json(json))).collect())
        }
    }
}

fn from_yaml(value: &Value) -> Result<Value, Error> {
    match there(value)?.as_str() {
        Some(text) if text.trim().is_empty() => Ok(Value::from(())),
        Some(text) => read(text),
        None => Ok(value.clone()),
    }
}

fn read(text: &str) -> Result<Value, Error> {
    Plain::read(text).map(|plain| crate::expr::value(&plain)).map_err(failed)
}

fn b64encode(value: &Value, named: Kwargs) -> Result<String, Error> {
    let is_for_urls = is_for_urls(&named)?;
    let text = written(value)?;
    Ok(match is_for_urls {
        true => Base64Url::encode_string(text.as_bytes()),
        false => Base64::encode_string(text.as_bytes()),
    })
}

fn b64decode(value: &Value, named: Kwargs) -> Result<String, Error> {
    let is_for_urls = is_for_urls(&named)?;
    let mut text = written(value)?;
    text.retain(|c| !c.is_ascii_whitespace());
    let bytes = match is_for_urls {
        true => Base64Url::decode_vec(&text),
        false => Base64::decode_vec(&text),
    };
    let wrong = || failed("`b64decode` reads Base64 of text, and that is not".into());
    String::from_utf8(bytes.map_err(|_| wrong())?).map_err(|_| wrong())
}

fn is_for_urls(named: &Kwargs) -> Result<bool, Error> {
    let encoding = named.get::<Option<&str>>("encoding")?.unwrap_or("utf-8");
    let urlsafe = named.get::<Option<bool>>("urlsafe")?.unwrap_or(false);
    named.assert_all_used()?;
    match encoding.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "ascii" => Ok(urlsafe),
        other => Err(failed(format!("the encoding `{other}` is not known here"))),
    }
}

fn hash(value: &Value, kind: Option<&str>, named: Kwargs) -> Result<String, Error> {
    let kind = kind.or(named.get("hashtype")?).unwrap_or("sha1");
    named.assert_all_used()?;
    let text = written(value)?;
    Ok(match kind {
        "sha1" => hex(Sha1::digest(text)),
        "sha224" => hex(Sha224::digest(text)),
        "sha256" => hex(Sha256::digest(text)),
        "sha384" => hex(Sha384::digest(text)),
        "sha512" => hex(Sha512::digest(text)),
        other => return Err(failed(format!("`hash` has sha1 and SHA-2 here, and not `{other}`"))),
    })
}

fn sha1(value: &Value) -> Result<String, Error> {
    Ok(hex(Sha1::digest(written(value)?)))
}

/// A UUID that follows from a text (RFC 4122, version 5).
fn to_uuid(value: &Value, namespace: Option<&str>, named: Kwargs) -> Result<String, Error> {
    /// Ansible's own.
    const NAMESPACE: Uuid = Uuid::from_u128(0x361e_6d51_faec_444a_9079_3413_86da_8e2e);
    let namespace = namespace.or(named.get("namespace")?);
    named.assert_all_used()?;
    let namespace = match namespace {
        Some(text) => {
            Uuid::try_parse(text).map_err(|_| failed(format!("`{text}` is not a UUID")))?
        }
        None => NAMESPACE,
    };
    Ok(Uuid::new_v5(&namespace, written(value)?.as_bytes()).to_string())
}

/// What is before the last `/` of a path, and after it.
fn parted(path: &str) -> (&str, &str) {
    let Some(at) = path.rfind('/') else { return ("", path) };
    let (before, name) = path.split_at(at + 1);
    let bare = before.trim_end_matches('/');
    (if bare.is_empty() { before } else { bare }, name)
}

fn basename(value: &Value) -> Result<String, Error> {
    Ok(parted(&written(value)?).1.into())
}

fn dirname(value: &Value) -> Result<String, Error> {
    Ok(parted(&written(value)?).0.into())
}

/// A path without its ending, and the ending; a name that begins with `.` is not one.
fn splitext(value: &Value) -> Result<Vec<String>, Error> {
    let path = written(value)?;
    let name = parted(&path).1;
    let is_ending = |at: &usize| name[..*at].chars().any(|c| c != '.');
    let ending = name.rfind('.').filter(is_ending).map_or("", |at| &name[at..]);
    Ok(vec![path[..path.len() - ending.len()].into(), ending.into()])
}
