# Both address families, and settings that have no option of their own.
{
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
  snapshots.keep = 30;
  snapshots.drills = "never";
  renewal.enabled = false;
  settings = {
    node.taint_control_plane = false;
    network.proxy = "iptables";
    kubelet.maxPods = 200;
    args.kube-apiserver.audit-log-maxage = "90";
    cluster.cloud_provider = "external";
  };
}
