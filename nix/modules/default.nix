# The NixOS module: one file per component. All decisions are in ../lib; the modules declare options and pass them on.
{
  imports = [
    ./options.nix
    ./settings.nix
    ./bootstrap.nix
    ./conflicts.nix
    ./containerd.nix
    ./images.nix
    ./kubelet.nix
    ./manifests.nix
    ./networking.nix
    ./programs.nix
    ./static-pods.nix
    ./units.nix
    ./users.nix
  ];
}
