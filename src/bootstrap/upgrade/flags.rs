//! The flags that the components of this node run with.

use std::collections::BTreeMap;

use super::error::Error;
use super::form::Form;
use super::pods::newest_container;
use crate::bootstrap::observe::observe_facts;
use crate::bootstrap::pods::PodsError;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::unit_text::with_drop_ins;
use crate::core::bootstrap::cis::{flags_among, flags_of};
use crate::core::bootstrap::services;
use crate::core::model::ContainerId;
use crate::core::model::spec::{Component, Spec};

/// The flags of each component on this node: from the runtime if it runs, else from its file.
pub async fn observe_flags(ports: &Ports, spec: &Spec) -> Result<BTreeMap<Component, BTreeMap<String, String>>, Error> {
    let form = Form::of(&observe_facts(ports, spec, false).await?)?;
    let mut all = BTreeMap::new();
    for component in spec.cluster.own_components() {
        let Some(text) = ports.files.read(&form.path(spec, component))? else { continue };
        let flags = match form {
            Form::Services => flags_of(&with_drop_ins(ports, &spec.node.paths.units, &services::unit(component))?),
            Form::Pods => match words(ports, spec, form, component, &text).await? {
                Some(words) => flags_among(words.iter().map(String::as_str)),
                None => flags_of(&text),
            },
        };
        all.insert(component, flags);
    }
    Ok(all)
}

/// What the newest container of a static pod was started with.
async fn words(
    ports: &Ports,
    spec: &Spec,
    form: Form,
    component: Component,
    text: &str,
) -> Result<Option<Vec<String>>, Error> {
    let health = form.observe_health(ports, spec, component, text).await?;
    match newest_container(ports, &health.uid).await? {
        Some(runs) => Ok(ports.runtime.container_arguments(&ContainerId::from(runs.id)).await.map_err(PodsError)?),
        None => Ok(None),
    }
}
