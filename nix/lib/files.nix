# Settings → files of the node: cluster.toml and the manifests.
{ toml, merge }:
s:
let
  # A user's `staticPods.<name> = { spec = …; }` becomes a complete Pod on disk.
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
  controlPlane = s.role == "control-plane";
  only = condition: value: if condition then value else "";
in
{
  # /etc/roost/cluster.toml
  "roost/cluster.toml" = toml.render (
    merge {
      mode = if controlPlane then s.mode else null;
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
        # The module declares them.
        units = "declared";
      }
      // (if s.node.taint_control_plane then { } else { taint_control_plane = false; });
      components = nonEmpty {
        inherit (s.components) source;
        binaries = only (s.components.source == "host") (builtins.mapAttrs (_: toString) s.components.binaries);
        archives = only (s.components.source == "archive") (map toString s.components.archives);
      };
      security = { inherit (s.security) hardening; };
      certs = nonEmpty { sans = s.cluster.extra_sans; } // (if s.renewal.enabled then { } else { renewal = false; });
      etcd =
        if !controlPlane then
          { }
        else if s.snapshots.enabled then
          {
            snapshots = s.snapshots.schedule;
            snapshots_kept = s.snapshots.keep;
            inherit (s.snapshots) drills;
          }
        else
          { snapshots = "never"; };
      # Services of components contain values that only the node knows: bootstrap writes them where NixOS reads
      # additional units.
      paths.units = "/etc/systemd-mutable/system";
      # By its store path in this generation, independent of the caller.
      programs = {
        kubelet = "${s.package}/bin/kubelet";
        bootstrap = "${s.package}/bin/bootstrap";
      };
    } s.settings
  );
}
// builtins.listToAttrs (
  map (name: {
    name = "roost/static-pods/${name}.json";
    value = builtins.toJSON (pod name s.static_pods.${name});
  }) (builtins.attrNames s.static_pods)
)
