# Settings → files of the node: cluster.toml, containerd's configuration, the manifests.
{ toml }:
s:
let
  # What a user writes as `staticPods.<name> = { spec = …; }` is a whole Pod on disk.
  pod = name: given: {
    apiVersion = "v1";
    kind = "Pod";
  }
  // given
  // {
    metadata = {
      inherit name;
    }
    // (given.metadata or { });
  };
  nonEmpty =
    attrs:
    builtins.removeAttrs attrs (
      builtins.filter (n: attrs.${n} == "" || attrs.${n} == [ ] || attrs.${n} == { }) (builtins.attrNames attrs)
    );
in
{
  # /etc/roost/cluster.toml
  "roost/cluster.toml" = toml.render {
    mode = if s.role == "control-plane" then s.mode else null;
    cluster = nonEmpty {
      inherit (s.cluster) name endpoint;
      kubernetes_version = s.versions.kube_apiserver;
    };
    network = {
      inherit (s.network)
        pod_cidr
        service_cidr
        dns_domain
        enabled
        ;
    };
    node = nonEmpty {
      inherit (s.node)
        name
        address
        labels
        taints
        host_programs
        ;
    };
    components = nonEmpty {
      inherit (s.components) source;
      binaries = builtins.mapAttrs (_: toString) s.components.binaries;
    };
    security = { inherit (s.security) hardening; };
    certs = nonEmpty { sans = s.cluster.extra_sans; };
    # /etc is the module's: the units it declares there win over what bootstrap writes.
    paths = {
      units = "/run/systemd/system";
    };
  };
}
// builtins.listToAttrs (
  map (name: {
    name = "roost/static-pods/${name}.json";
    value = builtins.toJSON (pod name s.static_pods.${name});
  }) (builtins.attrNames s.static_pods)
)
