# Firewall, and the CNI plugins where containerd looks for them.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.roost;
  node = import ./handover.nix config;
in
{
  config = lib.mkIf cfg.enable {
    networking.firewall.allowedTCPPorts = node.firewall.tcp;
    networking.firewall.trustedInterfaces = node.firewall.trustedInterfaces;
    systemd.tmpfiles.rules = [ "L+ /opt/cni/bin - - - - ${pkgs.cni-plugins}/bin" ];
  };
}
