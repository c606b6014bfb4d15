//! Traits through which the drivers reach the world. Each states its contract; real ones live in `adapters`,
//! in-memory ones beside them in `adapters::fake`.

mod cgroups;
mod events;
mod images;
mod objects;
mod pods;
mod runtime;
mod volumes;

pub use cgroups::{CgroupError, Cgroups, PodCgroup};
pub use events::{EventKind, EventTarget, Events};
pub use images::ImageService;
pub use objects::{ObjectChange, ObjectError, Objects, TokenRequest};
pub use pods::{ContainerView, PodView, Pods};
pub use runtime::{CgroupDriver, Runtime, RuntimeError, RuntimeEvent, StreamStdio};
pub use volumes::{MountedVolume, VolumeError, Volumes};
