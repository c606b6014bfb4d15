# Packages that run, in place of nixpkgs': Debian's programs in the store, with the folders of libraries that they are
# linked to in the store as well. An overlay over ../nixos/stand-ins.nix.
{
  lib,
  # A Debian with the packages that ./run names.
  tree,
  # Folders with bootstrap and kubelet, and with upstream's programs.
  programs,
  upstream,
}:
final: prev:
let
  shell = "${debian}/usr/bin/bash";
  run = prev.runCommand;

  # All of that Debian. What is not its own is read from outside of the store: builds are not isolated here.
  debian = run "debian" { builder_script = ./debian; } "bash $builder_script ${tree} $out";

  # A package with what modules ask of one, built by a script.
  real =
    name: script: extra:
    let
      built = run name { } script;
      base = prev.standIn name { };
      self = base // built // lib.mapAttrs (_: _: self) (lib.filterAttrs (_: lib.isDerivation) base) // {
        pname = name;
        version = "1.0";
        shellPath = "/bin/${name}";
        meta = {
          mainProgram = name;
          platforms = lib.platforms.all;
        };
        override = _: self;
        overrideAttrs = _: self;
        src = built;
      } // extra;
    in
    self;

  # The programs of Debian packages.
  fromDebian =
    name: packages:
    real name ''
      mkdir -p $out/bin
      ln -s bin $out/sbin
      for package in ${toString packages}; do
        while read -r file; do
          [ ! -e "${debian}/usr$file" ] || ln -sf "${debian}/usr$file" $out/bin/
        done < <(sed -nE 's#^(/usr)?(/s?bin/.+)$#\2#p' ${tree}/var/lib/dpkg/info/$package.list)
      done
    '';
  plainly = lib.mapAttrs (name: packages: fromDebian name packages { }) {
    bzip2 = [ "bzip2" ];
    conntrack-tools = [ "conntrack" ];
    coreutils = [ "coreutils" ];
    coreutils-full = [ "coreutils" ];
    curl = [ "curl" ];
    diffutils = [ "diffutils" ];
    e2fsprogs = [ "e2fsprogs" ];
    ethtool = [ "ethtool" ];
    findutils = [ "findutils" ];
    fuse = [ "fuse3" ];
    fuse3 = [ "fuse3" ];
    getent = [ "libc-bin" ];
    glibc = [ "libc-bin" ];
    gnugrep = [ "grep" ];
    gnused = [ "sed" ];
    gnutar = [ "tar" ];
    gzip = [ "gzip" ];
    hostname = [ "hostname" ];
    iproute2 = [ "iproute2" ];
    iputils = [ "iputils-ping" ];
    jq = [ "jq" ];
    kbd = [ "kbd" ];
    kmod = [ "kmod" ];
    less = [ "less" ];
    nettools = [ "hostname" ];
    nfs-utils = [ "nfs-common" ];
    nftables = [ "nftables" ];
    openssl = [ "openssl" ];
    procps = [ "procps" ];
    psmisc = [ "psmisc" ];
    socat = [ "socat" ];
    su = [ "util-linux" ];
    xz = [ "xz-utils" ];
    zstd = [ "zstd" ];
  };
  utilLinux = fromDebian "util-linux" [
    "util-linux"
    "bsdutils"
    "login"
    "mount"
  ] { };

  systemd = real "systemd" "bash ${./systemd} ${tree} ${debian} $out" (
    lib.genAttrs (lib.filter (lib.hasPrefix "with") (lib.attrNames prev.systemd)) (_: false)
    // lib.genAttrs [ "withHostnamed" "withLocaled" "withLogind" "withNetworkd" "withTimedated" ] (_: true)
    // {
      version = "257";
      interfaceVersion = 2;
      inherit (final) kbd;
      util-linux = utilLinux;
    }
  );

  bash = real "bash" ''
    mkdir -p $out/bin
    ln -s ${shell} $out/bin/bash
    ln -s bash $out/bin/sh
  '' { };

  perl = real "perl" ''
    mkdir -p $out/bin
    lib=${debian}/usr
    cat >$out/bin/perl <<END
    #!${shell}
    export PERL5LIB=$(cd ${tree}/usr && echo $(ls -d share/perl5 lib/*/perl5/5.* lib/*/perl-base share/perl/5.*[0-9] lib/*/perl/5.*[0-9]) | sed "s# #:$lib/#g; s#^#$lib/#")
    exec ${debian}/usr/bin/perl "\$@"
    END
    chmod +x $out/bin/perl
  '' {
    withPackages = _: perl;
    libPrefix = "lib/perl5";
  };

  kernelVersion = lib.removePrefix "vmlinuz-" (
    lib.head (lib.filter (lib.hasPrefix "vmlinuz-") (lib.attrNames (builtins.readDir (tree + "/boot"))))
  );
  kernel = prev.linuxPackages.kernel // real "linux" ''
    mkdir -p $out/lib
    cp ${tree}/boot/vmlinuz-${kernelVersion} $out/bzImage
    cp -r ${tree}/usr/lib/modules $out/lib/modules
  '' {
    version = lib.head (lib.splitString "+" kernelVersion);
    modDirVersion = kernelVersion;
    override = _: kernel;
  };
  kernelPackages = prev.linuxPackages // {
    inherit kernel;
    extend = _: kernelPackages;
  };

  # PROGRAM or NAME=FILE of a folder; those with an interpreter get the store's.
  programsOf =
    name: folder: files:
    real name ''
      mkdir -p $out/bin
      for file in ${toString files}; do
        cp ${folder}/''${file#*=} $out/bin/''${file%%=*}
        chmod 0755 $out/bin/''${file%%=*}
        bash ${./debian} --program ${debian} $out/bin/''${file%%=*}
      done
    '';
  kubernetes = programsOf "kubernetes" upstream [
    "kube-apiserver"
    "kube-controller-manager"
    "kube-proxy"
    "kube-scheduler"
    "kubectl"
  ] {
    version = "1.36.3";
    src = run "kubernetes-source" { } ''
      mkdir -p $out/build/pause/linux
      cp ${../cluster/images/pause.c} $out/build/pause/linux/pause.c
    '';
  };
  compiled = name: attrs: script: run name attrs ''
    export CC='gcc -static' STRIP=strip
    ${script}
  '';
in
plainly
// {
  inherit
    debian
    systemd
    bash
    perl
    kubernetes
    ;
  bashInteractive = bash;
  systemdMinimal = systemd;
  util-linux = utilLinux;
  util-linuxMinimal = utilLinux;
  gawk = real "gawk" ''
    mkdir -p $out/bin
    ln -s ${debian}/usr/bin/gawk $out/bin/gawk
    ln -s gawk $out/bin/awk
  '' { };
  shadow = real "shadow" ''
    mkdir -p $out/bin
    ln -s ${fromDebian "shadow-debian" [ "passwd" "uidmap" "util-linux" ] { }}/bin/* $out/bin/
    # Which this Debian has in another package; nobody calls them.
    for name in newgrp sg; do [ -e $out/bin/$name ] || ln -s ${debian}/usr/bin/false $out/bin/$name; done
  '' { inherit (final) su; };
  busybox = real "busybox" "mkdir -p $out/bin; cp ${tree}/usr/bin/busybox $out/bin/busybox" { };
  libcap = fromDebian "libcap" [ "libcap2-bin" ] { };
  iptables = real "iptables" ''
    mkdir -p $out/bin
    ln -s ${debian}/usr/sbin/ip{,6}tables* ${debian}/usr/sbin/xtables* $out/bin/
  '' { };
  linux-pam = real "linux-pam" ''
    mkdir -p $out/bin $out/lib
    ln -s ${debian}/usr/sbin/{unix_chkpwd,mkhomedir_helper} $out/bin/
    ln -s ${debian}/usr/lib/x86_64-linux-gnu/security $out/lib/security
  '' { };
  pam = final.linux-pam;
  stdenv = prev.stdenv // {
    cc = prev.stdenv.cc // {
      libc = final.glibc;
    };
    mkDerivation =
      attrs: prev.stdenv.mkDerivation (attrs // lib.optionalAttrs (attrs ? installPhase) { installPhase = "CC='gcc -static'\n" + attrs.installPhase; });
  };
  stdenvNoCC = final.stdenv;
  runCommandCC = compiled;

  dbus = real "dbus" ''
    mkdir -p $out/bin $out/libexec $out/lib/systemd $out/share
    ln -s ${debian}/usr/bin/dbus-* $out/bin/
    ln -s ${debian}/usr/lib/dbus-1.0/dbus-daemon-launch-helper $out/libexec/
    for kind in system user; do
      mkdir -p $out/lib/systemd/$kind
      for unit in ${tree}/usr/lib/systemd/$kind/dbus.{service,socket}; do
        # nixpkgs' reads what is in /etc.
        sed "s#/usr/bin/#$out/bin/#; s#--system#--config-file=/etc/dbus-1/system.conf#; s#--session#--config-file=/etc/dbus-1/session.conf#" $unit >$out/lib/systemd/$kind/''${unit##*/}
      done
    done
    for want in sockets.target.wants/dbus.socket multi-user.target.wants/dbus.service; do
      mkdir -p $out/lib/systemd/system/''${want%/*}
      ln -s ../''${want#*/} $out/lib/systemd/system/$want
    done
  '' { };
  makeDBusConf =
    { suidHelper, serviceDirectories, ... }:
    run "dbus-1" { services = map toString serviceDirectories; } ''
      mkdir $out
      for bus in system session; do
        folders= included= kind=
        if [ $bus = system ]; then kind=system-; fi
        for folder in $services; do
          folders+="<servicedir>$folder/share/dbus-1/''${kind}services</servicedir>"
          included+="<includedir>$folder/etc/dbus-1/$bus.d</includedir><includedir>$folder/share/dbus-1/$bus.d</includedir>"
        done
        sed "s#<standard_''${bus}_servicedirs */>#$folders#; s#<servicehelper>.*</servicehelper>#<servicehelper>${suidHelper}</servicehelper>#; s#</busconfig>#$included</busconfig>#; /<include /d; /<includedir>$bus.d/d" \
          ${tree}/usr/share/dbus-1/$bus.conf >$out/$bus.conf
      done
    '';

  # One header of glibc's source: variables that wrappers take out.
  srcOnly = _: builtins.derivation {
    name = "source";
    system = "x86_64-linux";
    builder = "/bin/bash";
    installPhase = "mkdir $out";
    args = [
      "-c"
      ''
        PATH=/usr/bin:/bin; mkdir -p sysdeps/generic
        echo '#define UNSECURE_ENVVARS "GCONV_PATH\0" "GETCONF_DIR\0" "LD_AUDIT\0" "LD_LIBRARY_PATH\0" "LD_ORIGIN_PATH\0" "LD_PRELOAD\0" "LD_PROFILE\0" "LOCPATH\0" "MALLOC_TRACE\0" "NIS_PATH\0" "NLSPATH\0" "RES_OPTIONS\0" "TMPDIR\0" "TZDIR\0"' >sysdeps/generic/unsecvars.h
        eval "$installPhase"
      ''
    ];
  };

  xorg = prev.xorg // {
    lndir = prev.writeShellScriptBin "lndir" ''cp -rsn --no-preserve=mode "$1/." "$2/"'';
  };
  kmod-blacklist-ubuntu = real "kmod-blacklist-ubuntu" "mkdir $out; : >$out/modprobe.conf" { };
  kmod-debian-aliases = prev.writeText "debian.conf" "";

  firstStage = run "initrd" { } "bash ${./initrd} ${tree} $out";
  linux = kernel;
  linuxPackages = kernelPackages;
  linuxPackages_latest = kernelPackages;
  aggregateModules =
    modules:
    let
      self = run "kernel-modules" { inherit modules; } "mkdir $out; ln -s ${kernel}/lib $out/lib" // { override = _: self; };
    in
    self;

  containerd = programsOf "containerd" upstream [
    "containerd"
    "containerd-shim-runc-v2"
    "ctr"
  ] { version = "2.4.2"; };
  runc = programsOf "runc" upstream [ "runc" ] { };
  cni-plugins = real "cni-plugins" ''
    mkdir -p $out/bin
    cp ${tree}/usr/lib/cni/* $out/bin/
    for plugin in bridge host-local loopback portmap; do cp -f ${upstream}/cni-$plugin $out/bin/$plugin; done
    for file in $out/bin/*; do bash ${./debian} --program ${debian} $file; done
  '' { };
  etcd = programsOf "etcd" upstream [ "etcd" "etcdctl" "etcdutl" ] { version = "3.6.8"; };
  coredns = programsOf "coredns" upstream [ "coredns" ] { };
  kubectl = kubernetes;
  roost = programsOf "roost" programs [ "bootstrap" "kubelet" ] { meta.mainProgram = "bootstrap"; };
  # An image of one program with many names, as `docker save` writes it.
  busyboxImage = run "busybox.tar" { } ''
    mkdir -p tree/bin image
    cp ${tree}/usr/bin/busybox tree/bin/
    for name in sh sleep nslookup wget; do ln -s busybox tree/bin/$name; done
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C tree -cf image/layer.tar .
    jq -cn --arg layer sha256:$(sha256sum <image/layer.tar | cut -d' ' -f1) '{architecture: "amd64", os: "linux", config: {Env: ["PATH=/bin"]},
      rootfs: {type: "layers", diff_ids: [$layer]}}' >image/config.json
    jq -cn '[{Config: "config.json", RepoTags: ["localhost/busybox:1"], Layers: ["layer.tar"]}]' >image/manifest.json
    tar --mtime=@0 -C image -cf $out manifest.json config.json layer.tar
  '';
}
