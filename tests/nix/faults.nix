# Settings that have exactly one fault, and words of the sentence that reports it.
let
  worker = over: {
    role = "worker";
    join = {
      endpoint = "192.0.2.1:6443";
      ca_hash = "sha256:${builtins.concatStringsSep "" (builtins.genList (_: "0") 64)}";
      token_file = "/var/lib/secrets/join-token";
    }
    // over;
  };
  pod = spec: { inherit spec; };
  container = {
    name = "main";
    image = "registry.k8s.io/pause:3.10.2";
  };
  fault = words: settings: { inherit words settings; };
in
[
  (fault "role is \"boss\"" { role = "boss"; })
  (fault "mode is \"docker\"" { mode = "docker"; })
  (fault "components.source is \"floppy\"" { components.source = "floppy"; })
  (fault "systemd services run programs of the host" { mode = "systemd"; })
  (fault "pod_cidr is \"10.244.0.1/16\"" { network.pod_cidr = "10.244.0.1/16"; })
  (fault "service_cidr is \"10.96.0.0/33\"" { network.service_cidr = "10.96.0.0/33"; })
  (fault "overlaps service_cidr" { network.pod_cidr = "10.100.0.0/16"; })
  (fault "node.address is \"300.0.0.1\"" { node.address = "300.0.0.1"; })
  (fault "is in pod_cidr" { node.address = "10.244.3.1"; })
  (fault "is in service_cidr" { node.address = "10.96.3.1"; })
  (fault "node.name is \"N1\"" { node.name = "N1"; })
  (fault "has to be host:port" { cluster.endpoint = "example.org"; })
  (fault "settings.kubelet.maxPods has to be a whole number" { settings.kubelet.maxPods = "200"; })
  (fault "settings.kubelet.maxPod is no field of KubeletConfiguration" { settings.kubelet.maxPod = 200; })
  (fault "settings.kubelet.syncFrequency has to be a duration" { settings.kubelet.syncFrequency = "1 minute"; })
  (fault "settings.kubelet.authentication.anonymous has to be a set" { settings.kubelet.authentication.anonymous = false; })
  (fault "settings.kubelet.authentication.anonymous.enable is no field" {
    settings.kubelet.authentication.anonymous.enable = false;
  })
  (fault "settings.kubelet.featureGates has to be a set of true and false" { settings.kubelet.featureGates.KubeletPSI = "true"; })
  (fault "settings.kubelet.registerWithTaints has to be a set or a list" { settings.kubelet.registerWithTaints = "a=b:NoSchedule"; })
  (fault "settings.node.kubelet.clusterDNS has to be a list of strings" { settings.node.kubelet.clusterDNS = "10.96.0.10"; })
  (fault "even number of etcd members" {
    cluster = {
      control_planes = 2;
      endpoint = "k8s.example.org:6443";
    };
  })
  (fault "does not cover the host of cluster.endpoint" {
    cluster = {
      endpoint = "k8s.example.org:6443";
      extra_sans = [ "other.example.org" ];
    };
  })
  (fault "must not be newer than the API server" { versions.kubelet = "v1.38.0"; })
  (fault "v1.34.9, but this release supports v1.35 to v1.37" {
    versions = {
      kube_apiserver = "v1.34.9";
      kube_controller_manager = "v1.34.9";
      kube_scheduler = "v1.34.9";
    };
  })
  (fault "v1.38.0, but this release supports v1.35 to v1.37" {
    versions = {
      kube_apiserver = "v1.38.0";
      kube_controller_manager = "v1.38.0";
      kube_scheduler = "v1.38.0";
    };
  })
  (fault "more than three minor versions older" { versions.kubelet = "v1.32.0"; })
  (fault "kube_scheduler is v1.34.1" { versions.kube_scheduler = "v1.34.1"; })
  (fault "kube_controller_manager is \"latest\"" { versions.kube_controller_manager = "latest"; })
  (fault "join.token_file has to name" { join = (worker { token_file = ""; }).join; })
  (fault "join.endpoint has to be set" (worker { endpoint = ""; }))
  (fault "join.ca_hash has to be sha256" (worker { ca_hash = "sha256:12"; }))
  (fault "join.token_file has to name" (worker { token_file = ""; }))
  (fault "every user of the machine can read" (worker { token_file = "/nix/store/abc-token"; }))
  (fault "binaries.kube-scheduler has to be set" {
    components = {
      source = "host";
      binaries = {
        etcd = "/bin/etcd";
        kube-apiserver = "/bin/kube-apiserver";
        kube-controller-manager = "/bin/kube-controller-manager";
      };
    };
  })
  (fault "staticPods.Web: a pod's name" { static_pods.Web = pod { containers = [ container ]; } // { metadata.name = "web"; }; })
  (fault "only a Pod can be" { static_pods.web = pod { containers = [ container ]; } // { kind = "Deployment"; }; })
  (fault "at least one container" { static_pods.web = pod { }; })
  (fault "each container has a name and an image" { static_pods.web = pod { containers = [ { name = "main"; } ]; }; })
  (fault "name of a control-plane pod" {
    static_pods.mine = pod { containers = [ container ]; } // {
      metadata = {
        name = "etcd";
        namespace = "kube-system";
      };
    };
  })
  (fault "default/web is defined more than once" {
    static_pods = {
      web = pod { containers = [ container ]; };
      web2 = pod { containers = [ container ]; } // { metadata.name = "web"; };
    };
  })
  (fault "must not refer to API objects" {
    static_pods.web = pod {
      containers = [ container ];
      serviceAccountName = "web";
    };
  })
  (fault "port 6443 on the node is taken" {
    static_pods.web = pod {
      hostNetwork = true;
      containers = [ (container // { ports = [ { containerPort = 6443; } ]; }) ];
    };
  })
  (fault "is not an IPv4 or IPv6 network" { network.pod_cidr = "fd00::1/64"; })
  (fault "overlaps service_cidr (fd00:1::/112)" {
    network = {
      pod_cidr = [
        "10.244.0.0/16"
        "fd00:1::/56"
      ];
      service_cidr = [
        "10.96.0.0/12"
        "fd00:1::/112"
      ];
    };
  })
  (fault "has two networks of the same address family" {
    network.pod_cidr = [
      "10.244.0.0/16"
      "10.1.0.0/16"
    ];
  })
  (fault "has no network of that family" { node.address = "2001:db8::11"; })
  (fault "archives has to name" { components.source = "archive"; })
  (fault "settings.node.taint_controlplane is not a setting" { settings.node.taint_controlplane = false; })
  (fault "settings.node.api_port has to be a whole number" { settings.node.api_port = "6443"; })
  (fault "settings.args has to be a set of sets of strings" { settings.args.kube-apiserver.v = 4; })
  (fault "settings.paths.pki cannot be set" { settings.paths.pki = "/pki"; })
  (fault "is in pod_cidr" { settings.node.address = "10.244.3.1"; })
  (fault "does not cover the host of cluster.endpoint" {
    cluster.endpoint = "k8s.example.org:6443";
    settings.certs.sans = [ "other.example.org" ];
  })
  (fault "checks only once a day" { settings.certs.leaf = "24h"; })
]
