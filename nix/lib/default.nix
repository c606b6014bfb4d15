# Everything the modules decide, as plain functions over plain values: needs Nix's builtins and nothing else.
#
#   (import ./nix/lib).node settings  →  { faults, files, units, firewall, sysctls, kernelModules }
#
# `settings` has the shape of ./defaults.nix (what is left out is taken from there). `faults` is a list of sentences;
# the modules turn each into an assertion, so a bad setting fails `nix build` and never reaches a node.
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
      settings = merge defaults given;
    in
    {
      inherit settings;
      faults = import ./faults.nix { inherit net; } settings;
      files = import ./files.nix { inherit toml; } settings;
      units = builtins.mapAttrs (_: unit.render) (import ./units.nix settings);
      # Settings of single instances: the control plane starts, and at a shutdown ends, in the order of its needs.
      dropins =
        if settings.role == "control-plane" then
          builtins.mapAttrs (_: before: unit.render { Unit.Before = before; }) {
            "static-pod@etcd.service" = [ "static-pod@kube-apiserver.service" ];
            "static-pod@kube-apiserver.service" = [
              "static-pod@kube-controller-manager.service"
              "static-pod@kube-scheduler.service"
            ];
          }
        else
          { };
      unitSets = import ./units.nix settings;
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
