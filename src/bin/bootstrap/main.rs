//! `bootstrap`: parses arguments, connects the adapters, maps errors to exit codes.

// As in the library, except that a command may block while it exits.
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

mod apply;
mod certs;
mod convert;
mod etcd;
mod failure;
mod init;
mod join;
mod manifests;
mod preflight;
mod reset;
mod rotation;
mod settings;
mod status;
mod tokens;
mod upgrade;
mod world;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use roost::cli::bootstrap::{CertsCommand, Cli, Command, ConfigCommand};
use roost::cli::manual::{completions, write_pages};
use roost::cli::output::{asks_for_json, complain, complain_of, print_error, print_line, print_result};
use roost::telemetry::logging;

use crate::failure::{FAILED, Failure, USAGE};

fn main() -> ExitCode {
    let json = asks_for_json(std::env::args());
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            if json && code != 0 {
                print_error(&error, code);
            }
            return ExitCode::from(code);
        }
    };
    let filter = match (cli.verbose, &cli.command) {
        // Waiting for an API server is not an error.
        (0, Command::Agent(_)) => "info,kube_client=off,kube_runtime=off",
        (0, _) => "warn,kube_client=off",
        (1, _) => "warn,kube_client=off,roost=debug",
        (_, _) => "debug",
    };
    let settings = logging::Settings { filter: Some(filter.to_owned()), ..logging::Settings::default() };
    if let Err(error) = logging::start(&settings) {
        complain_of(&error);
        if json {
            print_error(&error, USAGE);
        }
        return ExitCode::from(USAGE);
    }
    // The only crypto provider in the program; a second installation could not conflict.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain_of(&error);
            if json {
                print_error(&error, FAILED);
            }
            return ExitCode::from(FAILED);
        }
    };
    let end = runtime.block_on(carry_out(cli.command));
    // Do not wait: a call on a hanging file system never returns.
    runtime.shutdown_background();
    let Err(failure) = end else { return ExitCode::SUCCESS };
    let code = failure.code();
    match &failure {
        Failure::Usage(text) | Failure::Reported(text, _) => complain(&format!("error: {text}")),
        Failure::Configuration(text) => complain(text),
        Failure::Failed(error) => complain_of(error.as_ref()),
    }
    // Standard output of a command that was asked for JSON always is one document.
    if json && !matches!(failure, Failure::Reported(..)) {
        print_error(failure.into_error().as_ref(), code);
    }
    ExitCode::from(code)
}

async fn carry_out(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::init(args).await,
        Command::Join(args) => join::join(args).await,
        Command::Apply(args) => apply::apply(&args).await,
        Command::Verify(args) => apply::verify(&args).await,
        Command::Status(args) => status::status(&args).await,
        Command::Reset(args) => reset::reset(args).await,
        Command::Convert(args) => convert::convert(args).await,
        Command::Token(args) => tokens::token(args).await,
        Command::Certs(CertsCommand::List(args)) => certs::list(&args),
        Command::Certs(CertsCommand::Renew(args)) => certs::renew(&args).await,
        Command::Certs(CertsCommand::RotateCa(command)) => rotation::rotate_ca(&command).await,
        Command::Etcd(command) => etcd::etcd(command).await,
        Command::Upgrade(command) => upgrade::upgrade(command).await,
        Command::Manifests(command) => manifests::manifests(command).await,
        Command::Config(ConfigCommand::Print(args)) => {
            let layers = settings::read(&args.settings)?;
            print_result(args.output, &layers.document(), &layers.print());
            Ok(())
        }
        Command::Completions(args) => {
            print_line(&completions(args.shell, Cli::command()));
            Ok(())
        }
        Command::Man(args) => Ok(write_pages(&args.folder, Cli::command())?),
        Command::Agent(args) => world::agent(args).await,
    }
}
