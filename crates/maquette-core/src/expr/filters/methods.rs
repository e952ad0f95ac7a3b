//! Methods of Python's texts and mappings that expressions call: `'a/b'.split('/')`, `mapping.items()`.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::{failed, spend};

/// Calls one.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match (value.as_str(), value.kind()) {
        (Some(text), _) => of_text(state, value, text, name, args),
        (None, ValueKind::Map) => of_mapping(value, name, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn of_text(
    state: &mut State,
    value: &Value,
    text: &str,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let filter = match name {
        "split" | "replace" | "lower" | "upper" | "title" | "capitalize" => name,
        "strip" => "trim",
        "splitlines" => "lines",
        "format" if is_wide(text) => return Err(failed("`format` does not go so far".into())),
        "format" => {
            let fields = text.matches('{').count();
            let longest = args.iter().map(|value| value.to_string().len()).max().unwrap_or(0);
            let size = fields.saturating_mul(longest) / 64;
            spend(state, size)?;
            return format(FormatStyle::StrFormat, text, args).map(Value::from);
        }
        "join" => {
            let (items,): (&Value,) = from_args(args)?;
            return state.apply_filter("join", &[items.clone(), value.clone()]);
        }
        _ => return about(text, name, args),
    };
    let args: Vec<Value> = std::iter::once(value).chain(args).cloned().collect();
    state.apply_filter(filter, &args)
}

/// Whether a text for `format` has a width in it that no name or address has.
fn is_wide(text: &str) -> bool {
    let fields = text.split('{').skip(1).filter_map(|part| part.split('}').next());
    fields.flat_map(|field| field.split(|c: char| !c.is_ascii_digit())).any(|width| width.len() > 3)
}

/// Those that no filter is.
fn about(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    /// No name or address is longer.
    const WIDEST: usize = 1 << 10;
    match name {
        "startswith" | "endswith" | "count" => {
            let (part,): (&str,) = from_args(args)?;
            Ok(match name {
                "startswith" => Value::from(text.starts_with(part)),
                "endswith" => Value::from(text.ends_with(part)),
                _ if part.is_empty() => Value::from(text.chars().count() + 1),
                _ => Value::from(text.matches(part).count()),
            })
        }
        "isdigit" => {
            let () = from_args(args)?;
            Ok(Value::from(!text.is_empty() && text.chars().all(|c| c.is_ascii_digit())))
        }
        "lstrip" | "rstrip" => {
            let (signs,): (Option<&str>,) = from_args(args)?;
            let is_sign = |c: char| signs.map_or(c.is_whitespace(), |signs| signs.contains(c));
            Ok(Value::from(match name {
                "lstrip" => text.trim_start_matches(is_sign),
                _ => text.trim_end_matches(is_sign),
            }))
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            if width > WIDEST {
                return Err(failed(format!("`zfill` does not go to {width}")));
            }
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            let missing = width.saturating_sub(text.chars().count());
            Ok(Value::from(format!("{sign}{}{digits}", "0".repeat(missing))))
        }
        "ljust" | "rjust" | "center" => {
            let (width, sign): (usize, Option<char>) = from_args(args)?;
            if width > WIDEST {
                return Err(failed(format!("`{name}` does not go to {width}")));
            }
            let missing = width.saturating_sub(text.chars().count());
            let left = match name {
                "ljust" => 0,
                "rjust" => missing,
                // As Python has it where there is one more on a side.
                _ => missing / 2 + (missing & width & 1),
            };
            let signs = |many: usize| sign.unwrap_or(' ').to_string().repeat(many);
            Ok(Value::from(format!("{}{text}{}", signs(left), signs(missing - left))))
        }
        _ => parts(text, name, args),
    }
}

/// Those that look for a text in it.
fn parts(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    if !["find", "removeprefix", "removesuffix", "partition", "rpartition"].contains(&name) {
        return Err(Error::from(ErrorKind::UnknownMethod));
    }
    let (part,): (&str,) = from_args(args)?;
    let three = |texts: [&str; 3]| Value::from(texts.map(Value::from).to_vec());
    Ok(match name {
        "removeprefix" => Value::from(text.strip_prefix(part).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(part).unwrap_or(text)),
        "find" => {
            let at = text.find(part).map(|at| text[..at].chars().count());
            Value::from(at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
        }
        _ if part.is_empty() => return Err(failed(format!("`{name}` needs a text to part at"))),
        "partition" => three(match text.split_once(part) {
            Some((before, after)) => [before, part, after],
            None => [text, "", ""],
        }),
        _ => three(match text.rsplit_once(part) {
            Some((before, after)) => [before, part, after],
            None => ["", "", text],
        }),
    })
}

fn of_mapping(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match name {
        "get" => {
            let (key, other): (&Value, Option<Value>) = from_args(args)?;
            let found = value.get_item(key)?;
            Ok(match found.is_undefined() {
                true => other.unwrap_or_else(|| Value::from(())),
                false => found,
            })
        }
        "keys" | "values" | "items" => {
            let () = from_args(args)?;
            let mut found = Vec::new();
            for key in value.try_iter()? {
                let item = value.get_item(&key)?;
                found.push(match name {
                    "keys" => key,
                    "values" => item,
                    _ => Value::from(vec![key, item]),
                });
            }
            Ok(Value::from(found))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}
