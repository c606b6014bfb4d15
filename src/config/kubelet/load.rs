//! Reads the configuration file and its drop-ins, applies the flags, and types the result.

#![expect(clippy::disallowed_methods, reason = "read once, before anything runs")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::document::{apply_defaults, check_fields, merge, parse_flag, parse_leniently, set};
use super::fates::{judge_fields, judge_flags};
use super::fields::FIELDS;
use super::findings::{Findings, Source};
use super::flags::Flags;
use super::spec::type_spec;
use super::validate::validate;
use crate::core::model::release::VERSION_FIELD;
use crate::core::model::{KubeletSpec, Release, Version};

/// Why the configuration is invalid; the text has one fault per line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Error(pub Vec<String>);

/// Files and flags, merged. What it means depends on the version that the kubelet claims.
pub struct Draft {
    flags: Flags,
    value: Value,
    configured: Option<Version>,
    findings: Findings,
}

/// Reads and merges files and flags; their faults are told by [`Draft::finish`], with all others.
pub fn read(flags: &Flags) -> Draft {
    let mut findings = Findings::default();
    let mut value = Value::Object(Map::new());
    if let Some(path) = &flags.config {
        read_into(path, &mut value, &mut findings);
    }
    if let Some(dir) = &flags.config_dir {
        for path in drop_ins(dir, &mut findings.faults) {
            read_into(&path, &mut value, &mut findings);
        }
    }
    apply_flags(flags, &mut value, &mut findings);
    let configured = value.as_object_mut().and_then(|fields| fields.remove(VERSION_FIELD));
    let configured = configured.and_then(|version| version.as_str().and_then(|text| text.parse().ok()));
    Draft { flags: flags.clone(), value, configured, findings }
}

impl Draft {
    /// `kubernetesVersion`: the version that the kubelet may claim at most; `None` if the configuration leaves it to the API
    /// server.
    pub fn configured(&self) -> Option<Version> {
        self.configured
    }

    /// The settings of a kubelet that claims this version; warnings are in `warnings`.
    ///
    /// # Errors
    /// Every fault of flags and files, with file, line and column.
    pub fn finish(self, release: &'static Release) -> Result<KubeletSpec, Error> {
        let Self { flags, mut value, mut findings, .. } = self;
        judge_fields(&value, &mut findings);
        judge_flags(&flags.given(), release, &mut findings);
        let given = value.clone();
        apply_defaults(&mut value, release);
        validate(&value, &given, release, &mut findings);
        let spec = type_spec(&flags, release, value, &mut findings);
        match findings.faults.is_empty() {
            true => Ok(KubeletSpec { warnings: findings.warnings, ..spec }),
            false => Err(Error(findings.faults)),
        }
    }
}

/// The settings of a kubelet that claims the newest version.
///
/// # Errors
/// Every fault of flags and files, with file, line and column.
pub fn load(flags: &Flags) -> Result<KubeletSpec, Error> {
    read(flags).finish(Release::newest())
}

/// Faults of fields that are merged over a configuration, such as those in cluster.toml, for kubelets of this version.
/// Unknown fields are faults, because the author can fix them.
pub fn check_overlay(fields: &Map<String, Value>, release: &'static Release) -> Vec<String> {
    let mut findings = Findings::default();
    if fields.contains_key(VERSION_FIELD) {
        findings.fault(VERSION_FIELD, "cannot be set here: it follows cluster.kubernetes_version");
    }
    findings.faults.extend(check_fields(fields));
    if !findings.faults.is_empty() {
        return findings.faults;
    }
    let given = Value::Object(fields.clone());
    judge_fields(&given, &mut findings);
    let mut full = given.clone();
    apply_defaults(&mut full, release);
    validate(&full, &given, release, &mut findings);
    // Some faults are only found when a value is typed.
    let _ = type_spec(&Flags { node_name: "any".into(), ..Flags::default() }, release, full, &mut findings);
    findings.faults
}

fn read_into(path: &Path, value: &mut Value, findings: &mut Findings) {
    let name = path.display().to_string();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) => return findings.faults.push(format!("{name}: cannot be read: {e}")),
    };
    let mut document = parse_leniently(&name, &bytes);
    findings.faults.extend(document.faults);
    findings.warnings.extend(document.warnings);
    let base = relative_to(path);
    for field in ["staticPodPath", "tlsCertFile", "tlsPrivateKeyFile"] {
        make_absolute(&mut document.value, field, &base);
    }
    merge(value, document.value.clone());
    findings.sources.push(Source { name, bytes, value: document.value });
}

/// Relative paths in a file are relative to the file (upstream `configfiles.resolveRelativePaths`).
fn relative_to(path: &Path) -> PathBuf {
    let dir = path.parent().unwrap_or(Path::new(""));
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf())
}

fn make_absolute(value: &mut Value, field: &str, base: &Path) {
    if let Some(text) = value.get(field).and_then(Value::as_str)
        && !text.is_empty()
        && Path::new(text).is_relative()
    {
        let joined = base.join(text).display().to_string();
        set(value, field, Value::from(joined));
    }
}

/// Files named `*.conf` below the directory, in lexical order.
fn drop_ins(dir: &Path, faults: &mut Vec<String>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) => {
                faults.push(format!("{}: cannot be read: {e}", dir.display()));
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            // As upstream, links are not followed: one that leads up would never end.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "conf") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn apply_flags(flags: &Flags, value: &mut Value, findings: &mut Findings) {
    for (flag, text) in &flags.fields {
        let Some(field) = FIELDS.iter().find(|f| !f.flag.is_empty() && f.flag == flag) else {
            findings.faults.push(format!("--{flag}: unknown flag"));
            continue;
        };
        findings.flags.push((field.path, flag.clone()));
        match parse_flag(field.kind, text) {
            // Gates in flags are merged with those of the file, other flags replace values.
            Ok(over) if flag == "feature-gates" => {
                let mut gates = value.get("featureGates").cloned().unwrap_or(Value::Object(Map::new()));
                merge(&mut gates, over);
                set(value, "featureGates", gates);
            }
            Ok(over) => set(value, field.path, over),
            Err(e) => findings.faults.push(format!("--{flag}: {e}")),
        }
    }
    if let Some(verbosity) = flags.verbosity {
        set(value, "logging.verbosity", Value::from(verbosity));
    }
    if let Some(text) = &flags.register_with_taints {
        match super::spec::parse_taints(text) {
            Ok(taints) => set(value, "registerWithTaints", taints),
            Err(e) => findings.faults.push(format!("--register-with-taints: {e}")),
        }
    }
    if let Some(text) = &flags.manifest_url_header {
        let mut headers = Map::new();
        for (name, header) in text.split(',').filter_map(|pair| pair.split_once(':')) {
            let list = headers.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(Value::from(header));
            }
        }
        set(value, "staticPodURLHeader", Value::Object(headers));
    }
}
