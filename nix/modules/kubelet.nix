# The kubelet's unit. Restarting the system's units never stops pods: KillMode=process.
{ config, lib, ... }:
let
  cfg = config.services.roost;
  node = import ./handover.nix config;
in
{
  config = lib.mkIf cfg.enable {
    systemd.units."kubelet.service" = {
      text = node.units."kubelet.service";
      wantedBy = [ "multi-user.target" ];
    };
    boot.kernelModules = node.kernelModules;
    boot.kernel.sysctl = node.sysctls;
  };
}
