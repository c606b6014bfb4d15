# One of three control planes from the Nix store, with no images.
{
  cluster = {
    control_planes = 3;
    endpoint = "k8s.example.org:6443";
    extra_sans = [ "k8s.example.org" ];
  };
  components = {
    source = "host";
    binaries = {
      etcd = "/nix/store/00000000000000000000000000000000-etcd/bin/etcd";
      kube-apiserver = "/nix/store/00000000000000000000000000000000-kubernetes/bin/kube-apiserver";
      kube-controller-manager = "/nix/store/00000000000000000000000000000000-kubernetes/bin/kube-controller-manager";
      kube-scheduler = "/nix/store/00000000000000000000000000000000-kubernetes/bin/kube-scheduler";
    };
  };
}
