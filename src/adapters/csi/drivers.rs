//! The drivers that are registered on this node.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::driver::Driver;

/// Drivers by name. Clones share the map.
#[derive(Clone, Debug, Default)]
pub struct Drivers(Arc<RwLock<BTreeMap<String, Driver>>>);

impl Drivers {
    /// The driver of this name, if it is registered.
    pub(super) fn get(&self, name: &str) -> Option<Driver> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Names of the registered drivers.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(super) fn insert(&self, name: &str, driver: Driver) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), driver);
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}
