//! The only writer to stdout and stderr: plans, progress, results.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::args::OutputFormat;
use crate::core::model::StepOutcome;
use crate::ports::bootstrap::Progress;

/// A phase without changes is shown if it took at least this long, because it was waiting.
const NOTEWORTHY: Duration = Duration::from_millis(500);

/// Prints the progress of a run of phases in the chosen format.
pub struct Console {
    format: OutputFormat,
    dry_run: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bar: Option<ProgressBar>,
    summary: String,
    /// Finished and running phases, for JSON output.
    phases: Vec<Value>,
}

impl Console {
    /// A console for one run.
    pub fn new(format: OutputFormat, dry_run: bool) -> Self {
        Self { format, dry_run, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints the result of the run; as JSON, together with the whole run.
    pub fn finish(&self, changed: usize, result: &Value, text: &str) {
        match self.format {
            OutputFormat::Json => {
                let phases = std::mem::take(&mut self.state().phases);
                let mut document = json!({ "dryRun": self.dry_run, "changed": changed, "phases": phases });
                if let (Some(document), Some(result)) = (document.as_object_mut(), result.as_object()) {
                    document.extend(result.clone());
                }
                print_line(&format!("{document:#}"));
            }
            OutputFormat::Text => print_line(text),
        }
    }
}

/// Prints a result: the document as JSON, or the text.
pub fn print_result(format: OutputFormat, document: &Value, text: &str) {
    match format {
        OutputFormat::Json => print_line(&format!("{document:#}")),
        OutputFormat::Text if text.is_empty() => {}
        OutputFormat::Text => print_line(text),
    }
}

/// Prints a text to standard output.
pub fn print_line(text: &str) {
    // A reader that disconnected is not an error.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// Clears the terminal before a text that replaces the last one; nothing if standard output is no terminal.
pub fn clear_terminal() {
    let mut out = std::io::stdout();
    if out.is_terminal() {
        // Move to the top and erase to the end, as watch(1) does.
        let _ = out.write_all(b"\x1b[H\x1b[2J");
    }
}

/// Asks on the terminal; `None` if there is no terminal.
pub fn ask(question: &str) -> Option<bool> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let mut out = std::io::stderr();
    let _ = write!(out, "{question} [y/N] ").and_then(|()| out.flush());
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Prints a text to standard error.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}

/// Prints an error with all its causes, one per line.
pub fn complain_of(error: &(dyn std::error::Error + 'static)) {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!("\n  because: {next}"));
        cause = next.source();
    }
    complain(&text);
}

/// True if a command line asks for JSON, also one that is invalid otherwise.
pub fn asks_for_json(words: impl Iterator<Item = String>) -> bool {
    let mut value_follows = false;
    for word in words.skip(1) {
        match word.as_str() {
            "--" => return false,
            "json" if value_follows => return true,
            "--output=json" | "-ojson" | "-o=json" => return true,
            word => value_follows = matches!(word, "--output" | "-o"),
        }
    }
    false
}

/// Prints an error with all its causes as a JSON document to standard output.
pub fn print_error(error: &(dyn std::error::Error + 'static), exit_code: u8) {
    print_line(&format!("{:#}", error_document(error, exit_code)));
}

fn error_document(error: &(dyn std::error::Error + 'static), exit_code: u8) -> Value {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        causes.push(next.to_string());
        cause = next.source();
    }
    let message = error.to_string();
    let message = message.trim_end();
    // clap's messages bring the word along.
    let message = message.strip_prefix("error: ").unwrap_or(message);
    json!({ "error": { "message": message, "causes": causes }, "exitCode": exit_code })
}

impl Console {
    /// Prints the dry run of a single command, in the format of a run of phases.
    pub fn foretell(&self, id: &str, summary: &str, lines: &[String]) {
        self.phase_begins(id, summary, (1, 1));
        lines.iter().for_each(|line| self.step_ends(id, line, StepOutcome::Planned));
        self.phase_ends(id, lines.len(), Duration::ZERO);
    }
}

impl Progress for Console {
    fn phase_begins(&self, id: &str, summary: &str, place: (usize, usize)) {
        let mut state = self.state();
        state.summary = format!("[{}/{}] {summary}", place.0, place.1);
        state.phases.push(json!({ "id": id, "summary": summary, "steps": [] }));
        if self.format == OutputFormat::Text && !self.dry_run && std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner().with_message(state.summary.clone());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            state.bar = Some(bar);
        }
    }

    fn step_begins(&self, step: &str) {
        let state = self.state();
        if let Some(bar) = &state.bar {
            bar.set_message(format!("{}: {step}", state.summary));
        }
        tracing::debug!(step, "step started");
    }

    fn step_says(&self, word: &str) {
        match &self.state().bar {
            Some(bar) => bar.println(word),
            None => complain(word),
        }
    }

    fn step_ends(&self, _phase: &str, step: &str, outcome: StepOutcome) {
        let mut state = self.state();
        if let Some(steps) = state.phases.last_mut().and_then(|phase| phase["steps"].as_array_mut()) {
            steps.push(json!({ "step": step, "outcome": outcome.as_str() }));
        }
        let show = self.dry_run && outcome == StepOutcome::Planned;
        if show && self.format == OutputFormat::Text {
            print_line(&format!("  {step}"));
        }
        tracing::debug!(step, outcome = outcome.as_str(), "step finished");
    }

    fn phase_ends(&self, _id: &str, changed: usize, took: Duration) {
        let mut state = self.state();
        if let Some(phase) = state.phases.last_mut() {
            phase["seconds"] = json!((took.as_secs_f64() * 1000.0).round() / 1000.0);
        }
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
        if self.format == OutputFormat::Text {
            let what = match changed {
                0 if !self.dry_run && took >= NOTEWORTHY => "waited".to_owned(),
                0 => "nothing to do".to_owned(),
                1 => "1 step".to_owned(),
                many => format!("{many} steps"),
            };
            if self.dry_run {
                print_line(&format!("{}: {what}", state.summary));
            } else {
                complain(&format!("{} ({what}, {:.1} s)", state.summary, took.as_secs_f64()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_that_asks_for_json_gets_its_errors_as_json() {
        let asks = |line: &str| asks_for_json(line.split(' ').map(str::to_owned));
        for line in
            ["bootstrap status --output json", "bootstrap status -o json x", "bootstrap x -ojson", "b --output=json"]
        {
            assert!(asks(line), "{line}");
        }
        for line in ["bootstrap status", "bootstrap status json", "bootstrap status -o text json", "b x -- -o json"] {
            assert!(!asks(line), "{line}");
        }
        let cause = std::io::Error::other("no route");
        let error = crate::ports::bootstrap::FileError { verb: "read", path: "/x".into(), source: cause };
        let expected = json!({ "error": { "message": "read /x", "causes": ["no route"] }, "exitCode": 1 });
        assert_eq!(error_document(&error, 1), expected);
    }
}
