//! The argument of all commands that check the machine first.

use clap::Args;

use crate::core::bootstrap::preflight::Ignored;

/// Which preflight checks may fail.
#[derive(Args, Clone, Debug, Default)]
pub struct PreflightArgs {
    /// Continue although this preflight check of the machine failed; `all` for every check. Repeat it, or separate names by commas
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub ignore_preflight: Vec<Ignored>,
}
