# The second of three control planes; each node reaches all of them through its own balancer.
{
  cluster.control_planes = 3;
  join = {
    endpoint = "192.0.2.11:6443";
    ca_hash = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    token_file = "/var/lib/secrets/join-token";
  };
}
