# Programs that the kubelet and the node agent call by name, and the package of nixpkgs that has each. A name that src calls
# and that is missing here fails tests/nix/run.
{
  # File systems of volumes (src/adapters/volumes/device.rs), and what fsck and mkfs of a type are.
  blkid = "util-linux";
  fsck = "util-linux";
  "fsck.ext4" = "e2fsprogs";
  "fsck.xfs" = "xfsprogs";
  "mkfs." = "e2fsprogs";
  "mkfs.ext4" = "e2fsprogs";
  "mkfs.xfs" = "xfsprogs";
  mount = "util-linux";
  # What mount(8) calls for nfs; NixOS' own looks for it in /run/current-system/sw/bin.
  "mount.nfs" = "nfs-utils";
  # The masquerading rules of the agent; chains that others look for.
  ip6tables = "iptables";
  iptables = "iptables";
  nft = "nftables";
  # The ranges of user namespaces.
  getsubids = "shadow";
  # The journal; it comes with systemd, which is on every path.
  journalctl = null;
}
