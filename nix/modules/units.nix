# The units of ../lib as services, timers and targets of NixOS. Every value is a default: your own
# `systemd.services.kubelet.serviceConfig` and the like need no `mkForce`.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.roost;
  node = import ./handover.nix config;

  ofType = ending: lib.filterAttrs (name: _: lib.hasSuffix ending name) node.unitSets;
  named = ending: lib.mapAttrs' (name: value: lib.nameValuePair (lib.removeSuffix ending name) value);
  defaults = lib.mapAttrs (_: lib.mkDefault);
  wordsOf = value: lib.concatMap (lib.splitString " ") (lib.toList value);
  wanted = sections: { wantedBy = wordsOf (sections.Install.WantedBy or [ ]); };

  # Settings for which NixOS has dedicated options.
  lists = [
    "After"
    "Before"
    "Conflicts"
    "Requires"
    "Wants"
  ];
  unit =
    sections:
    let
      given = sections.Unit or { };
      list = name: wordsOf (given.${name} or [ ]);
    in
    wanted sections
    // {
      after = list "After";
      before = list "Before";
      conflicts = list "Conflicts";
      requires = list "Requires";
      wants = list "Wants";
      documentation = lib.mkDefault (wordsOf (given.Documentation or [ ]));
      unitConfig = defaults (
        builtins.removeAttrs given (
          lists
          ++ [
            "Documentation"
            "Description"
            "X-Restart-Triggers"
          ]
        )
      );
    }
    // lib.optionalAttrs (given ? Description) { description = lib.mkDefault given.Description; };

  service =
    sections:
    unit sections
    // {
      serviceConfig = defaults (builtins.removeAttrs sections.Service [ "Environment" ]);
      environment = lib.listToAttrs (
        map (
          setting:
          let
            parts = lib.splitString "=" setting;
          in
          lib.nameValuePair (lib.head parts) (lib.mkDefault (lib.concatStringsSep "=" (lib.tail parts)))
        ) (wordsOf (sections.Service.Environment or [ ]))
      );
      restartTriggers = lib.optional (sections.Unit ? X-Restart-Triggers) sections.Unit.X-Restart-Triggers;
    };
in
{
  config = lib.mkIf cfg.enable {
    systemd.services = lib.mkMerge [
      (lib.mapAttrs (_: service) (named ".service" (ofType ".service")))
      (lib.mapAttrs (_: names: { path = map (name: pkgs.${name}) names; }) node.paths)
      {
        # Neither stops a pod: restarted, not stopped first.
        kubelet.stopIfChanged = false;
        roost-agent = {
          stopIfChanged = false;
          restartTriggers = [ config.environment.etc."roost/cluster.toml".source ];
        };
        roost-bootstrap = {
          stopIfChanged = false;
          restartTriggers = [ config.environment.etc."roost/cluster.toml".source ];
          serviceConfig.EnvironmentFile = lib.mkIf (cfg.environmentFile != null) cfg.environmentFile;
        };
      }
    ];
    systemd.timers = lib.mapAttrs (
      _: sections: unit sections // { timerConfig = defaults sections.Timer; }
    ) (named ".timer" (ofType ".timer"));
    systemd.targets = lib.mapAttrs (_: unit) (named ".target" (ofType ".target"));

    # Settings of single instances, besides their template.
    systemd.units = lib.mapAttrs (_: text: {
      inherit text;
      overrideStrategy = "asDropin";
    }) node.dropins;
  };
}
