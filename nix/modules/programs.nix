# With source "host" the programs and their versions come from nixpkgs.
{ config, lib, ... }:
let
  cfg = config.services.roost;
  inherit (cfg) packages;
  program = lib.mkDefault;
  version = lib.mkDefault "v${packages.kubernetes.version}";
in
{
  config = lib.mkIf cfg.enable {
    services.roost.components.binaries = lib.mkIf (cfg.components.source == "host") {
        pause = program "${packages.pause}/bin/pause";
        kube-proxy = program "${packages.kubernetes}/bin/kube-proxy";
        coredns = program "${packages.coredns}/bin/coredns";
        etcd = program "${packages.etcd}/bin/etcd";
        kube-apiserver = program "${packages.kubernetes}/bin/kube-apiserver";
        kube-controller-manager = program "${packages.kubernetes}/bin/kube-controller-manager";
        kube-scheduler = program "${packages.kubernetes}/bin/kube-scheduler";
    };
    services.roost.versions = lib.mkIf (cfg.components.source == "host") {
      kube_apiserver = version;
      kube_controller_manager = version;
      kube_scheduler = version;
    };
    assertions = [
      {
        assertion = cfg.components.source != "host" || lib.versions.majorMinor packages.etcd.version >= "3.5";
        message = "services.roost.packages.etcd is ${packages.etcd.version}; Kubernetes ${packages.kubernetes.version} wants 3.5 or newer";
      }
    ];
  };
}
