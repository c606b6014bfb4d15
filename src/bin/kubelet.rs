//! The kubelet: reads its settings, starts logging, runs until it gets a signal to stop.

// As in the library; nothing runs yet that could be blocked.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::expect_used,
        clippy::get_unwrap,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unchecked_time_subtraction,
        clippy::unimplemented,
        clippy::unreachable
    )
)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use roost::cli::kubelet::{Request, Verb, parse};
use roost::core::static_units::SOCKET;
use roost::kubelet::units::keep;
use roost::kubelet::wiring::End;
use roost::telemetry::logging::{self, Format};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Settings that cannot be met (sysexits' EX_CONFIG).
const CONFIGURATION: u8 = 78;
/// How long a thread for calls that may hang waits for the next one.
const SPARE_THREAD: Duration = Duration::from_secs(11);

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the program's own front")]
fn main() -> ExitCode {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let flags = match parse(std::env::args_os(), hostname.trim()) {
        Request::Run(flags) => flags,
        Request::StaticPod(verb, name) => return act_for_unit(verb, &name),
        Request::Print(text) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Request::Refuse(text, code) => {
            eprint!("{text}");
            return ExitCode::from(code);
        }
    };
    let spec = match roost::config::kubelet::load(&flags) {
        Ok(spec) => spec,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(CONFIGURATION);
        }
    };
    let format = if spec.json_log { Format::Json } else { Format::Text };
    let settings = logging::Settings { format, verbosity: spec.verbosity, ..logging::Settings::default() };
    if let Err(error) = logging::start(&settings) {
        eprintln!("{error}");
        return ExitCode::from(CONFIGURATION);
    }
    for warning in &spec.warnings {
        tracing::warn!("{warning}");
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: the kubelet waits nearly always, and each further thread costs memory.
    // Those for calls that may hang (`src/offload.rs`) are soon given back: tokio wakes them in turn, so that a call each
    // few seconds would keep all of a burst.
    let runtime =
        match tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(SPARE_THREAD).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("start the async runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
    let end = runtime.block_on(run(spec));
    // Not waited for: a call on a dead file system never returns.
    runtime.shutdown_background();
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The process of a unit `static-pod@NAME.service`.
#[expect(clippy::print_stderr, reason = "the program's own front")]
fn act_for_unit(verb: Verb, name: &str) -> ExitCode {
    let socket = Path::new(SOCKET);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let end = runtime.block_on(async {
        match verb {
            Verb::Keep => keep::keep(socket, name).await,
            Verb::Reload => keep::reload(socket, name).await,
        }
    });
    match end {
        Ok(end) => {
            if !end.text.is_empty() {
                eprintln!("{}", end.text);
            }
            ExitCode::from(end.code)
        }
        Err(error) => {
            eprintln!("static pod {name}: the kubelet's socket {SOCKET}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(spec: roost::core::model::KubeletSpec) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (on_signal, asked) = (stop.clone(), CancellationToken::new());
    let told = asked.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
        on_signal.cancel();
    });
    let end = roost::kubelet::wiring::run(spec, stop).await?;
    anyhow::ensure!(
        asked.is_cancelled() || end == End::LockWanted,
        "a task that the kubelet needs has exited; the kubelet exits to be restarted"
    );
    Ok(())
}
