//! The processes of the units of static pods, on whose behalf lines are written to the journal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Process ids by the name in the pod's manifest. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct UnitProcesses(Arc<Mutex<HashMap<String, i32>>>);

/// A process that is connected; forgotten when it is dropped.
#[derive(Debug)]
pub struct Connected {
    processes: UnitProcesses,
    name: String,
    pid: i32,
}

impl UnitProcesses {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process of a pod's unit; `None` while none is connected.
    pub fn of(&self, name: &str) -> Option<i32> {
        self.lock().get(name).copied()
    }

    /// Remembers a process while it is connected.
    pub fn enter(&self, name: &str, pid: i32) -> Connected {
        self.lock().insert(name.to_owned(), pid);
        Connected { processes: self.clone(), name: name.to_owned(), pid }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut processes = self.processes.lock();
        // The next process of the unit may be connected already.
        if processes.get(&self.name) == Some(&self.pid) {
            processes.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_leaves_late_does_not_take_its_successor_with_it() {
        let processes = UnitProcesses::default();
        let first = processes.enter("etcd", 7);
        let second = processes.enter("etcd", 8);
        drop(first);
        assert_eq!(processes.of("etcd"), Some(8));
        drop(second);
        assert_eq!(processes.of("etcd"), None);
    }
}
