# Settings → units, as { "name.service" = { Section.Key = value; }; }.
s:
let
  bootstrap = "${s.package}/bin/bootstrap";
  kubelet = "${s.package}/bin/kubelet";
  controlPlane = s.role == "control-plane";
  joins = !controlPlane || s.join.endpoint != "";

  commas = builtins.concatStringsSep ",";
  flag = name: value: if value == "" then [ ] else [ "--${name}=${value}" ];

  # What every helper can do without (systemd.exec(5)); src/core/bootstrap/sandbox.rs has the same, and says why.
  hardened = {
    NoNewPrivileges = true;
    PrivateTmp = true;
    PrivateDevices = true;
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    SystemCallArchitectures = "native";
    SystemCallFilter = "@system-service";
    SystemCallErrorNumber = "EPERM";
    UMask = "0077";
  };
  # Of one that asks the API, etcd, the runtime and systemd.
  network.RestrictAddressFamilies = "AF_INET AF_INET6 AF_NETLINK AF_UNIX";

  # A timer with the service of its name.
  timer = schedule: {
    Unit.Description = "Schedule of a Roost task";
    Timer = {
      OnCalendar = schedule;
      Persistent = true;
      RandomizedDelaySec = "10m";
    };
    Install.WantedBy = "timers.target";
  };
  task = description: arguments: capabilities: paths: {
    Unit = {
      Description = description;
      After = [ "kubelet.service" ];
      ConditionPathExists = "/etc/kubernetes/pki/ca.crt";
    };
    Service =
      hardened
      // network
      // {
        Type = "oneshot";
        ExecStart = "${bootstrap} ${arguments}";
        CapabilityBoundingSet = capabilities;
        ReadWritePaths = paths;
      };
  };

  token =
    if s.join.token_encrypted then
      { LoadCredentialEncrypted = "join-token:${s.join.token_file}"; }
    else
      { LoadCredential = "join-token:${s.join.token_file}"; };

  # init and join converge: a second start finds nothing to do.
  start = {
    Unit = {
      Description = if joins then "Join the Kubernetes cluster" else "Bring up the Kubernetes control plane";
      Documentation = "man:bootstrap(1)";
      After = [
        "network-online.target"
        "containerd.service"
      ];
      Wants = [ "network-online.target" ];
      Requires = [ "containerd.service" ];
    };
    Service = hardened // network // {
      # It makes the node: its files, their owners, its units.
      CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER";
      ReadWritePaths = [
        "/etc"
        "/run"
        "/var/lib"
      ];
      Type = "oneshot";
      RemainAfterExit = true;
      Restart = "on-failure";
      RestartSec = "5s";
      ExecStart =
        if joins then
          "${bootstrap} join ${s.join.endpoint} --config /etc/roost/cluster.toml --token-file %d/join-token --ca-hash ${s.join.ca_hash}${
            if controlPlane then " --control-plane" else ""
          }"
        else
          "${bootstrap} init --config /etc/roost/cluster.toml";
    }
    // (if joins then token else { });
    Install.WantedBy = "multi-user.target";
  };
in
{
  "kubelet.service" = {
    Unit = {
      Description = "Kubelet: runs static pods and the pods of the API server";
      # After the bus, so that at a shutdown the slices of pods can still be removed.
      After = [
        "dbus.service"
        "dbus.socket"
        "containerd.service"
      ];
      Wants = [ "containerd.service" ];
      StartLimitIntervalSec = 0;
    };
    Service = {
      Type = "notify";
      # The pods outlive the kubelet.
      KillMode = "process";
      Delegate = true;
      ExecStart = builtins.concatStringsSep " " (
        [
          kubelet
          "--config=/var/lib/kubelet/config.yaml"
          "--kubeconfig=/etc/kubernetes/kubelet.conf"
          "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf"
          "--static-pod-units"
        ]
        ++ flag "hostname-override" s.node.name
        ++ flag "node-ip" s.node.address
        ++ flag "node-labels" (
          commas (map (name: "${name}=${s.node.labels.${name}}") (builtins.attrNames s.node.labels))
        )
        ++ flag "host-programs" (commas (map toString s.node.host_programs))
      );
      Restart = "always";
      RestartSec = "1s";
      WatchdogSec = "30s";
      OOMScoreAdjust = -999;
      # The logs of static pods go to the journal under its name as well.
      LogRateLimitBurst = 50000;
      # No mount namespace: its mounts are the host's.
      CapabilityBoundingSet = [
        "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL"
        "CAP_NET_BIND_SERVICE CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_ADMIN CAP_SYS_RESOURCE"
      ];
      LockPersonality = true;
      MemoryDenyWriteExecute = true;
      NoNewPrivileges = true;
      ProtectHostname = true;
      RestrictAddressFamilies = "AF_INET AF_INET6 AF_NETLINK AF_UNIX";
      RestrictNamespaces = true;
      RestrictRealtime = true;
      SystemCallArchitectures = "native";
      SystemCallErrorNumber = "EPERM";
      SystemCallFilter = "@system-service @mount";
      UMask = "0022";
    };
    # Started by the bootstrapper once its configuration is there, and at every boot after that.
    Install.WantedBy = "multi-user.target";
  };
  "roost-bootstrap.service" = start;
  # Active while the static pod of its name is Ready.
  "static-pod@.service" = {
    Unit = {
      Description = "Static pod %i";
      Wants = "kubelet.service";
      After = "kubelet.service";
      Before = "static-pods.target";
      StartLimitIntervalSec = 0;
      CollectMode = "inactive-or-failed";
    };
    Service = hardened // {
      Type = "notify";
      ExecStart = "${kubelet} static-pod keep %i";
      ExecReload = "${kubelet} static-pod reload %i";
      Restart = "always";
      RestartSec = "100ms";
      RestartPreventExitStatus = 66;
      TimeoutStartSec = "infinity";
      TimeoutStopSec = "90s";
      KillMode = "process";
      CapabilityBoundingSet = "";
      PrivateNetwork = true;
      RestrictAddressFamilies = "AF_UNIX";
    };
  };
  # What wants all static pods running is ordered after this.
  "static-pods.target".Unit = {
    Description = "All static pods of this node are Ready";
    Wants = "kubelet.service";
    After = "kubelet.service";
  };
}
// (
  if s.static_pods == { } then
    { }
  else
    {
      # Runs again with each generation that changes the set; a set that does not come up is rolled back, and this fails.
      "roost-manifests.service" = {
        Unit = {
          Description = "Switch to this system's static pods as a whole";
          Documentation = "man:bootstrap(1)";
          After = [
            "kubelet.service"
            "roost-bootstrap.service"
          ];
          Requires = [ "kubelet.service" ];
          X-Restart-Triggers = builtins.hashString "sha256" (builtins.toJSON s.static_pods);
        };
        Service = hardened // network // {
          Type = "oneshot";
          RemainAfterExit = true;
          CapabilityBoundingSet = "";
          ExecStart = "${bootstrap} manifests apply /etc/roost/static-pods --name nixos";
          ReadWritePaths = [
            "/etc/kubernetes"
            "/var/lib/roost"
          ];
          TimeoutStartSec = "15min";
        };
        Install.WantedBy = "multi-user.target";
      };
    }
)
// (
  if controlPlane && s.snapshots.enabled then
    {
      "roost-snapshot.timer" = timer s.snapshots.schedule;
      "roost-snapshot.service" = task "Take a snapshot of etcd" "etcd snapshot --keep ${toString s.snapshots.keep}" "" [
        "/var/lib/roost"
      ];
    }
  else
    { }
)
// (
  if controlPlane && s.renewal.enabled then
    {
      "roost-renewal.timer" = timer s.renewal.schedule;
      # It looks into the data of an etcd that has a user of its own.
      "roost-renewal.service" =
        task "Renew certificates that are past two thirds of their life" "certs renew" "CAP_DAC_READ_SEARCH"
          [
            "/etc/kubernetes"
            "/var/lib/kubelet"
          ];
    }
  else
    { }
)
