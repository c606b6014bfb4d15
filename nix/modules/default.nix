# The NixOS module: one file per component. All decisions are in ../lib; the modules declare options and hand over.
{
  imports = [
    ./options.nix
    ./bootstrap.nix
    ./containerd.nix
    ./kubelet.nix
    ./networking.nix
    ./static-pods.nix
  ];
}
