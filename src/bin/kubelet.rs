//! The kubelet: reads its settings, starts logging, runs until a signal stops it.

// As in the library, except that blocking is allowed before anything runs.
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

use roost::cli::kubelet::{Request, Verb, parse, version_line};
use roost::core::static_units::SOCKET;
use roost::kubelet::units::keep;
use roost::kubelet::wiring::{End, claim, last_claim};
use roost::telemetry::logging::{self, Format};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code for invalid settings (sysexits.h, EX_CONFIG).
const CONFIGURATION: u8 = 78;
/// How long an idle thread for blocking calls waits for the next one.
const SPARE_THREAD: Duration = Duration::from_secs(11);

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the program's own front")]
fn main() -> ExitCode {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let flags = match parse(std::env::args_os(), hostname.trim()) {
        Request::Run(flags) => flags,
        Request::StaticPod(verb, name) => return act_for_unit(verb, &name),
        Request::Version(root) => {
            print!("{}", version_line(last_claim(root.as_deref())));
            return ExitCode::SUCCESS;
        }
        Request::Print(text) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Request::Refuse(text, code) => {
            eprint!("{text}");
            return ExitCode::from(code);
        }
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: the kubelet is nearly always idle, and each further thread costs memory. Threads for blocking calls
    // (`src/offload.rs`) exit soon after use: tokio wakes them round-robin, so with a long timeout one call every few
    // seconds would keep all threads of a burst.
    let runtime =
        match tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(SPARE_THREAD).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("start the async runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
    let draft = roost::config::kubelet::read(&flags);
    let claim = match runtime.block_on(claim(&flags, draft.configured())) {
        Ok(claim) => claim,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(CONFIGURATION);
        }
    };
    let spec = match draft.finish(claim.release) {
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
    for warning in spec.warnings.iter().chain(&claim.warning) {
        tracing::warn!("{warning}");
    }
    let end = runtime.block_on(run(spec));
    // Do not wait: a call on a hanging file system never returns.
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
