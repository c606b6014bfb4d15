//! The ports in memory, for tests of the drivers: they record calls and fail on request.

mod checks;
mod events;
mod exec;
mod images;
mod secrets;

pub use checks::FakeChecks;
pub use events::FakeEvents;
pub use exec::FakeExec;
pub use images::{FakeImages, FakeNodeCredentials, FakeRecords};
pub use secrets::FakeSecrets;
pub mod node;
