# The one node builder of all VM tests.
_: {
  controlPlane =
    { pkgs, ... }:
    {
      services.roost = {
        enable = true;
        role = "control-plane";
        components = {
          source = "host";
          binaries = {
            etcd = "${pkgs.etcd}/bin/etcd";
            kube-apiserver = "${pkgs.kubernetes}/bin/kube-apiserver";
            kube-controller-manager = "${pkgs.kubernetes}/bin/kube-controller-manager";
            kube-scheduler = "${pkgs.kubernetes}/bin/kube-scheduler";
          };
        };
      };
      environment.systemPackages = [ pkgs.kubectl ];
      environment.variables.KUBECONFIG = "/etc/kubernetes/admin.conf";
      virtualisation = {
        memorySize = 4096;
        cores = 2;
        diskSize = 8192;
      };
    };
  worker =
    { endpoint, caHash, tokenFile }:
    {
      services.roost = {
        enable = true;
        role = "worker";
        join = {
          inherit endpoint;
          ca_hash = caHash;
          token_file = tokenFile;
        };
      };
      virtualisation.memorySize = 2048;
    };
}
