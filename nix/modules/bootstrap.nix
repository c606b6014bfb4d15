# bootstrap init or join at boot, its timers, and the faults as assertions.
{ config, lib, ... }:
let
  cfg = config.services.roost;
  node = import ./handover.nix config;
  own = lib.filterAttrs (name: _: name != "kubelet.service") node.units;
in
{
  config = lib.mkIf cfg.enable {
    assertions = map (message: {
      assertion = false;
      inherit message;
    }) node.faults;
    environment.systemPackages = [ cfg.package ];
    environment.etc."roost/cluster.toml".text = node.files."roost/cluster.toml";
    systemd.units =
      lib.mapAttrs (_: text: { inherit text; }) own
      // lib.mapAttrs (_: text: {
        inherit text;
        overrideStrategy = "asDropin";
      }) node.dropins;
    systemd.targets.multi-user.wants = [
      "roost-bootstrap.service"
    ]
    ++ builtins.filter (name: name == "roost-manifests.service") (builtins.attrNames own);
    systemd.targets.timers.wants = builtins.filter (lib.hasSuffix ".timer") (builtins.attrNames own);
  };
}
