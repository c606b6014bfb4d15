# Ports that other machines have to reach on this node.
s:
let
  controlPlane = s.role == "control-plane";
in
{
  tcp =
    if !s.open_firewall then
      [ ]
    else
      [ 10250 ]
      ++ (
        if controlPlane then
          [ 6443 ] ++ (if s.cluster.control_planes > 1 then [ 2379 2380 ] else [ ])
        else
          [ ]
      );
  # Pod traffic enters through the bridge of the built-in network.
  trustedInterfaces = if s.network.enabled then [ "cni0" ] else [ ];
}
