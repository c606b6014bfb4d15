# Configurations that evaluate to a system without a failed assertion or a warning: { name = modules; }.
{ pkgs, lib }:
let
  pin = "sha256:${lib.concatStrings (lib.replicate 64 "0")}";
  worker.services.roost = {
    role = "worker";
    join = {
      endpoint = "192.0.2.1:6443";
      ca_hash = pin;
      token_file = "/var/lib/secrets/join-token";
    };
  };
  web.spec = {
    hostNetwork = true;
    containers = [
      {
        name = "main";
        image = "host:${pkgs.pkgsStatic.busybox}/bin/busybox";
        args = [
          "httpd"
          "-f"
        ];
      }
    ];
  };
in
{
  "enable alone" = [ ];
  "from a registry" = [ { services.roost.components.source = "registry"; } ];
  "from archives" = [
    {
      services.roost.components = {
        source = "archive";
        archives = [ "/var/lib/images" ];
      };
    }
  ];
  "worker" = [ worker ];
  "worker with an encrypted token" = [
    worker
    { services.roost.join.token_encrypted = true; }
  ];
  "three control planes" = [
    {
      services.roost = {
        cluster = {
          control_planes = 3;
          endpoint = "k8s.example.org:6443";
        };
        node.address = "192.0.2.11";
      };
    }
  ];
  "second control plane" = [
    worker
    {
      services.roost = {
        role = lib.mkForce "control-plane";
        cluster.control_planes = 3;
      };
    }
  ];
  "services of systemd" = [ { services.roost.mode = "systemd"; } ];
  "both address families" = [
    {
      services.roost = {
        network = {
          pod_cidr = [
            "10.244.0.0/16"
            "fd00:10:244::/56"
          ];
          service_cidr = [
            "10.96.0.0/12"
            "fd00:10:96::/112"
          ];
        };
        node.address = "2001:db8::11";
      };
    }
  ];
  "static pods with programs of the store" = [ { services.roost.staticPods = { inherit web; }; } ];
  "no users but declared ones" = [
    {
      users.mutableUsers = false;
      users.allowNoPasswordLogin = true;
      services.roost.mode = "systemd";
    }
  ];
  "sysctls that are set elsewhere" = [
    {
      boot.kernel.sysctl = {
        "net.ipv4.ip_forward" = 1;
        "kernel.panic" = 30;
      };
      services.redis.servers.x.enable = true;
      networking.nat.enable = true;
    }
  ];
  "beside docker" = [ { virtualisation.docker.enable = true; } ];
  "containerd's own settings" = [
    {
      virtualisation.containerd = {
        enable = true;
        settings.plugins."io.containerd.grpc.v1.cri".sandbox_image = "registry.example.org/pause:3";
      };
    }
  ];
  "nftables and networkd" = [
    {
      networking.nftables.enable = true;
      networking.useNetworkd = true;
    }
  ];
  "overrides by the usual means" = [
    {
      systemd.services.kubelet = {
        path = [ pkgs.hello ];
        serviceConfig.RestartSec = "5s";
        serviceConfig.MemoryMax = "2G";
      };
      systemd.services.roost-bootstrap.environment.HTTPS_PROXY = "http://proxy.example.org:3128";
      systemd.timers.roost-snapshot.timerConfig.OnCalendar = "hourly";
    }
  ];
  "everything else" = [
    {
      services.roost = {
        environmentFile = "/var/lib/secrets/roost.env";
        images = [ pkgs.hello ];
        gracefulNodeShutdown.enable = true;
        snapshots.drills = "never";
        renewal.enabled = false;
        manifests.team.content = {
          apiVersion = "v1";
          kind = "Namespace";
          metadata.name = "team";
        };
        settings = {
          node.taint_control_plane = false;
          network.proxy = "iptables";
          kubelet.maxPods = 200;
          args.kube-apiserver.audit-log-maxage = "90";
          etcd.endpoints = [ "https://192.0.2.9:2379" ];
          etcd.ca = "/etc/own/ca.crt";
          etcd.certificate = "/etc/own/client.crt";
          etcd.key = "/etc/own/client.key";
        };
      };
    }
  ];
  "another network plugin" = [ { services.roost.network.enabled = false; } ];
}
