# Images of the store in containerd, imported before anything of the cluster starts: no registry is used.
{ config, lib, ... }:
let
  cfg = config.services.roost;
in
{
  config = lib.mkIf (cfg.enable && cfg.images != [ ]) {
    systemd.services.roost-images = {
      description = "Import images of the store into containerd";
      after = [ "containerd.service" ];
      requires = [ "containerd.service" ];
      before = [ "kubelet.service" ];
      wantedBy = [ "multi-user.target" ];
      path = [ cfg.packages.containerd ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
      };
      # Images that are streamed when requested (dockerTools.streamLayeredImage) are programs.
      script = lib.concatMapStrings (image: ''
        if [ -x ${image} ]; then ${image}; elif [ "$(head -c2 ${image} | od -An -tx1 | tr -d ' ')" = 1f8b ]; then ${cfg.packages.gzip}/bin/gzip -dc ${image}; else cat ${image}; fi |
          ctr --namespace k8s.io images import --all-platforms -
      '') cfg.images;
    };
  };
}
