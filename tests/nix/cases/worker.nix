# A worker whose join token is encrypted for the machine.
{
  role = "worker";
  node = {
    name = "n2";
    address = "192.0.2.12";
    labels.disk = "fast";
    host_programs = [ "/nix/store" ];
  };
  join = {
    endpoint = "192.0.2.11:6443";
    ca_hash = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    token_file = "/var/lib/secrets/join-token.cred";
    token_encrypted = true;
  };
}
