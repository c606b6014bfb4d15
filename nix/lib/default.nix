# All decisions of the modules, as plain functions over plain values: needs only Nix's builtins.
#
#   (import ./nix/lib).node settings  →  { faults, files, units, services, firewall, sysctls, kernelModules }
#
# `settings` has the shape of ./defaults.nix (missing values are taken from there). `faults` is a list of sentences; the
# modules turn each into an assertion, so a bad setting fails `nix build` and never reaches a node.
let
  net = import ./net.nix;
  toml = import ./toml.nix;
  unit = import ./unit.nix;
  defaults = import ./defaults.nix;

  # Settings over defaults, attribute set by attribute set; lists and scalars are replaced whole.
  merge =
    base: over:
    base
    // builtins.mapAttrs (
      name: value:
      if builtins.isAttrs value && builtins.isAttrs (base.${name} or null) && !(value ? outPath) then
        merge base.${name} value
      else
        value
    ) over;
in
{
  inherit
    net
    toml
    unit
    defaults
    merge
    ;

  node =
    given:
    let
      options = merge defaults given;
      # `settings` overrides the options of the same meaning: also for the faults, the flags and the firewall.
      over = builtins.intersectAttrs (builtins.removeAttrs defaults [ "settings" ]) options.settings;
      certs = options.settings.certs or { };
      settings = merge options (over // (if certs ? sans then { cluster = (over.cluster or { }) // { extra_sans = certs.sans; }; } else { }));
      units = import ./units.nix { inherit unit; } settings;
      order = (builtins.fromJSON (builtins.readFile ./units.json)).static-pods;
    in
    {
      inherit settings;
      faults = import ./faults.nix { inherit net; } settings;
      files = import ./files.nix { inherit toml merge; } settings;
      units = builtins.mapAttrs (_: unit.render) units;
      # Settings of single instances: the components start, and stop in reverse at a shutdown, in the order of their
      # dependencies.
      dropins =
        if settings.role == "control-plane" then builtins.mapAttrs (_: unit.render) order else { };
      unitSets = units;
      # Components that run as services; bootstrap writes their units, the module enables them.
      services =
        if settings.role != "control-plane" || settings.mode != "systemd" then
          [ ]
        else
          (if (options.settings.etcd.endpoints or [ ]) == [ ] then [ "etcd" ] else [ ])
          ++ [
            "kube-apiserver"
            "kube-controller-manager"
            "kube-scheduler"
          ]
          ++ (if settings.components.binaries ? cloud-controller-manager then [ "cloud-controller-manager" ] else [ ]);
      # Packages with programs that ours call by name; systemd's default path on NixOS has none of them. (The programs are in
      # tests/nix/programs.nix; add those of other file systems to `systemd.services.kubelet.path`.)
      paths = {
        kubelet = [
          "e2fsprogs"
          "iptables"
          "nftables"
          "nfs-utils"
          "shadow"
          "util-linux"
          "xfsprogs"
        ];
        roost-agent = [ "nftables" ];
        roost-bootstrap = [ "nftables" ];
      };
      firewall = import ./firewall.nix settings;
      sysctls = {
        "net.ipv4.ip_forward" = 1;
        "net.bridge.bridge-nf-call-iptables" = 1;
        "net.bridge.bridge-nf-call-ip6tables" = 1;
        "vm.overcommit_memory" = 1;
        "kernel.panic" = 10;
        "kernel.panic_on_oops" = 1;
      };
      kernelModules = [
        "br_netfilter"
        "nf_conntrack"
        "overlay"
      ];
    };
}
