# containerd with the settings that a node needs; each is a default.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.roost;
  containerd = config.virtualisation.containerd;
  version = containerd.settings.version or 2;
in
{
  config = lib.mkIf cfg.enable {
    virtualisation.containerd = {
      enable = lib.mkDefault true;
      settings.plugins = {
        # Version 2 of its configuration, which containerd 2 reads as well.
        "io.containerd.grpc.v1.cri" = {
          sandbox_image = lib.mkDefault "registry.k8s.io/pause:3.10.2";
          containerd.runtimes.runc = {
            runtime_type = lib.mkDefault "io.containerd.runc.v2";
            options.SystemdCgroup = lib.mkDefault true;
          };
          cni.bin_dir = lib.mkDefault "/opt/cni/bin";
          cni.conf_dir = lib.mkDefault "/etc/cni/net.d";
        };
      };
    };
    assertions = [
      {
        assertion = containerd.enable;
        message = "virtualisation.containerd.enable is false, but services.roost runs its pods by it";
      }
      {
        # Otherwise every pod's sandbox is recreated again and again.
        assertion =
          containerd.configFile or null != null
          || version != 2
          ||
            containerd.settings.plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options.SystemdCgroup
            == ((cfg.settings.kubelet.cgroupDriver or "systemd") == "systemd");
        message = "virtualisation.containerd.settings has another cgroup driver for runc (SystemdCgroup) than services.roost.settings.kubelet.cgroupDriver (systemd if unset): set both to the same";
      }
      {
        assertion = containerd.configFile or null != null || version == 2;
        message = "virtualisation.containerd.settings.version is ${toString version}: services.roost has its settings for version 2 (sandbox image, systemd's cgroups, folders of CNI), and under another they would be ignored; set it to 2, or give virtualisation.containerd.configFile with the settings of docs/nixos.md";
      }
    ];
    # Other network plugins install their programs there too: a writable folder, with links to ours.
    systemd.tmpfiles.rules = [
      "d /opt/cni/bin 0755 root root -"
    ]
    ++ map (plugin: "L+ /opt/cni/bin/${plugin} - - - - ${pkgs.cni-plugins}/bin/${plugin}") [
      "bandwidth"
      "bridge"
      "firewall"
      "host-local"
      "loopback"
      "portmap"
      "ptp"
      "tuning"
    ];
  };
}
