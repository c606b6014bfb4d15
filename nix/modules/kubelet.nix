# Settings of the kernel and of logind for the kubelet. Each is a default; one that is set elsewhere takes precedence.
{ config, lib, ... }:
let
  cfg = config.services.roost;
  node = import ./handover.nix config;
  graceful = cfg.gracefulNodeShutdown;
in
{
  config = lib.mkIf cfg.enable {
    boot.kernelModules = node.kernelModules;
    # Some modules set the same values as strings, or without a priority of their own.
    boot.kernel.sysctl = lib.mapAttrs (_: lib.mkDefault) node.sysctls;
    environment.etc = lib.mkIf graceful.enable {
      # logind waits for the kubelet, which terminates the pods.
      "systemd/logind.conf.d/10-roost.conf".text = ''
        [Login]
        InhibitDelayMaxSec=${toString graceful.period}
      '';
    };
    services.roost.settings.kubelet = lib.mkIf graceful.enable {
      shutdownGracePeriod = lib.mkDefault "${toString graceful.period}s";
      shutdownGracePeriodCriticalPods = lib.mkDefault "${toString graceful.criticalPods}s";
    };
  };
}
