# Settings → units, as { "name.service" = { Section.Key = value or list; }; }.
#
# ./units.json is what `bootstrap` itself would write, kept by a test of the programs (tests/units.rs). Here stands what
# settings change about it, what a unit waits for that is there before its node, and the two units that only NixOS has.
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

  # Sections of a unit, changed.
  with' = name: changes: {
    ${name} = builtins.mapAttrs (section: keys: keys // (changes.${section} or { })) ours.${name};
  };
  only = condition: units: if condition then units else { };

  words = text: builtins.filter builtins.isString (builtins.split " " text);
  isFlag = name: word: builtins.substring 0 (builtins.stringLength name + 3) word == "--${name}=";
  flag = name: value: if value == "" then [ ] else [ (unit.quote "--${name}=${value}") ];
  commas = builtins.concatStringsSep ",";

  # What a kubelet finds out by itself is left to it where it is not set.
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

  # A restriction of every helper, as the agent has it: the units that only NixOS has are restricted alike.
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

  # The token may be gone once the node has joined: a blank one stands for that (systemd.exec(5), SetCredential=).
  token = {
    ${if s.join.token_encrypted then "LoadCredentialEncrypted" else "LoadCredential"} = "join-token:${s.join.token_file}";
    SetCredential = "join-token:\\n";
  };

  # init and join converge: a second start finds nothing to do.
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
      # A node that joins may have to wait for others for as long as it takes.
      StartLimitIntervalSec = 0;
    };
    # Under RestrictSUIDSGID openat2(2) does not exist (systemd's filter cannot look at its flags), and ours opens the tree
    # whose owner it changes with nothing else (src/adapters/fs/descent.rs).
    Service = builtins.removeAttrs hardened [ "RestrictSUIDSGID" ] // {
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

  # Runs again with each generation that changes the set; a set that does not come up is rolled back, and this fails.
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
  # Written by the bootstrapper, which starts the kubelet then; at every boot after that it starts by itself.
  Unit.ConditionPathExists = "/var/lib/kubelet/config.yaml";
  Service.ExecStart = kubeletStart;
}
// with' "roost-agent.service" { Unit.ConditionPathExists = "/var/lib/roost/cluster.toml"; }
// {
  # Its end is the end of the pod, and a rebuild must not end a pod: the process of a newer generation takes over at the
  # next start.
  "static-pod@.service" = ours."static-pod@.service" // {
    Unit = ours."static-pod@.service".Unit // {
      X-RestartIfChanged = "false";
    };
  };
  # Started with the machine, which does not wait for it: a pod may take as long as it wants.
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
