# The commands of the project; `make` alone lists them. Settings of the cluster: tests/cluster/cluster.
.DEFAULT_GOAL := help
.PHONY: help prerequisites build cluster cluster-down test unit nodes nodes-ha nodes-systemd nodes-cloud nodes-external nodes-rotation nodes-nixos nixos-scripts nixos upgrade upgrade-nixos chaos chaos-pods test-vm test-vm-months e2e e2e-node bench bench-before fuzz fuzz-keep check fmt

help: ## lists the commands
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

prerequisites: ## installs with apt what is missing
	@tests/cluster/prerequisites

build: prerequisites ## builds bootstrap and kubelet
	cargo build --locked --release --bins

cluster: ## brings up a real cluster: NODES=2 CONTROL_PLANES=1 RUNTIME=current KUBELET=ours CLUSTER=roost
	@tests/cluster/cluster up

cluster-down: ## removes that cluster completely
	@tests/cluster/cluster down

test: ## all tests; installs what is missing
	@tests/run

unit: ## the quick tests
	cargo test --locked --features fakes

nodes: ## tests of whole nodes; ONLY=word runs those whose name contains the word
	@tests/nodes/run $(ONLY)

nodes-ha: ## tests of three control planes, on a separate cluster that is removed afterwards; ONLY=word
	@CLUSTER=ha NODES=3 CONTROL_PLANES=3 SUITE=ha tests/nodes/run $(ONLY) && CLUSTER=ha tests/cluster/cluster down

nodes-systemd: ## tests of a control plane of systemd services, on a separate cluster that is removed afterwards; ONLY=word
	@CLUSTER=systemd MODE=systemd SOURCE=host NODES=2 SUITE=systemd tests/nodes/run $(ONLY) && CLUSTER=systemd tests/cluster/cluster down

nodes-rotation: ## tests of CA rotation with two control planes and a worker, on a separate cluster that is removed afterwards; ONLY=word
	@CLUSTER=rotation NODES=3 CONTROL_PLANES=2 SUITE=rotation tests/nodes/run $(ONLY) && CLUSTER=rotation tests/cluster/cluster down

nodes-nixos: ## tests of nodes that are set up like NixOS, on separate clusters that are removed afterwards; ONLY=word
	@CLUSTER=nixos OS=nixos-shaped NODES=2 SUITE=nixos tests/nodes/run $(ONLY) && CLUSTER=nixos tests/cluster/cluster down
	@CLUSTER=nixos OS=nixos-shaped MODE=systemd NODES=1 SUITE=nixos-systemd tests/nodes/run $(ONLY) && CLUSTER=nixos tests/cluster/cluster down

nixos-scripts: ## the scripts of the NixOS VM tests, run on nodes that are set up like NixOS; ONLY='vm-join vm-reboot'
	@tests/nixos/driver/run $(ONLY)

nodes-cloud: ## tests of a cloud controller manager, on a separate cluster that is removed afterwards; ONLY=word
	@CLUSTER=cloud NODES=2 SUITE=cloud tests/nodes/run $(ONLY) && CLUSTER=cloud tests/cluster/cluster down

nodes-external: ## tests of an external etcd and an external CA, on a separate cluster that is removed afterwards; ONLY=word
	@CLUSTER=external NODES=2 SUITE=external tests/nodes/run $(ONLY) && CLUSTER=external tests/cluster/cluster down

nixos: ## the module, the flake and its tests evaluated on real NixOS: NIXPKGS=folder (docs/nixos.md)
	@NIXPKGS=$(NIXPKGS) tests/nixos/run

nixos-vm: ## NixOS that boots, in two virtual machines, with docs/nixos.md followed on them (hours); NIXPKGS=folder
	@NIXPKGS=$(NIXPKGS) tests/nixos-vm/run

upgrade: ## three control planes from v1.35.4 to v1.36.3 under load, on a separate cluster that is removed afterwards
	@CLUSTER=upgrade NODES=$(or $(NODES),3) CONTROL_PLANES=$(or $(CONTROL_PLANES),3) KUBERNETES=v1.35.4 SUITE=upgrade tests/nodes/run $(ONLY) && CLUSTER=upgrade tests/cluster/cluster down

upgrade-nixos: ## from v1.35.4 to v1.36.3 by generations of nodes that are set up like NixOS, in both modes
	@for mode in static-pods systemd; do \
		CLUSTER=upgrade-nixos OS=nixos-shaped MODE=$$mode NODES=2 KUBERNETES=v1.35.4 SUITE=nixos-upgrade tests/nodes/run $(ONLY) && \
		CLUSTER=upgrade-nixos tests/cluster/cluster down || exit 1; done

chaos: ## faults on three control planes under load, about ten minutes; SEED=number repeats a run, ONLY=word
	@CLUSTER=chaos NODES=3 CONTROL_PLANES=3 SUITE=chaos tests/nodes/run $(ONLY) && CLUSTER=chaos tests/cluster/cluster down

chaos-pods: ## kill -9 of kubelet and containerd while pods are created and deleted, on the cluster of `make cluster`; SEED=, CHAOS_SECONDS=60
	@SUITE=chaos-pods tests/nodes/run $(ONLY)

test-vm: ## a node in a virtual machine: cgroup v2, a current systemd, a reboot
	@tests/vm/run

test-vm-months: ## thirteen months in that machine, by its clock, with renewal enabled
	@SCENARIO=months tests/vm/run

e2e: cluster ## upstream's suite against the cluster: FOCUS='\[NodeConformance\]' SKIP=… PROCS=12
	@tests/e2e/run

e2e-node: ## upstream's node suite on a dedicated node: FOCUS='\[NodeConformance\]' SKIP=… KUBELET=ours|upstream FAST=1
	@tests/e2e-node/run

bench: ## times and memory compared with upstream's kubelet and kubeadm
	@tests/bench/run

bench-before: ## this tree's programs compared with those of an earlier build: BEFORE=folder ROUNDS=5 PODS='0 100'
	@tests/bench/before

fuzz: ## random input for every reader of external bytes: SECONDS=600 for each, TARGET=name for one, JOBS=2 at a time
	@fuzz/run $(or $(SECONDS),600) $(TARGET)

fuzz-keep: ## adds the inputs that `make fuzz` found to fuzz/corpus; TARGET=name
	@fuzz/run keep $(TARGET)

check: ## format, clippy, documentation, licences, shellcheck
	@tests/checks/run

fmt: ## formats the code
	cargo fmt --all
