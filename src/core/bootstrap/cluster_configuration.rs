//! The settings of a cluster, as a joining node reads them from its ConfigMaps.

use std::str::FromStr;

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::core::model::spec::{ClusterSpec, Endpoint, ExternalEtcd};
use crate::core::yaml;

/// The ConfigMaps of kube-system that a joining node reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterConfigMaps {
    /// YAML of `kubeadm-config`, key `ClusterConfiguration`: kubeadm's cluster settings.
    pub kubeadm: String,
    /// YAML of `kubelet-config`, key `kubelet`: the KubeletConfiguration of all nodes.
    pub kubelet: String,
    /// `roost-config`, key `cluster`; `None` in a cluster that kubeadm created.
    pub roost: Option<String>,
}

/// Why the ConfigMaps cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The content of a ConfigMap is not YAML.
    #[error("configmap kube-system/{config_map} is malformed: {reason}")]
    Malformed {
        /// Name of the ConfigMap.
        config_map: &'static str,
        /// The message of the YAML parser.
        reason: String,
    },
    /// A field is missing or has a value that cannot be used.
    #[error("configmap kube-system/kubeadm-config: {field} \"{value}\" cannot be used")]
    Field {
        /// Path of the field, e.g. `networking.podSubnet`.
        field: &'static str,
        /// The value as read; empty if the field is missing.
        value: String,
    },
}

/// Applies what the cluster reports about itself to `cluster`; anything else stays as it is.
pub fn adopt(cluster: &mut ClusterSpec, maps: &ClusterConfigMaps) -> Result<(), Error> {
    let kubeadm = parse("kubeadm-config", &maps.kubeadm)?;
    let text = |pointer: &str| kubeadm.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(name) = text("/clusterName") {
        cluster.name = name.to_owned();
    }
    if let Some(version) = text("/kubernetesVersion") {
        cluster.set_version(version);
    }
    if let Some(domain) = text("/networking/dnsDomain") {
        cluster.dns_domain = domain.to_owned();
    }
    let roost = maps.roost.as_deref().map(|text| parse("roost-config", text)).transpose()?;
    let says = |pointer: &str| roost.as_ref().is_some_and(|roost| roost.pointer(pointer) == Some(&Value::Bool(true)));
    cluster.local_balancer = says("/api/balancer");
    // With a balancer on each node there is no shared address: the server that answered is as good as the first.
    if let Some(endpoint) = text("/controlPlaneEndpoint").filter(|_| !cluster.local_balancer) {
        cluster.endpoint = one::<Endpoint>("controlPlaneEndpoint", endpoint)?;
    }
    if let Some(subnets) = text("/networking/serviceSubnet") {
        cluster.service_subnets = several("networking.serviceSubnet", subnets)?;
    }
    cluster.pod_subnets = match text("/networking/podSubnet") {
        Some(subnets) => several("networking.podSubnet", subnets)?,
        None => Vec::new(),
    };
    if kubeadm.get("etcd").is_some() {
        cluster.external_etcd = external_etcd(&kubeadm, cluster.external_etcd.take())?;
    }
    let disabled = |pointer: &str| kubeadm.pointer(pointer) == Some(&Value::Bool(true));
    cluster.network.dns = !disabled("/dns/disabled");
    if disabled("/proxy/disabled") {
        cluster.network.proxy = None;
    }
    cluster.network.builtin = says("/network/builtin");
    // Clusters older than this setting do not have it.
    let hardening = roost.as_ref().and_then(|roost| roost.pointer("/security/hardening")).and_then(Value::as_bool);
    cluster.hardening = hardening.unwrap_or(cluster.hardening);
    cluster.kubelet = match parse("kubelet-config", &maps.kubelet)? {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    Ok(())
}

/// Fields of the KubeletConfiguration that a node's own settings set differently from its cluster. The cluster wins:
/// settings for a single node are in `[node.kubelet]`.
pub fn find_overruled(own: &Map<String, Value>, cluster: &Map<String, Value>) -> Vec<String> {
    own.iter().filter(|(name, value)| cluster.get(*name) != Some(*value)).map(|(name, _)| name.clone()).collect()
}

/// Networks and hosts of a cluster, from its `kubeadm-config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// Service subnets, at most one per IP family.
    pub service_subnets: Vec<IpNet>,
    /// Pod subnets, at most one per IP family; empty if the network add-on assigns its own.
    pub pod_subnets: Vec<IpNet>,
    /// DNS domain of Services, e.g. `cluster.local`.
    pub dns_domain: String,
    /// Hosts of the control-plane endpoint and of an external etcd.
    pub control_plane: Vec<String>,
}

/// Reads them from the `ClusterConfiguration`.
///
/// # Errors
/// It is malformed, or has no Service subnet.
pub fn parse_networks(kubeadm: &str) -> Result<Networks, Error> {
    let kubeadm = parse("kubeadm-config", kubeadm)?;
    let text = |pointer: &str| kubeadm.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let texts = |pointer: &str| {
        let values = kubeadm.pointer(pointer).and_then(Value::as_array);
        values.into_iter().flatten().filter_map(text_of).collect::<Vec<_>>()
    };
    let host = |url: &String| Some(one::<Endpoint>("endpoint", url.rsplit('/').next()?).ok()?.host);
    let endpoints = texts("/etcd/external/endpoints");
    let endpoint = Some(text("/controlPlaneEndpoint").to_owned()).filter(|endpoint| !endpoint.is_empty());
    let mut control_plane = texts("/apiServer/certSANs");
    control_plane.extend(endpoint.iter().chain(&endpoints).filter_map(host));
    let pods = Some(text("/networking/podSubnet")).filter(|subnets| !subnets.is_empty());
    Ok(Networks {
        service_subnets: several("networking.serviceSubnet", text("/networking/serviceSubnet"))?,
        pod_subnets: pods.map(|subnets| several("networking.podSubnet", subnets)).transpose()?.unwrap_or_default(),
        dns_domain: text("/networking/dnsDomain").to_owned(),
        control_plane,
    })
}

/// The external etcd. The node's own settings may name different paths for its files.
fn external_etcd(kubeadm: &Value, own: Option<ExternalEtcd>) -> Result<Option<ExternalEtcd>, Error> {
    let Some(external) = kubeadm.pointer("/etcd/external").filter(|external| !external.is_null()) else {
        return Ok(None);
    };
    let endpoints: Vec<String> = external["endpoints"].as_array().into_iter().flatten().filter_map(text_of).collect();
    if endpoints.is_empty() {
        return Err(Error::Field { field: "etcd.external.endpoints", value: external["endpoints"].to_string() });
    }
    let path = |field: &'static str, name: &str| match external[name].as_str().filter(|path| path.starts_with('/')) {
        Some(path) => Ok(path.into()),
        None => Err(Error::Field { field, value: external[name].to_string() }),
    };
    Ok(Some(match own {
        Some(own) => ExternalEtcd { endpoints, ..own },
        None => ExternalEtcd {
            endpoints,
            ca: path("etcd.external.caFile", "caFile")?,
            certificate: path("etcd.external.certFile", "certFile")?,
            key: path("etcd.external.keyFile", "keyFile")?,
        },
    }))
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn parse(config_map: &'static str, text: &str) -> Result<Value, Error> {
    yaml::parse_document(text.as_bytes()).map_err(|error| Error::Malformed { config_map, reason: error.to_string() })
}

fn one<T: FromStr>(field: &'static str, value: &str) -> Result<T, Error> {
    value.parse().map_err(|_| Error::Field { field, value: value.to_owned() })
}

fn several<T: FromStr>(field: &'static str, value: &str) -> Result<Vec<T>, Error> {
    value.split(',').map(|part| one(field, part.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cluster::{HostDefaults, Layers, derive_spec};
    use crate::core::bootstrap::phases::kubelet_start;
    use crate::core::bootstrap::step::{Content, FileStep};
    use crate::core::bootstrap::{Facts, Step};

    #[test]
    fn a_cluster_of_another_version_has_other_images() {
        let host = HostDefaults { name: "n2".into(), address: Some([10, 0, 0, 2].into()), program: "/b".into() };
        let mut layers = Layers::defaults();
        assert_eq!(layers.add_flag("components.images", "kube-scheduler=example.org/own:1"), []);
        let mut cluster = derive_spec(&layers, &host).unwrap().cluster;
        let kubeadm = "kubernetesVersion: v1.35.4\nnetworking: {dnsDomain: cluster.local}\n".to_owned();
        let maps = ClusterConfigMaps { kubeadm, kubelet: "{}".to_owned(), roost: None };
        adopt(&mut cluster, &maps).unwrap();
        assert_eq!(cluster.version, "v1.35.4");
        assert_eq!(cluster.image("kube-apiserver"), "registry.k8s.io/kube-apiserver:v1.35.4");
        assert_eq!(cluster.image("kube-scheduler"), "example.org/own:1", "the user's own stays");
        for (component, image) in [("coredns", "coredns/coredns:v1.13.1"), ("etcd", "etcd:3.6.6-0")] {
            assert_eq!(cluster.image(component), format!("registry.k8s.io/{image}"), "it belongs to the version");
        }
    }

    #[test]
    fn the_clusters_kubelet_fields_count_and_a_nodes_own_are_laid_over_them() {
        let host = HostDefaults { name: "n2".into(), address: Some([10, 0, 0, 2].into()), program: "/b".into() };
        let mut layers = Layers::defaults();
        assert_eq!(layers.add_flag("kubelet", "maxPods = 42\nfailSwapOn = true\nserializeImagePulls = true"), []);
        assert_eq!(
            layers.add_flag("node.kubelet", "podsPerCore = 7\nevictionHard = { \"memory.available\" = \"1Gi\" }"),
            []
        );
        let mut spec = derive_spec(&layers, &host).unwrap();
        let own = spec.cluster.kubelet.clone();
        let kubelet = "maxPods: 110\nfailSwapOn: true\nevictionHard: {nodefs.available: 5%}\n".to_owned();
        adopt(&mut spec.cluster, &ClusterConfigMaps { kubeadm: "{}".to_owned(), kubelet, roost: None }).unwrap();
        assert_eq!(find_overruled(&own, &spec.cluster.kubelet), ["maxPods", "serializeImagePulls"]);
        let steps = kubelet_start::plan_worker(&spec, &Facts::at(jiff::Timestamp::UNIX_EPOCH)).unwrap();
        let text = steps.iter().find_map(|step| match step {
            Step::File(FileStep::Write { path, content: Content::Text(text), .. }) if path.ends_with("config.yaml") => {
                Some(text)
            }
            _ => None,
        });
        let written = yaml::parse_document(text.unwrap().as_bytes()).unwrap();
        assert_eq!((&written["maxPods"], &written["podsPerCore"]), (&110.into(), &7.into()));
        let thresholds = serde_json::json!({"memory.available": "1Gi", "nodefs.available": "5%"});
        assert_eq!(written["evictionHard"], thresholds);
    }
}
