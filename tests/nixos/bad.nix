# Configurations that an assertion rejects, each with words of its message.
{ pkgs, ... }:
let
  roost = words: settings: {
    inherit words;
    module.services.roost = settings;
  };
in
[
  (roost "must not be newer than the API server (v1.35.0)" {
    packages.kubernetes = pkgs.kubernetes // {
      version = "1.35.0";
    };
  })
  (roost "3.5 or newer" {
    packages.etcd = pkgs.etcd // {
      version = "3.4.30";
    };
  })
  (roost "a path in the store as plain text" {
    components.binaries.etcd = "${builtins.storeDir}/00000000000000000000000000000000-etcd/bin/etcd";
  })
  (roost "every user of the machine can read" {
    role = "worker";
    join = {
      endpoint = "192.0.2.1:6443";
      ca_hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
      token_file = "/nix/store/00000000000000000000000000000000-token";
    };
  })
  (roost "even number of etcd members" {
    cluster = {
      control_planes = 2;
      endpoint = "k8s.example.org:6443";
    };
  })
  (roost "has no network of that family" { node.address = "2001:db8::11"; })
  (roost "settings.network.prox is not a setting" { settings.network.prox = "iptables"; })
  (roost "settings.node.api_port has to be a whole number" { settings.node.api_port = "6443"; })
  (roost "settings.kubelet.maxPods has to be a whole number" { settings.kubelet.maxPods = "200"; })
  (roost "settings.node.kubelet.maxPod is no field of KubeletConfiguration" { settings.node.kubelet.maxPod = 200; })
  (roost "archives has to name" { components.source = "archive"; })
  (roost "manifests.team has to have either content or source" { manifests.team = { }; })
  (roost "cannot be longer" {
    gracefulNodeShutdown = {
      enable = true;
      period = 5;
    };
  })
  {
    words = "services.k3s and services.roost both";
    module.services.k3s.enable = true;
  }
  {
    words = "services.kubernetes and services.roost both";
    module.services.kubernetes = {
      roles = [ "node" ];
      masterAddress = "192.0.2.1";
    };
  }
  {
    words = "another cgroup driver for runc";
    module.virtualisation.containerd.settings.plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options.SystemdCgroup =
      false;
  }
  {
    words = "virtualisation.containerd.settings.version is 3";
    module =
      { lib, ... }:
      {
        virtualisation.containerd.settings.version = lib.mkForce 3;
      };
  }
]
