# Settings → units, as { "name.service" = { Section.Key = value or list; }; }.
#
# ./units.json is what `bootstrap` itself would write, kept up to date by tests/units.rs. This file has what settings
# change in it, what a unit waits for before its node exists, and the two units that only NixOS has.
{ unit }:
s:
let
  declared = builtins.fromJSON (builtins.readFile ./units.json);
  controlPlane = s.role == "control-plane";
  joins = !controlPlane || s.join.endpoint != "";
  toml = s.settings;
  bootstrap = "${s.package}/bin/bootstrap";

  one = values: if builtins.length values == 1 then builtins.head values else values;
  packaged = builtins.replaceStrings [ "/PACKAGE" ] [ "${s.package}" ];
  read = builtins.mapAttrs (_: builtins.mapAttrs (_: builtins.mapAttrs (_: values: one (map packaged values))));
  ours = read (declared.node // declared.${s.role});

  # Sections of a unit, with changes.
  with' = name: changes: {
    ${name} = builtins.mapAttrs (section: keys: keys // (changes.${section} or { })) ours.${name};
  };
  only = condition: units: if condition then units else { };

  words = text: builtins.filter builtins.isString (builtins.split " " text);
  isFlag = name: word: builtins.substring 0 (builtins.stringLength name + 3) word == "--${name}=";
  flag = name: value: if value == "" then [ ] else [ (unit.quote "--${name}=${value}") ];
  commas = builtins.concatStringsSep ",";

  # Values that the kubelet detects itself are passed only if they are set.
  kubeletStart = builtins.concatStringsSep " " (
    builtins.filter (word: !isFlag "hostname-override" word && !isFlag "node-ip" word) (
      words ours."kubelet.service".Service.ExecStart
    )
    ++ flag "hostname-override" s.node.name
    ++ flag "node-ip" s.node.address
    ++ flag "node-labels" (commas (map (name: "${name}=${s.node.labels.${name}}") (builtins.attrNames s.node.labels)))
    ++ flag "host-programs" (commas (map toString s.node.host_programs))
    ++ flag "cloud-provider" (if (toml.cluster.cloud_provider or "none") == "external" then "external" else "")
  );

  # Not before there is a cluster on this node; a timer may elapse at the first boot.
  member.Unit.ConditionPathExists = "/etc/kubernetes/pki/ca.crt";
  snapshots = s.snapshots.enabled && (toml.etcd.endpoints or [ ]) == [ ];

  # A restriction that every helper has, as the agent does: the units that only NixOS has get the same.
  hardened = builtins.removeAttrs ours."roost-agent.service".Service [
    "CapabilityBoundingSet"
    "ExecStart"
    "ReadOnlyPaths"
    "ReadWritePaths"
    "Restart"
    "RestartSec"
    "StateDirectory"
    "StateDirectoryMode"
    "Type"
  ] // { ProtectKernelTunables = true; };

  # The token may be deleted once the node has joined: an empty default takes its place (systemd.exec(5),
  # SetCredential=).
  token = {
    ${if s.join.token_encrypted then "LoadCredentialEncrypted" else "LoadCredential"} = "join-token:${s.join.token_file}";
    SetCredential = "join-token:\\n";
  };

  # init and join are idempotent: a second start finds nothing to do.
  start = {
    Unit = {
      Description = if joins then "Join the Kubernetes cluster" else "Bring up the Kubernetes control plane";
      Documentation = "man:bootstrap(1)";
      After = [
        "network-online.target"
        "containerd.service"
        "roost-images.service"
        # A node that has joined reaches the API by its agent's balancer, and a rebuild restarts both.
        "roost-agent.service"
      ];
      Wants = [ "network-online.target" ];
      Requires = [ "containerd.service" ];
      # A joining node may have to wait for others, without a limit.
      StartLimitIntervalSec = 0;
    };
    # RestrictSUIDSGID forbids openat2(2), whose flags a filter cannot read (systemd's seccomp-util.c); bootstrap opens the
    # tree whose owner it changes only with that (src/adapters/fs/descent.rs).
    Service = builtins.removeAttrs hardened [ "RestrictSUIDSGID" ] // {
      # It sets up the node: its files, their owners, its units.
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

  # Runs again with each generation that changes the set; a set that does not become Ready is rolled back, and the unit
  # fails.
  manifests = {
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
    Service = hardened // {
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
in
with' "kubelet.service" {
  # Written by the bootstrapper, which then starts the kubelet; at every later boot it starts on its own.
  Unit.ConditionPathExists = "/var/lib/kubelet/config.yaml";
  Service.ExecStart = kubeletStart;
}
// with' "roost-agent.service" { Unit.ConditionPathExists = "/var/lib/roost/cluster.toml"; }
// {
  # Stopping it terminates the pod, and a rebuild must not do that: the process of a newer generation takes over at the
  # next start.
  "static-pod@.service" = ours."static-pod@.service" // {
    Unit = ours."static-pod@.service".Unit // {
      X-RestartIfChanged = "false";
    };
  };
  # Started at boot, which does not wait for it: a pod may take any time.
  "static-pods.target" = ours."static-pods.target" // {
    Unit = ours."static-pods.target".Unit // {
      DefaultDependencies = false;
      Conflicts = "shutdown.target";
      Before = "shutdown.target";
    };
    Install.WantedBy = "multi-user.target";
  };
  "roost-bootstrap.service" = start;
}
// only (s.static_pods != { }) { "roost-manifests.service" = manifests; }
// only (controlPlane && s.renewal.enabled) (
  with' "roost-renewal.service" member // with' "roost-renewal.timer" { Timer.OnCalendar = s.renewal.schedule; }
)
// only (controlPlane && snapshots) (
  with' "roost-snapshot.service" (
    member
    // {
      Service.ExecStart = builtins.replaceStrings [ "--keep=7" ] [ "--keep=${toString s.snapshots.keep}" ] ours."roost-snapshot.service".Service.ExecStart;
    }
  )
  // with' "roost-snapshot.timer" { Timer.OnCalendar = s.snapshots.schedule; }
)
// only (controlPlane && snapshots && s.snapshots.drills != "never") (
  with' "roost-drill.service" member // with' "roost-drill.timer" { Timer.OnCalendar = s.snapshots.drills; }
)
