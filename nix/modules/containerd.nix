# containerd with the settings that a node needs.
{ config, lib, ... }:
let
  cfg = config.services.roost;
in
{
  config = lib.mkIf cfg.enable {
    virtualisation.containerd = {
      enable = true;
      settings.plugins."io.containerd.grpc.v1.cri" = {
        sandbox_image = "registry.k8s.io/pause:3.10.2";
        containerd.runtimes.runc = {
          runtime_type = "io.containerd.runc.v2";
          options.SystemdCgroup = true;
        };
        cni.bin_dir = lib.mkDefault "/opt/cni/bin";
        cni.conf_dir = lib.mkDefault "/etc/cni/net.d";
      };
    };
  };
}
