//! Phases `authorities` of `certs rotate-ca`: the files of each stage. Their readers are then updated as after any
//! change of settings.

use super::super::key_handover::Wanted;
use super::super::pki::{Authority, KeyPairFiles};
use super::super::rotation::{self, ObservedAuthority};
use super::super::step::{FileStep, PkiStep};
use super::super::{Facts, PhaseError, Step};
use crate::core::bootstrap::authorities::authorities;
use crate::core::model::spec::Spec;

fn pairs<'a>(spec: &Spec, facts: &'a Facts) -> Vec<(Authority, &'a ObservedAuthority)> {
    let seen = |wanted: &Authority| facts.rotation.authorities.iter().find(|seen| seen.cert == wanted.files.cert);
    authorities(spec).into_iter().filter_map(|wanted| seen(&wanted).map(|seen| (wanted, seen))).collect()
}

/// Stage `prepare`: creates the next CAs and appends them to the trusted ones; the old ones still sign.
pub fn plan_prepare(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let pki = &spec.node.paths.pki;
    let mut steps = Vec::new();
    if let Some(digest) = &facts.rotation.receive {
        let name = |path: &std::path::Path| path.strip_prefix(pki).unwrap_or(path).display().to_string();
        let next = |(wanted, _): (Authority, _)| {
            let files = rotation::next(&wanted.files);
            [name(&files.cert), name(&files.key)]
        };
        steps.push(Step::ReceiveKeys {
            kubeconfig: spec.node.paths.kubeconfig("admin.conf"),
            node: spec.node.name.clone(),
            folder: pki.clone(),
            needed: pairs(spec, facts).into_iter().flat_map(next).collect(),
            wanted: Wanted::Next(digest.clone()),
        });
    }
    for (wanted, seen) in pairs(spec, facts) {
        let KeyPairFiles { cert, .. } = &wanted.files;
        let (former, next) = (rotation::former(&wanted.files), rotation::next(&wanted.files));
        if facts.rotation.receive.is_none() {
            steps.push(Step::Pki(PkiStep::MakeAuthority(Authority { files: next.clone(), ..wanted.clone() })));
        }
        if seen.former.is_none() {
            steps.push(Step::File(FileStep::Join { path: former.clone(), parts: vec![cert.clone()], mode: 0o644 }));
        }
        steps.push(Step::File(FileStep::Join { path: cert.clone(), parts: vec![former, next.cert], mode: 0o644 }));
    }
    Ok(steps)
}

/// Stage `switch`: the next CAs sign. The key is written first, so that an interrupted command can be repeated.
pub fn plan_switch(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps = Vec::new();
    for (wanted, seen) in pairs(spec, facts) {
        let KeyPairFiles { cert, key } = wanted.files.clone();
        let (former, next) = (rotation::former(&wanted.files), rotation::next(&wanted.files));
        if seen.next_key {
            steps.push(Step::File(FileStep::Join { path: key, parts: vec![next.key.clone()], mode: 0o600 }));
        }
        steps.push(Step::File(FileStep::Join { path: cert, parts: vec![next.cert, former], mode: 0o644 }));
        steps.push(Step::File(FileStep::Remove { path: next.key }));
    }
    Ok(steps)
}

/// Stage `finish`: only the next CAs are trusted. Their `-former` and `-next` files stay until all components have
/// restarted.
pub fn plan_finish(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps = Vec::new();
    for (wanted, seen) in pairs(spec, facts) {
        if seen.next.is_some() {
            let next = rotation::next(&wanted.files).cert;
            steps.push(Step::File(FileStep::Join { path: wanted.files.cert.clone(), parts: vec![next], mode: 0o644 }));
            steps.push(Step::File(FileStep::Remove { path: rotation::former(&wanted.files) }));
        }
    }
    Ok(steps)
}

/// Removes the `-former` and `-next` files.
pub fn plan_clean(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let next = |wanted: Authority| Step::File(FileStep::Remove { path: rotation::next(&wanted.files).cert });
    Ok(authorities(spec).into_iter().map(next).collect())
}
