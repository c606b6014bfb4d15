# Users of the control-plane services (mode "systemd"), declared: with `users.mutableUsers = false` others are gone at
# the next activation.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.roost;
  inherit (import ./handover.nix config) services;
  names = map (name: "roost-${name}") services;
in
{
  config = lib.mkIf (cfg.enable && services != [ ]) {
    users.users = lib.genAttrs names (name: {
      isSystemUser = true;
      group = name;
      description = "Kubernetes ${lib.removePrefix "roost-" name}";
    });
    users.groups = lib.genAttrs names (_: { });

    systemd.services = {
      roost-users = {
        description = "Roost: users of the control-plane services, which this system declares";
        wantedBy = [ "multi-user.target" ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${pkgs.coreutils}/bin/id --user ${lib.concatStringsSep " " names}";
        };
      };
    }
    # Their text is bootstrap's; the system enables them, and a rebuild does not start them anew.
    // lib.genAttrs names (_: {
      overrideStrategy = "asDropin";
      wantedBy = [ "multi-user.target" ];
      restartIfChanged = false;
    });
  };
}
