# Writes the settings to the node, and turns faults into assertions.
{ config, lib, pkgs, ... }:
let
  cfg = config.services.roost;
  node = import ./handover.nix config;

  # A store path without a derivation in this system is not part of the system: it may be garbage-collected at any time.
  loose =
    option: value:
    lib.optional (lib.hasPrefix "${builtins.storeDir}/" (toString value) && !builtins.hasContext (toString value))
      "services.roost.${option} is ${toString value}, a path in the store as plain text, which does not become part of the system: name the package, as in \"\${pkgs.etcd}/bin/etcd\"";
  faults =
    node.faults
    ++ lib.concatLists (lib.mapAttrsToList (name: loose "components.binaries.${name}") cfg.components.binaries)
    ++ lib.concatMap (loose "components.archives") cfg.components.archives;
in
{
  config = lib.mkIf cfg.enable {
    assertions = map (message: {
      assertion = false;
      inherit message;
    }) faults;
    environment.etc."roost/cluster.toml".text = node.files."roost/cluster.toml";
    # Where bootstrap writes the services of components (mode systemd), whose flags only the node knows.
    boot.extraSystemdUnitPaths = [ "/etc/systemd-mutable/system" ];
    # Paths that units may write have to exist before they start.
    systemd.tmpfiles.rules = map (folder: "d ${folder} 0755 root root -") [
      "/etc/cni"
      "/etc/cni/net.d"
      "/etc/kubernetes"
      "/etc/systemd-mutable"
      "/etc/systemd-mutable/system"
    ];
    environment.systemPackages = [
      cfg.package
      # For `bootstrap reset`, and for a kube-proxy that runs as a program of this machine.
      pkgs.nftables
      # NixOS' mount(8) looks for its helpers here, and not on the path of its caller.
      pkgs.nfs-utils
      cfg.packages.kubectl
    ];
    environment.variables = lib.mkIf (cfg.role == "control-plane") {
      KUBECONFIG = lib.mkDefault "/etc/kubernetes/admin.conf";
    };
  };
}
