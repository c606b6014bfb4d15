//! In-memory ports, for tests of the drivers: they record calls and fail on request.
#![cfg_attr(
    not(test),
    expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test that fails here has failed")
)]

mod checks;
mod events;
mod exec;
mod images;
mod noop;
mod runtime;
mod secrets;

pub use checks::FakeChecks;
pub use events::FakeEvents;
pub use exec::FakeExec;
pub use images::{FakeImages, FakeNodeCredentials, FakeRecords};
pub use noop::{NoNetwork, Record};
pub use runtime::{FakePod, FakeRuntime};
pub use secrets::FakeSecrets;
pub mod members;
pub mod node;
pub mod pods;
