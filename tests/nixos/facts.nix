# Facts about units, files and settings of a configuration: each a sentence, a module and a test of its `config`.
{ lib, ... }:
let
  text = config: name: config.systemd.units.${name}.text;
  has = config: name: line: lib.elem line (lib.splitString "\n" (text config name));
  fact = sentence: module: holds: {
    text = sentence;
    inherit module holds;
  };
  worker.services.roost = {
    role = "worker";
    join = {
      endpoint = "192.0.2.1:6443";
      ca_hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
      token_file = "/var/lib/secrets/join-token";
    };
  };
in
[
  (fact "every unit of a control plane is declared" { } (
    config:
    lib.all (name: config.systemd.units ? ${name}) [
      "kubelet.service"
      "roost-agent.service"
      "roost-bootstrap.service"
      "roost-drill.service"
      "roost-drill.timer"
      "roost-renewal.service"
      "roost-renewal.timer"
      "roost-snapshot.service"
      "roost-snapshot.timer"
      "static-pod@.service"
      "static-pods.target"
    ]
  ))
  (fact "the agent finds nft" { } (
    config: lib.hasInfix "nftables" config.systemd.services.roost-agent.environment.PATH
  ))
  (fact "the kubelet finds mount, mkfs and fsck" { } (
    config:
    lib.all (package: lib.hasInfix package config.systemd.services.kubelet.environment.PATH) [
      "e2fsprogs"
      "util-linux"
      "xfsprogs"
    ]
  ))
  (fact "mount finds mount.nfs" { } (
    config: lib.any (package: (package.pname or "") == "nfs-utils") config.environment.systemPackages
  ))
  (fact "a rebuild of a node that has joined waits for the balancer" worker (
    config: lib.elem "roost-agent.service" config.systemd.services.roost-bootstrap.after
  ))
  (fact "kube-proxy finds nft" { } (
    config: lib.any (package: (package.pname or "") == "nftables") config.environment.systemPackages
  ))
  (fact "a rebuild ends no static pod" { } (
    config: has config "static-pod@.service" "X-RestartIfChanged=false"
  ))
  (fact "static-pods.target is started at boot" { } (
    config: config.systemd.targets.static-pods.wantedBy == [ "multi-user.target" ]
  ))
  (fact "units start at boot" { } (
    config:
    lib.all (name: lib.elem "multi-user.target" config.systemd.services.${name}.wantedBy) [
      "kubelet"
      "roost-agent"
      "roost-bootstrap"
    ]
    && lib.all (name: lib.elem "timers.target" config.systemd.timers.${name}.wantedBy) [
      "roost-renewal"
      "roost-snapshot"
      "roost-drill"
    ]
  ))
  (fact "a setting of one's own needs no force" {
    systemd.services.kubelet.serviceConfig.WatchdogSec = "90s";
  } (config: has config "kubelet.service" "WatchdogSec=90s" && !has config "kubelet.service" "WatchdogSec=60"))
  (fact "programs come from the packages" { } (
    config:
    lib.hasInfix "-etcd" config.services.roost.components.binaries.etcd
    && config.services.roost.versions.kube_apiserver == "v${config.services.roost.packages.kubernetes.version}"
  ))
  (fact "a token that is gone is no failure" worker (
    config: has config "roost-bootstrap.service" "SetCredential=join-token:\\n"
  ))
  (fact "the services of components are enabled as drop-ins, and their users declared" {
    services.roost.mode = "systemd";
  } (
    config:
    config.systemd.units."roost-etcd.service".overrideStrategy == "asDropin"
    && config.systemd.units."roost-etcd.service".wantedBy == [ "multi-user.target" ]
    && config.users.users.roost-etcd.isSystemUser
  ))
  (fact "a sysctl that is set elsewhere wins" {
    boot.kernel.sysctl."kernel.panic" = 30;
  } (config: config.boot.kernel.sysctl."kernel.panic" == 30))
  (fact "without snapshots there is no timer, and the settings say so" {
    services.roost.snapshots.enabled = false;
    services.roost.renewal.enabled = false;
  } (
    config:
    !(config.systemd.timers ? roost-snapshot)
    && !(config.systemd.timers ? roost-renewal)
    && lib.hasInfix "snapshots = \"never\"" config.environment.etc."roost/cluster.toml".text
    && lib.hasInfix "renewal = false" config.environment.etc."roost/cluster.toml".text
  ))
  (fact "the folder of network plugins can be written" { } (
    config: lib.elem "d /opt/cni/bin 0755 root root -" config.systemd.tmpfiles.rules
  ))
  (fact "a containerd that starts anew ends no container" { } (
    config: config.systemd.services.containerd.serviceConfig.KillMode == "process"
  ))
  (fact "ports of a worker are open, and no more" worker (
    config: config.networking.firewall.allowedTCPPorts == [ 10250 ]
  ))
]
