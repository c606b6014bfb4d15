//! One configuration file or drop-in: text → checked JSON, and how documents, flags and defaults are merged.

use serde_json::{Map, Value};

use super::duration::{parse_duration, render_duration};
use super::fields::{FIELDS, Field, Kind};
use crate::core::yaml;

/// apiVersion of the file.
pub const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
/// kind of the file.
pub const KIND: &str = "KubeletConfiguration";

/// Parses and checks one file; every fault is reported, with `file:line:column` where it is known.
///
/// # Errors
/// All faults as sentences.
pub fn parse_file(name: &str, bytes: &[u8]) -> Result<Value, Vec<String>> {
    let at = |place: Option<yaml::Place>| match place {
        Some(place) => format!("{name}:{}:{}", place.line, place.column),
        None => name.to_string(),
    };
    let value = yaml::parse_document(bytes).map_err(|e| vec![format!("{}: {}", at(e.place), e.message)])?;
    let Value::Object(map) = value else {
        return Err(vec![format!("{name}: not a {KIND}, but {}", type_name(&value))]);
    };
    let mut faults = Vec::new();
    for (key, want) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        if map.get(key).and_then(Value::as_str) != Some(want) {
            faults.push((key.to_string(), format!("{key} must be {want:?}")));
        }
    }
    check_object("", &map, &mut faults);
    if faults.is_empty() {
        return Ok(Value::Object(map));
    }
    let places = yaml::Places::of(bytes);
    Err(faults.into_iter().map(|(path, text)| format!("{}: {text}", at(places.find(&path)))).collect())
}

fn check_object(prefix: &str, map: &Map<String, Value>, faults: &mut Vec<(String, String)>) {
    for (key, value) in map {
        if prefix.is_empty() && (key == "apiVersion" || key == "kind") {
            continue;
        }
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if value.is_null() {
            continue;
        }
        if let Some(field) = FIELDS.iter().find(|f| f.path == path) {
            if let Err(text) = check_kind(field.kind, value) {
                faults.push((path.clone(), format!("{path}: {text}")));
            }
        } else if FIELDS.iter().any(|f| f.path.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.'))) {
            match value {
                Value::Object(inner) => check_object(&path, inner, faults),
                other => faults.push((path.clone(), format!("{path}: want an object, got {}", type_name(other)))),
            }
        } else {
            faults.push((path.clone(), format!("unknown field {path:?}")));
        }
    }
}

fn check_kind(kind: Kind, value: &Value) -> Result<(), String> {
    let want = |what: &str| Err(format!("want {what}, got {}", type_name(value)));
    match kind {
        Kind::Bool if !value.is_boolean() => want("true or false"),
        Kind::Int if !value.is_i64() => want("a whole number"),
        Kind::Float if !value.is_number() => want("a number"),
        Kind::Text if !value.is_string() => want("text"),
        Kind::Duration => match value.as_str() {
            Some(text) => parse_duration(text).map(|_| ()),
            None => want("a duration such as \"1m30s\""),
        },
        Kind::List => match value.as_array() {
            Some(items) if items.iter().all(Value::is_string) => Ok(()),
            Some(_) | None => want("a list of texts"),
        },
        Kind::Map | Kind::LessMap => match value.as_object() {
            Some(map) if map.values().all(Value::is_string) => Ok(()),
            Some(_) | None => want("texts by name"),
        },
        Kind::BoolMap => match value.as_object() {
            Some(map) if map.values().all(Value::is_boolean) => Ok(()),
            Some(_) | None => want("true or false by name"),
        },
        Kind::Bool | Kind::Int | Kind::Float | Kind::Text | Kind::Json => Ok(()),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Puts `over` on `base` as a JSON merge patch (RFC 7386), the way upstream merges drop-ins.
pub fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(&key);
                } else {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (base, over) => *base = over,
    }
}

/// The text of a flag as the JSON value of its field.
///
/// # Errors
/// A sentence that names the expected form.
pub fn parse_flag(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Bool => match text {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(format!("want true or false, got {text:?}")),
        },
        Kind::Int => text.parse::<i64>().map(Value::from).map_err(|_| format!("want a whole number, got {text:?}")),
        Kind::Float => text.parse::<f64>().map(Value::from).map_err(|_| format!("want a number, got {text:?}")),
        Kind::Text => Ok(Value::from(text)),
        Kind::Duration => parse_duration(text).map(|d| Value::from(render_duration(d))),
        Kind::List => Ok(text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(Value::from).collect()),
        Kind::Map => pairs(text, '='),
        Kind::LessMap => pairs(text, '<'),
        Kind::BoolMap => match pairs(text, '=')? {
            Value::Object(map) => map
                .into_iter()
                .map(|(k, v)| Ok((k, parse_flag(Kind::Bool, v.as_str().unwrap_or_default())?)))
                .collect::<Result<Map<_, _>, String>>()
                .map(Value::Object),
            other => Ok(other),
        },
        Kind::Json => Err("cannot be given as a flag".into()),
    }
}

fn pairs(text: &str, separator: char) -> Result<Value, String> {
    text.split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(|pair| {
            let (key, value) =
                pair.split_once(separator).ok_or_else(|| format!("want name{separator}value, got {pair:?}"))?;
            Ok((key.trim().to_string(), Value::from(value.trim())))
        })
        .collect::<Result<Map<_, _>, String>>()
        .map(Value::Object)
}

/// Writes `value` at a dotted path, making objects on the way.
pub fn set(root: &mut Value, path: &str, value: Value) {
    let mut node = root;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        if !node.is_object() {
            *node = Value::Object(Map::new());
        }
        let Value::Object(map) = node else { return };
        let entry = map.entry(part).or_insert(Value::Null);
        if parts.peek().is_none() {
            *entry = value;
            return;
        }
        node = entry;
    }
}

/// Reads a dotted path.
pub fn get<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(root, |node, part| node.get(part)).filter(|v| !v.is_null())
}

/// Fills in what is missing, as `SetDefaults_KubeletConfiguration` does.
pub fn apply_defaults(root: &mut Value) {
    let report_unset = is_unset(FIELDS.iter().find(|f| f.path == "nodeStatusReportFrequency"), root);
    let update = get(root, "nodeStatusUpdateFrequency").filter(|v| !is_zero(v)).cloned();
    if let (true, Some(update)) = (report_unset, update) {
        set(root, "nodeStatusReportFrequency", update);
    }
    for field in FIELDS {
        if !field.default.is_empty() && is_unset(Some(field), root) {
            let default = serde_json::from_str(field.default).unwrap_or(Value::Null);
            set(root, field.path, default);
        }
    }
    if get(root, "logging").is_some()
        && let Some(logging) = FIELDS.iter().find(|f| f.path == "logging")
    {
        let mut full: Value = serde_json::from_str(logging.default).unwrap_or(Value::Null);
        merge(&mut full, get(root, "logging").cloned().unwrap_or(Value::Null));
        set(root, "logging", full);
    }
    let parallel = get(root, "maxParallelImagePulls").and_then(Value::as_i64).is_some_and(|n| n >= 2);
    if get(root, "serializeImagePulls").is_none() {
        set(root, "serializeImagePulls", Value::Bool(!parallel));
    }
    if get(root, "podPidsLimit").and_then(Value::as_i64).is_some_and(|n| n < 0) {
        set(root, "podPidsLimit", Value::from(-1));
    }
    set(root, "apiVersion", Value::from(API_VERSION));
    set(root, "kind", Value::from(KIND));
}

fn is_unset(field: Option<&Field>, root: &Value) -> bool {
    let Some(field) = field else { return false };
    get(root, field.path).is_none_or(|value| field.zero_is_unset && is_zero(value))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty() || parse_duration(s).is_ok_and(|d| d.is_zero()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}
