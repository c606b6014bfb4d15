//! House rules that a compiler cannot check: which room may name which, that no files import each other in a circle, how
//! long a file and a struct may be, how short a doc comment, what the core may use. Names used only by tests do not
//! count.

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/imports.rs"]
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use code::{Token, code};
use imports::{Crate, circles};

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

/// Path relative to the package, and text, of each Rust file in `src` and `tests`.
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

/// Doc comments up to this length repeat the name of what they describe ("Its name."): write what the value means, or
/// nothing. Those of the command line are help texts, which `tests/help.rs` checks.
const EMPTY_DOC_WORDS: usize = 3;

#[test]
fn a_doc_comment_says_more_than_the_name() {
    let mut faults = Vec::new();
    let doc = |line: Option<&&str>| line.and_then(|line| line.trim_start().strip_prefix("///")).map(str::to_owned);
    for (path, text) in files() {
        if !path.starts_with("src/") || path.starts_with("src/cli/") {
            continue;
        }
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(words) = doc(Some(line)) else { continue };
            let before = at.checked_sub(1).and_then(|before| lines.get(before));
            let is_alone = doc(before).is_none() && doc(lines.get(at + 1)).is_none();
            if is_alone && words.split_whitespace().count() <= EMPTY_DOC_WORDS {
                faults.push(format!("{path}:{}: \"{}\"", at + 1, words.trim()));
            }
        }
    }
    complain(faults);
}

/// The library and the programs, by the file of their root.
const CRATES: [&str; 3] = ["src/lib.rs", "src/bin/kubelet.rs", "src/bin/bootstrap/main.rs"];

fn crates() -> Vec<Crate> {
    let files: BTreeMap<_, _> = files().into_iter().collect();
    CRATES.iter().map(|root| Crate::of(root, &files)).collect()
}

/// The rooms, or parts of rooms, that the files of a room may name; the first matching line applies.
const LAWS: &[(&str, &[&str])] = &[
    ("src/core/", &["core", "cri"]),
    ("src/ports/node/", &["ports::node", "core", "cri"]),
    ("src/ports/kubelet/", &["ports::kubelet", "ports::node", "core", "cri"]),
    ("src/ports/bootstrap/", &["ports::bootstrap", "ports::node", "core", "cri"]),
    ("src/ports/mod.rs", &[]),
    ("src/adapters/", &["adapters", "ports", "core", "cri", "offload", "telemetry", "supervise"]),
    // The in-memory ports: no other room may name them outside of its tests.
    ("src/fakes/", &["fakes", "kubelet::pods", "ports", "core", "cri"]),
    ("src/config/", &["config", "core", "cri"]),
    ("src/cli/", &["cli", "config", "core", "ports::bootstrap"]),
    ("src/cri/", &["cri"]),
    ("src/telemetry/", &["telemetry"]),
    ("src/offload.rs", &["offload", "core"]),
    ("src/supervise.rs", &["supervise", "telemetry", "core"]),
    // Where real adapters meet the ports.
    (
        "src/kubelet/wiring/",
        &[
            "kubelet",
            "adapters",
            "core",
            "ports::kubelet",
            "ports::node",
            "cri",
            "config",
            "offload",
            "telemetry",
            "supervise",
        ],
    ),
    (
        "src/kubelet/",
        &["kubelet", "core", "ports::kubelet", "ports::node", "cri", "config", "offload", "telemetry", "supervise"],
    ),
    ("src/bootstrap/", &["bootstrap", "core", "ports::bootstrap", "ports::node", "config", "cri"]),
    ("src/agent/wiring.rs", &["agent", "adapters", "core", "ports::bootstrap", "ports::node", "offload"]),
    ("src/agent/", &["agent", "core", "ports::bootstrap", "ports::node"]),
    ("src/fuzzing/", &["fuzzing", "kubelet", "adapters", "config", "core", "ports", "cri"]),
    ("src/bin/kubelet.rs", &["kubelet", "cli", "config", "core", "telemetry"]),
    (
        "src/bin/bootstrap/",
        &["bootstrap", "agent", "adapters", "cli", "config", "core", "ports::bootstrap", "ports::node", "telemetry"],
    ),
    ("src/lib.rs", &[]),
];

/// True if a path, from the crate's root, begins with a room.
fn is_in(path: &[String], room: &str) -> bool {
    room.split("::").enumerate().all(|(at, name)| path.get(at).is_some_and(|word| word == name))
}

#[test]
fn a_room_names_only_rooms_below_it() {
    let mut faults = Vec::new();
    for of_crate in crates() {
        for (file, line, path) in of_crate.paths() {
            // A program names its own modules by `crate` and the rooms by the library's name.
            let root = if file.starts_with("src/bin/") { "roost" } else { "crate" };
            let [first, rest @ ..] = path.as_slice() else { continue };
            let law = LAWS.iter().find(|(prefix, _)| file.starts_with(prefix));
            let allowed = law.map_or_else(|| panic!("{file} has no law"), |(_, allowed)| allowed);
            if first == root && !rest.is_empty() && !allowed.iter().any(|room| is_in(rest, room)) {
                faults.push(format!("{file}:{line}: names {}", path.join("::")));
            }
        }
    }
    complain(faults);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut faults = Vec::new();
    for of_crate in crates() {
        let imports = of_crate.imports();
        for circle in circles(&imports) {
            faults.push(format!("a circle of {} files:", circle.len()));
            let inside = imports.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
            faults.extend(inside.map(|((from, to), names)| format!("  {from} takes {names:?} from {to}")));
        }
    }
    complain(faults);
}

/// Maximum number of fields of a struct in a driver. A larger one does more than one thing.
const MOST_FIELDS: usize = 15;

/// Each struct with its line and the number of its named fields.
fn structs(tokens: &[Token]) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.text == "struct") {
        let (mut depth, mut fields) = (0_usize, 0);
        for token in &tokens[at..] {
            match token.text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                ":" if depth == 1 => fields += 1,
                _ => {}
            }
            if depth == 0 && matches!(token.text.as_str(), "}" | ";") {
                break;
            }
        }
        found.push((tokens[at + 1].text.clone(), token.line, fields));
    }
    found
}

#[test]
fn a_struct_of_a_driver_has_at_most_15_fields() {
    let mut faults = Vec::new();
    let drivers = ["src/kubelet/", "src/bootstrap/", "src/agent/"];
    for (path, text) in files().iter().filter(|(path, _)| drivers.iter().any(|driver| path.starts_with(driver))) {
        let long = structs(&code(text)).into_iter().filter(|(_, _, fields)| *fields > MOST_FIELDS);
        faults.extend(long.map(|(name, line, fields)| format!("{path}:{line}: {name} has {fields} fields")));
    }
    complain(faults);
}

#[test]
fn each_metric_is_recorded() {
    // What is printed without ever being recorded looks like "no problem" to whoever watches it.
    let records = ["with", "observe", "observe_value"];
    let mut recorded = BTreeSet::new();
    // Modules of tests do not count.
    let own: BTreeSet<String> = crates().iter().flat_map(Crate::files).map(str::to_owned).collect();
    for (_, text) in files().iter().filter(|(path, _)| own.contains(path) && !path.starts_with("src/telemetry/")) {
        let tokens = code(text);
        let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        for (at, window) in texts.windows(4).enumerate() {
            let [dot, field, other, call] = window else { continue };
            // Families that are chosen by a condition are bound to a name first.
            let is_bound = || at > 1 && *other != "." && texts[at - 1] == "metrics";
            if *dot == "." && ((*other == "." && records.contains(call)) || is_bound()) {
                recorded.insert((*field).to_owned());
            }
        }
    }
    let probes = [("probes", ""), ("probe_duration", ""), ("healthchecks", "")];
    let all = roost::telemetry::Metrics::FAMILIES.iter().chain(&probes);
    let silent = all.filter(|(field, _)| !recorded.contains(*field));
    complain(
        silent.map(|(field, name)| format!("src/telemetry/metrics.rs: nobody records {field} ({name})")).collect(),
    );
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).expect("the page on metrics");
    let unlisted = roost::telemetry::Metrics::FAMILIES.iter().filter(|(_, name)| {
        // The table of alerts names families as well, but not first.
        !page.lines().any(|line| line.starts_with(&format!("| `{name}` |")))
    });
    complain(unlisted.map(|(_, name)| format!("docs/metrics.md: {name} is not listed")).collect());
}

#[test]
fn a_tree_is_removed_in_one_way() {
    let mut faults = Vec::new();
    for (path, text) in files().iter().filter(|(path, _)| path.starts_with("src/")) {
        let removes = code(text).into_iter().filter(|token| token.text == "remove_dir_all");
        faults.extend(removes.map(|token| format!("{path}:{}: use adapters::fs::removal", token.line)));
    }
    complain(faults);
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    let banned = [
        "tokio",
        "std::fs",
        "std::env",
        "std::process",
        "std::net::Tcp",
        "std::net::Udp",
        "Timestamp::now",
        "SystemTime::now",
        "Instant::now",
        "rand::",
    ];
    let mut faults = Vec::new();
    for of_crate in crates() {
        for (file, line, path) in of_crate.paths().filter(|(file, ..)| file.starts_with("src/core/")) {
            let path = path.join("::");
            faults.extend(banned.iter().filter(|b| path.contains(*b)).map(|b| format!("{file}:{line}: {b}")));
        }
    }
    let in_core: BTreeMap<_, _> = files().into_iter().filter(|(path, _)| path.starts_with("src/core/")).collect();
    for (path, text) in crates().iter().flat_map(Crate::files).filter_map(|file| in_core.get_key_value(file)) {
        let is_banned = |token: &Token| matches!(token.text.as_str(), "async" | "println" | "eprintln");
        let all = code(text).into_iter().filter(is_banned);
        faults.extend(all.map(|token| format!("{path}:{}: {}", token.line, token.text)));
    }
    complain(faults);
}

/// Files where each error is logged with its causes. The bootstrapper prints its errors.
const LOGS: [&str; 8] = [
    "src/adapters/",
    "src/agent/",
    "src/kubelet/",
    "src/core/",
    "src/fakes/",
    "src/telemetry/",
    "src/offload.rs",
    "src/supervise.rs",
];

/// Lines that log an error by `Display` or `Debug`, which show only the outermost text, or in another way.
fn logs_without_causes(tokens: &[Token]) -> Vec<usize> {
    let is = |at: usize, words: &[&str]| tokens.get(at).is_some_and(|token| words.contains(&token.text.as_str()));
    let names = ["error", "err", "e", "cause", "failure"];
    let shown = |at: usize| is(at, &["(", ",", "="]) && is(at + 1, &["%", "?"]) && is(at + 2, &names);
    let cast = |at: usize| is(at, &["="]) && is(at + 1, &["&"]) && is(at + 2, &names) && is(at + 3, &["as"]);
    let macros = ["trace", "debug", "info", "warn", "error"];
    let mut found = Vec::new();
    for begin in (0..tokens.len()).filter(|at| is(*at, &macros) && is(at + 1, &["!"])) {
        let end = (begin + 2..tokens.len()).find(|at| is(*at, &[";", "}"])).unwrap_or(tokens.len());
        found.extend((begin + 2..end).filter(|at| shown(*at) || cast(*at)).map(|at| tokens[at].line));
    }
    found
}

#[test]
fn an_error_is_logged_with_its_causes() {
    let mut faults = Vec::new();
    for (path, text) in files().iter().filter(|(path, _)| LOGS.iter().any(|room| path.starts_with(room))) {
        let lines = logs_without_causes(&code(text));
        faults.extend(lines.iter().map(|line| format!("{path}:{line}: write `error = with_causes(&error)`")));
    }
    complain(faults);
}
