# Options of `services.roost`; names follow cluster.toml.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.roost;
  inherit (lib) mkOption mkEnableOption types;
  defaults = import ../lib/defaults.nix;
  option = type: default: description: mkOption { inherit type default description; };
  string = option types.str;
  bool = option types.bool;
  strings = option (types.listOf types.str);
  networks = option (types.either types.str (types.listOf types.str));
in
{
  options.services.roost = {
    enable = mkEnableOption "a Kubernetes node by Roost";

    package = mkOption {
      type = types.package;
      # That of the flake's overlay, if that is in use.
      default = pkgs.roost or (pkgs.callPackage ../package.nix { });
      defaultText = lib.literalExpression "pkgs.roost";
      description = "Package with the programs `bootstrap` and `kubelet`.";
    };

    buildPackage = mkOption {
      type = types.package;
      default = cfg.package;
      defaultText = lib.literalExpression "config.services.roost.package";
      description = "The package for the build machine, which checks static pods with it; differs when the system is built for another processor.";
    };

    role = mkOption {
      type = types.enum [ "control-plane" "worker" ];
      default = defaults.role;
      example = "worker";
      description = "Whether this node starts a control plane or joins one.";
    };

    mode = mkOption {
      type = types.enum [ "static-pods" "systemd" ];
      default = defaults.mode;
      description = "How the control plane runs: as static pods or as systemd services.";
    };

    cluster = {
      name = string defaults.cluster.name "Name of the cluster, as in kubeconfigs.";
      endpoint = mkOption {
        type = types.str;
        default = defaults.cluster.endpoint;
        example = "k8s.example.org:6443";
        description = "host:port where nodes reach the API; required for more than one control plane.";
      };
      extra_sans = strings defaults.cluster.extra_sans "Additional names and addresses (SANs) in the API server's certificate.";
      control_planes = option types.ints.positive defaults.cluster.control_planes "Number of control planes, odd.";
    };

    network = {
      pod_cidr = networks defaults.network.pod_cidr "Network of all pods, or one for each address family; each node gets a /24 (IPv6: a /64) of it.";
      service_cidr = networks defaults.network.service_cidr "Network of Services, or one for each address family.";
      dns_domain = string defaults.network.dns_domain "DNS domain of the cluster.";
      enabled = bool defaults.network.enabled "Whether the built-in pod network is used; false if you install another CNI.";
    };

    node = {
      name = string defaults.node.name "Name of the node; empty: the host name.";
      address = mkOption {
        type = types.str;
        default = defaults.node.address;
        example = "192.0.2.11";
        description = "Address of the node in the cluster; empty: the source address of the default route.";
      };
      labels = option (types.attrsOf types.str) defaults.node.labels "Labels of the node.";
      taints = strings defaults.node.taints "Taints of the node, as key=value:Effect.";
      taint_control_plane = bool defaults.node.taint_control_plane "Whether a control plane is tainted, which keeps ordinary pods off it; false on a single-node cluster.";
      host_programs = mkOption {
        type = types.listOf types.path;
        default = defaults.node.host_programs;
        example = [ "/nix/store" ];
        description = "Folders from which pods of the API may run programs as host:/… and nix:0/nix/store/…; static pods always may.";
      };
    };

    join = {
      endpoint = string defaults.join.endpoint "API server to join (host:port): for workers, and for every control plane but the first.";
      ca_hash = string defaults.join.ca_hash "Pin of the cluster's CA, as `bootstrap token create --print-join-command` prints it.";
      token_file = mkOption {
        type = types.str;
        default = defaults.join.token_file;
        example = "/var/lib/secrets/join-token";
        description = "File with the join token; it becomes a systemd credential and never enters the Nix store.";
      };
      token_encrypted = bool defaults.join.token_encrypted "Whether the file was encrypted by `systemd-creds encrypt` (TPM2 where there is one).";
    };

    components = {
      source = mkOption {
        type = types.enum [ "registry" "archive" "host" ];
        default = "host";
        description = "Where the components come from: images from a registry, images from archives, or programs from the Nix store.";
      };
      binaries = mkOption {
        type = types.attrsOf types.path;
        default = { };
        defaultText = lib.literalMD "with source `host`, those of `services.roost.packages`";
        example = lib.literalExpression ''{ etcd = "''${pkgs.etcd}/bin/etcd"; }'';
        description = "With source `host`: static programs by component name.";
      };
      archives = mkOption {
        type = types.listOf (types.either types.package types.path);
        default = defaults.components.archives;
        description = "With source `archive`: image archives, or folders of them.";
      };
    };

    staticPods = mkOption {
      type = types.attrsOf (types.attrsOf types.anything);
      default = { };
      example = lib.literalExpression ''
        { hello.spec.containers = [ { name = "hello"; image = "registry.k8s.io/pause:3.10.2"; } ]; }
      '';
      description = "Static pods of this node, checked as Pods when the system is built.";
    };

    versions = builtins.mapAttrs (
      name: default:
      mkOption {
        type = types.str;
        inherit default;
        description =
          if name == "kubelet" then
            "Empty: the kubelet has the version of its API server, as far as it supports it. A version is only checked for skew."
          else
            "Version of ${name}; with source `host` that of the package. Checked for skew.";
      }
    ) defaults.versions;

    snapshots = {
      enabled = bool defaults.snapshots.enabled "Whether snapshots of etcd are taken on a schedule.";
      schedule = string defaults.snapshots.schedule "When, as systemd.time(7).";
      keep = option types.ints.positive defaults.snapshots.keep "Number of snapshots that are kept.";
      drills = string defaults.snapshots.drills "Schedule of restore drills with the newest snapshot, as systemd.time(7), or never.";
    };
    renewal = {
      enabled = bool defaults.renewal.enabled "Whether certificates are renewed at two thirds of their lifetime.";
      schedule = string defaults.renewal.schedule "Schedule of the check, as systemd.time(7).";
    };
    security.hardening = bool defaults.security.hardening "Whether the control plane and the kubelets are hardened as the CIS benchmark requires.";
    openFirewall = bool defaults.open_firewall "Whether the ports other nodes need are opened.";
  };
}
