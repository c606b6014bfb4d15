# Options of `services.roost` without a name in cluster.toml, and the option that accepts all of its settings.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.roost;
  package = default: text: description:
    mkOption {
      type = types.package;
      inherit default description;
      defaultText = lib.literalExpression text;
    };
in
{
  options.services.roost = {
    settings = mkOption {
      type = types.submodule { freeformType = (pkgs.formats.toml { }).type; };
      default = { };
      example = lib.literalExpression ''
        {
          network.proxy = "iptables";
          kubelet.maxPods = 200;
          args.kube-apiserver.audit-log-maxage = "90";
        }
      '';
      description = "Any setting of cluster.toml; overrides the other options. Names and types are checked when the system is built.";
    };

    environmentFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/var/lib/secrets/roost.env";
      description = "File with settings as variables (`ROOST_NODE_ADDRESS=…`) for `roost-bootstrap.service`, outside the store.";
    };

    images = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = lib.literalExpression "[ (pkgs.dockerTools.buildImage { name = \"web\"; tag = \"1\"; }) ]";
      description = "Image archives in the store that are imported into containerd before the node starts, so that no registry is needed for them.";
    };

    manifests = mkOption {
      default = { };
      description = "Objects of the API that this control plane applies once it answers, and again when they change. Objects that are removed here stay in the cluster.";
      type = types.attrsOf (
        types.submodule {
          options = {
            enable = mkOption {
              type = types.bool;
              default = true;
              description = "Whether it is applied.";
            };
            content = mkOption {
              type = types.nullOr (types.either (types.attrsOf types.anything) (types.listOf (types.attrsOf types.anything)));
              default = null;
              description = "An object, or a list of objects.";
            };
            source = mkOption {
              type = types.nullOr types.path;
              default = null;
              description = "A file of objects, in YAML or JSON.";
            };
          };
        }
      );
      example = lib.literalExpression ''
        { team.content = { apiVersion = "v1"; kind = "Namespace"; metadata.name = "team"; }; }
      '';
    };

    gracefulNodeShutdown = {
      enable = lib.mkEnableOption "the orderly termination of pods before the machine shuts down";
      period = mkOption {
        type = types.ints.positive;
        default = 30;
        description = "Seconds for all pods.";
      };
      criticalPods = mkOption {
        type = types.ints.unsigned;
        default = 10;
        description = "Seconds of this period that are reserved for critical pods, at its end.";
      };
    };

    packages = {
      etcd = package pkgs.etcd "pkgs.etcd" "Package with etcd.";
      kubernetes = package pkgs.kubernetes "pkgs.kubernetes" "Package with the control plane and kube-proxy; its version is the cluster's.";
      kubectl = package (pkgs.kubectl or pkgs.kubernetes) "pkgs.kubectl" "Package with kubectl.";
      containerd = package pkgs.containerd "pkgs.containerd" "Package with ctr.";
      gzip = package pkgs.gzip "pkgs.gzip" "Package with gzip, for compressed archives of images.";
      coredns = package (pkgs.coredns.overrideAttrs (old: {
        # One static program: the container contains nothing else.
        env = (old.env or { }) // {
          CGO_ENABLED = 0;
        };
      })) "pkgs.coredns, static" "Package with a static CoreDNS.";
      pause = package (pkgs.callPackage ../pause.nix { inherit (cfg.packages) kubernetes; }) "pkgs.kubernetes' pause, static" "Package with a static pause program.";
    };
  };
}
