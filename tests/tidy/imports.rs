//! Which names each file imports from which other file.
//!
//! The rule: a file imports the file that defines a name in its code, through any number of re-exports. Declaring a
//! module and re-exporting from it are no imports, and neither are names used only by tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::{Token, code};

pub type Names = Vec<String>;

/// A module of a crate, which is one file.
#[derive(Default)]
struct Module {
    file: String,
    uses: Vec<Use>,
    /// Paths in the code, except those of `use`, with their lines.
    paths: Vec<(Names, usize)>,
    words: BTreeSet<String>,
    defined: BTreeSet<String>,
}

/// A name that `use` imports.
struct Use {
    path: Names,
    /// True for `*`, which imports everything.
    name: String,
    public: bool,
    line: usize,
}

/// The modules of a crate by their path.
#[derive(Default)]
pub struct Crate(BTreeMap<Names, Module>);

/// The names that the first file imports from the second.
pub type Imports = BTreeMap<(String, String), BTreeSet<String>>;

/// Groups of files that import each other, directly or indirectly.
pub fn circles(imports: &Imports) -> Vec<BTreeSet<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in imports.keys() {
        next.entry(from).or_default().push(to);
    }
    let reached = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = open.pop() {
            for to in next.get(file.as_str()).into_iter().flatten() {
                if seen.insert((*to).to_owned()) {
                    open.push((*to).to_owned());
                }
            }
        }
        seen
    };
    let all: BTreeMap<&str, BTreeSet<String>> = next.keys().map(|file| (*file, reached(file))).collect();
    let of = |file: &str| {
        let back = |other: &&String| all.get(other.as_str()).is_some_and(|seen| seen.contains(file));
        all[file].iter().filter(back).cloned().collect::<BTreeSet<_>>()
    };
    let found: BTreeSet<_> = all.keys().map(|file| of(file)).filter(|circle| circle.len() > 1).collect();
    found.into_iter().collect()
}

impl Crate {
    /// The crate whose root is the file `root`, one of `files`.
    pub fn of(root: &str, files: &BTreeMap<String, String>) -> Self {
        let mut all = Self::default();
        all.read(Vec::new(), root, root.rsplit_once('/').map_or("", |(folder, _)| folder), files);
        all
    }

    /// The files of the crate's modules.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|module| module.file.as_str())
    }

    /// Every path in the code: its file, its line, and the path itself, from the crate's root if it begins with
    /// `crate`, `self` or `super`.
    pub fn paths(&self) -> impl Iterator<Item = (&str, usize, Names)> {
        self.0.iter().flat_map(|(at, module)| {
            let uses = module.uses.iter().map(|used| (&used.path, used.line));
            let all = uses.chain(module.paths.iter().map(|(path, line)| (path, *line)));
            all.map(|(path, line)| (module.file.as_str(), line, absolute(at, path)))
        })
    }

    fn read(&mut self, path: Names, file: &str, folder: &str, files: &BTreeMap<String, String>) {
        let tokens = code(&files[file]);
        for declared in tokens.windows(3).filter(|w| w[0].text == "mod" && w[2].text == ";") {
            let name = &declared[1].text;
            let below = format!("{folder}/{name}");
            let places = [format!("{below}.rs"), format!("{below}/mod.rs")];
            if let Some(child) = places.iter().find(|place| files.contains_key(*place)) {
                self.read(child_of(&path, name), child, &below, files);
            }
        }
        let module = Module { file: file.to_owned(), ..Module::of(&tokens) };
        self.0.insert(path, module);
    }

    /// Which file imports which names from which other.
    pub fn imports(&self) -> Imports {
        let mut all = Imports::new();
        for (path, module) in &self.0 {
            for (of, name) in self.named(path, module) {
                let file = &self.0[&of].file;
                if *file != module.file {
                    all.entry((module.file.clone(), file.clone())).or_default().insert(name);
                }
            }
        }
        all
    }

    /// Everything that a module names: where it is defined, and its name there.
    fn named(&self, at: &Names, module: &Module) -> Vec<(Names, String)> {
        let mut found = Vec::new();
        for used in &module.uses {
            if used.name == "*" {
                let each = module.words.iter().map(|word| child_of(&used.path, word));
                found.extend(each.filter_map(|path| self.find(at, &path, 0)));
            } else if !used.public || module.words.contains(&used.name) {
                found.extend(self.find(at, &used.path, 0));
            }
        }
        found.extend(module.paths.iter().filter_map(|(path, _)| self.find(at, path, 0)));
        found
    }

    /// The module that defines the item of the path in the module `at`.
    fn find(&self, at: &Names, path: &[String], depth: usize) -> Option<(Names, String)> {
        let mut module = at.clone();
        let mut rest = path;
        let mut is_first = true;
        while let Some((first, others)) = rest.split_first() {
            match first.as_str() {
                "crate" if is_first => module.clear(),
                "self" if is_first => {}
                "super" => drop(module.pop()),
                name if self.0.contains_key(&child_of(&module, name)) => module.push(name.to_owned()),
                name => return self.define(&module, name, others, depth),
            }
            (rest, is_first) = (others, false);
        }
        None
    }

    fn define(&self, module: &Names, name: &str, rest: &[String], depth: usize) -> Option<(Names, String)> {
        let of = self.0.get(module).filter(|_| depth < 20)?;
        if let Some(used) = of.uses.iter().find(|used| used.name == name && used.path != [name]) {
            return self.find(module, &[&used.path, rest].concat(), depth + 1);
        }
        if of.defined.contains(name) {
            return Some((module.clone(), name.to_owned()));
        }
        let all = of.uses.iter().filter(|used| used.name == "*");
        all.filter_map(|used| self.find(module, &child_of(&used.path, name), depth + 1)).next()
    }
}

fn absolute(at: &[String], path: &[String]) -> Names {
    let ups = path.iter().take_while(|word| *word == "super").count();
    match path.first().map(String::as_str) {
        Some("crate") => path.to_vec(),
        Some("self") => [&["crate".to_owned()], at, &path[1..]].concat(),
        Some("super") => [&["crate".to_owned()], &at[..at.len().saturating_sub(ups)], &path[ups..]].concat(),
        _ => path.to_vec(),
    }
}

fn child_of(module: &[String], name: &str) -> Names {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

impl Module {
    fn of(tokens: &[Token]) -> Self {
        const ITEMS: [&str; 9] = ["struct", "enum", "fn", "trait", "type", "const", "static", "union", "mod"];
        let mut module = Self::default();
        let mut at = 0;
        while at < tokens.len() {
            let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
            if text(at) == "use" {
                let public = at > 0 && matches!(text(at - 1), "pub" | ")");
                let line = tokens[at].line;
                let mut found = Vec::new();
                at = read_use(tokens, at + 1, &[], &mut found);
                module.uses.extend(found.into_iter().map(|(path, name)| Use { path, name, public, line }));
                continue;
            }
            if ITEMS.contains(&text(at)) {
                module.defined.insert(text(at + 1).to_owned());
            }
            if text(at) == "macro_rules" {
                module.defined.insert(text(at + 2).to_owned());
            }
            if tokens[at].is_name() && (at == 0 || text(at - 1) != "::") {
                let (mut path, line) = (vec![text(at).to_owned()], tokens[at].line);
                while text(at + 1) == "::" && tokens.get(at + 2).is_some_and(Token::is_name) {
                    path.push(text(at + 2).to_owned());
                    at += 2;
                }
                module.words.extend(path.iter().cloned());
                if path.len() > 1 {
                    module.paths.push((path, line));
                }
            }
            at += 1;
        }
        module
    }
}

/// Parses the rest of a `use`: the path and name of each imported item. Returns where it ends.
fn read_use(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<(Names, String)>) -> usize {
    let mut path = prefix.to_vec();
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    loop {
        match text(at) {
            "::" => at += 1,
            "{" => {
                at += 1;
                while !matches!(text(at), "}" | "") {
                    at = read_use(tokens, at, &path, found);
                    at += usize::from(text(at) == ",");
                }
                return at + 1;
            }
            "*" => {
                found.push((path, "*".to_owned()));
                return at + 1;
            }
            "as" => {
                let name = text(at + 1).to_owned();
                found.push((without_self(path), name));
                return at + 2;
            }
            word if tokens.get(at).is_some_and(Token::is_name) => {
                path.push(word.to_owned());
                at += 1;
            }
            _ => {
                let path = without_self(path);
                let name = path.last().cloned().unwrap_or_default();
                found.push((path, name));
                return at;
            }
        }
    }
}

/// `a::{self}` is `a`.
fn without_self(mut path: Names) -> Names {
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    path
}
