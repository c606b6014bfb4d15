# Every setting with its default; the same names as in cluster.toml.
{
  role = "control-plane"; # or "worker"
  mode = "static-pods"; # or "systemd"
  cluster = {
    name = "kubernetes";
    endpoint = ""; # host:port that all nodes reach; empty: a balancer on each node
    extra_sans = [ ];
    control_planes = 1;
  };
  network = {
    pod_cidr = "10.244.0.0/16"; # or one for each address family
    service_cidr = "10.96.0.0/12";
    dns_domain = "cluster.local";
    enabled = true; # the built-in pod network; false if you install another CNI
  };
  node = {
    name = "";
    address = "";
    labels = { };
    taints = [ ];
    taint_control_plane = true;
    host_programs = [ ]; # folders whose programs pods of the API may name as image (host:/… and nix:0/nix/store/…)
  };
  join = {
    endpoint = "";
    ca_hash = "";
    token_file = ""; # a path outside the store, or an encrypted systemd credential
    token_encrypted = false;
  };
  components = {
    source = "registry"; # or "archive", "host"
    # With source = "host": the binaries, as store paths.
    binaries = { };
    # With source = "archive".
    archives = [ ];
  };
  versions = {
    kubelet = ""; # that of the API server
    kube_apiserver = "v1.36.3";
    kube_controller_manager = "v1.36.3";
    kube_scheduler = "v1.36.3";
  };
  static_pods = { };
  package = "/usr/local";
  snapshots = {
    enabled = true;
    schedule = "daily";
    keep = 7;
    drills = "weekly"; # or "never"
  };
  renewal = {
    enabled = true;
    schedule = "daily";
  };
  security.hardening = true; # as the CIS benchmark requires; false: the defaults of kubeadm
  open_firewall = true;
  # Merged over the other settings in cluster.toml; any of its settings.
  settings = { };
}
