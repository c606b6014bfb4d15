# Configurations that a type or the module system rejects, each with words of the error, which names the option.
[
  {
    words = "services.roost.role";
    module.services.roost.role = "boss";
  }
  {
    words = "services.roost.cluster.control_planes";
    module.services.roost.cluster.control_planes = "three";
  }
  {
    words = "services.roost.node.labels";
    module.services.roost.node.labels.rack = 1;
  }
  {
    words = "services.roost.snapshots.keep";
    module.services.roost.snapshots.keep = 0;
  }
  {
    words = "services.roost.nodeName";
    module.services.roost.nodeName = "n1";
  }
  {
    words = "services.roost.components.binaries.etcd";
    module.services.roost.components.binaries.etcd = 1;
  }
]
