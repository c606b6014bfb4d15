//! `bootstrap status`.

use roost::bootstrap::status::observe;
use roost::cli::args::OutputFormat;
use roost::cli::bootstrap::StatusArgs;
use roost::cli::output::print_line;
use roost::core::bootstrap::node_status::render_text;
use serde_json::json;

use crate::failure::Failure;
use crate::{settings, world};
use roost::core::model::json::put;

/// Shows the state of this node; a problem is a failure, so that a monitor needs only the exit code.
pub async fn status(args: &StatusArgs) -> Result<(), Failure> {
    let spec = settings::spec(&args.settings)?;
    let ports = world::ports(&spec).await?;
    let status = observe(&ports, &spec).await?;
    let now = (ports.now)();
    let problems = status.problems(now);
    match args.output {
        OutputFormat::Json => {
            let mut document = json!(status);
            put(&mut document, &["problems"], json!(problems));
            print_line(&format!("{document:#}"));
        }
        OutputFormat::Text => print_line(&render_text(&status, now)),
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err("one problem".to_owned().into()),
        many => Err(format!("{many} problems").into()),
    }
}
