//! Ports of both programs.

mod api_error;
mod checks;
mod images;
mod pki;
mod runtime;
mod timer;
mod unit_error;

pub use api_error::ApiError;
pub use checks::{CheckError, Checks};
pub use images::ImageService;
pub use pki::{KeyPairPem, Pki, PkiError};
pub use runtime::{RuntimeError, RuntimeQueries, RuntimeTeardown};
pub use unit_error::UnitError;
