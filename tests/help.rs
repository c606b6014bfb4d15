//! The `--help` pages of both programs as snapshots, so that a review sees each change.

use clap::{Command, CommandFactory};
use roost::cli::bootstrap::Cli;

/// The page of a command and, below it, the pages of its subcommands.
fn pages(command: &mut Command, name: &str, text: &mut String) {
    let page = command.clone().bin_name(name).term_width(100).render_long_help();
    let page: Vec<String> = page.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    text.push_str(&format!("$ {name} --help\n{}\n\n\n", page.join("\n")));
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
        let name = format!("{name} {}", inner.get_name());
        pages(inner, &name, text);
    }
}

fn all_pages(mut command: Command, name: &str) -> String {
    let mut text = String::new();
    command.build();
    pages(&mut command, name, &mut text);
    text
}

#[test]
fn the_pages_of_bootstrap_are_these() {
    insta::assert_snapshot!(all_pages(Cli::command(), "bootstrap"));
}

#[test]
fn the_page_of_the_kubelet_is_this() {
    insta::assert_snapshot!(all_pages(roost::cli::kubelet::command(), "kubelet"));
}
