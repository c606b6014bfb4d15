# Firewall.
{ config, lib, ... }:
let
  cfg = config.services.roost;
  node = import ./handover.nix config;
in
{
  config = lib.mkIf cfg.enable {
    networking.firewall.allowedTCPPorts = node.firewall.tcp;
    networking.firewall.trustedInterfaces = node.firewall.trustedInterfaces;
  };
}
