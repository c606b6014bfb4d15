//! House rules that a compiler does not hold: which room may name which, how long a file may be, what the core may use.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Path below the package, and text, of each Rust file in `src` and `tests`.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(&root.join("src"), &mut found);
    sources(&root.join("tests"), &mut found);
    let below = |p: &Path| p.strip_prefix(root).expect("below the package").display().to_string();
    found.iter().map(|p| (below(p), fs::read_to_string(p).expect("a text file"))).collect()
}

fn complain(faults: Vec<String>) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_file_has_at_most_500_lines() {
    let long = files().into_iter().filter(|(_, text)| text.lines().count() > 500);
    complain(long.map(|(path, text)| format!("{path}: {} lines", text.lines().count())).collect());
}

#[test]
fn a_file_begins_with_its_purpose() {
    let mute = files().into_iter().filter(|(_, text)| !text.starts_with("//!"));
    complain(mute.map(|(path, _)| format!("{path}: the first line is no //! sentence")).collect());
}

/// The part of a file before its tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn a_room_names_only_rooms_below_it() {
    let laws: &[(&str, &[&str])] = &[
        ("src/core/", &["core", "cri"]),
        ("src/ports/", &["ports", "core", "cri"]),
        ("src/adapters/", &["adapters", "ports", "core", "cri", "offload", "telemetry", "supervise"]),
        ("src/config/", &["config", "core", "cri"]),
        ("src/cli/", &["cli", "config", "core", "ports"]),
        ("src/telemetry/", &["telemetry"]),
        ("src/offload.rs", &["offload", "core"]),
        ("src/supervise.rs", &["supervise", "telemetry"]),
        ("src/kubelet/", &["kubelet", "core", "ports", "cri", "config", "offload", "telemetry", "supervise"]),
        ("src/bootstrap/", &["bootstrap", "core", "ports", "config", "cri"]),
    ];
    let mut faults = Vec::new();
    for (path, text) in files() {
        // The wiring is where real adapters meet the ports.
        if path.contains("wiring") || path.ends_with("/tests.rs") {
            continue;
        }
        let Some((_, allowed)) = laws.iter().find(|(room, _)| path.starts_with(room)) else { continue };
        for (number, line) in code(&text) {
            for (at, _) in line.match_indices("crate::") {
                let room: String = line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !room.is_empty() && !allowed.contains(&room.as_str()) {
                    faults.push(format!("{path}:{}: names crate::{room}", number + 1));
                }
            }
        }
    }
    complain(faults);
}

#[test]
fn a_tree_is_removed_in_one_way() {
    let mut faults = Vec::new();
    for (path, text) in files().iter().filter(|(path, _)| path.starts_with("src/")) {
        let removes = code(text).filter(|(_, line)| line.contains("remove_dir_all"));
        faults.extend(removes.map(|(number, _)| format!("{path}:{}: use adapters::fs::removal", number + 1)));
    }
    complain(faults);
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    let banned = [
        "async ",
        "tokio::",
        "std::fs",
        "std::env",
        "std::process",
        "std::net::Tcp",
        "std::net::Udp",
        "Timestamp::now",
        "SystemTime::now",
        "Instant::now",
        "rand::",
        "println!",
    ];
    let mut faults = Vec::new();
    for (path, text) in files().iter().filter(|(path, _)| path.starts_with("src/core/") && !path.ends_with("/tests.rs"))
    {
        for (number, line) in code(text) {
            faults.extend(banned.iter().filter(|b| line.contains(*b)).map(|b| format!("{path}:{}: {b}", number + 1)));
        }
    }
    complain(faults);
}
