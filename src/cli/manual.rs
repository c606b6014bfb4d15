//! Shell completions and manual pages, generated from the command line itself.

#![expect(clippy::disallowed_methods, reason = "for a program that ends")]

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

/// Arguments of `bootstrap completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Arguments of `bootstrap man`.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// Folder for the pages; created if it does not exist
    pub folder: PathBuf,
}

/// The script by which a shell completes our commands.
pub fn completions(shell: Shell, mut command: Command) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "bootstrap", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes a page for each command, `bootstrap-etcd-drill.1` and so on.
pub fn write_pages(folder: &Path, command: Command) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::bootstrap::Cli;

    #[test]
    fn every_command_has_a_page_and_shells_know_it() {
        let folder = tempfile::tempdir().unwrap();
        write_pages(folder.path(), Cli::command()).unwrap();
        for page in ["bootstrap.1", "bootstrap-init.1", "bootstrap-etcd-drill.1"] {
            assert!(folder.path().join(page).is_file(), "{page}");
        }
        assert!(!folder.path().join("bootstrap-man.1").exists(), "a command for packagers");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(completions(shell, Cli::command()).contains("defragment"), "{shell}");
        }
    }

    /// Commands without subcommands, by their full name.
    fn leaves(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let name = format!("{name} {}", inner.get_name());
            if inner.has_subcommands() {
                leaves(inner, &name, found);
            } else {
                found.push((name, inner.clone()));
            }
        }
    }

    #[test]
    fn programs_can_read_what_every_command_tells() {
        let mut command = Cli::command();
        command.build();
        let mut found = Vec::new();
        leaves(&command, "bootstrap", &mut found);
        let mute = found.iter().filter(|(_, command)| !command.get_arguments().any(|arg| arg.get_id() == "output"));
        let mute: Vec<&str> = mute.map(|(name, _)| name.as_str()).collect();
        assert_eq!(mute, ["bootstrap agent", "bootstrap completions", "bootstrap man"]);
    }

    #[test]
    fn every_command_that_changes_something_can_only_say_so() {
        let mut command = Cli::command();
        command.build();
        let mut found = Vec::new();
        leaves(&command, "bootstrap", &mut found);
        let bold = found.iter().filter(|(_, command)| !command.get_arguments().any(|arg| arg.get_id() == "dry_run"));
        let bold: Vec<&str> = bold.map(|(name, _)| name.strip_prefix("bootstrap ").unwrap()).collect();
        // Commands that change nothing, and those for packagers and units.
        let others = [
            "status",
            "verify",
            "certs list",
            "certs rotate-ca status",
            "etcd members",
            "etcd health",
            "upgrade plan",
            "token list",
            "manifests check",
            "config print",
            "agent",
            "completions",
            "man",
        ];
        let surplus: Vec<&&str> = bold.iter().filter(|name| !others.contains(name)).collect();
        assert!(surplus.is_empty(), "{surplus:?}");
        assert_eq!(bold.len(), others.len(), "{bold:?}");
    }
}
