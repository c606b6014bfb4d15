//! Preview of a switch to another manifest set.

use std::collections::BTreeSet;
use std::path::Path;

use super::manifest_sets::{ManifestSet, SetError, SetPorts, read_set};
use crate::core::manifest::switch::{Change, check_set, plan_switch};

impl ManifestSet {
    /// The changes of a switch to the set in `source`, or without it to the previous set; changes nothing.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn foresee(&self, ports: &SetPorts<'_>, source: Option<&Path>) -> Result<Vec<Change>, SetError> {
        let next = match source {
            Some(source) => self.named(ports, source)?,
            None => self.previous(ports)?,
        };
        let good = read_set(ports.files, &self.kept.join("good"))?;
        let cut_short = self.read_switching(ports)?;
        let names: BTreeSet<String> = good.keys().cloned().chain(cut_short.into_iter().flatten()).collect();
        check_set(&next, &self.others(ports, &names)?, &self.folder, &self.node_name)
            .map_err(|faults| SetError::Refused { set: self.name.clone(), faults })?;
        Ok(plan_switch(&self.there(ports, &names)?, &next))
    }
}
