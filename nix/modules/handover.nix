# Options → settings of ../lib, and the results of ../lib.
config:
let
  o = config.services.roost;
in
(import ../lib).node {
  inherit (o)
    role
    mode
    cluster
    network
    node
    join
    components
    versions
    snapshots
    renewal
    security
    settings
    ;
  static_pods = o.staticPods;
  open_firewall = o.openFirewall;
  package = "${o.package}";
}
