# Users of the control-plane services (mode "systemd"), declared: with `users.mutableUsers = false` undeclared ones are
# removed at the next activation.
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
    # bootstrap writes their units; the system enables them, and a rebuild does not restart them.
    // lib.genAttrs names (_: {
      overrideStrategy = "asDropin";
      wantedBy = [ "multi-user.target" ];
      restartIfChanged = false;
    });
  };
}
