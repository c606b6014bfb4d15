//! Destination of log lines: the journal if standard error is connected to it, else text or JSON on standard error.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use super::journal::Journal;

/// Format of lines that do not go to the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    /// One JSON object per line (`--logging-format=json`).
    Json,
}

/// Settings of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Format of a line.
    pub format: Format,
    /// Upstream's `--v`: 0 to 3 log info, 4 and 5 debug, higher ones trace.
    pub verbosity: u8,
    /// A filter such as `info,roost::kubelet=debug`; overrides `verbosity`.
    pub filter: Option<String>,
}

/// The filter is invalid.
#[derive(Debug, thiserror::Error)]
#[error("log filter \"{filter}\"")]
pub struct FilterError {
    /// The filter as given.
    pub filter: String,
    /// What is wrong with it.
    pub source: tracing_subscriber::filter::ParseError,
}

/// Changes the filter at runtime.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Starts logging. A second call has no effect.
pub fn start(settings: &Settings) -> Result<(), FilterError> {
    let (targets, handle) = reload::Layer::new(parse_filter(settings)?);
    let _ = FILTER.set(handle);
    let registry = tracing_subscriber::registry().with(targets);
    // JSON was requested explicitly, so some program reads it from the journal's messages or elsewhere.
    if settings.format == Format::Text
        && stderr_is_journal()
        && let Ok(journal) = Journal::connect()
    {
        // Pod, container and others are searchable fields without a prefix: `journalctl POD=web`.
        let _ = registry.with(journal).try_init();
        return Ok(());
    }
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let _ = match settings.format {
        Format::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    Ok(())
}

/// Changes the verbosity at runtime (`PUT /debug/flags/v`); false if nothing is logged.
pub fn set_verbosity(verbosity: u8) -> bool {
    let Ok(targets) = parse_filter(&Settings { verbosity, ..Settings::default() }) else { return false };
    FILTER.get().is_some_and(|filter| filter.reload(targets).is_ok())
}

fn parse_filter(settings: &Settings) -> Result<Targets, FilterError> {
    if let Some(filter) = &settings.filter {
        return filter.parse().map_err(|source| FilterError { filter: filter.clone(), source });
    }
    let ours = match settings.verbosity {
        0..=3 => LevelFilter::INFO,
        4.. => LevelFilter::DEBUG,
    };
    // Log lines of libraries are only shown at high verbosity.
    let others = if settings.verbosity >= 8 { LevelFilter::DEBUG } else { LevelFilter::WARN };
    // Every failed request is logged by its caller, with its purpose.
    let client = if settings.verbosity >= 8 { LevelFilter::DEBUG } else { LevelFilter::OFF };
    let targets = Targets::new().with_default(others).with_target("kube_client::client::builder", client);
    Ok(targets.with_target("roost", ours).with_target("kubelet", ours))
}

/// systemd sets the journal's socket in `JOURNAL_STREAM`; a program whose stderr was redirected inherits the variable
/// but not the stream, so they have to be compared (sd-daemon(7)).
fn stderr_is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = rustix::fs::fstat(std::io::stderr()) else { return false };
    named == format!("{}:{}", stderr.st_dev, stderr.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_four_shows_our_debug_lines_and_only_warnings_of_libraries() {
        let targets = parse_filter(&Settings { verbosity: 4, ..Settings::default() }).unwrap();
        assert!(targets.would_enable("roost::kubelet", &tracing::Level::DEBUG));
        assert!(!targets.would_enable("roost::kubelet", &tracing::Level::TRACE));
        assert!(!targets.would_enable("hyper", &tracing::Level::INFO));
    }

    #[test]
    fn the_verbosity_of_a_program_that_logs_can_be_changed() {
        let (layer, handle) = reload::Layer::new(parse_filter(&Settings::default()).unwrap());
        FILTER.set(handle).expect("no other test starts to log");
        let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let shows = || tracing::enabled!(target: "roost", tracing::Level::DEBUG);
        assert!(!shows());
        assert!(set_verbosity(4) && shows());
        assert!(set_verbosity(0) && !shows());
    }

    #[test]
    fn a_wrong_filter_is_named_in_the_error() {
        let error = parse_filter(&Settings { filter: Some("roost=loud".into()), ..Settings::default() }).unwrap_err();
        assert_eq!(error.to_string(), "log filter \"roost=loud\"");
    }
}
