# A single-node Kubernetes cluster. Copy boot loader and file systems from your machine's own configuration.
{
  networking.hostName = "n1";
  services.roost = {
    enable = true;
    # The only node runs ordinary pods as well.
    node.taint_control_plane = false;
  };

  boot.loader.systemd-boot.enable = true;
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  system.stateVersion = "25.05";
}
