//! Collects what the CIS benchmark's controls check: flags of running components, files, the kubelet's configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ports::Ports;
use super::unit_text::with_drop_ins;
use super::upgrade::{self, observe_flags};
use crate::core::bootstrap::cis::{FileFacts, Files, Observed, flags_of};
use crate::core::bootstrap::units;
use crate::core::model::spec::{Component, Spec};
use crate::core::yaml;
use crate::ports::bootstrap::FileError;

/// The folder of units that the system declares, as NixOS does; `paths.units` then has only those of components.
const SYSTEM_UNITS: &str = "/etc/systemd/system";
/// Folders below the PKI folder that are searched at most; normally there are two.
const MOST_FOLDERS: usize = 64;

/// What the controls are judged by.
pub async fn observe_controls(ports: &Ports, spec: &Spec, control_plane: bool) -> Result<Observed, upgrade::Error> {
    let paths = &spec.node.paths;
    let kubelet = ports.files.read(&paths.kubelet_config())?;
    let kubelet = kubelet.and_then(|text| yaml::parse_document(text.as_bytes()).ok()).unwrap_or_default();
    let (unit_file, unit) = kubelet_unit(ports, &paths.units)?;
    let client_ca = kubelet.pointer("/authentication/x509/clientCAFile").and_then(|path| path.as_str());
    let client_ca = client_ca.map_or_else(|| paths.pki("ca.crt"), PathBuf::from);
    let mut observed = Observed {
        control_plane,
        declared_units: spec.node.declared_units,
        kubelet_flags: flags_of(&unit),
        kubelet,
        files: look_at(
            ports,
            vec![
                (Files::Kubeconfig("kubelet.conf"), vec![paths.kubeconfig("kubelet.conf")]),
                (Files::KubeletUnit, vec![unit_file]),
                (Files::KubeletConfig, vec![paths.kubelet_config()]),
                (Files::ClientCa, vec![client_ca]),
            ],
        )?,
        ..Observed::default()
    };
    if control_plane {
        observed.flags = observe_flags(ports, spec).await?;
        observed.files.extend(look_at(ports, of_control_plane(ports, spec)?)?);
    }
    Ok(observed)
}

/// The file of the kubelet's unit, and its text with all drop-ins: also those in `folder` if the system declares the unit.
fn kubelet_unit(ports: &Ports, folder: &Path) -> Result<(PathBuf, String), FileError> {
    let own = folder.join(units::KUBELET);
    let text = with_drop_ins(ports, folder, units::KUBELET)?;
    if ports.files.info(&own)?.is_some() {
        return Ok((own, text));
    }
    let of_system = Path::new(SYSTEM_UNITS);
    Ok((of_system.join(units::KUBELET), with_drop_ins(ports, of_system, units::KUBELET)? + &text))
}

/// The files of a control plane.
fn of_control_plane(ports: &Ports, spec: &Spec) -> Result<Vec<(Files, Vec<PathBuf>)>, FileError> {
    let paths = &spec.node.paths;
    let pki = tree(ports, &paths.pki)?;
    let ending = |ending: &str| {
        let ends = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == ending);
        pki.iter().filter(ends).cloned().collect::<Vec<_>>()
    };
    let mut all = vec![
        (Files::Cni, ports.files.list(&paths.cni_conf)?),
        (Files::Admins, ["admin.conf", "super-admin.conf"].map(|name| paths.kubeconfig(name)).into()),
        (Files::PkiCertificates, ending("crt")),
        (Files::PkiKeys, ending("key")),
        (Files::Pki, pki),
    ];
    if spec.cluster.external_etcd.is_none() {
        all.push((Files::EtcdData, vec![paths.etcd_data.clone()]));
    }
    for name in ["scheduler.conf", "controller-manager.conf"] {
        all.push((Files::Kubeconfig(name), vec![paths.kubeconfig(name)]));
    }
    for component in Component::REQUIRED {
        all.push((Files::Manifest(component), vec![paths.manifest(component)]));
    }
    Ok(all)
}

type Seen = BTreeMap<Files, Vec<(PathBuf, FileFacts)>>;

/// Those of the files that are there.
fn look_at(ports: &Ports, groups: Vec<(Files, Vec<PathBuf>)>) -> Result<Seen, FileError> {
    let mut seen = Seen::new();
    for (files, all) in groups {
        for path in all {
            let Some(info) = ports.files.info(&path)? else { continue };
            let facts = FileFacts { mode: info.mode, user: info.owner.user, group: info.owner.group };
            seen.entry(files).or_default().push((path, facts));
        }
    }
    Ok(seen)
}

/// A folder and all that is in it.
fn tree(ports: &Ports, root: &Path) -> Result<Vec<PathBuf>, FileError> {
    let (mut all, mut next) = (vec![root.to_owned()], vec![root.to_owned()]);
    for _ in 0..MOST_FOLDERS {
        let Some(folder) = next.pop() else { break };
        for path in ports.files.list(&folder)? {
            if ports.files.info(&path)?.is_some_and(|info| info.is_dir) {
                next.push(path.clone());
            }
            all.push(path);
        }
    }
    Ok(all)
}
