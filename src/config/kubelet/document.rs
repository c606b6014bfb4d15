//! One configuration file or drop-in: parses text to checked JSON, and merges documents, flags and defaults.

use serde_json::{Map, Value};

use super::duration::{parse_duration, render_duration};
use super::fields::{self, FIELDS, Field, Kind, PARTS};
use crate::core::model::release::VERSION_FIELD;
use crate::core::model::{Release, Version};
use crate::core::yaml;

/// apiVersion of the file.
pub const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
/// kind of the file.
pub const KIND: &str = "KubeletConfiguration";

/// A fault of one field in a file.
struct Found {
    path: String,
    text: String,
    /// True if the field is unknown; kubelets of other versions in the cluster may know it.
    unknown: bool,
}

/// A file's content without invalid fields.
pub struct Document {
    pub value: Value,
    /// Faults that prevent the start, with `file:line:column` if known.
    pub faults: Vec<String>,
    /// Reported only: unknown fields, which are dropped, and duplicate keys.
    pub warnings: Vec<String>,
}

/// Parses and checks one file; every fault is reported, with `file:line:column` if known.
///
/// # Errors
/// All faults as sentences, including unknown fields.
pub fn parse_file(name: &str, bytes: &[u8]) -> Result<Value, Vec<String>> {
    let at = |e: yaml::Error| vec![format!("{}: {}", written(name, e.place), e.message)];
    let (value, found) = inspect(name, yaml::parse_document(bytes).map_err(at)?).map_err(|fault| vec![fault])?;
    if found.is_empty() {
        Ok(value)
    } else {
        Err(place(name, bytes, found).into_iter().map(|(text, _)| text).collect())
    }
}

/// The same, but unknown fields are dropped, as in upstream's second, lenient pass
/// (`pkg/kubelet/kubeletconfig/util/codec`): files of newer or older clusters, and a rollback, must not prevent the
/// start.
pub fn parse_leniently(name: &str, bytes: &[u8]) -> Document {
    let nothing =
        |fault: String| Document { value: Value::Object(Map::new()), faults: vec![fault], warnings: Vec::new() };
    let at = |e: yaml::Error| format!("{}: {}", written(name, e.place), e.message);
    let (value, twice) = match yaml::parse_last_keys(bytes) {
        Ok(parsed) => parsed,
        Err(fault) => return nothing(at(fault)),
    };
    match inspect(name, value) {
        Ok((value, found)) => {
            let (unknown, faults): (Vec<_>, Vec<_>) =
                place(name, bytes, found).into_iter().partition(|(_, unknown)| *unknown);
            let unknown = unknown.into_iter().map(|(text, _)| format!("{text}; it has no effect"));
            let twice = twice.map(|fault| format!("{}; the last one is used", at(fault)));
            let faults = faults.into_iter().map(|(text, _)| text).collect();
            Document { value, faults, warnings: unknown.chain(twice).collect() }
        }
        Err(fault) => nothing(fault),
    }
}

fn place(name: &str, bytes: &[u8], found: Vec<Found>) -> Vec<(String, bool)> {
    if found.is_empty() {
        return Vec::new();
    }
    let places = yaml::Places::of(bytes);
    let at = |found: Found| (format!("{}: {}", written(name, places.find(&found.path)), found.text), found.unknown);
    found.into_iter().map(at).collect()
}

/// `file:line:column`, or only the file.
pub(super) fn written(name: &str, place: Option<yaml::Place>) -> String {
    place.map_or_else(|| name.to_owned(), |place| format!("{name}:{}:{}", place.line, place.column))
}

/// The valid fields of a file, and its faults.
fn inspect(name: &str, value: Value) -> Result<(Value, Vec<Found>), String> {
    let Value::Object(mut map) = value else {
        return Err(format!("{name}: not a {KIND}, but {}", type_name(&value)));
    };
    let mut found = Vec::new();
    for (key, want) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        if map.get(key).and_then(Value::as_str) != Some(want) {
            found.push(Found { path: key.to_string(), text: format!("{key} must be {want:?}"), unknown: false });
        }
    }
    check_object("", &mut map, &mut found);
    Ok((Value::Object(map), found))
}

/// Faults of the fields of a configuration that is not a file, without places.
pub fn check_fields(fields: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    check_object("", &mut fields.clone(), &mut found);
    found.into_iter().map(|found| found.text).collect()
}

/// Records faults and removes the invalid fields.
fn check_object(prefix: &str, map: &mut Map<String, Value>, found: &mut Vec<Found>) {
    map.retain(|key, value| {
        if prefix.is_empty() && (key == "apiVersion" || key == "kind") || value.is_null() {
            return true;
        }
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let fault = |text: String| Found { path: path.clone(), text: format!("{path}: {text}"), unknown: false };
        if path == VERSION_FIELD {
            let is_version = value.as_str().is_some_and(|text| text.parse::<Version>().is_ok());
            if !is_version {
                found.push(fault(format!("want a version such as \"{}\"", Release::newest().version)));
            }
            return is_version;
        }
        if let Some(field) = fields::find(&path) {
            let checked = check_kind(field.kind, value).map_err(fault);
            check_parts(&path, value, found);
            return checked.map_err(|fault| found.push(fault)).is_ok();
        }
        if FIELDS.iter().any(|f| f.path.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.'))) {
            let Value::Object(inner) = value else {
                found.push(fault(format!("want an object, got {}", type_name(value))));
                return false;
            };
            check_object(&path, inner, found);
            return true;
        }
        found.push(Found { text: format!("unknown field {path:?}"), path, unknown: true });
        false
    });
}

/// The same for parts of a structured value.
fn check_parts(path: &str, value: &mut Value, found: &mut Vec<Found>) {
    let Some((_, known)) = PARTS.iter().find(|(field, _)| *field == path) else { return };
    for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
        let Value::Object(item) = item else { continue };
        item.retain(|key, _| {
            let is_known = known.contains(&key.as_str());
            if !is_known {
                let path = format!("{path}[{index}].{key}");
                found.push(Found { text: format!("unknown field {path:?}"), path, unknown: true });
            }
            is_known
        });
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
        Kind::SignedDuration => match value.as_str() {
            Some(text) => parse_duration(text.strip_prefix('-').unwrap_or(text)).map(|_| ()),
            None => want("a duration such as \"1m30s\""),
        },
        Kind::Nanoseconds => match value {
            Value::String(text) => parse_duration(text).map(|_| ()),
            Value::Number(number) if number.is_u64() => Ok(()),
            _ => want("a duration such as \"5s\", or a number of nanoseconds"),
        },
        Kind::Quantity if !value.is_string() && !value.is_number() => want("a quantity such as \"10Mi\""),
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
        Kind::Bool | Kind::Int | Kind::Float | Kind::Text | Kind::Quantity | Kind::Json => Ok(()),
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

/// Merges `over` into `base` as a JSON merge patch (RFC 7386), as upstream merges drop-ins.
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

/// Converts the text of a flag to the JSON value of its field.
///
/// # Errors
/// A sentence with the expected form.
pub fn parse_flag(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Bool => match text {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(format!("want true or false, got {text:?}")),
        },
        Kind::Int => text.parse::<i64>().map(Value::from).map_err(|_| format!("want a whole number, got {text:?}")),
        Kind::Float => text.parse::<f64>().map(Value::from).map_err(|_| format!("want a number, got {text:?}")),
        Kind::Text | Kind::Quantity => Ok(Value::from(text)),
        Kind::Duration | Kind::Nanoseconds => parse_duration(text).map(|d| Value::from(render_duration(d))),
        Kind::SignedDuration => {
            let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
            parse_duration(rest).map(|d| Value::from(format!("{sign}{}", render_duration(d))))
        }
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

/// Sets `value` at a dotted path, creating objects as needed.
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

/// The value at a dotted path; `None` if there is none.
pub fn get<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(root, |node, part| node.get(part)).filter(|v| !v.is_null())
}

/// Sets missing fields to their defaults, as `SetDefaults_KubeletConfiguration` of this version does.
pub fn apply_defaults(root: &mut Value, release: &Release) {
    let report_unset = is_unset(FIELDS.iter().find(|f| f.path == "nodeStatusReportFrequency"), root);
    let update = get(root, "nodeStatusUpdateFrequency").filter(|v| !is_zero(v)).cloned();
    if let (true, Some(update)) = (report_unset, update) {
        set(root, "nodeStatusReportFrequency", update);
    }
    let backoff_is_fixed = get(root, "featureGates.KubeletCrashLoopBackOffMax") == Some(&Value::Bool(false));
    for field in FIELDS {
        if backoff_is_fixed && field.path == "crashLoopBackOff.maxContainerRestartPeriod" {
            continue;
        }
        if !field.default.is_empty() && is_unset(Some(field), root) {
            let default = serde_json::from_str(field.default).unwrap_or(Value::Null);
            set(root, field.path, default);
        }
    }
    if let (None, Some(factor)) = (get(root, "memoryThrottlingFactor"), release.memory_throttling_factor) {
        set(root, "memoryThrottlingFactor", Value::from(factor));
    }
    if get(root, "memorySwap").is_none() {
        set(root, "memorySwap", Value::Object(Map::new()));
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
