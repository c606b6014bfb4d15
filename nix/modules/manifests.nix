# `services.roost.manifests`: objects of the API that this control plane applies once it answers, and with each
# generation that changes them.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.roost;
  wanted = lib.filterAttrs (_: manifest: manifest.enable) cfg.manifests;
  file =
    name: manifest:
    if manifest.source != null then
      manifest.source
    else
      pkgs.writeText "${name}.json" (
        builtins.toJSON {
          apiVersion = "v1";
          kind = "List";
          items = lib.toList manifest.content;
        }
      );
in
{
  config = lib.mkIf (cfg.enable && wanted != { }) {
    assertions =
      lib.mapAttrsToList (name: manifest: {
        assertion = (manifest.source == null) != (manifest.content == null);
        message = "services.roost.manifests.${name} has to have either content or source";
      }) wanted
      ++ [
        {
          assertion = cfg.role == "control-plane";
          message = "services.roost.manifests is set on a worker, which may not apply objects: move it to a control plane";
        }
      ];
    systemd.services.roost-objects = {
      description = "Apply this system's objects to the cluster";
      after = [ "roost-bootstrap.service" ];
      requires = [ "roost-bootstrap.service" ];
      wantedBy = [ "multi-user.target" ];
      path = [ cfg.packages.kubectl ];
      environment.KUBECONFIG = "/etc/kubernetes/admin.conf";
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        Restart = "on-failure";
        RestartSec = "5s";
      };
      script = lib.concatMapStrings (file: ''
        kubectl apply --server-side --force-conflicts --field-manager roost-nixos --filename ${file}
      '') (lib.mapAttrsToList file wanted);
    };
  };
}
