//! Merges flags over environment over file over defaults: each setting with its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::schema::{self, Kind, SETTINGS, Setting};

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag,
    /// In an environment variable.
    Environment(String),
    /// In the file; line and column count from 1.
    File(PathBuf, usize, usize),
    Default,
}

/// A fault of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where the value is set.
    pub origin: Origin,
    /// Dotted name of the setting; empty for the file as a whole.
    pub setting: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(path, line, column) => write!(f, "{}:{line}:{column}: ", path.display())?,
            Origin::Environment(name) => write!(f, "{name}: ")?,
            Origin::Flag => f.write_str("on the command line: ")?,
            Origin::Default => {}
        }
        if !self.setting.is_empty() {
            write!(f, "{}: ", self.setting)?;
        }
        f.write_str(&self.message)
    }
}

/// The value of every setting that has one, with its origin.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    values: BTreeMap<&'static str, (Value, Origin)>,
}

impl Layers {
    pub fn defaults() -> Self {
        let mut layers = Self::default();
        for setting in SETTINGS.iter().filter(|s| !s.default.is_empty()) {
            // The table is part of the program: tests find a default that does not parse.
            if let Ok(table) = format!("value = {}", setting.default).parse::<toml::Table>() {
                for (_, value) in table {
                    layers.values.insert(setting.name, (value, Origin::Default));
                }
            }
        }
        layers
    }

    /// Applies a file's settings; returns all faults.
    pub fn add_file(&mut self, path: &Path, text: &str) -> Vec<Fault> {
        let at = |offset: usize| {
            let before = text.get(..offset).unwrap_or(text);
            let line = before.rsplit('\n').next().unwrap_or_default();
            let (lines, columns) = (before.matches('\n').count(), line.chars().count());
            Origin::File(path.into(), lines.saturating_add(1), columns.saturating_add(1))
        };
        match DeTable::parse(text) {
            Ok(table) => {
                let mut faults = Vec::new();
                self.add_table("", table.get_ref(), &at, &mut faults);
                faults
            }
            Err(error) => {
                let origin = at(error.span().map_or(0, |span| span.start));
                vec![Fault { origin, setting: String::new(), message: error.message().replace('\n', " ") }]
            }
        }
    }

    fn add_table(&mut self, prefix: &str, table: &DeTable<'_>, at: &dyn Fn(usize) -> Origin, faults: &mut Vec<Fault>) {
        for (key, value) in table {
            let name =
                if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
            let mut fault = |offset: usize, message: String| {
                faults.push(Fault { origin: at(offset), setting: name.clone(), message });
            };
            if let Some(setting) = schema::find(&name) {
                match typed(setting, to_value(value.get_ref())) {
                    Ok(value_) => drop(self.values.insert(setting.name, (value_, at(key.span().start)))),
                    Err(message) => fault(value.span().start, message),
                }
            } else if schema::is_table(&name) {
                match value.get_ref() {
                    DeValue::Table(below) => self.add_table(&name, below, at, faults),
                    _ => fault(value.span().start, "has to be a table".into()),
                }
            } else {
                fault(key.span().start, unknown(&name));
            }
        }
    }

    /// Applies environment variables. Lists are separated by commas, maps are `a=b,c=d`.
    pub fn add_environment(&mut self, variable: &dyn Fn(&str) -> Option<String>) -> Vec<Fault> {
        let mut faults = Vec::new();
        for setting in SETTINGS {
            let name = schema::variable(setting);
            if let Some(text) = variable(&name) {
                self.add_text(setting, &text, Origin::Environment(name), &mut faults);
            }
        }
        faults
    }

    /// Applies one flag; `name` is dotted.
    pub fn add_flag(&mut self, name: &str, text: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        match schema::find(name) {
            Some(setting) => self.add_text(setting, text, Origin::Flag, &mut faults),
            None => faults.push(Fault { origin: Origin::Flag, setting: name.into(), message: unknown(name) }),
        }
        faults
    }

    fn add_text(&mut self, setting: &'static Setting, text: &str, origin: Origin, faults: &mut Vec<Fault>) {
        let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let value = match setting.kind {
            Kind::Text => Ok(Value::String(text.into())),
            Kind::Texts => Ok(Value::Array(items().map(|item| Value::String(item.into())).collect())),
            Kind::Bool => text.parse().map(Value::Boolean).map_err(|_| "has to be true or false".to_owned()),
            Kind::Number => text.parse().map(Value::Integer).map_err(|_| "has to be a whole number".to_owned()),
            Kind::TextMap => items()
                .map(|item| item.split_once('=').ok_or_else(|| format!("{item:?} has to be name=value")))
                .map(|pair| pair.map(|(name, value)| (name.to_owned(), Value::String(value.into()))))
                .collect::<Result<_, _>>()
                .map(Value::Table),
            Kind::TextMaps | Kind::Free => {
                text.parse::<toml::Table>().map(Value::Table).map_err(|error| error.message().to_owned())
            }
        };
        match value.and_then(|value| typed(setting, value)) {
            Ok(value) => drop(self.values.insert(setting.name, (value, origin))),
            Err(message) => faults.push(Fault { origin, setting: setting.name.into(), message }),
        }
    }

    /// The value of a setting; `None` if it has none.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).map(|(value, _)| value)
    }

    /// Where a setting's value was set.
    pub fn origin(&self, name: &str) -> Origin {
        self.values.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// All settings as TOML, each with a comment about its origin.
    pub fn print(&self) -> String {
        let mut text = String::new();
        let mut table = "";
        for setting in SETTINGS {
            let Some((value, origin)) = self.values.get(setting.name) else { continue };
            let (section, key) = setting.name.rsplit_once('.').unwrap_or(("", setting.name));
            if section != table {
                text += &format!("\n[{section}]\n");
                table = section;
            }
            let remark = match origin {
                Origin::Default => String::new(),
                Origin::Flag => " # from the command line".into(),
                Origin::Environment(name) => format!(" # from {name}"),
                Origin::File(path, line, _) => format!(" # from {}:{line}", path.display()),
            };
            text += &format!("{key} = {value}{remark}\n");
        }
        text
    }

    /// The same as JSON: value and origin by setting.
    pub fn document(&self) -> serde_json::Value {
        let entry = |(name, (value, origin)): (&&str, &(Value, Origin))| {
            let place = match origin {
                Origin::Default => "default".to_owned(),
                Origin::Flag => "command line".to_owned(),
                Origin::Environment(name) => name.clone(),
                Origin::File(path, line, _) => format!("{}:{line}", path.display()),
            };
            ((*name).to_owned(), serde_json::json!({ "value": value, "from": place }))
        };
        serde_json::Value::Object(self.values.iter().map(entry).collect())
    }
}

fn unknown(name: &str) -> String {
    let last = |text: &str| text.rsplit('.').next().unwrap_or_default().to_owned();
    let near = SETTINGS
        .iter()
        .map(|s| s.name)
        .min_by_key(|known| (distance(known, name)).min(if last(known) == last(name) { 1 } else { usize::MAX }));
    match near.filter(|known| distance(known, name).saturating_mul(3) <= name.len() || last(known) == last(name)) {
        Some(known) => format!("unknown setting; did you mean {known}?"),
        None => "unknown setting".into(),
    }
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    // Distances between the read part of `a` and every prefix of `b`; the empty prefix is handled separately.
    let mut row: Vec<usize> = (1..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let (mut diagonal, mut left) = (i, i.saturating_add(1));
        for (cell, y) in row.iter_mut().zip(&b) {
            let changed = diagonal.saturating_add(usize::from(x != *y));
            left = changed.min(left.saturating_add(1)).min(cell.saturating_add(1));
            diagonal = std::mem::replace(cell, left);
        }
    }
    row.last().copied().unwrap_or_else(|| a.chars().count())
}

fn to_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.to_string()), Value::Integer),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| Value::String(number.to_string()), Value::Float)
        }
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| to_value(item.get_ref())).collect()),
        DeValue::Table(table) => {
            Value::Table(table.iter().map(|(k, v)| (k.get_ref().to_string(), to_value(v.get_ref()))).collect())
        }
    }
}

/// The value in the setting's canonical form, if it has the right kind.
fn typed(setting: &Setting, value: Value) -> Result<Value, String> {
    let texts = |items: &Value| items.as_table().is_some_and(|t| t.values().all(Value::is_str));
    match (setting.kind, value) {
        (Kind::Texts, Value::String(one)) => Ok(Value::Array(vec![Value::String(one)])),
        (Kind::Text, value @ Value::String(_)) | (Kind::Bool, value @ Value::Boolean(_)) => Ok(value),
        (Kind::Number, value @ Value::Integer(_)) | (Kind::Free, value @ Value::Table(_)) => Ok(value),
        (Kind::Texts, Value::Array(items)) if items.iter().all(Value::is_str) => Ok(Value::Array(items)),
        (Kind::TextMap, value) if texts(&value) => Ok(value),
        (Kind::TextMaps, value) if value.as_table().is_some_and(|t| t.values().all(texts)) => Ok(value),
        (Kind::Text, _) => Err("has to be a string".into()),
        (Kind::Texts, _) => Err("has to be a list of strings".into()),
        (Kind::Bool, _) => Err("has to be true or false".into()),
        (Kind::Number, _) => Err("has to be a whole number".into()),
        (Kind::TextMap, _) => Err("has to be a table of strings".into()),
        (Kind::TextMaps, _) => Err("has to be a table of components, each a table of strings".into()),
        (Kind::Free, _) => Err("has to be a table".into()),
    }
}
