# A single node with a user's static pod.
{
  node = {
    name = "n1";
    address = "192.0.2.11";
    labels."example.org/rack" = "a1";
  };
  static_pods.web.spec = {
    hostNetwork = true;
    containers = [
      {
        name = "main";
        image = "registry.k8s.io/pause:3.10.2";
      }
    ];
  };
}
