# Other ways to run Kubernetes on the same machine, and features of NixOS that are incompatible with a node, one
# sentence each.
{ config, lib, ... }:
let
  cfg = config.services.roost;
  has = path: lib.attrByPath path false config;
  other = path: name: {
    assertion = !(has path);
    message = "${lib.concatStringsSep "." path} is on: ${name} and services.roost both want the kubelet's ports and folders; turn one of them off";
  };
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      (other [ "services" "kubernetes" "kubelet" "enable" ] "services.kubernetes")
      (other [ "services" "kubernetes" "apiserver" "enable" ] "services.kubernetes")
      (other [ "services" "k3s" "enable" ] "services.k3s")
      (other [ "services" "rke2" "enable" ] "services.rke2")
      {
        assertion = lib.attrByPath [ "system" "etc" "overlay" "mutable" ] true config || !(has [ "system" "etc" "overlay" "enable" ]);
        message = "system.etc.overlay.mutable is false: services.roost keeps certificates and manifests in /etc/kubernetes, which has to be writable; set it to true";
      }
      {
        assertion = cfg.mode == "static-pods" || cfg.role == "worker" || lib.all (name: config.users.users ? "roost-${name}") (import ./handover.nix config).services;
        message = "services.roost.mode is \"systemd\", and users.users lacks a user of its services";
      }
      {
        assertion = cfg.gracefulNodeShutdown.enable -> cfg.gracefulNodeShutdown.criticalPods <= cfg.gracefulNodeShutdown.period;
        message = "services.roost.gracefulNodeShutdown.criticalPods (${toString cfg.gracefulNodeShutdown.criticalPods} s) is a part of period (${toString cfg.gracefulNodeShutdown.period} s) and cannot be longer";
      }
    ];
  };
}
