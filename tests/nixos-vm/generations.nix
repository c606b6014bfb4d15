# Generations of two machines, as their users write them: { name = modules; }. The names are those of ./checks.
{
  lib,
  pkgs,
  pin,
}:
let
  host = name: address: {
    networking.hostName = name;
    networking.interfaces.eth0.ipv4.addresses = [
      {
        inherit address;
        prefixLength = 24;
      }
    ];
    networking.hosts."192.168.1.1" = [ "n1" ];
  };
  # What docs/nixos.md begins with; and an image of the store, for pods that want one.
  n1 = [
    (host "n1" "192.168.1.1")
    {
      services.roost.enable = true;
      services.roost.node.taint_control_plane = false;
      services.roost.images = [ pkgs.busyboxImage ];
    }
  ];
  web = program: {
    services.roost.staticPods.web.spec = {
      hostNetwork = true;
      containers = [
        {
          name = "main";
          image = "host:${program}";
          args = [
            "httpd"
            "-f"
            "-p"
            "8080"
          ];
        }
      ];
    };
  };
  busybox = "${pkgs.pkgsStatic.busybox}/bin/busybox";
  changed = n1 ++ [
    {
      services.roost.node.labels.rack = "r1";
      services.roost.node.host_programs = [ "/nix/store" ];
      systemd.services.kubelet.environment.OTHER = "1";
      systemd.timers.roost-snapshot.timerConfig.OnCalendar = "hourly";
    }
  ];
in
{
  first = n1;
  second = changed ++ [ (web busybox) ];
  # Its program is in the store, but no server of it.
  broken = changed ++ [ (web "${pkgs.coreutils}/bin/false") ];
  joining = [
    (host "n2" "192.168.1.2")
    {
      services.roost = {
        enable = true;
        role = "worker";
        join = {
          endpoint = "n1:6443";
          ca_hash = if pin == "" then "sha256:${lib.concatStrings (lib.replicate 64 "0")}" else pin;
          token_file = "/var/lib/secrets/join-token";
        };
        images = [ pkgs.busyboxImage ];
      };
    }
  ];
}
